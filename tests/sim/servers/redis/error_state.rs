//! Error replies of a server that refuses commands.

/// Why a server refuses commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is loading its data, and serves no client.
    Loading,
    /// It has become a replica, and accepts no writes.
    ReadOnly,
    /// Its memory is full.
    Full,
    /// It cannot write to its disk, and accepts no writes.
    NoDisk,
}

/// Whether a server refuses commands, and why.
#[derive(Clone, Debug, Default)]
pub struct ErrorState {
    kind: Option<Kind>,
}

const LOADING: &str = "LOADING Redis is loading the dataset in memory";
const READ_ONLY: &str = "READONLY You can't write against a read only replica.";
const FULL: &str = "OOM command not allowed when used memory > 'maxmemory'.";
const NO_DISK: &str = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable \
    to persist to disk. Commands that may modify the data set are disabled, because this instance is \
    configured to report errors during writes if RDB snapshotting fails \
    (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.";

impl ErrorState {
    /// The state of a server that refuses commands for this reason.
    #[must_use]
    pub fn of(kind: Kind) -> Self {
        ErrorState { kind: Some(kind) }
    }

    /// Why commands are refused, if they are.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        self.kind
    }

    /// The error of a command that writes, or that makes keys larger.
    pub(super) fn refusal(&self, writes: bool, grows: bool) -> Option<&'static str> {
        match self.kind? {
            Kind::Loading => Some(LOADING),
            Kind::ReadOnly if writes => Some(READ_ONLY),
            Kind::Full if grows => Some(FULL),
            Kind::NoDisk if writes => Some(NO_DISK),
            Kind::ReadOnly | Kind::Full | Kind::NoDisk => None,
        }
    }
}
