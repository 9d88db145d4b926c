//! What operators are shown of messages: descriptions, redaction, and explanations why a message
//! does not run.
//!
//! Everything here is a pure function of what a queue returned. The pages of a dashboard and the
//! commands of a program that use it show the same, and hide the same.
//!
//! ```
//! use ivy_proto::inspect::{Description, Redaction};
//! use ivy_proto::queue::{Body, ReceivedBody};
//! use ivy_proto::wire::{Codec, Content};
//! use ivy_proto::{MessageId, QueueName};
//!
//! let mail = QueueName::new("mail")?;
//! let body = Body::new(r#"{"name":"mail.send","options":{},"args":["a@example.org"]}"#);
//! let body = ReceivedBody::Text(body);
//! let content = Content::read(&body, &mail, &Codec::plain());
//!
//! let description = Description::of(MessageId::new("6114"), &body, &content, &Redaction::new());
//! let task = description.task.unwrap();
//! assert_eq!(task.name.as_str(), "mail.send");
//! assert_eq!(task.args.to_string(), "1 value, 17 bytes");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod description;
mod explanation;
mod redaction;
mod suggestion;
mod times;

pub use description::{DescribedLetter, DescribedTask, Description, Unreadable};
pub use explanation::{
    Certainty, Evidence, Explanation, Fact, QueueEvidence, UndecidedReleases, Visibility,
};
pub use redaction::{BadKeyPattern, KeyPattern, Redaction, ShownArgs, ShownText};
pub use suggestion::nearest;
pub use times::{InvalidTimestamp, Span, Timestamp, Wait};
