//! The Redis client: one connection that publishes, and one for each subscription.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_lock::Mutex;
use async_std::future::timeout;
use futures_rustls::TlsConnector;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, BoxStream, StreamExt};
use ivy_proto::ChannelName;
use ivy_proto::config::RedisAddress;
use ivy_proto::notify::{NotifyFault, NotifyFaultKind, Publication};
use redis::aio::{MultiplexedConnection, PubSub, PubSubSink};
use redis::{
    AsyncConnectionConfig, ErrorKind, Msg, ProtocolVersion, RedisConnectionInfo, RedisError,
};

use crate::backend::{Heard, Notifier};
use crate::connector::{CONNECT_LIMIT, Stream, connect};
use crate::tls::{OwnRoots, is_tls};

/// How long things take at most.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Until a connection can be used, authentication included.
    connect: Duration,
    /// Until a command is answered.
    command: Duration,
    /// Until a subscription is asked whether it still stands: a connection that a firewall forgot
    /// stays silent for ever, and so does one without notices.
    ping: Duration,
}

const LIMITS: Limits = Limits {
    connect: CONNECT_LIMIT,
    command: Duration::from_secs(5),
    ping: Duration::from_secs(20),
};

// redis has two runtimes where another crate of the program turns its tokio support on as well, and
// takes tokio's wherever there is one. Either can drive these connections: they are ours, and redis
// only spawns and times with it.

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
    limits: Limits,
    /// Made by the first publication, dropped when a command fails on it.
    publisher: Mutex<Option<Publisher>>,
}

impl fmt::Debug for RedisNotifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisNotifier({}:{})", self.shared.host, self.shared.port)
    }
}

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
        let shared = Shared {
            host: address.host.clone(),
            port: address.port,
            tls,
            settings,
            limits: LIMITS,
            publisher: Mutex::new(None),
        };
        RedisNotifier { shared: Arc::new(shared) }
    }

    async fn connect(&self) -> Result<Stream, NotifyFault> {
        let Shared { host, port, tls, .. } = &*self.shared;
        connect(host, *port, tls.as_ref()).await.map_err(|error| {
            let tls = is_tls(&error);
            let kind = if tls { NotifyFaultKind::Tls } else { NotifyFaultKind::Unreachable };
            NotifyFault::new(kind).with_detail(format!("{host}:{port}: {error}"))
        })
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
        let Limits { connect, command, .. } = self.shared.limits;
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(command));
        let opening = async {
            let transport = self.connect().await?;
            MultiplexedConnection::new_with_config(&self.shared.settings, transport, config)
                .await
                .map_err(|error| fault(&error, NotifyFaultKind::Unreachable))
        };
        let (connection, traffic) = within(connect, opening).await?;
        async_std::task::spawn(traffic);
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
        within(self.shared.limits.connect, opening).await
    }
}

impl Notifier for RedisNotifier {
    fn publish(&self, publication: Publication) -> BoxFuture<'static, Result<u64, NotifyFault>> {
        let this = self.clone();
        async move { this.publish(publication).await }.boxed()
    }

    fn subscribe(&self, channels: Vec<ChannelName>) -> BoxStream<'static, Heard> {
        let this = self.clone();
        let limits = self.shared.limits;
        stream::once(async move { this.open(&channels).await })
            .flat_map(move |opened| match opened {
                Ok(pubsub) => notices(pubsub, limits).boxed(),
                Err(fault) => stream::iter([Heard::Lost(fault)]).boxed(),
            })
            .boxed()
    }
}

fn notices(pubsub: PubSub, limits: Limits) -> impl stream::Stream<Item = Heard> {
    let (sink, messages) = pubsub.split();
    let notices =
        messages.filter_map(async |message| notice(&message)).take_until(silence(sink, limits));
    let lost = Heard::Lost(NotifyFault::new(NotifyFaultKind::ConnectionLost));
    stream::iter([Heard::Subscribed]).chain(notices).chain(stream::iter([lost]))
}

/// A message as a notice; nothing if its channel has a name that we cannot have asked for.
fn notice(message: &Msg) -> Option<Heard> {
    let channel = ChannelName::new(message.get_channel_name()).ok()?;
    Some(Heard::Notice { channel, payload: message.get_payload_bytes().to_vec() })
}

/// Ends when the server no longer answers on this connection.
async fn silence(mut sink: PubSubSink, limits: Limits) {
    loop {
        async_std::task::sleep(limits.ping).await;
        let Ok(Ok(_)) = timeout(limits.command, sink.ping::<redis::Value>()).await else { return };
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
