//! What the Redis clients of the adapters share: what their errors mean, what they hear, and when
//! their connections are replaced.

mod publishing;
mod questions;
mod renewing;
mod traffic;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ivy_proto::ChannelName;
use ivy_proto::backend::Heard;
use ivy_proto::config::RedisAddress;
use ivy_proto::event::Event;
use ivy_proto::notify::redis::{Greeting, refusal};
use ivy_proto::notify::{NotifyFault, NotifyFaultKind};
use redis::{Msg, RedisError};

use crate::events::EventSink;
use crate::tls::is_tls;

pub use publishing::{RedisConnections, SharedPublisher};
pub use questions::{answer, question};
pub(crate) use renewing::Renewing;
pub use traffic::WithTraffic;

/// A Redis server as its clients know it: where it is, how to greet it, and what its errors mean.
#[derive(Clone)]
pub struct RedisServer {
    address: RedisAddress,
    /// Whether it accepted the password without the user name.
    ignores_user: Arc<AtomicBool>,
    events: Option<EventSink>,
}

impl RedisServer {
    /// The server at this address.
    #[must_use]
    pub fn new(address: RedisAddress) -> Self {
        RedisServer { address, ignores_user: Arc::default(), events: None }
    }

    /// The same, reporting what happens here.
    pub(crate) fn with_events(mut self, events: EventSink) -> Self {
        self.events = Some(events);
        self
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> &RedisAddress {
        &self.address
    }

    /// What to say first on a connection. Report [`greeted`](RedisServer::greeted) when all is said.
    #[must_use]
    pub fn greeting(&self) -> Greeting<'_> {
        Greeting::new(&self.address, self.ignores_user.load(Ordering::Relaxed))
    }

    /// The server has accepted a greeting.
    pub fn greeted(&self, greeting: &Greeting<'_>) {
        let ignores_user = greeting.ignores_user();
        let is_known = self.ignores_user.swap(ignores_user, Ordering::Relaxed);
        if ignores_user
            && !is_known
            && let Some(events) = &self.events
        {
            events.emit(Event::NotifierUserIgnored);
        }
    }

    /// No connection could be made.
    #[must_use]
    pub fn no_connection(&self, error: &io::Error) -> NotifyFault {
        let tls = is_tls(error);
        self.fault(if tls { NotifyFaultKind::Tls } else { NotifyFaultKind::Unreachable }, error)
    }

    /// A fault of the connection to the server.
    #[must_use]
    pub fn fault(&self, kind: NotifyFaultKind, error: &dyn fmt::Display) -> NotifyFault {
        NotifyFault::new(kind).with_detail(format!("{}: {error}", self.address.server()))
    }

    /// What the error of a command about these channels means; `broken` if the connection is what
    /// failed.
    #[must_use]
    pub fn meaning(
        &self,
        error: &RedisError,
        broken: NotifyFaultKind,
        channels: &[ChannelName],
    ) -> NotifyFault {
        match error.code() {
            Some(code) => {
                let said = format!("{code} {}", error.detail().unwrap_or_default());
                refusal(said.trim_end(), &self.address, channels)
            }
            // Of what is no Redis the text may hold anything.
            None if error.is_io_error() => self.fault(broken, error),
            None => self.fault(broken, &error.category()),
        }
    }
}

/// Shows the server without the credentials.
impl fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.address.server())
    }
}

/// A message as a notice; nothing if its channel has a name that we cannot have asked for.
#[must_use]
pub fn notice(message: &Msg) -> Option<Heard> {
    let channel = ChannelName::new(message.get_channel_name()).ok()?;
    Some(Heard::Notice { channel, payload: message.get_payload_bytes().to_vec() })
}

#[cfg(test)]
mod tests {
    use ivy_proto::config::NotifierConfig;

    use super::*;
    use crate::clock::Clock;
    use crate::testing::Tokio;

    #[test]
    fn a_user_name_that_the_server_ignores_is_reported_once() {
        let Ok(NotifierConfig::Redis(address)) = NotifierConfig::parse("redis://ada:secret@h")
        else {
            panic!("it is a Redis URL")
        };
        let events = EventSink::new(Clock::<Tokio>::start());
        let mut watch = events.watch::<Tokio>();
        let server = RedisServer::new(address).with_events(events);
        for answers in [&["-WRONGPASS", "+OK"][..], &["+OK"]] {
            let mut greeting = server.greeting();
            answers.iter().for_each(|answer| greeting.answered(answer).unwrap());
            assert_eq!(greeting.next_command(), None);
            server.greeted(&greeting);
        }
        assert_eq!(watch.take().unwrap(), Some(Event::NotifierUserIgnored));
        assert!(watch.take().is_err(), "it is reported once");
    }
}
