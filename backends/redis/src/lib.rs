//! Redis as a notifier of ivy: its URLs, its protocol, and a session that decides what is said on its
//! connections, without IO.
//!
//! A program names a Redis server by a URL, through one of the adapters `ivy-tokio`, `ivy-async-std` and
//! `ivy-blocking`, whose feature `redis` brings this crate. [`RedisNotifier`] is what stands behind it: a
//! [`Session`](ivy_proto::backend::Session), to which an executor gives connections. Results travel over
//! Redis; tasks do not, as yet.
//!
//! # URLs
//!
//! `redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE]`, by default port 6379. `rediss://` is the same over
//! TLS, with the system's roots or those that the program hands in.
//!
//! ```
//! use ivy_proto::config::{Config, Environment};
//!
//! for url in [
//!     "redis://127.0.0.1",
//!     // A password, for servers that know no users.
//!     "redis://:PASSWORD@redis.example:6380",
//!     // A user, TLS, and a database.
//!     "rediss://USER:PASSWORD@redis.example/2",
//! ] {
//!     let variables = |name: &str| (name == "IVY_NOTIFIER_URL").then(|| url.to_owned());
//!     let environment = Environment::new(&variables, &|_| None);
//!     let config = Config::builder()
//!         .queue_url("memory://")
//!         .backend(ivy_redis::plug())
//!         .resolve(&environment)?;
//!     assert!(config.notifier.is_some());
//! }
//! # Ok::<(), ivy_proto::config::ConfigError>(())
//! ```
//!
//! # Environment
//!
//! variable | what it says
//! --- | ---
//! `IVY_NOTIFIER_URL` | the URL of the notifier, this one or another
//! `REDIS_URL` | the URL, where no notifier is named and the queue's own server cannot be one
//! `REDIS_DATABASE` | the number of the database, where the URL leaves it out
//!
//! Channels are the same in all databases of a server. A user with limited permissions needs `+subscribe
//! +publish +ping` and the channels `&ivy-notifier &ivy-notifier.r.*`, or what
//! `IVY_NOTIFICATION_CHANNEL_NAME` says in the place of `ivy-notifier`. A user name that the server does
//! not accept together with the password is left out, and the password alone is tried.
//!
//! # Limits
//!
//! What a server sends is bounded before anything is decoded: a line to 1 KiB, a text to a little over
//! 1 MiB, which is the largest notice, an array to 1024 elements, four levels deep. A larger answer ends
//! the connection. Connecting may take five seconds, and so may each answer. A subscription that is
//! silent for 20 seconds is checked with a PING.
//!
//! # Promises
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
//! # Errors
//!
//! What fails is a [`NotifyFault`](ivy_proto::notify::NotifyFault), which never holds a password or a
//! notice.
//!
//! what happened | fault
//! --- | ---
//! no connection; another protocol, of which the first bytes are shown | `Unreachable`
//! no secure connection | `Tls`
//! the connection ended, or no answer came in time | `ConnectionLost`: a notice may have been published
//! `NOAUTH`, `WRONGPASS`, a password where none is set | `Unauthorized`
//! `NOPERM`, with the permissions that are needed | `NoPermission`
//! any other error of the server | `Refused`
//!
//! What is wrong with a URL is a [`ConfigError`](ivy_proto::config::ConfigError) that shows no secret.

mod address;
mod conversation;
mod frame;
mod greeting;
mod notifier;
mod plug;
mod questions;
mod refusal;
mod server;

pub use address::{BadCredentials, NotADatabase, RedisAddress};
pub use notifier::RedisNotifier;
pub use plug::plug;
