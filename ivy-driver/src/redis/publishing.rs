//! Publishes on a connection that many publications share.

use std::fmt;
use std::future::Future;
use std::time::Duration;

use futures_util::lock::Mutex;
use ivy_proto::notify::redis::{Generation, Publisher, Step};
use ivy_proto::notify::{NotifyFault, NotifyFaultKind, Publication};
use redis::{Cmd, RedisError, Value};

use crate::clock::Clock;
use crate::runtime::Runtime;

use super::RedisServer;
use super::questions::{answer, question};

/// The connections of a Redis client that several commands use at a time.
pub trait RedisConnections: Send + Sync {
    /// A connection. Its clones are the same one.
    type Connection: Clone + Send + Sync;

    /// The server.
    fn server(&self) -> &RedisServer;

    /// Opens a connection on which the credentials were accepted, within the client's own limit and
    /// this one.
    fn open(
        &self,
        limit: Option<Duration>,
    ) -> impl Future<Output = Result<Self::Connection, NotifyFault>> + Send;

    /// Sends a command, and returns the answer to it.
    fn query(
        connection: &mut Self::Connection,
        command: &Cmd,
    ) -> impl Future<Output = Result<Value, RedisError>> + Send;
}

/// The connection that publishes. It is opened by the first publication.
pub struct SharedPublisher<R, Connection> {
    clock: Clock<R>,
    current: Mutex<Current<Connection>>,
}

struct Current<Connection> {
    publisher: Publisher,
    connection: Option<Connection>,
}

impl<R: Runtime, Connection: Clone + Send + Sync> SharedPublisher<R, Connection> {
    /// Without a connection so far.
    #[must_use]
    pub fn new() -> Self {
        let current = Current { publisher: Publisher::default(), connection: None };
        SharedPublisher { clock: Clock::start(), current: Mutex::new(current) }
    }

    /// Publishes, and returns how many subscribers heard it.
    ///
    /// # Errors
    /// If there is no connection, or the server refused.
    pub async fn publish(
        &self,
        connections: &impl RedisConnections<Connection = Connection>,
        publication: &Publication,
    ) -> Result<u64, NotifyFault> {
        let (receivers, generation) = self.publish_once(connections, publication).await?;
        if receivers > 0 {
            return Ok(receivers);
        }
        let now = self.clock.now();
        let channel = &publication.channel;
        if !self.current.lock().await.publisher.unheard(generation, channel, now) {
            return Ok(0);
        }
        let (receivers, _) = self.publish_once(connections, publication).await?;
        Ok(receivers)
    }

    async fn publish_once<C: RedisConnections<Connection = Connection>>(
        &self,
        connections: &C,
        publication: &Publication,
    ) -> Result<(u64, Generation), NotifyFault> {
        let (mut connection, generation) = self.ready(connections).await?;
        let Publication { channel, payload } = publication;
        let command = redis::cmd("PUBLISH").arg(channel.as_str()).arg(payload.as_str()).take();
        let published = C::query(&mut connection, &command).await;
        match published.and_then(|receivers| Ok(redis::from_redis_value(receivers)?)) {
            Ok(receivers) => Ok((receivers, generation)),
            Err(error) => {
                let mut current = self.current.lock().await;
                if current.publisher.is_current(generation) {
                    current.connection = None;
                    current.publisher.lost();
                }
                Err(connections.server().meaning(
                    &error,
                    NotifyFaultKind::ConnectionLost,
                    std::slice::from_ref(channel),
                ))
            }
        }
    }

    /// The connection to publish on. Publications that ask while it is opened wait for the same one.
    async fn ready<C: RedisConnections<Connection = Connection>>(
        &self,
        connections: &C,
    ) -> Result<(Connection, Generation), NotifyFault> {
        let mut current = self.current.lock().await;
        let Current { publisher, connection } = &mut *current;
        loop {
            match (publisher.next_step(self.clock.now()), &mut *connection) {
                (Step::Publish(generation), Some(connection)) => {
                    return Ok((connection.clone(), generation));
                }
                (Step::Ask(asked), Some(asking)) => {
                    let said = C::query(asking, &question(asked)).await;
                    match answer(asked, said) {
                        Ok(server) => publisher.answered(server, self.clock.now()),
                        Err(_) => {
                            *connection = None;
                            publisher.unanswered();
                        }
                    }
                }
                (Step::Renew { limit }, Some(_)) => match connections.open(Some(limit)).await {
                    Ok(opened) => {
                        *connection = Some(opened);
                        publisher.opened(self.clock.now());
                    }
                    Err(fault) => {
                        tracing::debug!(%fault, "the connection that publishes was not replaced");
                        publisher.renewal_failed(self.clock.now());
                    }
                },
                (Step::Open, _) | (_, None) => {
                    *connection = Some(connections.open(None).await?);
                    publisher.opened(self.clock.now());
                }
            }
        }
    }
}

impl<R: Runtime, Connection: Clone + Send + Sync> Default for SharedPublisher<R, Connection> {
    fn default() -> Self {
        SharedPublisher::new()
    }
}

impl<R, Connection> fmt::Debug for SharedPublisher<R, Connection> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedPublisher")
    }
}
