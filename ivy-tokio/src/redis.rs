//! The Redis client: one connection that publishes, and one for each subscription.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, BoxStream, StreamExt};
use ivy_driver::{
    Heard, Notifier, RedisConnections, RedisServer, SharedPublisher, WithTraffic, notice,
};
use ivy_proto::ChannelName;
use ivy_proto::config::RedisAddress;
use ivy_proto::connect::CONNECT_LIMIT;
use ivy_proto::notify::{NotifyFault, NotifyFaultKind, Publication};
use redis::aio::{MultiplexedConnection, PubSub, PubSubSink};
use redis::{AsyncConnectionConfig, Cmd, ProtocolVersion, RedisConnectionInfo, RedisResult, Value};
use rustls::ClientConfig;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::connector::{Connector, Stream};
use crate::runtime::Tokio;

/// How long a command may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(5);
/// How often a subscription is asked whether it still stands: a connection that a firewall forgot
/// stays silent for ever, and so does one without notices.
const PING_EVERY: Duration = Duration::from_secs(20);

/// The longest line of an answer to what is said first, in bytes.
const LONGEST_LINE: usize = 1024;

/// A notifier over Redis's publish and subscribe.
#[derive(Clone)]
pub struct RedisNotifier {
    shared: Arc<Shared>,
}

struct Shared {
    server: RedisServer,
    connector: Connector,
    settings: RedisConnectionInfo,
    publisher: SharedPublisher<Tokio, WithTraffic<MultiplexedConnection>>,
}

impl fmt::Debug for RedisNotifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisNotifier({:?})", self.shared.server)
    }
}

impl RedisNotifier {
    pub(crate) fn new(server: RedisServer, tls: Option<ClientConfig>) -> Self {
        RedisNotifier::over(server, Connector::new(tls))
    }

    fn over(server: RedisServer, connector: Connector) -> Self {
        // RESP2 is understood by every Redis, and confirms subscriptions in order. The credentials
        // are given before, since redis keeps nothing of the answer to wrong ones.
        let settings = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP2)
            .set_skip_set_lib_name();
        let publisher = SharedPublisher::new();
        let shared = Shared { server, connector, settings, publisher };
        RedisNotifier { shared: Arc::new(shared) }
    }

    /// A connection on which the credentials were taken.
    async fn connect(&self) -> Result<Stream, NotifyFault> {
        let Shared { server, connector, .. } = &*self.shared;
        let unreachable = |error: io::Error| server.no_connection(&error);
        let RedisAddress { host, port, tls, .. } = server.address();
        let mut stream = connector.connect(host, *port, *tls).await.map_err(unreachable)?;
        let mut greeting = server.greeting();
        while let Some(command) = greeting.next_command() {
            // A server that has no room says so and takes no command.
            let sent = say(&mut stream, &command).await;
            let line = read_line(&mut stream).await;
            let line = line.map_err(|error| unreachable(sent.err().unwrap_or(error)))?;
            greeting.answered(&line)?;
        }
        server.greeted(&greeting);
        Ok(stream)
    }

    async fn subscription(&self, channels: &[ChannelName]) -> Result<PubSub, NotifyFault> {
        let opening = async {
            let transport = self.connect().await?;
            let lost =
                |error| self.shared.server.meaning(&error, NotifyFaultKind::Unreachable, channels);
            let mut pubsub = PubSub::new(&self.shared.settings, transport).await.map_err(lost)?;
            let names: Vec<&str> = channels.iter().map(ChannelName::as_str).collect();
            pubsub.subscribe(names).await.map_err(lost)?;
            Ok(pubsub)
        };
        self.within(CONNECT_LIMIT, opening).await
    }

    async fn within<T>(
        &self,
        limit: Duration,
        opening: impl Future<Output = Result<T, NotifyFault>>,
    ) -> Result<T, NotifyFault> {
        timeout(limit, opening).await.unwrap_or_else(|_| {
            let detail = format!("no connection within {limit:?}");
            Err(self.shared.server.fault(NotifyFaultKind::Unreachable, &detail))
        })
    }
}

impl RedisConnections for RedisNotifier {
    type Connection = WithTraffic<MultiplexedConnection>;

    fn server(&self) -> &RedisServer {
        &self.shared.server
    }

    async fn open(&self, limit: Option<Duration>) -> Result<Self::Connection, NotifyFault> {
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(COMMAND_LIMIT));
        let opening = async {
            let transport = self.connect().await?;
            MultiplexedConnection::new_with_config(&self.shared.settings, transport, config)
                .await
                .map_err(|error| {
                    self.shared.server.meaning(&error, NotifyFaultKind::Unreachable, &[])
                })
        };
        let limit = limit.map_or(CONNECT_LIMIT, |limit| limit.min(CONNECT_LIMIT));
        let (connection, traffic) = self.within(limit, opening).await?;
        let (connection, traffic) = WithTraffic::new(connection, traffic);
        tokio::spawn(traffic);
        Ok(connection)
    }

    async fn query(connection: &mut Self::Connection, command: &Cmd) -> RedisResult<Value> {
        command.query_async(&mut connection.connection).await
    }
}

impl Notifier for RedisNotifier {
    fn publish(&self, publication: Publication) -> BoxFuture<'static, Result<u64, NotifyFault>> {
        let this = self.clone();
        async move { this.shared.publisher.publish(&this, &publication).await }.boxed()
    }

    fn subscribe(&self, channels: Vec<ChannelName>) -> BoxStream<'static, Heard> {
        let this = self.clone();
        stream::once(async move { this.subscription(&channels).await })
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

/// Ends when the server no longer answers on this connection.
async fn silence(mut sink: PubSubSink) {
    loop {
        tokio::time::sleep(PING_EVERY).await;
        let Ok(Ok(_)) = timeout(COMMAND_LIMIT, sink.ping::<Value>()).await else { return };
    }
}

async fn say(stream: &mut (impl AsyncWrite + Unpin), command: &[u8]) -> io::Result<()> {
    stream.write_all(command).await?;
    stream.flush().await
}

/// A line of a server, without its break.
async fn read_line(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        if line.len() == LONGEST_LINE {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "its answer is too long"));
        }
        let mut byte = [0];
        stream.read_exact(&mut byte).await?;
        line.extend(byte);
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

#[cfg(test)]
mod tests;
