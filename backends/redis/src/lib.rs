//! Redis as a queue and as a notifier of ivy: its URLs, its protocol, and a session that decides what is
//! sent on its connections, without IO.
//!
//! A program names a Redis server by a URL, through one of the adapters `ivy-tokio`, `ivy-async-std` and
//! `ivy-blocking`, whose feature `redis` brings this crate. [`RedisSession`] is what stands behind it: a
//! [`Session`](ivy_proto::backend::Session), to which an executor gives connections. With
//! `IVY_QUEUE_URL=redis://HOST` alone, tasks and their results travel over the same server.
//!
//! A queue needs Redis 6.2 or later, alone or with replicas. It is tested with Redis 7.0; Valkey has the same
//! commands. A cluster cannot be a queue. A notifier needs Redis 2.8.
//!
//! # URLs
//!
//! `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE][?prefix=PREFIX]`, by default port 6379. `rediss://` is
//! the same over TLS, with the system's roots or those that the program hands in. The names of all keys of
//! a queue begin with the prefix, by default `ivy`.
//!
//! ```
//! use ivy_proto::config::{Config, Environment};
//!
//! for url in [
//!     "redis://127.0.0.1",
//!     // A password, for servers that know no users.
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
//! `IVY_QUEUE_URL` | the URL of the queue, and of the notifier where none is named
//! `IVY_NOTIFIER_URL` | the URL of the notifier, this one or another
//! `REDIS_URL` | the URL of the notifier, where none is named and the queue's own server cannot be one
//! `REDIS_DATABASE` | the number of the database, where the URL leaves it out
//!
//! Keys are apart in the databases of a server; channels are the same in all of them.
//!
//! # Permissions
//!
//! A user with limited permissions needs these for a queue and a notifier with the usual prefix and channel:
//!
//! ```text
//! ACL SETUSER ivy on >PASSWORD resetkeys ~ivy1:* resetchannels &ivy-notifier &ivy-notifier.r.*
//!     -@all +rpush +lpush +lrange +ltrim +llen +lpos +hset +hdel +hget +hmget +hexists +hlen +hscan
//!     +zadd +zrem +zrange +zrangebyscore +zrangebylex +zcard +zscore +zmscore +zscan +blmove +eval +evalsha
//!     +time +unlink +publish +subscribe +ping +select +client|id +client|unblock
//! ```
//!
//! `+info +config|get +exists ~ivy2:queues` let it check the server at its start; without them it does not.
//! A notifier alone needs `+subscribe +publish +ping` and the channels. A user name that the server does not
//! accept together with the password is left out, and the password alone is tried.
//!
//! # Promises of a queue
//!
//! * Messages of a queue are handed out in the order in which they were posted; those that come back are
//!   handed out first.
//! * Leases last from 1 second to 24 hours, by the clock of the server. A message whose lease has ended is
//!   handed out again when the next worker asks. Receipts match no other reservation, also after a restart or a
//!   failover.
//! * Failed attempts and lost deliveries are counted apart and exactly, each up to 255. A failed task is
//!   retried by releasing its message.
//! * Delays last up to a year.
//! * What `Ok` of a post means depends on how the server keeps its data:
//!
//! setting of the server | what is lost
//! --- | ---
//! neither a log nor snapshots | everything, when the server restarts
//! snapshots alone (`save`) | the minutes since the last one; and messages that were deleted in them come back
//! `appendonly yes`, `appendfsync everysec` | nothing when the server's process ends; 1 to 2 seconds when its machine does
//! `appendonly yes`, `appendfsync always` | nothing; each turn of the server waits for the disk
//! replicas, after a failover | what had not reached the new primary: bound it with `min-replicas-to-write`
//! `maxmemory-policy noeviction` | nothing: a full server refuses posts, and workers can empty it
//! `maxmemory-policy allkeys-*` | whole queues, when the memory is full; `volatile-*` deletes none of ivy's keys
//!
//! At its first operation, the session asks the server for these settings, its role, its version and its
//! memory, and reports what endangers messages as
//! [`QueueServerWarning`](ivy_proto::event::Event::QueueServerWarning). What the user may not ask is not
//! checked.
//!
//! An element that another program wrote into the keys of a queue and that is no message, or one larger than
//! 1 MiB, is moved to the dead-letter queue when a worker meets it, as the body of a message there.
//!
//! # Promises of a notifier
//!
//! * A notice reaches those who are subscribed while it is published, at most once but for the second in
//!   which a subscription is replaced by a new one. Redis keeps no notice for those who are not
//!   connected: a caller waits for a result with a limit. A lost notice loses no task.
//! * A worker keeps a notice that was surely not published and publishes it later. One whose answer was
//!   lost is not published again, since it may have been heard.
//! * After a failover, notices travel over the server to which the name leads: connections are replaced
//!   once a minute, for which the name is resolved again, and earlier where the server has become a
//!   replica or nobody hears a result for which somebody waits.
//!
//! # Connections and limits
//!
//! One connection carries all requests and publications of an `Ivy`. Each reserve that waits has one of its
//! own, which the next one takes over, and so has each subscription. A server is asked to wait for 30 seconds
//! at most, and no longer than the lease; a connection is taken to be dead when an answer is 10 seconds
//! late. Other answers may take 5 seconds, and so may connecting. A subscription that is silent for 20
//! seconds is checked with a PING.
//!
//! A request holds up to 100 messages of up to 256 KiB each. An answer holds a further message only while
//! it has less than 4 MiB. What a server sends is bounded before anything is decoded: a line to 1 KiB, a
//! text to a little over 1 MiB, an array to what the command can answer. A larger answer ends the connection.
//!
//! # Errors
//!
//! What fails is a [`Fault`](ivy_proto::queue::Fault) of the queue or a
//! [`NotifyFault`](ivy_proto::notify::NotifyFault), which never holds a password, a message or a notice.
//!
//! what happened | of a queue | of a notifier
//! --- | --- | ---
//! no connection, too many clients, another protocol | `Unreachable` | `Unreachable`
//! no secure connection | `Tls` | `Tls`
//! the connection ended, or no answer came in time | `AnswerLost`: it may have been done | `ConnectionLost`: it may have been published
//! `NOAUTH`, `WRONGPASS` | `Unauthorized` | `Unauthorized`
//! `NOPERM` | `Unauthorized` | `NoPermission`, with the permissions that are needed
//! `LOADING`, `MASTERDOWN`, `BUSY`, `CLUSTERDOWN`, `TRYAGAIN`, `NOREPLICAS`, `MISCONF`, `OOM` | `Unavailable`: nothing was done, and it is tried again after a second | `Refused`
//! `READONLY` | `Unavailable`, and the connection is replaced | `Refused`, and the connection is replaced
//! `NOSCRIPT` | none: the script is sent with its text | -
//! `WRONGTYPE`, `CROSSSLOT` | `Refused`: choose another name or prefix | `Refused`
//! `MOVED`, `ASK` | `Redirected`: a cluster cannot be a queue | `Refused`
//! an unknown command | `Refused`: the server is older than 6.2 | `Refused`
//! another error inside of a script | `ServerError`: a part may have been done, so that a message comes twice at worst | -
//! an answer of another shape | `BadResponse` | `ConnectionLost`
//!
//! What is wrong with a URL is a [`ConfigError`](ivy_proto::config::ConfigError) that shows no secret.

mod address;
mod connection;
mod effects;
mod frame;
mod handshake;
mod notifier;
mod plug;
mod probe;
mod queue;
mod refusal;
mod requests;
mod server;
mod session;
#[cfg(test)]
mod tests;
mod waits;

use std::time::Duration;

pub use address::{BadCredentials, NotADatabase, RedisAddress};
pub use plug::plug;
pub use queue::BadPrefix;
pub use session::RedisSession;

/// How old a connection grows before it is replaced, and how often it is replaced at most.
const RENEW_EVERY: Duration = Duration::from_secs(60);
/// How long a command may take.
const COMMAND_LIMIT: Duration = Duration::from_secs(5);
