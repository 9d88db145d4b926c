//! The HTTP/1.1 of a health listener: `GET` and `HEAD` of three pages, one request a connection.
//!
//! ```
//! use ivy_proto::health::http::{Method, Page, Request, RequestReader};
//!
//! let mut reader = RequestReader::new();
//! let bytes = b"GET /livez HTTP/1.1\r\nHost: worker\r\n\r\n";
//! reader.room()[..bytes.len()].copy_from_slice(bytes);
//! let request = reader.read(bytes.len()).expect("it is complete");
//! assert_eq!(request, Ok(Request { method: Method::Get, page: Page::Live }));
//! ```

mod request;
mod response;

use std::time::Duration;

pub use request::{MAX_REQUEST, Method, Page, Refusal, Request, RequestReader};
pub use response::{Response, Status};

/// How many connections are open at a time.
pub const MAX_CONNECTIONS: usize = 16;
/// How long a client may take to send its request, and again to read the response.
pub const CLIENT_LIMIT: Duration = Duration::from_secs(2);
/// How many bytes are read and discarded after the response: a connection that is closed while bytes
/// are unread is reset, and the response may be lost.
pub const MAX_DISCARDED: usize = 64 * 1024;
