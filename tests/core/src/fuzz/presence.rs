//! Presence records.

use ivy_proto::presence::{Listener, Record};
use ivy_proto::wire::Codec;
use ivy_proto::{ChannelName, Moment};

use super::is_short;

/// A presence record: read, written, read again, unchanged. A listener hears it or counts it.
pub fn presence(input: &[u8]) {
    let prefix = ChannelName::new("ivy-notifier").expect("a name");
    let mut listener = Listener::new(Codec::plain(), &prefix).expect("a short name");
    match Record::open(input, listener.channel(), &Codec::plain()) {
        Ok(record) => {
            let again = Record::parse(&record.to_text()).expect("written text can be parsed");
            assert_eq!(again, record);
        }
        Err(bad) => is_short(&bad),
    }
    let is_heard = listener.hear(input, Moment::EPOCH).is_ok();
    let heard = listener.heard(Moment::EPOCH);
    assert_eq!((heard.workers.len(), heard.ignored), if is_heard { (1, 0) } else { (0, 1) });
}
