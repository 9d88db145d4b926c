//! Presence: what running workers publish about themselves.
//!
//! A worker with a notifier publishes a [`Record`] on the channel `<prefix>.w`
//! ([`ChannelName::presence`](crate::ChannelName::presence)): when it starts, when its state
//! changes, at regular intervals, and when it has drained. Nothing is stored anywhere: a worker
//! that is heard exists, and one that stays silent is forgotten. Losing a record loses nothing but
//! resolution, because counts are cumulative.
//!
//! A [`Listener`] collects the records of a channel. It does no IO:
//!
//! ```
//! use ivy_proto::presence::Listener;
//! use ivy_proto::wire::Codec;
//! use ivy_proto::{ChannelName, Moment};
//! use std::time::Duration;
//!
//! let prefix = ChannelName::new("ivy-notifier")?;
//! let mut listener = Listener::new(Codec::plain(), &prefix)?;
//! assert_eq!(listener.channel().as_str(), "ivy-notifier.w");
//! listener.subscribed(Moment::EPOCH);
//! assert!(listener.hear(b"of another program", Moment::EPOCH).is_err());
//!
//! let heard = listener.heard(Moment::after_epoch(Duration::from_secs(16)));
//! assert!(heard.workers.is_empty());
//! assert_eq!(heard.listened, Duration::from_secs(16));
//! assert_eq!(heard.ignored, 1);
//! # Ok::<(), ivy_proto::InvalidName>(())
//! ```

mod activity;
mod bad_presence;
mod fit;
mod identity;
mod listener;
mod rates;
mod record;
mod sealing;
mod short_text;
mod text;

use std::time::Duration;

pub use activity::QueueActivity;
pub use bad_presence::BadPresence;
pub use identity::{Identity, WorkerId};
pub use listener::{FORGOTTEN_AFTER, Heard, HeardWorker, Listener, Liveness, SILENT_AFTER};
pub use rates::Rates;
pub use record::{Degraded, More, QueuePresence, Record, RunningTask, WorkerState};
pub use short_text::ShortText;

/// How long to listen to hear every worker: each publishes at least every 15 s.
pub const LISTEN_FOR: Duration = Duration::from_secs(16);

/// The limit of a published record, in bytes, in any form.
pub const PRESENCE_CAP: usize = 32 * 1024;

/// The limit of its JSON: what a frame of any form adds fits into [`PRESENCE_CAP`].
pub(crate) const TEXT_CAP: usize = 23 * 1024;

#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
