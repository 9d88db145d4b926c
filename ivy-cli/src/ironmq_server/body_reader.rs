//! Reads the bodies of requests, with limits on memory and time.

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use super::failure::Failure;
use super::min_rate::MinRate;
use super::no_response::NoResponse;

/// The largest body of a request. A hundred messages of the maximum size fit.
const MAX_BODY: usize = 32 * 1024 * 1024;
/// How much of a larger body is read and discarded, so that the client gets to read the response.
const MAX_DISCARDED: usize = 4 * MAX_BODY;
/// The part of each body that needs no permit: requests that acknowledge or reserve messages are
/// not larger, and must not wait behind large ones.
const PERMIT_FREE_SIZE: usize = 64 * 1024;
/// The total memory of the larger bodies, in addition to one exempt body. The others wait, unread.
const BUFFER_LIMIT: usize = 4 * MAX_BODY;

/// Reads bodies into memory as far as there is room.
#[derive(Debug)]
pub(crate) struct BodyReader {
    /// Permits in bytes. The size of one body is far below the maximum of permits.
    buffer: Semaphore,
    /// Held by the one body that may exceed the room, so that partly received bodies never all wait
    /// for each other.
    exempt: Semaphore,
}

/// A body, and the room that it occupies.
#[derive(Debug)]
pub(crate) struct BufferedBody<'a> {
    pub(crate) bytes: Bytes,
    _permit: BufferPermit<'a>,
}

/// The room that one body occupies so far.
#[derive(Debug, Default)]
struct BufferPermit<'a> {
    bytes: usize,
    permit: Option<SemaphorePermit<'a>>,
    exempt: Option<SemaphorePermit<'a>>,
}

impl BodyReader {
    pub(crate) fn new() -> Self {
        BodyReader { buffer: Semaphore::new(BUFFER_LIMIT), exempt: Semaphore::new(1) }
    }

    /// Reads a whole body, unless it is too large. It occupies room as it arrives, not as
    /// announced: a client that announces much and sends little blocks no others.
    pub(crate) async fn read<B: Body<Data = Bytes> + Unpin>(
        &self,
        body: B,
    ) -> Result<Result<BufferedBody<'_>, Failure>, NoResponse> {
        // The size of a chunked body is unknown in advance.
        let announced = body.size_hint().lower();
        let mut pieces = Pieces::of(body);
        if announced > MAX_BODY as u64 {
            return pieces.too_large().await;
        }
        let mut buffer = BufferPermit::default();
        // Most bodies arrive in one piece, which is not copied.
        let (mut first, mut whole) = (Bytes::new(), BytesMut::new());
        while let Some(data) = pieces.next().await? {
            let length = pieces.rate.length();
            if length > MAX_BODY {
                drop((first, whole, buffer));
                return pieces.too_large().await;
            }
            if length > PERMIT_FREE_SIZE {
                let started = Instant::now();
                self.acquire(&mut buffer, length).await?;
                pieces.rate.exclude(started.elapsed());
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
        Ok(Ok(BufferedBody { bytes, _permit: buffer }))
    }

    /// Acquires room for a body of which `length` bytes have arrived.
    async fn acquire<'a>(
        &'a self,
        buffer: &mut BufferPermit<'a>,
        length: usize,
    ) -> Result<(), NoResponse> {
        if buffer.exempt.is_some() {
            return Ok(());
        }
        let more = u32::try_from(length - buffer.bytes).map_err(|_| NoResponse)?;
        tokio::select! {
            biased;
            permit = self.buffer.acquire_many(more) => {
                let permit = permit.map_err(|_| NoResponse)?;
                match &mut buffer.permit {
                    Some(held) => held.merge(permit),
                    None => buffer.permit = Some(permit),
                }
                buffer.bytes = length;
            }
            exempt = self.exempt.acquire() => buffer.exempt = Some(exempt.map_err(|_| NoResponse)?),
        }
        Ok(())
    }
}

/// Reads and discards a body, within limits, to keep the connection usable.
pub(crate) async fn discard<B: Body<Data = Bytes> + Unpin>(body: B) -> Result<(), NoResponse> {
    Pieces::of(body).discard().await
}

/// A body that arrives in pieces.
struct Pieces<B> {
    body: B,
    rate: MinRate,
}

impl<B: Body<Data = Bytes> + Unpin> Pieces<B> {
    fn of(body: B) -> Self {
        Pieces { body, rate: MinRate::start(Instant::now()) }
    }

    /// The next piece; `None` at the end. No response is sent to a client that has disconnected,
    /// does not speak HTTP, or sends its body too slowly.
    async fn next(&mut self) -> Result<Option<Bytes>, NoResponse> {
        let deadline = self.rate.deadline(Instant::now());
        loop {
            match tokio::time::timeout_at(deadline, self.body.frame()).await {
                Ok(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => {
                        self.rate.received(data.len());
                        return Ok(Some(data));
                    }
                    // Trailers are ignored.
                    _ => {}
                },
                Ok(None) => return Ok(None),
                Ok(Some(Err(_))) | Err(_) => return Err(NoResponse),
            }
        }
    }

    async fn discard(&mut self) -> Result<(), NoResponse> {
        while self.rate.length() < MAX_DISCARDED && self.next().await?.is_some() {}
        Ok(())
    }

    async fn too_large<T>(mut self) -> Result<Result<T, Failure>, NoResponse> {
        self.discard().await?;
        Ok(Err(Failure::bad_request("Request is too large")))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::pin::{Pin, pin};
    use std::sync::Arc;
    use std::task::{Context, Poll};
    use std::time::Duration;

    use hyper::body::{Frame, SizeHint};

    use super::*;

    /// A body that sends a piece every ten seconds, and then ends or stalls.
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

    /// A piece that meets the minimum rate if sent every ten seconds.
    const FAST: usize = MAX_BODY / 8;

    #[tokio::test(start_paused = true)]
    async fn a_large_body_may_take_long_at_the_minimum_rate() {
        let body_reader = BodyReader::new();
        let started = Instant::now();
        let held =
            body_reader.read(body(FAST, 8, true, Some(MAX_BODY as u64))).await.unwrap().unwrap();
        assert_eq!((held.bytes.len(), started.elapsed().as_secs()), (MAX_BODY, 80));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_below_the_minimum_rate_times_out_though_it_never_stalls() {
        let body_reader = BodyReader::new();
        for announced in [None, Some(MAX_BODY as u64)] {
            let started = Instant::now();
            let slow_body = body(1, 1000, true, announced);
            assert_eq!(body_reader.read(slow_body).await.unwrap_err(), NoResponse);
            assert_eq!(started.elapsed().as_secs(), 30);
            assert_eq!(discard(body(1, 1000, true, announced)).await, Err(NoResponse));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stalls_times_out_and_frees_its_buffer() {
        let body_reader = BodyReader::new();
        let started = Instant::now();
        let size = Some(MAX_BODY as u64);
        assert_eq!(body_reader.read(body(FAST, 2, false, size)).await.unwrap_err(), NoResponse);
        assert_eq!(started.elapsed().as_secs(), 50);
        assert_eq!(discard(body(FAST, 2, false, size)).await, Err(NoResponse));
        assert_eq!(body_reader.buffer.available_permits(), BUFFER_LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_announces_much_and_sends_little_blocks_no_other() {
        let body_reader = BodyReader::new();
        let announced = Some(MAX_BODY as u64);
        let mut slow: Vec<_> = (0..2 * BUFFER_LIMIT / MAX_BODY)
            .map(|_| Box::pin(body_reader.read(body(1, 1000, true, announced))))
            .collect();
        let mut slow = pin!(std::future::poll_fn(|context| {
            for reading in &mut slow {
                assert!(reading.as_mut().poll(context).is_pending());
            }
            Poll::<()>::Pending
        }));
        let second = Duration::from_secs(1);
        assert!(tokio::time::timeout(second, &mut slow).await.is_err());
        let valid = body_reader.read(body(MAX_BODY, 1, true, announced));
        tokio::select! {
            biased;
            () = slow => {}
            held = valid => assert_eq!(held.unwrap().unwrap().bytes.len(), MAX_BODY),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn partly_received_bodies_that_fill_the_room_complete_one_by_one() {
        let body_reader = Arc::new(BodyReader::new());
        let count = 3 * BUFFER_LIMIT / MAX_BODY;
        let reading: Vec<_> = (0..count)
            .map(|_| {
                let body_reader = Arc::clone(&body_reader);
                tokio::spawn(async move {
                    let large = body(FAST, 8, true, Some(MAX_BODY as u64));
                    body_reader.read(large).await.map(|held| held.map(|held| held.bytes.len()))
                })
            })
            .collect();
        let hour = Duration::from_secs(3600);
        for reading in reading {
            let read =
                tokio::time::timeout(hour, reading).await.expect("no body waits indefinitely");
            assert_eq!(read.unwrap(), Ok(Ok(MAX_BODY)));
        }
        assert_eq!(body_reader.buffer.available_permits(), BUFFER_LIMIT);
        assert_eq!(body_reader.exempt.available_permits(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_is_too_large_is_refused_whether_announced_or_not() {
        let body_reader = BodyReader::new();
        for announced in [None, Some(MAX_BODY as u64 + 1)] {
            let large = body(MAX_BODY / 2 + 1, 2, true, announced);
            assert!(body_reader.read(large).await.unwrap().is_err());
        }
        let largest = body(MAX_BODY / 2, 2, true, None);
        assert_eq!(body_reader.read(largest).await.unwrap().unwrap().bytes.len(), MAX_BODY);
    }

    #[tokio::test(start_paused = true)]
    async fn large_bodies_wait_for_room_and_small_ones_do_not() {
        let body_reader = BodyReader::new();
        let large = || body(MAX_BODY, 1, true, Some(MAX_BODY as u64));
        let mut held = Vec::new();
        // One more than there is room for may read.
        for _ in 0..=BUFFER_LIMIT / MAX_BODY {
            held.push(body_reader.read(large()).await.unwrap().unwrap());
        }
        let mut waiting = pin!(body_reader.read(large()));
        let hour = Duration::from_secs(3600);
        assert!(tokio::time::timeout(hour, &mut waiting).await.is_err());
        assert!(
            body_reader
                .read(body(PERMIT_FREE_SIZE, 1, true, Some(PERMIT_FREE_SIZE as u64)))
                .await
                .unwrap()
                .is_ok()
        );
        held.pop();
        assert!(waiting.await.unwrap().is_ok());
    }
}
