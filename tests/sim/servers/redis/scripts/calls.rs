//! The commands that a script calls.

use std::time::Duration;

use crate::redis::commands::{self, CommandSpec};
use crate::redis::error_state::ErrorState;
use crate::redis::resp::{Command, Reply};
use crate::redis::store::Store;

/// An error that ends a script. Its earlier commands are not undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::redis) struct ScriptError(pub(in crate::redis) String);

impl ScriptError {
    /// The script has used a missing value.
    pub(super) fn nil(what: &str) -> Self {
        ScriptError(format!("ERR user_script:1: attempt to use a nil {what}"))
    }
}

/// The commands of one script, on the keys of its server.
pub(in crate::redis) struct Calls<'a> {
    store: &'a mut Store,
    now: Duration,
    error_state: &'a ErrorState,
    /// How many commands succeed before one fails, if one does.
    left: Option<u32>,
    /// The commands that have changed keys, or may have.
    written: Vec<Command>,
}

impl<'a> Calls<'a> {
    pub(in crate::redis) fn new(
        store: &'a mut Store,
        now: Duration,
        error_state: &'a ErrorState,
        fails_after: Option<u32>,
    ) -> Self {
        Calls { store, now, error_state, left: fails_after, written: Vec::new() }
    }

    /// The commands that were written.
    pub(in crate::redis) fn into_written(self) -> Vec<Command> {
        self.written
    }

    /// The server's clock, in milliseconds, as a script reads it.
    pub(super) fn now(&mut self) -> Result<i64, ScriptError> {
        self.count_step()?;
        Ok(i64::try_from(self.now.as_millis()).expect("the time fits"))
    }

    /// Calls a command.
    pub(super) fn call(
        &mut self,
        name: &str,
        arguments: &[impl AsRef<[u8]>],
    ) -> Result<Reply, ScriptError> {
        self.count_step()?;
        let Some(spec) = commands::command_spec(name) else {
            return Err(ScriptError("ERR Unknown Redis command called from script".to_owned()));
        };
        if !spec.accepts(arguments.len()) {
            let text = "ERR Wrong number of args calling Redis command from script";
            return Err(ScriptError(text.to_owned()));
        }
        self.check_allowed(&spec)?;
        let arguments: Vec<Vec<u8>> =
            arguments.iter().map(|argument| argument.as_ref().to_vec()).collect();
        match spec.execute(self.store, &arguments) {
            Reply::Error(text) => Err(ScriptError(text)),
            reply => {
                if spec.writes {
                    let name = name.as_bytes().to_vec();
                    self.written.push([name].into_iter().chain(arguments).collect());
                }
                Ok(reply)
            }
        }
    }

    /// The reply of a command, as texts.
    pub(super) fn texts(
        &mut self,
        name: &str,
        arguments: &[impl AsRef<[u8]>],
    ) -> Result<Vec<Option<Vec<u8>>>, ScriptError> {
        let Reply::Array(replies) = self.call(name, arguments)? else { return Ok(Vec::new()) };
        Ok(replies.into_iter().map(text).collect())
    }

    /// The reply of a command, as a text.
    pub(super) fn text(
        &mut self,
        name: &str,
        arguments: &[impl AsRef<[u8]>],
    ) -> Result<Option<Vec<u8>>, ScriptError> {
        Ok(text(self.call(name, arguments)?))
    }

    /// The reply of a command, as a number.
    pub(super) fn number(
        &mut self,
        name: &str,
        arguments: &[impl AsRef<[u8]>],
    ) -> Result<i64, ScriptError> {
        match self.call(name, arguments)? {
            Reply::Int(number) => Ok(number),
            _ => Err(ScriptError::nil("number")),
        }
    }

    fn count_step(&mut self) -> Result<(), ScriptError> {
        let Some(left) = &mut self.left else { return Ok(()) };
        let Some(fewer) = left.checked_sub(1) else {
            let text = "ERR The user executing the script can't run this command or subcommand";
            return Err(ScriptError(text.to_owned()));
        };
        *left = fewer;
        Ok(())
    }

    /// A server that refuses commands refuses those of a script, too. If its memory is full, it
    /// allows a script to continue that has already written.
    fn check_allowed(&self, spec: &CommandSpec) -> Result<(), ScriptError> {
        let full = spec.grows && self.written.is_empty();
        match self.error_state.refusal(spec.writes, full) {
            Some(text) => Err(ScriptError(text.to_owned())),
            None => Ok(()),
        }
    }
}

fn text(reply: Reply) -> Option<Vec<u8>> {
    if let Reply::Text(text) = reply { Some(text) } else { None }
}
