//! Exit codes, and the failures that lead to them.

use std::fmt;
use std::process::ExitCode;

use ivy_tokio::{Cause, Error, ErrorKind, FaultKind};

use crate::{ironmq_server, keys};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    Done,
    Failed,
    UsageError,
    NothingFound,
    Unsupported,
    NotConfirmed,
    TimedOut,
    TaskFailed,
    DoneInPart,
    Interrupted,
}

/// The exit codes, for `--help`.
pub(crate) const HELP: &str = "\
Exit codes:
    0  done
    1  a request failed
    2  the command line or the configuration is wrong
    3  nothing was found
    4  this backend does not support it
    5  not confirmed
    6  no result arrived in time
    7  the task failed
    8  done in part, or possibly done: see the report
  130  interrupted";

impl Exit {
    const fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::UsageError => 2,
            Exit::NothingFound => 3,
            Exit::Unsupported => 4,
            Exit::NotConfirmed => 5,
            Exit::TimedOut => 6,
            Exit::TaskFailed => 7,
            Exit::DoneInPart => 8,
            Exit::Interrupted => 130,
        }
    }

    /// Its name in JSON.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Exit::Done => "done",
            Exit::Failed => "failed",
            Exit::UsageError => "wrong_call",
            Exit::NothingFound => "nothing_found",
            Exit::Unsupported => "unsupported",
            Exit::NotConfirmed => "not_confirmed",
            Exit::TimedOut => "timed_out",
            Exit::TaskFailed => "task_failed",
            Exit::DoneInPart => "done_in_part",
            Exit::Interrupted => "interrupted",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

/// Why a command failed: the text for people, and the exit code. Contains no secret and no payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) exit: Exit,
    text: String,
}

impl Failure {
    pub(crate) fn new(exit: Exit, text: impl Into<String>) -> Self {
        Failure { exit, text: text.into() }
    }

    /// The command line or the configuration is wrong.
    pub(crate) fn usage(error: impl fmt::Display) -> Self {
        Failure::new(Exit::UsageError, error.to_string())
    }

    /// Something failed on this host: reading a file, starting a thread.
    pub(crate) fn local(what: impl fmt::Display, error: impl fmt::Display) -> Self {
        Failure::new(Exit::Failed, format!("{what}: {error}"))
    }

    /// The same failure with another exit code.
    pub(crate) fn with_exit(self, exit: Exit) -> Self {
        Failure { exit, ..self }
    }

    /// The same failure, in this place.
    pub(crate) fn within(self, place: &str) -> Self {
        Failure { text: format!("{place}: {}", self.text), ..self }
    }

    pub(crate) fn interrupted() -> Self {
        Failure::new(Exit::Interrupted, "interrupted")
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::new(exit_of(&error), error.to_string())
    }
}

impl From<keys::Error> for Failure {
    fn from(error: keys::Error) -> Self {
        Failure::new(Exit::Failed, error.to_string())
    }
}

impl From<ironmq_server::ServeError> for Failure {
    fn from(error: ironmq_server::ServeError) -> Self {
        Failure::new(Exit::Failed, error.to_string())
    }
}

fn exit_of(error: &Error) -> Exit {
    match error.kind() {
        ErrorKind::Config
        | ErrorKind::BadArgs
        | ErrorKind::TooDeep
        // A setting is missing.
        | ErrorKind::NoNotifier => Exit::UsageError,
        ErrorKind::TimedOut => Exit::TimedOut,
        ErrorKind::Failed => Exit::TaskFailed,
        ErrorKind::Unknown => Exit::DoneInPart,
        _ => match fault_kind(error) {
            Some(FaultKind::NoQueue | FaultKind::NoMessage) => Exit::NothingFound,
            Some(FaultKind::Unsupported { .. }) => Exit::Unsupported,
            _ => Exit::Failed,
        },
    }
}

/// The kind of the fault of a failed request to the queue.
pub(crate) fn fault_kind(error: &Error) -> Option<FaultKind> {
    match error.cause() {
        Cause::Queue(fault) => Some(fault.kind()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use ivy_tokio::Fault;

    use super::*;

    fn exit(cause: impl Into<Cause>) -> Exit {
        Failure::from(Error::from(cause.into())).exit
    }

    #[test]
    fn the_kind_of_an_error_determines_the_exit_code() {
        assert_eq!(exit(Cause::config("wrong")), Exit::UsageError);
        assert_eq!(exit(Cause::NoNotifier), Exit::UsageError);
        assert_eq!(exit(Fault::new(FaultKind::NoQueue)), Exit::NothingFound);
        assert_eq!(exit(Fault::new(FaultKind::NoMessage)), Exit::NothingFound);
        let unsupported = FaultKind::Unsupported { what: "list queues", instead: "name them" };
        assert_eq!(exit(Fault::new(unsupported)), Exit::Unsupported);
        assert_eq!(exit(Fault::new(FaultKind::Unreachable)), Exit::Failed);
        assert_eq!(exit(Cause::Stopped), Exit::Failed);
    }

    #[test]
    fn every_exit_code_is_in_the_help() {
        for exit in [
            Exit::Done,
            Exit::Failed,
            Exit::UsageError,
            Exit::NothingFound,
            Exit::Unsupported,
            Exit::NotConfirmed,
            Exit::TimedOut,
            Exit::TaskFailed,
            Exit::DoneInPart,
            Exit::Interrupted,
        ] {
            let code = format!("{:>5}  ", exit.code());
            assert!(HELP.lines().any(|line| line.starts_with(&code)), "{exit:?}");
        }
    }
}
