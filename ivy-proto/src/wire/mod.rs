//! Serialization of message bodies, frames, notices and dead letters.
//!
//! A message body is a text: either the JSON of an [`Envelope`], or a frame `$tag$...` whose opened
//! content is such JSON; a frame within a frame is refused. A [`Codec`] reads and writes the bodies
//! of queues. A body that cannot be read is a [`BadBody`] with the [`DeadLetterReason`] for its
//! message.
//!
//! Arguments, results and unknown options remain text ([`RawJson`]) until a handler's own types
//! read them, so that numbers are not rounded and unusual strings are not lost.

mod bad_body;
mod bounded;
mod caller;
mod canonical;
mod codec;
mod content;
pub mod crypto;
mod dead_letter;
mod depth;
mod envelope;
mod escapes;
mod finite;
mod frame;
mod ivy_options;
mod legacy;
mod notice;
mod object;
mod options;
mod plaintext;
mod protection;
mod raw;
mod reason;
mod reseal;
mod scan;
mod shape;
mod size;
mod trace;
mod trace_context;
mod trace_state;
mod unescaped_run;
mod write;

pub use bad_body::BadBody;
pub(crate) use caller::Caller;
pub use codec::{Codec, DEFAULT_MAX_BODY, Format, Opened};
pub use content::Content;
pub use dead_letter::{BadDeadLetter, DeadLetter, is_dead_letter};
pub(crate) use depth::{list_is_too_deep, value_is_too_deep};
pub use envelope::Envelope;
pub use ivy_options::{IvyOptions, MAX_UNKNOWN_OPTIONS};
pub use legacy::{InvalidKey, LegacyKey};
#[allow(deprecated)]
pub use notice::NOTICE_CAP;
pub use notice::{BadNotice, MAX_NOTICE, MissingResult, Notice};
pub(crate) use notice::{NoticeSummary, TaskUpdate};
pub(crate) use options::DEFAULT_MAX_RETRIES;
pub use options::{MAX_RETRIES, Options};
pub use plaintext::Plaintext;
pub use protection::Protection;
pub use raw::{RawJson, Unwritable};
pub use reason::{DeadLetterReason, UnknownReason};
pub use shape::{MAX_ARGS, MAX_DEPTH};
pub use size::{POSTED_UTF16_LIMIT, posted_utf16_units};
pub use trace::TraceParent;
pub use trace_context::TraceContext;
pub use trace_state::TraceState;

/// JSON as text, read and written without building values, for frequent bodies and responses.
pub mod json {
    pub use super::escapes::{push_escaped, unescaped};
    pub use super::scan::Scanner;
}
