//! The producer: sends calls, and brings each result back to its caller.

mod io;

pub use io::{Call, CallOptions, Input, Output, Reply, SendError, SizeUnit, Why};
