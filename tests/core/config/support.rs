//! Environments of tables.

use ivy_ironmq::{Address, Token};
use ivy_proto::config::{Config, ConfigBuilder, ConfigError, Environment, QueueConfig};

/// Variables and files by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Machine {
    variables: Vec<(String, String)>,
    files: Vec<(String, String)>,
    modes: Vec<(String, u32)>,
}

impl Machine {
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

    /// The configuration of a program that gives nothing itself.
    pub(crate) fn config(&self) -> Result<Config, ConfigError> {
        self.resolve(Config::builder())
    }

    /// The IronMQ project that is configured.
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

pub(crate) fn machine() -> Machine {
    Machine::default()
}

pub(crate) fn ironmq(config: Config) -> (Address, Token) {
    match config.queue {
        Some(QueueConfig::IronMq { address, token }) => (address, token),
        other => panic!("{other:?}"),
    }
}
