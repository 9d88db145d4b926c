//! The bodies of requests on their way in: how much of them is held in memory, and how long they
//! may take.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::failure::Failure;
use super::service::NoAnswer;

/// The largest body of a request. A hundred messages of the largest size fit in.
const MAX_BODY: usize = 32 * 1024 * 1024;
/// How much of a larger body is still read, so that the client comes to read the answer.
const MAX_DISCARDED: usize = 4 * MAX_BODY;
/// The largest body that does not wait for room: one that acknowledges or asks for messages is far
/// smaller, and must not wait behind large ones.
const SMALL: usize = 64 * 1024;
/// How much larger bodies may take together. Those beyond wait, unread.
const ROOM: usize = 4 * MAX_BODY;
/// How long a body may stay away before it is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// Reads bodies into memory, as far as there is room.
#[derive(Debug)]
pub(crate) struct Intake {
    /// Bytes. The largest body asks for far less than the number that one permit can have.
    room: Semaphore,
}

/// A body, and the room that it takes.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    pub(crate) bytes: Bytes,
    _room: Option<SemaphorePermit<'a>>,
}

impl Intake {
    pub(crate) fn new() -> Self {
        Intake { room: Semaphore::new(ROOM) }
    }

    /// Reads a body whole, unless it is too large.
    pub(crate) async fn read<B: Body<Data = Bytes> + Unpin>(
        &self,
        mut body: B,
    ) -> Result<Result<Held<'_>, Failure>, NoAnswer> {
        // A body that comes in chunks does not say how large it will be.
        let announced = body.size_hint().upper().unwrap_or(MAX_BODY as u64);
        let Some(size) = usize::try_from(announced).ok().filter(|size| *size <= MAX_BODY) else {
            return too_large(body).await;
        };
        let room = if size > SMALL { Some(self.room(size).await?) } else { None };
        // Most bodies come in one piece, which is not copied.
        let (mut first, mut whole) = (Bytes::new(), BytesMut::new());
        let mut length = 0;
        while let Some(data) = next(&mut body).await? {
            length += data.len();
            if length > MAX_BODY {
                drop((first, whole, room));
                return too_large(body).await;
            }
            if first.is_empty() {
                first = data;
            } else {
                if whole.is_empty() {
                    whole.extend_from_slice(&first);
                }
                whole.extend_from_slice(&data);
            }
        }
        let bytes = if whole.is_empty() { first } else { whole.freeze() };
        Ok(Ok(Held { bytes, _room: room }))
    }

    async fn room(&self, size: usize) -> Result<SemaphorePermit<'_>, NoAnswer> {
        let size = u32::try_from(size).map_err(|_| NoAnswer)?;
        self.room.acquire_many(size).await.map_err(|_| NoAnswer)
    }
}

/// Reads a body without keeping it, as far as that is worth it for the sake of the connection.
pub(crate) async fn discard<B: Body<Data = Bytes> + Unpin>(mut body: B) -> Result<(), NoAnswer> {
    let mut discarded = 0;
    while discarded < MAX_DISCARDED
        && let Some(data) = next(&mut body).await?
    {
        discarded += data.len();
    }
    Ok(())
}

async fn too_large<T, B: Body<Data = Bytes> + Unpin>(
    body: B,
) -> Result<Result<T, Failure>, NoAnswer> {
    discard(body).await?;
    Ok(Err(Failure::bad_request("Request is too large")))
}

/// The next piece of a body; nothing at its end. No answer is given to a client that has gone, that
/// does not speak HTTP, or that stays away.
async fn next<B: Body<Data = Bytes> + Unpin>(body: &mut B) -> Result<Option<Bytes>, NoAnswer> {
    loop {
        match tokio::time::timeout(PATIENCE, body.frame()).await {
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(data) if !data.is_empty() => return Ok(Some(data)),
                // Trailers say nothing here.
                _ => {}
            },
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) | Err(_) => return Err(NoAnswer),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll};

    use hyper::body::{Frame, SizeHint};
    use tokio::time::Instant;

    use super::*;

    /// A body that brings a piece every ten seconds, and then ends or stays away.
    struct Slow {
        piece: usize,
        left: usize,
        ends: bool,
        announced: Option<u64>,
        pause: Pin<Box<tokio::time::Sleep>>,
    }

    fn body(piece: usize, pieces: usize, ends: bool, announced: Option<u64>) -> Slow {
        let pause = Box::pin(tokio::time::sleep(Duration::from_secs(10)));
        Slow { piece, left: pieces, ends, announced, pause }
    }

    impl Body for Slow {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if self.left == 0 {
                return if self.ends { Poll::Ready(None) } else { Poll::Pending };
            }
            std::task::ready!(self.pause.as_mut().poll(context));
            self.left -= 1;
            self.pause.as_mut().reset(Instant::now() + Duration::from_secs(10));
            Poll::Ready(Some(Ok(Frame::data(vec![b'x'; self.piece].into()))))
        }

        fn size_hint(&self) -> SizeHint {
            self.announced.map_or_else(SizeHint::new, SizeHint::with_exact)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_may_take_long_as_long_as_it_comes() {
        let intake = Intake::new();
        let held = intake.read(body(100, 50, true, Some(5000))).await.unwrap().unwrap();
        assert_eq!(held.bytes.len(), 5000);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stays_away_is_given_up_and_its_room_is_free_again() {
        let intake = Intake::new();
        let started = Instant::now();
        let size = Some(MAX_BODY as u64);
        assert_eq!(intake.read(body(100, 2, false, size)).await.unwrap_err(), NoAnswer);
        assert_eq!(started.elapsed().as_secs(), 50);
        assert_eq!(discard(body(100, 2, false, size)).await, Err(NoAnswer));
        assert_eq!(intake.room.available_permits(), ROOM);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_too_large_is_refused_whether_it_was_announced_or_not() {
        let intake = Intake::new();
        for announced in [None, Some(MAX_BODY as u64 + 1)] {
            let large = body(MAX_BODY / 2 + 1, 2, true, announced);
            assert!(intake.read(large).await.unwrap().is_err());
        }
        let largest = body(MAX_BODY / 2, 2, true, None);
        assert_eq!(intake.read(largest).await.unwrap().unwrap().bytes.len(), MAX_BODY);
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_wait_for_room_and_small_ones_do_not() {
        let intake = Intake::new();
        let large = || body(MAX_BODY, 1, true, Some(MAX_BODY as u64));
        let mut held = Vec::new();
        for _ in 0..ROOM / MAX_BODY {
            held.push(intake.read(large()).await.unwrap().unwrap());
        }
        let mut waiting = pin!(intake.read(large()));
        let hour = Duration::from_secs(3600);
        assert!(tokio::time::timeout(hour, &mut waiting).await.is_err());
        assert!(intake.read(body(SMALL, 1, true, Some(SMALL as u64))).await.unwrap().is_ok());
        held.pop();
        assert!(waiting.await.unwrap().is_ok());
    }
}
