//! The commands of clients, and their replies.

use std::fmt::Write;
use std::time::Duration;

use super::{ClientId, Server};
use crate::redis::commands::{self, CommandSpec};
use crate::redis::connection::Wait;
use crate::redis::error_state::Kind;
use crate::redis::resp::{Command, Reply};
use crate::redis::scripts::{Calls, Script, ScriptInput, sha1_of};

const NO_SCRIPT: &str = "NOSCRIPT No matching script. Please use EVAL.";
const TOO_MANY_KEYS: &str = "ERR Number of keys can't be greater than number of args";
const NO_PASSWORD: &str = "ERR AUTH <password> called without any password configured for the \
    default user. Are you sure your configuration is correct?";

impl Server {
    /// Executes a command. Returns no reply if the client waits.
    pub(super) fn execute(
        &mut self,
        client: ClientId,
        command: &Command,
        now: Duration,
    ) -> Option<Reply> {
        let (name, arguments) = command.split_first()?;
        let name = String::from_utf8_lossy(name).to_ascii_uppercase();
        let is_loading = self.error_state.kind() == Some(Kind::Loading);
        match (name.as_str(), arguments) {
            ("HELLO", _) => Some(self.hello(client)),
            ("AUTH", _) => Some(Reply::error(NO_PASSWORD)),
            ("SELECT", _) => Some(Reply::Status("OK")),
            ("CLIENT", [what, rest @ ..]) => Some(self.client(client, what, rest)),
            _ if is_loading => self.error_state.refusal(false, false).map(Reply::error),
            ("PING", _) => Some(Reply::Status("PONG")),
            ("ROLE", _) => Some(Reply::Array(vec![
                Reply::text(self.role()),
                Reply::Int(0),
                Reply::Array(vec![]),
            ])),
            ("TIME", _) => Some(commands::time(now)),
            ("EVAL", [text, rest @ ..]) => {
                let sha1 = sha1_of(text);
                self.scripts.insert(sha1.clone());
                Some(self.script(client, &sha1, rest, now))
            }
            ("EVALSHA", [sha1, rest @ ..]) => {
                let sha1 = String::from_utf8_lossy(sha1).to_ascii_lowercase();
                if !self.scripts.contains(&sha1) {
                    return Some(Reply::error(NO_SCRIPT));
                }
                Some(self.script(client, &sha1, rest, now))
            }
            ("BLMOVE", [from, to, left, right, time]) => {
                let moves = [from, to, left, right].map(Clone::clone);
                self.blmove(client, moves, time, now)
            }
            _ => Some(self.of_keys(client, &name, command)),
        }
    }

    /// Executes a command on keys immediately.
    fn of_keys(&mut self, client: ClientId, name: &str, command: &Command) -> Reply {
        let arguments = &command[1..];
        let Some(spec) = commands::command_spec(name) else { return unknown(command) };
        if !spec.accepts(arguments.len()) {
            let name = name.to_ascii_lowercase();
            return Reply::error(format!("ERR wrong number of arguments for '{name}' command"));
        }
        if let Some(text) = self.refusal(&spec) {
            return Reply::error(text);
        }
        let reply = spec.execute(&mut self.store, arguments);
        // A move from an empty list changes nothing.
        if spec.writes && !matches!(reply, Reply::Error(_) | Reply::Nil) {
            let named = [name.as_bytes().to_vec()].into_iter().chain(arguments.iter().cloned());
            self.note(client, None, vec![named.collect()]);
        }
        reply
    }

    /// Moves the first element of a list, as soon as there is one.
    fn blmove(
        &mut self,
        client: ClientId,
        moves: [Vec<u8>; 4],
        time: &[u8],
        now: Duration,
    ) -> Option<Reply> {
        let spec = commands::command_spec("LMOVE").expect("LMOVE is known");
        if let Some(text) = self.refusal(&spec) {
            return Some(Reply::error(text));
        }
        let seconds = std::str::from_utf8(time).ok().and_then(|time| time.parse::<f64>().ok());
        let Some(seconds) = seconds else {
            return Some(Reply::error("ERR timeout is not a float or out of range"));
        };
        if seconds < 0.0 {
            return Some(Reply::error("ERR timeout is negative"));
        }
        let command = [b"LMOVE".to_vec()].into_iter().chain(moves.clone()).collect();
        match self.of_keys(client, "LMOVE", &command) {
            Reply::Nil => {}
            reply => return Some(reply),
        }
        let millis = (seconds * 1_000.0).ceil() as u64;
        let until = (millis > 0).then(|| now + Duration::from_millis(millis));
        let [from, to, ..] = moves;
        self.wait(client, Wait { from, to, until });
        None
    }

    fn script(
        &mut self,
        client: ClientId,
        sha1: &str,
        arguments: &[Vec<u8>],
        now: Duration,
    ) -> Reply {
        let script = Script::of_sha1(sha1);
        let script = script.unwrap_or_else(|| panic!("the script {sha1} has no model"));
        let keys = arguments.first().and_then(|count| std::str::from_utf8(count).ok());
        let Some(keys) = keys.and_then(|count| count.parse::<usize>().ok()) else {
            return Reply::error("ERR value is not an integer or out of range");
        };
        let Some((keys, arguments)) = arguments[1..].split_at_checked(keys) else {
            return Reply::error(TOO_MANY_KEYS);
        };
        let fails_after = self.script_fails_after.take();
        let mut calls = Calls::new(&mut self.store, now, &self.error_state, fails_after);
        let result = script.run(&mut calls, &ScriptInput { keys, arguments });
        let written = calls.into_written();
        self.note(client, Some(script), written);
        result.unwrap_or_else(|error| {
            Reply::error(format!("{} script: {sha1}, on @user_script:1.", error.0))
        })
    }

    fn client(&mut self, client: ClientId, what: &[u8], rest: &[Vec<u8>]) -> Reply {
        match (what.to_ascii_uppercase().as_slice(), rest) {
            (b"ID", []) => Reply::Int(i64::try_from(client.0).expect("the number fits")),
            (b"SETNAME" | b"SETINFO", _) => Reply::Status("OK"),
            (b"UNBLOCK", [id, how @ ..]) => {
                let id = std::str::from_utf8(id).ok().and_then(|id| id.parse().ok());
                let with_error = how.first().is_some_and(|how| how == b"ERROR");
                let waited = id.is_some_and(|id| self.unblock(ClientId(id), with_error));
                Reply::Int(waited.into())
            }
            _ => Reply::error("ERR syntax error"),
        }
    }

    fn hello(&self, client: ClientId) -> Reply {
        let id = i64::try_from(client.0).expect("the number fits");
        Reply::Array(vec![
            Reply::text("server"),
            Reply::text("redis"),
            Reply::text("version"),
            Reply::text("7.0.15"),
            Reply::text("proto"),
            Reply::Int(2),
            Reply::text("id"),
            Reply::Int(id),
            Reply::text("mode"),
            Reply::text("standalone"),
            Reply::text("role"),
            Reply::text(if self.is_replica() { "replica" } else { "master" }),
            Reply::text("modules"),
            Reply::Array(Vec::new()),
        ])
    }

    fn role(&self) -> &'static str {
        if self.is_replica() { "slave" } else { "master" }
    }

    fn is_replica(&self) -> bool {
        self.error_state.kind() == Some(Kind::ReadOnly)
    }

    fn refusal(&self, spec: &CommandSpec) -> Option<&'static str> {
        self.error_state.refusal(spec.writes, spec.grows)
    }
}

fn unknown(command: &Command) -> Reply {
    let name = String::from_utf8_lossy(&command[0]);
    let mut text = format!("ERR unknown command '{name}', with args beginning with: ");
    for argument in &command[1..] {
        let _ = write!(text, "'{}' ", String::from_utf8_lossy(argument));
    }
    Reply::error(text)
}
