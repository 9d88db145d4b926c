//! The real programs that ivy's tests run against: Redis, `ivy serve`, Prometheus, and peers in
//! other languages.
//!
//! A helper that fails panics with the reason and the output of its program, which fails the test.
//! Everything that is started is killed when its value is dropped.

mod build;
mod folder;
mod ironmq;
mod notices;
mod pieces;
mod port;
mod process;
mod prometheus;
mod proxy;
mod redis_queue;
mod redis_server;
mod relay;
mod script;
mod scripted_http;
mod scripted_redis;
pub mod secrets;
mod tls;
mod tools;
mod yaml;

pub use build::{binary, example};
pub use ironmq::IvyServer;
pub use notices::{Notice, Notices};
pub use pieces::cut_at_two_positions;
pub use port::ClosedPort;
pub use process::Process;
pub use prometheus::{Prometheus, promtool};
pub use proxy::{FaultyProxy, HeldResponses, ProxyFault, RequestKind};
pub use redis_server::{Fsync, RedisServer};
pub use relay::Relay;
pub use script::{Script, node_script, python_script};
pub use scripted_http::{ScriptedHttp, ScriptedResponse, Then};
pub use scripted_redis::{ScriptedRedis, ScriptedReply};
pub use tls::{Authority, Certificate, TLS_HOST, TlsFront};
pub use yaml::read_yaml;

/// How long a test waits for what must happen: long enough for a slow host.
pub const PATIENCE: std::time::Duration = std::time::Duration::from_secs(60);
