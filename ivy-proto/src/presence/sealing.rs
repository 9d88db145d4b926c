//! Protects records as the messages of the queues that they name.

use crate::name::{ChannelName, QueueName};
use crate::queue::Body;
use crate::wire::Codec;
use crate::wire::crypto::{Binding, BodyForm, EntropyPool};

use super::PRESENCE_CAP;
use super::bad_presence::BadPresence;
use super::record::Record;

impl Record {
    /// Writes the record for a presence channel, in the form of the most protected of the queues
    /// that it names: in plaintext only if all of them send plaintext.
    #[must_use]
    pub fn seal(&self, channel: &ChannelName, codec: &Codec, pool: &mut EntropyPool) -> Body {
        let text = self.to_text();
        match self.most_protected(codec) {
            Some(queue) => codec.seal_text(text, queue, &Binding::presence(channel), pool),
            None => Body::new(text),
        }
    }

    /// Reads a record from a presence channel. Its form must be authenticated, or one that the most
    /// protected of its queues accepts.
    ///
    /// # Errors
    /// If it is not a record, does not open, or is less protected than its queues require.
    pub fn open(payload: &[u8], channel: &ChannelName, codec: &Codec) -> Result<Self, BadPresence> {
        if payload.len() > PRESENCE_CAP {
            return Err(BadPresence::TooLarge(payload.len()));
        }
        let text = std::str::from_utf8(payload).map_err(|_| BadPresence::NotUtf8)?;
        let (record, form) = if text.starts_with('$') {
            let opened = codec.open_text(text, &Binding::presence(channel))?;
            (Record::parse(opened.text.as_str())?, opened.form)
        } else {
            (Record::parse(text)?, BodyForm::Plain)
        };
        let accepts = |queue| codec.policy(queue).accepts(form);
        if form.is_authenticated() || record.most_protected(codec).is_none_or(accepts) {
            Ok(record)
        } else {
            Err(BadPresence::Downgrade)
        }
    }

    /// The first of the queues whose bodies are protected most. A record that was read names one.
    fn most_protected(&self, codec: &Codec) -> Option<&QueueName> {
        // Of several, `max_by_key` returns the last.
        self.queues.iter().map(|queue| &queue.name).rev().max_by_key(|queue| codec.sends(queue))
    }
}
