//! The Redis client: one connection that publishes, and one for each subscription.

mod connection;

use std::convert::Infallible;
use std::fmt;
use std::future::poll_fn;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use futures_channel::{mpsc as channel, oneshot};
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{self, BoxStream, StreamExt};
use ivy_driver::{
    Heard, Notifier, RedisServer, UnderWay, answer, block_on, question, spawn, under_way,
};
use ivy_proto::config::RedisAddress;
use ivy_proto::connect::CONNECT_LIMIT;
use ivy_proto::notify::redis::{Generation, Publisher, Step};
use ivy_proto::notify::{NotifyFault, NotifyFaultKind, Publication};
use ivy_proto::{ChannelName, Moment};
use redis::{Msg, RedisError, Value};
use rustls::ClientConfig;

use crate::connector::Connector;
use connection::Connection;

/// How many publications are sent together at most.
const BATCH: usize = 256;

/// How long things may take.
#[derive(Clone, Copy, Debug)]
struct Limits {
    /// Until a connection can be used, authentication included.
    connect: Duration,
    /// One command.
    command: Duration,
    /// The silence on a subscription after which the server is asked whether it still stands: a
    /// connection that a firewall forgot stays silent for ever, and so does one without notices.
    silence: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let (command, silence) = (Duration::from_secs(5), Duration::from_secs(20));
        Limits { connect: CONNECT_LIMIT, command, silence }
    }
}

/// How many notices may wait to be taken in before the subscriber's thread waits with them.
const UNREAD_NOTICES: usize = 1024;

/// A publication, and where its answer goes.
type Order = (Publication, oneshot::Sender<Result<u64, NotifyFault>>);

/// A notifier over Redis's publish and subscribe.
pub struct RedisNotifier {
    server: Arc<Server>,
    /// Opened by the first publication, with the thread that publishes.
    publisher: OnceLock<Sender<Order>>,
}

#[derive(Clone)]
struct Server {
    redis: RedisServer,
    connector: Connector,
    limits: Limits,
    /// What the moments of decisions count from.
    epoch: Instant,
}

impl RedisNotifier {
    pub(crate) fn new(server: RedisServer, tls: Option<ClientConfig>) -> Self {
        RedisNotifier::over(server, Connector::new(tls))
    }

    fn over(redis: RedisServer, connector: Connector) -> Self {
        let limits = Limits::default();
        let server = Arc::new(Server { redis, connector, limits, epoch: Instant::now() });
        RedisNotifier { server, publisher: OnceLock::new() }
    }
}

impl fmt::Debug for RedisNotifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedisNotifier({:?})", self.server.redis)
    }
}

impl Notifier for RedisNotifier {
    fn publish(&self, publication: Publication) -> BoxFuture<'static, Result<u64, NotifyFault>> {
        let publisher = self.publisher.get_or_init(|| {
            let (sender, receiver) = mpsc::channel();
            let server = Arc::clone(&self.server);
            if let Err(error) = spawn("ivy-publisher", move || server.publish_all(&receiver)) {
                // Every publication will be told that its answer is lost.
                tracing::error!(%error, "the publisher's thread cannot be started");
            }
            sender
        });
        let (give, given) = oneshot::channel();
        // Without the thread the mail is dropped, and the other end of the answer with it.
        let _ = publisher.send((publication, give));
        let lost = || Err(NotifyFault::new(NotifyFaultKind::ConnectionLost));
        given.map(move |answer| answer.unwrap_or_else(|_| lost())).boxed()
    }

    fn subscribe(&self, channels: Vec<ChannelName>) -> BoxStream<'static, Heard> {
        let server = Arc::clone(&self.server);
        stream::once(async move {
            let (sender, heard) = channel::channel(UNREAD_NOTICES);
            // It fails only if the connection has ended already.
            let (work, wanted) =
                under_way(|socket: TcpStream| drop(socket.shutdown(Shutdown::Both)));
            let listen = move || server.listen(&channels, Subscriber(sender), &work);
            if let Err(error) = spawn("ivy-subscriber", listen) {
                tracing::error!(%error, "the subscriber's thread cannot be started");
            }
            heard.map(move |heard| {
                let _ = &wanted;
                heard
            })
        })
        .flatten()
        .boxed()
    }
}

/// Tells what a subscription hears.
struct Subscriber(channel::Sender<Heard>);

impl Subscriber {
    /// Waits while too much is unread, until nobody listens any more.
    fn tell(&mut self, heard: Heard) {
        block_on(async {
            if poll_fn(|context| self.0.poll_ready(context)).await.is_ok() {
                // Nobody may listen any more.
                let _ = self.0.start_send(heard);
            }
        });
    }
}

impl Server {
    /// Publishes what comes by mail until nobody is left who could send it.
    fn publish_all(&self, mailbox: &Receiver<Order>) {
        let (mut publisher, mut connection) = (Publisher::default(), None);
        while let Ok(first) = mailbox.recv() {
            let batch = [first].into_iter().chain(mailbox.try_iter()).take(BATCH).collect();
            let again = self.publish(&mut publisher, &mut connection, batch, true);
            self.publish(&mut publisher, &mut connection, again, false);
        }
    }

    /// Publishes these together. Returns those that nobody heard, if they are to be published
    /// again.
    fn publish(
        &self,
        publisher: &mut Publisher,
        connection: &mut Option<Connection>,
        batch: Vec<Order>,
        may_repeat: bool,
    ) -> Vec<Order> {
        let mut unheard = Vec::new();
        if batch.is_empty() {
            return unheard;
        }
        let mut ready = self.ready(publisher, connection).and_then(|(ready, generation)| {
            self.send_all(ready, &batch)?;
            Ok((ready, generation))
        });
        for (publication, answer) in batch {
            let published = match &mut ready {
                Ok((connection, generation)) => connection
                    .receive()
                    .and_then(|receivers| Ok(redis::from_redis_value::<u64>(receivers)?))
                    .map(|receivers| (receivers, *generation))
                    .map_err(|error| self.lost(&error, std::slice::from_ref(&publication.channel))),
                Err(fault) => Err(fault.clone()),
            };
            let published = match published {
                Ok((0, generation))
                    if may_repeat
                        && publisher.unheard(generation, &publication.channel, self.now()) =>
                {
                    unheard.push((publication, answer));
                    continue;
                }
                Ok((receivers, _)) => Ok(receivers),
                Err(fault) => {
                    ready = Err(fault.clone());
                    Err(fault)
                }
            };
            // Nobody may wait for an answer any more.
            let _ = answer.send(published);
        }
        if ready.is_err() {
            *connection = None;
            publisher.lost();
        }
        unheard
    }

    fn send_all(&self, connection: &mut Connection, batch: &[Order]) -> Result<(), NotifyFault> {
        let mut commands = Vec::new();
        for (Publication { channel, payload }, _) in batch {
            let command = redis::cmd("PUBLISH").arg(channel.as_str()).arg(payload.as_str()).clone();
            command.write_packed_command(&mut commands);
        }
        connection.limit(self.limits.command);
        connection.send(&commands).map_err(|error| self.lost(&error.into(), &[]))
    }

    fn lost(&self, error: &RedisError, channels: &[ChannelName]) -> NotifyFault {
        self.redis.meaning(error, NotifyFaultKind::ConnectionLost, channels)
    }

    /// The connection to publish on.
    fn ready<'a>(
        &self,
        publisher: &mut Publisher,
        connection: &'a mut Option<Connection>,
    ) -> Result<(&'a mut Connection, Generation), NotifyFault> {
        let generation = loop {
            match (publisher.next_step(self.now()), &mut *connection) {
                (Step::Publish(generation), Some(_)) => break generation,
                (Step::Ask(asked), Some(asking)) => {
                    asking.limit(self.limits.command);
                    match answer(asked, asking.ask(&question(asked))) {
                        Ok(server) => publisher.answered(server, self.now()),
                        Err(_) => {
                            *connection = None;
                            publisher.unanswered();
                        }
                    }
                }
                (Step::Renew { limit }, Some(_)) => {
                    match self.open(limit.min(self.limits.connect), |_| Ok(())) {
                        Ok(opened) => {
                            *connection = Some(opened);
                            publisher.opened(self.now());
                        }
                        Err(fault) => {
                            tracing::debug!(%fault, "the connection that publishes was not replaced");
                            publisher.renewal_failed(self.now());
                        }
                    }
                }
                (Step::Open, _) | (_, None) => {
                    *connection = Some(self.open(self.limits.connect, |_| Ok(()))?);
                    publisher.opened(self.now());
                }
            }
        };
        let lost = || NotifyFault::new(NotifyFaultKind::ConnectionLost);
        connection.as_mut().map(|connection| (connection, generation)).ok_or_else(lost)
    }

    fn now(&self) -> Moment {
        Moment::after_epoch(self.epoch.elapsed())
    }

    /// Subscribes, and tells what is heard until the connection or the subscription ends.
    fn listen(
        &self,
        channels: &[ChannelName],
        mut subscriber: Subscriber,
        work: &UnderWay<TcpStream>,
    ) {
        let Err(fault) = self.hear(channels, &mut subscriber, work);
        subscriber.tell(Heard::Lost(fault));
    }

    fn hear(
        &self,
        channels: &[ChannelName],
        subscriber: &mut Subscriber,
        work: &UnderWay<TcpStream>,
    ) -> Result<Infallible, NotifyFault> {
        let given_up = |_| io::Error::from(io::ErrorKind::ConnectionAborted);
        let mut connection = self.open(self.limits.connect, |socket| {
            work.begin(socket.try_clone()?).map_err(given_up)
        })?;
        let early = connection
            .subscribe(channels)
            .map_err(|error| self.redis.meaning(&error, NotifyFaultKind::Unreachable, channels))?;
        subscriber.tell(Heard::Subscribed);
        early.into_iter().filter_map(notice).for_each(|heard| subscriber.tell(heard));
        let mut asked = false;
        loop {
            let patience = if asked { self.limits.command } else { self.limits.silence };
            connection.limit(patience);
            match connection.receive() {
                Ok(said) => {
                    asked = false;
                    if let Some(heard) = notice(said) {
                        subscriber.tell(heard);
                    }
                }
                Err(error) if error.is_timeout() && !asked => {
                    connection.limit(self.limits.command);
                    asked = connection.send(&redis::cmd("PING").get_packed_command()).is_ok();
                    if !asked {
                        return Err(self.lost(&error, channels));
                    }
                }
                Err(error) => {
                    return Err(self.lost(&error, channels));
                }
            }
        }
    }

    /// A connection that can be used. Its socket is shown before anything is said on it.
    fn open(
        &self,
        limit: Duration,
        show: impl FnOnce(&Arc<TcpStream>) -> io::Result<()>,
    ) -> Result<Connection, NotifyFault> {
        let unreachable = |error: io::Error| self.redis.no_connection(&error);
        let mut connection = self.connect(limit, show)?;
        let mut greeting = self.redis.greeting();
        while let Some(command) = greeting.next_command() {
            // A server that has no room says so and takes no command.
            let sent = connection.send(&command);
            let line = connection.line();
            let line = line.map_err(|error| unreachable(sent.err().unwrap_or(error)))?;
            greeting.answered(&line)?;
        }
        self.redis.greeted(&greeting);
        Ok(connection)
    }

    fn connect(
        &self,
        limit: Duration,
        show: impl FnOnce(&Arc<TcpStream>) -> io::Result<()>,
    ) -> Result<Connection, NotifyFault> {
        let RedisAddress { host, port, tls, .. } = self.redis.address();
        let until = Instant::now() + limit;
        let socket = self.connector.connect(host, *port, *tls, until, show);
        socket.map(Connection::new).map_err(|error| self.redis.no_connection(&error))
    }
}

/// What was said, if it is a notice.
fn notice(said: Value) -> Option<Heard> {
    ivy_driver::notice(&Msg::from_owned_value(said)?)
}

#[cfg(test)]
mod tests;
