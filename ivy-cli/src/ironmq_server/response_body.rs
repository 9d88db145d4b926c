//! The body of a response, whole or truncated.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

/// A body of known length.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    remaining: Bytes,
    end: End,
}

#[derive(Debug)]
enum End {
    Complete,
    /// The body is shorter than its announced length, and the connection breaks. The bytes written
    /// before must be delivered first.
    Truncated {
        announced: usize,
        flushed: bool,
    },
}

impl ResponseBody {
    /// A complete body.
    pub(crate) fn complete(text: Bytes) -> Self {
        ResponseBody { remaining: text, end: End::Complete }
    }

    /// The first half of the body, and then the end of the connection.
    pub(crate) fn truncated(text: &Bytes) -> Self {
        let end = End::Truncated { announced: text.len(), flushed: false };
        ResponseBody { remaining: text.slice(..text.len() / 2), end }
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        if !self.remaining.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.remaining)))));
        }
        match &mut self.end {
            End::Complete => Poll::Ready(None),
            End::Truncated { flushed: true, .. } => {
                Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())))
            }
            End::Truncated { flushed, .. } => {
                // The connection flushes its buffer when the body is pending.
                *flushed = true;
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.remaining.is_empty() && matches!(self.end, End::Complete)
    }

    fn size_hint(&self) -> SizeHint {
        let length = match self.end {
            End::Complete => self.remaining.len(),
            End::Truncated { announced, .. } => announced,
        };
        SizeHint::with_exact(length as u64)
    }
}
