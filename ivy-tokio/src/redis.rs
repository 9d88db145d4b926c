//! The Redis client: one connection that publishes, and one for each subscription.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, BoxStream, StreamExt};
use ivy_proto::ChannelName;
use ivy_proto::config::RedisAddress;
use ivy_proto::notify::{NotifyFault, NotifyFaultKind, Publication};
use redis::aio::{MultiplexedConnection, PubSub, PubSubSink};
use redis::{
    AsyncConnectionConfig, ErrorKind, Msg, ProtocolVersion, RedisConnectionInfo, RedisError,
};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsConnector;

use crate::backend::{Heard, Notifier};
use crate::tls::{OwnRoots, is_tls};

/// How long it may take until a connection can be used, authentication included.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// How long a command may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(5);
/// How often a subscription is asked whether it still stands: a connection that a firewall forgot
/// stays silent for ever, and so does one without notices.
const PING_EVERY: Duration = Duration::from_secs(20);

/// How long a connection that was not used is taken to stand.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// The connection that publishes, and when it was used last.
struct Publisher {
    connection: MultiplexedConnection,
    used_at: Instant,
}

/// A notifier over Redis's publish and subscribe.
#[derive(Clone)]
pub(crate) struct RedisNotifier {
    shared: Arc<Shared>,
}

struct Shared {
    host: String,
    port: u16,
    tls: Option<TlsConnector>,
    settings: RedisConnectionInfo,
    /// Made by the first publication, dropped when a command fails on it.
    publisher: Mutex<Option<Publisher>>,
}

impl fmt::Debug for RedisNotifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisNotifier({}:{})", self.shared.host, self.shared.port)
    }
}

/// What a connection runs over.
trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

impl RedisNotifier {
    pub(crate) fn new(address: &RedisAddress, roots: &OwnRoots) -> Self {
        // RESP2 is understood by every Redis, and confirms subscriptions in order.
        let mut settings = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP2)
            .set_skip_set_lib_name()
            .set_db(address.database.unwrap_or_default().into());
        if let Some(user) = &address.user {
            settings = settings.set_username(user);
        }
        if let Some(password) = &address.password {
            settings = settings.set_password(password.expose());
        }
        let tls = address.tls.then(|| TlsConnector::from(Arc::new(roots.with_system_roots())));
        // The resolver and TLS want an IPv6 address without the brackets that it has in a URL.
        let host = address.host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let publisher = Mutex::new(None);
        let shared = Shared { host, port: address.port, tls, settings, publisher };
        RedisNotifier { shared: Arc::new(shared) }
    }

    async fn connect(&self) -> Result<Box<dyn Transport>, NotifyFault> {
        let Shared { host, port, .. } = &*self.shared;
        let unreachable = |error: std::io::Error| {
            let detail = format!("{host}:{port}: {error}");
            NotifyFault::new(NotifyFaultKind::Unreachable).with_detail(detail)
        };
        let tcp = TcpStream::connect((host.as_str(), *port)).await.map_err(unreachable)?;
        tcp.set_nodelay(true).map_err(unreachable)?;
        let Some(tls) = &self.shared.tls else { return Ok(Box::new(tcp)) };
        let insecure = |detail: String| NotifyFault::new(NotifyFaultKind::Tls).with_detail(detail);
        let name =
            ServerName::try_from(host.clone()).map_err(|error| insecure(error.to_string()))?;
        match tls.connect(name, tcp).await {
            Ok(secured) => Ok(Box::new(secured)),
            Err(error) if is_tls(&error) => Err(insecure(error.to_string())),
            Err(error) => Err(unreachable(error)),
        }
    }

    async fn publish(&self, publication: Publication) -> Result<u64, NotifyFault> {
        let mut connection = self.publisher().await?;
        let Publication { channel, payload } = publication;
        let published = redis::cmd("PUBLISH")
            .arg(channel.as_str())
            .arg(payload.as_str())
            .query_async::<u64>(&mut connection)
            .await;
        match published {
            Ok(receivers) => Ok(receivers),
            Err(error) => {
                *self.shared.publisher.lock().await = None;
                Err(fault(&error, NotifyFaultKind::ConnectionLost))
            }
        }
    }

    /// The connection to publish on. Those who ask while it is being made wait for the same one.
    ///
    /// One that has rested is tried first: what is published on a connection that a restart of the
    /// server has ended would be lost, though the server is there again.
    async fn publisher(&self) -> Result<MultiplexedConnection, NotifyFault> {
        let mut publisher = self.shared.publisher.lock().await;
        if let Some(Publisher { connection, used_at }) = &mut *publisher {
            let has_rested = used_at.elapsed() > TRUSTED_FOR;
            *used_at = Instant::now();
            let mut connection = connection.clone();
            let ping = redis::cmd("PING");
            if !has_rested || ping.query_async::<redis::Value>(&mut connection).await.is_ok() {
                return Ok(connection);
            }
        }
        *publisher = None;
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(COMMAND_LIMIT));
        let opening = async {
            let transport = self.connect().await?;
            MultiplexedConnection::new_with_config(&self.shared.settings, transport, config)
                .await
                .map_err(|error| fault(&error, NotifyFaultKind::Unreachable))
        };
        let (connection, traffic) = within(CONNECT_LIMIT, opening).await?;
        tokio::spawn(traffic);
        let used_at = Instant::now();
        *publisher = Some(Publisher { connection: connection.clone(), used_at });
        Ok(connection)
    }

    async fn open(&self, channels: &[ChannelName]) -> Result<PubSub, NotifyFault> {
        let opening = async {
            let transport = self.connect().await?;
            let lost = |error| fault(&error, NotifyFaultKind::Unreachable);
            let mut pubsub = PubSub::new(&self.shared.settings, transport).await.map_err(lost)?;
            let names: Vec<&str> = channels.iter().map(ChannelName::as_str).collect();
            pubsub.subscribe(names).await.map_err(lost)?;
            Ok(pubsub)
        };
        within(CONNECT_LIMIT, opening).await
    }
}

impl Notifier for RedisNotifier {
    fn publish(&self, publication: Publication) -> BoxFuture<'static, Result<u64, NotifyFault>> {
        let this = self.clone();
        async move { this.publish(publication).await }.boxed()
    }

    fn subscribe(&self, channels: Vec<ChannelName>) -> BoxStream<'static, Heard> {
        let this = self.clone();
        stream::once(async move { this.open(&channels).await })
            .flat_map(|opened| match opened {
                Ok(pubsub) => notices(pubsub).boxed(),
                Err(fault) => stream::iter([Heard::Lost(fault)]).boxed(),
            })
            .boxed()
    }
}

fn notices(pubsub: PubSub) -> impl stream::Stream<Item = Heard> {
    let (sink, messages) = pubsub.split();
    let notices = messages.filter_map(async |message| notice(&message)).take_until(silence(sink));
    let lost = Heard::Lost(NotifyFault::new(NotifyFaultKind::ConnectionLost));
    stream::iter([Heard::Subscribed]).chain(notices).chain(stream::iter([lost]))
}

/// A message as a notice; nothing if its channel has a name that we cannot have asked for.
fn notice(message: &Msg) -> Option<Heard> {
    let channel = ChannelName::new(message.get_channel_name()).ok()?;
    Some(Heard::Notice { channel, payload: message.get_payload_bytes().to_vec() })
}

/// Ends when the server no longer answers on this connection.
async fn silence(mut sink: PubSubSink) {
    loop {
        tokio::time::sleep(PING_EVERY).await;
        let Ok(Ok(_)) = timeout(COMMAND_LIMIT, sink.ping::<redis::Value>()).await else { return };
    }
}

async fn within<T>(
    limit: Duration,
    opening: impl Future<Output = Result<T, NotifyFault>>,
) -> Result<T, NotifyFault> {
    timeout(limit, opening).await.unwrap_or_else(|_| {
        let detail = format!("no connection within {limit:?}");
        Err(NotifyFault::new(NotifyFaultKind::Unreachable).with_detail(detail))
    })
}

/// What an error means; `broken` if the connection is what failed.
///
/// Of what the server said only the code is kept: a text from outside could repeat a password.
fn fault(error: &RedisError, broken: NotifyFaultKind) -> NotifyFault {
    let code = error.code().unwrap_or_default();
    let kind = match (error.kind(), code) {
        (ErrorKind::AuthenticationFailed, _) | (_, "NOAUTH" | "WRONGPASS" | "NOPERM") => {
            NotifyFaultKind::Unauthorized
        }
        (ErrorKind::Server(_) | ErrorKind::Extension, _) => NotifyFaultKind::Refused,
        _ => broken,
    };
    NotifyFault::new(kind).with_detail(code)
}

#[cfg(test)]
mod tests;
