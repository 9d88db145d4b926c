//! Environments for tables.

use std::any::Any;

use ivy_ironmq::{Address, BadConfig, IronMq, Token};
use ivy_proto::backend::{BackendUrl, NotifierImpl, QueueImpl, SessionStart, UrlProblem};
use ivy_proto::config::{
    Config, ConfigBuilder, ConfigError, Environment, NotifierConfig, Origin, QueueConfig,
};
use ivy_redis::{RedisAddress, RedisSession};

/// Variables and files by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct FakeEnvironment {
    variables: Vec<(String, String)>,
    files: Vec<(String, String)>,
    modes: Vec<(String, u32)>,
}

impl FakeEnvironment {
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn with_file(mut self, path: &str, content: &str) -> Self {
        self.files.push((path.to_owned(), content.to_owned()));
        self
    }

    pub(crate) fn with_mode(mut self, path: &str, mode: u32) -> Self {
        self.modes.push((path.to_owned(), mode));
        self
    }

    pub(crate) fn resolve(&self, builder: ConfigBuilder) -> Result<Config, ConfigError> {
        self.look_up(|environment| builder.resolve(environment))
    }

    pub(crate) fn look_up<T>(&self, act: impl FnOnce(&Environment<'_>) -> T) -> T {
        let variable = |name: &str| find(&self.variables, name);
        let file = |path: &str| find(&self.files, path).map(String::into_bytes);
        let mode = |path: &str| find(&self.modes, path);
        act(&Environment::new(&variable, &file).with_modes(&mode))
    }

    /// The configuration of a program that specifies nothing itself.
    pub(crate) fn config(&self) -> Result<Config, ConfigError> {
        self.resolve(builder())
    }

    /// The configured IronMQ project.
    pub(crate) fn project(&self) -> (Address, Token) {
        ironmq(self.config().unwrap())
    }

    pub(crate) fn error(&self) -> ConfigError {
        self.config().unwrap_err()
    }
}

fn find<T: Clone>(table: &[(String, T)], name: &str) -> Option<T> {
    table.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
}

pub(crate) fn environment() -> FakeEnvironment {
    FakeEnvironment::default()
}

/// A configuration that knows the backends of IronMQ and Redis.
pub(crate) fn builder() -> ConfigBuilder {
    Config::builder().backend(ivy_ironmq::plug()).backend(ivy_redis::plug())
}

pub(crate) fn ironmq_backend(config: &Config) -> IronMq {
    let Some(QueueConfig::Backend(backend)) = &config.queue else { panic!("{:?}", config.queue) };
    let QueueImpl::Exchange(exchange) = backend.implementation() else { panic!("{backend:?}") };
    let exchange: &dyn Any = &**exchange;
    exchange.downcast_ref::<IronMq>().unwrap().clone()
}

pub(crate) fn ironmq(config: Config) -> (Address, Token) {
    let ironmq = ironmq_backend(&config);
    (ironmq.address().clone(), ironmq.token().clone())
}

pub(crate) fn redis_of(config: Config) -> RedisAddress {
    let Some(NotifierConfig::Backend(backend)) = config.notifier else { panic!("{config:?}") };
    let NotifierImpl::Session(sessions) = backend.implementation() else { panic!("{backend:?}") };
    let session: Box<dyn Any> = sessions.make(SessionStart::default());
    session.downcast_ref::<RedisSession>().unwrap().address().clone()
}

pub(crate) fn place(url: &str) -> BackendUrl {
    BackendUrl::parse(url, Origin::Argument("URL")).unwrap()
}

/// The problem of a URL.
pub(crate) fn problem(error: &ConfigError) -> UrlProblem {
    match error {
        ConfigError::BadUrl { error, .. } => error.problem().clone(),
        other => panic!("{other:?}"),
    }
}

/// IronMQ's error about its configuration.
pub(crate) fn bad(error: &ConfigError) -> BadConfig {
    match error {
        ConfigError::Backend { error } => error.get().downcast_ref::<BadConfig>().unwrap().clone(),
        other => panic!("{other:?}"),
    }
}
