use std::sync::OnceLock;

use ivy_test_kit::secrets::REDIS_PASSWORD;
use ivy_test_kit::{IvyServer, RedisServer};

use crate::runtime::wait;

/// The servers that all scenarios of one pair share, each started when it is first needed.
#[derive(Debug, Default)]
pub(crate) struct Servers {
    ironmq: OnceLock<IvyServer>,
    redis: OnceLock<RedisServer>,
}

impl Servers {
    pub(crate) fn ironmq(&self) -> &IvyServer {
        self.ironmq.get_or_init(|| wait(IvyServer::start()))
    }

    pub(crate) fn redis(&self) -> &RedisServer {
        self.redis.get_or_init(|| wait(RedisServer::start_with_password(REDIS_PASSWORD.text())))
    }
}
