//! Numbers for messages that share an id.

use std::collections::BTreeMap;

use crate::id::MessageId;
use crate::text;

/// How many messages were found under each id.
///
/// A queue gives each message an id of its own. But another program may have written the same bytes
/// to a server twice, and an operator must be able to choose one of both.
#[derive(Debug, Default)]
pub(super) struct SameIds(BTreeMap<MessageId, usize>);

impl SameIds {
    /// The id under which the next message with this id is shown: the id itself, then `ID.2`, `ID.3`
    /// and so on.
    pub(super) fn shown(&mut self, id: &MessageId) -> MessageId {
        let count = self.0.entry(id.clone()).or_default();
        *count += 1;
        match *count {
            1 => id.clone(),
            number => MessageId::new(format!("{}.{number}", id.as_str())),
        }
    }
}

/// Whether an id ends with the number of a message among those that share an id, as in `ID.2`.
#[must_use]
pub fn is_numbered(id: &MessageId) -> bool {
    let number = id.as_str().rsplit_once('.').and_then(|(_, number)| text::number::<u32>(number));
    number.is_some_and(|number| number >= 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_that_share_an_id_are_numbered() {
        let mut ids = SameIds::default();
        let shown = ["a", "b", "a", "a"].map(|id| ids.shown(&MessageId::new(id)));
        assert_eq!(shown.each_ref().map(MessageId::as_str), ["a", "b", "a.2", "a.3"]);
        assert_eq!(shown.each_ref().map(is_numbered), [false, false, true, true]);
    }
}
