//! Redis as a queue and as a notifier of ivy: its URLs, its protocol, and a session that decides
//! what to send on its connections, without IO.
//!
//! Programs configure a Redis server by a URL, through one of the adapters `ivy-tokio`,
//! `ivy-async-std` and `ivy-blocking`, whose feature `redis` includes this crate. [`RedisSession`]
//! implements [`Session`](ivy_proto::backend::Session): the adapter opens its connections, and
//! carries bytes between them and the session. With `IVY_QUEUE_URL=redis://HOST` alone, tasks and
//! their results use the same server.
//!
//! A queue needs Redis 6.2 or later, or Valkey, with or without replicas. It is tested with Redis
//! 7.0 and Valkey 8.0. A cluster is not supported as a queue. A notifier needs Redis 2.8.
//!
//! # URLs
//!
//! `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE][?prefix=PREFIX]`, by default port 6379.
//! `rediss://` is the same over TLS, with the system's root certificates and those of the program.
//! The names of all keys of a queue begin with the prefix, by default `ivy`, and the number of the
//! format of the stored data, `1`: `ivy1:`, or `shop1:` with `?prefix=shop`.
//!
//! ```
//! use ivy_proto::config::{Config, Environment};
//!
//! for url in [
//!     "redis://127.0.0.1",
//!     // A password, for servers without users.
//!     "redis://:PASSWORD@redis.example:6380",
//!     // A user, TLS, a database, and another prefix.
//!     "rediss://USER:PASSWORD@redis.example/2?prefix=shop",
//! ] {
//!     let variables = |name: &str| (name == "IVY_QUEUE_URL").then(|| url.to_owned());
//!     let environment = Environment::new(&variables, &|_| None);
//!     let config = Config::builder().backend(ivy_redis::plug()).resolve(&environment)?;
//!     assert!(config.queue.is_some() && config.notifier.is_some());
//! }
//! # Ok::<(), ivy_proto::config::ConfigError>(())
//! ```
//!
//! # Environment
//!
//! variable | meaning
//! --- | ---
//! `IVY_QUEUE_URL` | the URL of the queue, and of the notifier if none is set
//! `IVY_NOTIFIER_URL` | the URL of the notifier, this one or another
//! `REDIS_URL` | the URL of the notifier, if none is set and the queue's own server cannot be one
//! `REDIS_DATABASE` | the number of the database, if the URL does not contain one
//!
//! Each database of a server has its own keys; channels are shared by all of them.
//!
//! # Promises of a queue
//!
//! * Messages of a queue are reserved in the order in which they were posted; those that return to
//!   the queue come first.
//! * Leases last from 1 second to 24 hours, by the server's clock. A message whose lease has ended
//!   is reserved again by the next reserve. A receipt never matches another reservation, even after
//!   a restart or a failover.
//! * Failed attempts and lost deliveries are counted separately and exactly, each up to 255. A
//!   failed task is retried by releasing its message.
//! * Delays last up to a year.
//! * The meaning of a post's `Ok` depends on how the server persists its data:
//!
//! setting of the server | what is lost
//! --- | ---
//! neither a log nor snapshots | everything, if the server restarts
//! snapshots alone (`save`) | the changes since the last one; messages deleted since then reappear
//! `appendonly yes`, `appendfsync everysec` | nothing if the server's process is stopped; if it is killed, what it accepted while it synced the log, at most 2 seconds; if its host fails, 1 to 2 seconds
//! `appendonly yes`, `appendfsync always` | nothing; each batch of commands waits for the disk
//! replicas, after a failover | the changes that had not reached the new primary: limit them with `min-replicas-to-write`
//! `maxmemory-policy noeviction` | nothing: a full server refuses posts, and workers can empty it
//! `maxmemory-policy allkeys-*` | whole queues, if the memory is full; `volatile-*` deletes none of ivy's keys
//!
//! Before its first operation, the session reads these settings, the server's role, its version and
//! its memory, and reports risks for messages as
//! [`QueueServerWarning`](ivy_proto::event::Event::QueueServerWarning). Settings that the user has
//! no permission to read are not checked.
//!
//! Other programs may write to the keys of a queue. An element that is not a message, or that is
//! larger than 1 MiB, is moved to the dead-letter queue when a worker reserves it, as the body of a
//! message; a message with a body of more than 256 KiB is moved there as it is. Each is reported as
//! a `QueueServerWarning`. Nothing is moved out of a dead-letter queue: an element that is not a
//! message is shown there as the body of a message whose id is `raw-` and the beginning of the
//! element's SHA-1, so that identical elements share one, and one of more than
//! 1 MiB is not shown, but reserved without its [body](ivy_proto::queue::ReceivedBody::TooLarge). A score that is no time, such as `inf`, affects only its own element.
//!
//! Messages that a worker cannot handle delay those behind them. With ten slots and replies within a
//! millisecond, a worker without other work reaches a task behind 30,000 tasks of another program within
//! 20 seconds, and behind 30,000 messages of an unknown format or key within 70; a worker with
//! fewer slots, or farther from the server, takes longer.
//!
//! # Promises of a notifier
//!
//! * A notice reaches the subscribers at the time of its publication, at most once except during
//!   the second in which a subscription is replaced by a new one. Redis stores no notice for
//!   disconnected subscribers, so a caller waits for a result with a timeout. A lost notice loses
//!   no task.
//! * A worker keeps a notice that was certainly not published and publishes it later. If the reply
//!   to a publication was lost, it is not repeated, because subscribers may have received it.
//! * After a failover, notices use the server that the name resolves to: connections are replaced
//!   once a minute, resolving the name again, and earlier if the server has become a replica or a
//!   result with a waiting caller has no subscriber.
//!
//! # Connections and limits
//!
//! One connection carries all requests and publications of an `Ivy`. Each waiting reserve has a
//! connection of its own, which later ones reuse, and so has each subscription. A server is asked
//! to wait for at most 30 seconds, and at most for the lease; a connection counts as dead if a
//! reply is 10 seconds late. Other replies may take 5 seconds, and so may connecting. After 20
//! seconds of silence a subscription is checked with a PING.
//!
//! A connection is closed if the server sends a reply that no request asked for, or bytes that are
//! no reply. After the fifth time in a row no connection is opened for a second, then for two, and
//! so on up to 30 seconds; requests fail as `Unreachable` meanwhile.
//!
//! A request contains up to 100 messages of up to 256 KiB each. A reply contains further messages
//! only while it is below 4 MiB. The size of a reply is limited before it is decoded: a line to 1
//! KiB, a string to slightly above 1 MiB, an array to what the command can return. A larger reply
//! ends the connection.
//!
//! # Errors
//!
//! Errors are a [`Fault`](ivy_proto::queue::Fault) of the queue or a
//! [`NotifyFault`](ivy_proto::notify::NotifyFault), which never contains a password, a message or a
//! notice.
//!
//! what happened | of a queue | of a notifier
//! --- | --- | ---
//! no connection, too many clients, another protocol | `Unreachable` | `Unreachable`
//! no secure connection | `Tls` | `Tls`
//! the connection ended, or no reply came in time | `ReplyLost`: it may have taken effect | `ConnectionLost`: it may have been published
//! `NOAUTH`, `WRONGPASS` | `Unauthorized` | `Unauthorized`
//! `NOPERM` | `Unauthorized` | `NoPermission`, with the required permissions
//! `LOADING`, `MASTERDOWN`, `BUSY`, `CLUSTERDOWN`, `TRYAGAIN`, `NOREPLICAS`, `MISCONF`, `OOM` | `Unavailable`: it had no effect and is retried after a second | `Refused`
//! `READONLY` | `Unavailable`, and the connection is replaced | `Refused`, and the connection is replaced
//! `NOSCRIPT` | none: the script is sent again with its source | -
//! `WRONGTYPE`, `CROSSSLOT` | `Refused`: choose another name or prefix | `Refused`
//! `MOVED`, `ASK` | `Redirected`: a cluster cannot be a queue | `Refused`
//! an unknown command | `Refused`: the server is older than 6.2 | `Refused`
//! another error inside a script | `ServerError`: it may have taken effect in part; at worst a message is delivered twice | -
//! an unexpected reply | `BadReply` | `ConnectionLost`
//!
//! Errors in a URL are a [`ConfigError`](ivy_proto::config::ConfigError), which shows no secret.
//!
//! # Permissions
//!
//! A user with limited permissions needs these for a queue and a notifier with the default prefix
//! and channel:
//!
//! ```text
//! ACL SETUSER ivy on >PASSWORD resetkeys ~ivy1:* resetchannels &ivy-notifier &ivy-notifier.r.* &ivy-notifier.w
//!     -@all +rpush +lpush +lrange +ltrim +llen +lpos +hset +hdel +hget +hmget +hexists +hlen +hscan
//!     +zadd +zrem +zrange +zrangebyscore +zrangebylex +zcard +zscore +zmscore +zscan +blmove +eval +evalsha
//!     +time +unlink +publish +subscribe +ping +select +client|id +client|unblock
//! ```
//!
//! With another prefix, `~shop1:*` takes the place of `~ivy1:*`. `+info +config|get +exists
//! ~ivy2:queues` allow the session to check the server at its start, and whether programs of a later
//! version store queues there in the next format; without them it skips the check. A notifier alone needs `+subscribe +publish +ping` and the
//! channels. If the server does not accept the user name together with the password, the password
//! alone is tried.
//!
//! # Without an adapter
//!
//! The caller opens the connections, sends what the session outputs, and passes on what arrives:
//!
//! ```
//! use ivy_proto::backend::{CommandId, Input, Output, Session, SessionStart};
//! use ivy_proto::notify::Publication;
//! use ivy_proto::queue::Body;
//! use ivy_proto::{ChannelName, Moment};
//! use ivy_redis::{RedisAddress, RedisSession};
//!
//! let address = RedisAddress {
//!     tls: false,
//!     host: "redis.example".to_owned(),
//!     port: 6379,
//!     user: None,
//!     password: None,
//!     database: None,
//! };
//! let mut session = RedisSession::new(address, SessionStart::default());
//! let now = Moment::EPOCH;
//!
//! let news = Publication { channel: ChannelName::new("news")?, payload: Body::new("hello") };
//! session.handle_input(Input::Publish(CommandId(1), news), now);
//! let Output::Open(connection, server) = session.poll_output() else { panic!("no connection") };
//! assert_eq!((server.host.as_str(), server.port), ("redis.example", 6379));
//!
//! session.handle_input(Input::Opened(connection), now);
//! let Output::Send(_, bytes) = session.poll_output() else { panic!("nothing to send") };
//! assert_eq!(bytes, b"*1\r\n$4\r\nPING\r\n");
//!
//! session.handle_input(Input::Received(connection, b"+PONG\r\n"), now);
//! assert!(matches!(session.poll_output(), Output::Send(..)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod address;
mod blocking_connections;
mod command_connection;
mod connection;
mod effects;
mod error_reply;
mod frame;
mod handshake;
mod notifier;
#[cfg(ivy_planted)]
pub mod planted;
#[cfg(not(ivy_planted))]
mod planted;
mod plug;
mod probe;
mod protocol_errors;
mod queue;
mod server;
mod session;
#[cfg(test)]
mod tests;
mod value;

use std::time::Duration;

pub use address::{BadCredentials, NotADatabase, RedisAddress};
pub use plug::plug;
pub use queue::BadPrefix;
pub use session::RedisSession;

/// The age at which a connection is replaced, and the minimum interval between replacements.
const REPLACE_EVERY: Duration = Duration::from_secs(60);
/// How long a command may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(5);
