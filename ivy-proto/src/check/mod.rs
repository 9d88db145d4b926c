//! Checks whether the parts of a configuration work: keys, queue and notifier.
//!
//! A check reserves and posts no message and changes nothing. [`keys`] seals a text and opens it again.
//! A [`QueueCheck`] asks for a queue that need not exist, and a [`NotifierCheck`] publishes to a
//! channel of its own. The driver executes what they ask for, limits the time, and collects a
//! [`CheckReport`].
//!
//! ```
//! use ivy_proto::check::{QueueCheck, QueueStep};
//! use ivy_proto::queue::{Capabilities, Fault, FaultKind};
//!
//! let mut check = QueueCheck::new(&Capabilities::broker());
//! assert!(matches!(check.start(), QueueStep::Execute(_)));
//! // The server knows no such queue: it has answered, and accepts the credentials.
//! let reply = Err(Fault::new(FaultKind::NoQueue));
//! assert!(matches!(check.on_reply(reply), QueueStep::Done(Ok(()))));
//! ```

mod keys;
mod notifier;
mod queue;
mod report;

pub use keys::keys;
pub use notifier::{NotifierCheck, NotifierStep};
pub use queue::{QueueCheck, QueueStep};
pub use report::{CheckFault, CheckReport, Checked, CheckedPart};

/// The name of the queue that is asked for, and of the text that is sealed.
const NAME: &str = "ivy.check";
