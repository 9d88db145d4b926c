//! Connects to the first address of a host that accepts.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use ivy_proto::connect::{ConnectRace, Family, RaceStep};

use crate::clock::Clock;
use crate::runtime::Runtime;

/// Connects to these addresses in the order and rhythm of [`ConnectRace`] and returns the first
/// connection.
///
/// # Errors
/// The last failure if all attempts fail, or [`TimedOut`](io::ErrorKind::TimedOut) after the limit.
pub(crate) async fn connect_first<R: Runtime, Socket, F>(
    addresses: &[SocketAddr],
    limit: Duration,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<Socket>
where
    F: Future<Output = io::Result<Socket>>,
{
    let clock = Clock::<R>::start();
    let family = |address: &SocketAddr| if address.is_ipv4() { Family::V4 } else { Family::V6 };
    let mut race = ConnectRace::new(addresses.iter().map(family), clock.now() + limit);
    let mut attempts = FuturesUnordered::new();
    let mut failure = no_address();
    loop {
        let until = match race.next_step(clock.now()) {
            RaceStep::Start(index) => {
                attempts.extend(addresses.get(index).map(|address| connect(*address)));
                continue;
            }
            RaceStep::Wait(until) => until,
            RaceStep::Failed => return Err(failure),
            RaceStep::TimedOut => return Err(out_of_time()),
        };
        let time_is_over = pin!(clock.sleep_until(Some(until)));
        match select(attempts.next(), time_is_over).await {
            Either::Left((Some(Ok(socket)), _)) => return Ok(socket),
            Either::Left((Some(Err(error)), _)) => {
                failure = error;
                race.failed();
            }
            Either::Left((None, _)) | Either::Right(_) => {}
        }
    }
}

/// The error of a host that has no address.
fn no_address() -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, "the host has no address")
}

/// The error of a connect attempt that exceeds its limit.
pub(crate) fn out_of_time() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no address of the host accepted a connection in time")
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use super::*;
    use crate::testing::Tokio;

    const LIMIT: Duration = Duration::from_secs(5);

    fn addresses(ports: &[u16]) -> Vec<SocketAddr> {
        ports.iter().map(|port| SocketAddr::from(([127, 0, 0, 1], *port))).collect()
    }

    /// An attempt: port 1 never responds, port 2 refuses at once, others connect after a second.
    async fn attempt(address: SocketAddr) -> io::Result<u16> {
        match address.port() {
            1 => pending().await,
            2 => Err(io::ErrorKind::ConnectionRefused.into()),
            port => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(port)
            }
        }
    }

    async fn connected(ports: &[u16]) -> (io::Result<u16>, Duration) {
        let begun = tokio::time::Instant::now();
        let connected = connect_first::<Tokio, _, _>(&addresses(ports), LIMIT, attempt).await;
        (connected, begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn an_unresponsive_address_delays_by_a_quarter_of_a_second() {
        let (socket, took) = connected(&[1, 1, 80]).await;
        assert_eq!(socket.unwrap(), 80);
        assert!((1500..1510).contains(&took.as_millis()), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_address_may_still_win_while_others_are_tried() {
        let (socket, took) = connected(&[80, 1, 1]).await;
        assert_eq!((socket.unwrap(), took.as_secs()), (80, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_fails_with_its_last_error_or_a_timeout() {
        assert_eq!(
            connected(&[2, 2]).await.0.unwrap_err().kind(),
            io::ErrorKind::ConnectionRefused
        );
        assert_eq!(connected(&[]).await.0.unwrap_err().kind(), io::ErrorKind::NotFound);
        let (timed_out, took) = connected(&[1, 2]).await;
        assert_eq!(timed_out.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(took.as_secs(), LIMIT.as_secs());
    }
}
