//! What the Redis clients of the adapters share: what their errors mean, what they hear, and when
//! their connections are replaced.

mod publishing;
mod questions;
mod renewing;

use std::fmt;
use std::io;

use ivy_proto::ChannelName;
use ivy_proto::config::RedisAddress;
use ivy_proto::notify::redis::refusal;
use ivy_proto::notify::{NotifyFault, NotifyFaultKind};
use redis::{Msg, RedisError};

use crate::backend::Heard;
use crate::tls::is_tls;

pub use publishing::{RedisConnections, SharedPublisher};
pub use questions::{answer, question};
pub(crate) use renewing::Renewing;

/// Tells what went wrong with the Redis server at an address.
#[derive(Clone)]
pub struct RedisFaults(RedisAddress);

impl RedisFaults {
    /// For the server at this address.
    #[must_use]
    pub fn new(address: RedisAddress) -> Self {
        RedisFaults(address)
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> &RedisAddress {
        &self.0
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
        NotifyFault::new(kind).with_detail(format!("{}: {error}", self.0.server()))
    }

    /// What an error means; `broken` if the connection is what failed.
    #[must_use]
    pub fn meaning(&self, error: &RedisError, broken: NotifyFaultKind) -> NotifyFault {
        match error.code() {
            Some(code) => {
                let said = format!("{code} {}", error.detail().unwrap_or_default());
                refusal(said.trim_end(), &self.0)
            }
            // Of what is no Redis the text may hold anything.
            None if error.is_io_error() => self.fault(broken, error),
            None => self.fault(broken, &error.category()),
        }
    }
}

/// Shows the server without the credentials.
impl fmt::Debug for RedisFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.server())
    }
}

/// A message as a notice; nothing if its channel has a name that we cannot have asked for.
#[must_use]
pub fn notice(message: &Msg) -> Option<Heard> {
    let channel = ChannelName::new(message.get_channel_name()).ok()?;
    Some(Heard::Notice { channel, payload: message.get_payload_bytes().to_vec() })
}
