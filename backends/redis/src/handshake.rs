//! The handshake on a connection to a Redis server.

use std::fmt;
use std::sync::Arc;

use crate::address::RedisAddress;
use ivy_proto::notify::NotifyFaultKind;

use crate::error_reply::{RedisError, not_redis, redis_error};

/// The handshake: credentials and database. Each command is sent after the reply to the previous
/// one.
///
/// The user name in a URL may be a placeholder, because clients without users ignore it. If the
/// server does not accept name and password together, the password alone is tried, once. A server
/// sends the same reply for an unknown user and for a wrong password.
pub(crate) struct Handshake {
    address: Arc<RedisAddress>,
    next: Step,
    /// Whether the user name is left out.
    ignores_user: bool,
    /// Why the credentials were refused at the first try.
    refused: Option<RedisError>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Authenticate,
    Select,
    /// No command is needed, but a server that is full reports that only in reply to one.
    Ping,
    Done,
}

impl Handshake {
    /// The handshake with this server. `ignores_user`: the server accepted the password alone
    /// before, so that is tried first.
    pub(crate) fn new(address: Arc<RedisAddress>, ignores_user: bool) -> Self {
        let next = match (&address.password, address.database.unwrap_or_default()) {
            (Some(_), _) => Step::Authenticate,
            // Every connection begins in database 0.
            (None, 0) => Step::Ping,
            (None, _) => Step::Select,
        };
        let ignores_user = ignores_user || address.user.is_none();
        Handshake { address, next, ignores_user, refused: None }
    }

    /// The encoded command to send next; `None` if the handshake is complete. Contains the
    /// password.
    pub(crate) fn next_command(&self) -> Option<Vec<u8>> {
        let user = self.address.user.as_deref().filter(|_| !self.ignores_user);
        let password = self.address.password.as_ref().map(|password| password.expose());
        let password = password.unwrap_or_default();
        match (self.next, user) {
            (Step::Authenticate, Some(user)) => Some(command(&["AUTH", user, password])),
            (Step::Authenticate, None) => Some(command(&["AUTH", password])),
            (Step::Select, _) => {
                let database = self.address.database.unwrap_or_default().to_string();
                Some(command(&["SELECT", &database]))
            }
            (Step::Ping, _) => Some(command(&["PING"])),
            (Step::Done, _) => None,
        }
    }

    /// Whether the server accepted the password without the user name.
    pub(crate) fn ignores_user(&self) -> bool {
        self.ignores_user && self.address.user.is_some()
    }

    /// Handles the reply to the command: its first line, without the line break.
    ///
    /// # Errors
    /// The fault that the reply reports. The connection is then unusable.
    pub(crate) fn on_reply(&mut self, line: &str) -> Result<(), RedisError> {
        if line.starts_with('+') {
            self.next = match self.next {
                Step::Authenticate if self.address.database.unwrap_or_default() != 0 => {
                    Step::Select
                }
                _ => Step::Done,
            };
            return Ok(());
        }
        let Some(text) = line.strip_prefix('-') else {
            return Err(not_redis(&self.address, line));
        };
        let fault = redis_error(text, &self.address, &[]);
        match self.next {
            // The server responds, which is all that the ping had to show.
            Step::Ping if fault.kind == NotifyFaultKind::NoPermission => {
                self.next = Step::Done;
                Ok(())
            }
            Step::Authenticate if self.may_try_other_credentials(text) => {
                self.ignores_user = !self.ignores_user;
                self.refused = Some(fault);
                Ok(())
            }
            // Errors about credentials are reported for the configured ones.
            _ if fault.kind == NotifyFaultKind::Unauthorized => {
                Err(self.refused.take().unwrap_or(fault))
            }
            _ => Err(fault),
        }
    }

    /// Whether the credentials may be accepted with the user name left out, or put back.
    fn may_try_other_credentials(&self, text: &str) -> bool {
        // The password alone is that of the user `default`.
        let is_another = self.address.user.as_deref().is_some_and(|user| user != "default");
        let is_refused = text.starts_with("WRONGPASS")
            // Servers before version 6 have no users.
            || text.contains("wrong number of arguments for 'auth'");
        is_another && is_refused && self.refused.is_none()
    }
}

impl fmt::Debug for Handshake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handshake({:?})", self.next)
    }
}

/// Encodes a command: an array of strings, each preceded by its length.
fn command(parts: &[&str]) -> Vec<u8> {
    let mut command = format!("*{}\r\n", parts.len());
    for part in parts {
        command.push_str(&format!("${}\r\n{part}\r\n", part.len()));
    }
    command.into_bytes()
}

#[cfg(test)]
mod tests {
    use ivy_proto::notify::NotifyFault;

    use super::*;
    use crate::tests::{self, PASSWORD};

    fn address(
        user: Option<&str>,
        password: Option<&str>,
        database: Option<u32>,
    ) -> Arc<RedisAddress> {
        Arc::new(RedisAddress { database, ..tests::address(user, password) })
    }

    /// The commands sent to a server that replies to each with the next of these lines.
    fn commands_sent(
        address: &Arc<RedisAddress>,
        replies: &[&str],
    ) -> Result<Vec<String>, NotifyFault> {
        let mut handshake = Handshake::new(Arc::clone(address), false);
        let mut sent = Vec::new();
        let mut replies = replies.iter();
        while let Some(command) = handshake.next_command() {
            sent.push(String::from_utf8(command).unwrap());
            handshake.on_reply(replies.next().unwrap())?;
        }
        Ok(sent)
    }

    const AUTH: &str = "*2\r\n$4\r\nAUTH\r\n$13\r\ncorrect horse\r\n";
    const AUTH_ADA: &str = "*3\r\n$4\r\nAUTH\r\n$3\r\nada\r\n$13\r\ncorrect horse\r\n";
    const PING: &str = "*1\r\n$4\r\nPING\r\n";
    const WRONG: &str = "-WRONGPASS invalid username-password pair or user is disabled.";
    const SELECT: &str = "*2\r\n$6\r\nSELECT\r\n$2\r\n12\r\n";

    #[test]
    fn without_a_password_and_a_database_a_ping_is_sent_first() {
        let no_credentials = address(None, None, None);
        for reply in ["+PONG", "-NOPERM this user has no permissions to run the 'ping' command"] {
            assert_eq!(commands_sent(&no_credentials, &[reply]).unwrap(), [PING]);
        }
        assert_eq!(
            commands_sent(&address(Some("ada"), None, Some(0)), &["+PONG"]).unwrap(),
            [PING]
        );
        let fault =
            commands_sent(&no_credentials, &["-ERR max number of clients reached"]).unwrap_err();
        assert_eq!(fault.kind(), NotifyFaultKind::Refused);
        assert!(fault.to_string().contains("max number of clients reached"), "{fault}");
    }

    #[test]
    fn credentials_come_before_the_database() {
        let both = address(None, Some(PASSWORD), Some(12));
        assert_eq!(commands_sent(&both, &["+OK", "+OK"]).unwrap(), [AUTH, SELECT]);
        let user = address(Some("ada"), Some(PASSWORD), None);
        assert_eq!(commands_sent(&user, &["+OK"]).unwrap(), [AUTH_ADA]);
    }

    #[test]
    fn a_server_without_users_gets_the_password_alone() {
        let old = "-ERR wrong number of arguments for 'auth' command";
        let user = address(Some("ada"), Some(PASSWORD), None);
        assert_eq!(commands_sent(&user, &[old, "+OK"]).unwrap(), [AUTH_ADA, AUTH]);
        assert!(commands_sent(&address(None, Some(PASSWORD), None), &[old]).is_err());
    }

    #[test]
    fn the_password_alone_is_tried_once_if_the_user_is_unknown() {
        let user = address(Some("ada"), Some(PASSWORD), Some(12));
        assert_eq!(commands_sent(&user, &[WRONG, "+OK", "+OK"]).unwrap(), [AUTH_ADA, AUTH, SELECT]);
        let fault = commands_sent(&user, &[WRONG, "-WRONGPASS the second time"]).unwrap_err();
        assert_eq!(fault.kind(), NotifyFaultKind::Unauthorized);
        assert!(!fault.to_string().contains("second"), "{fault}");
        let fault = commands_sent(&user, &[WRONG, "-LOADING Redis is loading"]).unwrap_err();
        assert_eq!(fault.kind(), NotifyFaultKind::Refused);
    }

    #[test]
    fn the_password_of_the_default_user_is_tried_once() {
        for user in [None, Some("default")] {
            let fault = commands_sent(&address(user, Some(PASSWORD), None), &[WRONG]).unwrap_err();
            assert_eq!(fault.kind(), NotifyFaultKind::Unauthorized);
        }
    }

    #[test]
    fn a_server_that_accepted_the_password_alone_gets_it_first() {
        let user = address(Some("ada"), Some(PASSWORD), None);
        let mut handshake = Handshake::new(Arc::clone(&user), true);
        assert_eq!(handshake.next_command().unwrap(), AUTH.as_bytes());
        handshake.on_reply("+OK").unwrap();
        assert!(handshake.next_command().is_none() && handshake.ignores_user());
        // Users were added since.
        let mut handshake = Handshake::new(Arc::clone(&user), true);
        handshake.on_reply(WRONG).unwrap();
        assert_eq!(handshake.next_command().unwrap(), AUTH_ADA.as_bytes());
        handshake.on_reply("+OK").unwrap();
        assert!(handshake.next_command().is_none() && !handshake.ignores_user());
    }

    #[test]
    fn a_missing_user_name_is_not_reported_as_ignored() {
        let ignores_user_after = |user| {
            let address = address(user, Some(PASSWORD), None);
            let mut handshake = Handshake::new(Arc::clone(&address), false);
            handshake.on_reply("+OK").unwrap();
            handshake.ignores_user()
        };
        assert!(!ignores_user_after(None) && !ignores_user_after(Some("ada")));
    }

    #[test]
    fn only_errors_about_credentials_are_unauthorized() {
        use NotifyFaultKind::{NoPermission, Refused, Unauthorized};
        let address = address(None, Some(PASSWORD), Some(12));
        for (reply, kind) in [
            ("-WRONGPASS invalid username-password pair or user is disabled.", Unauthorized),
            ("-NOAUTH Authentication required.", Unauthorized),
            ("-NOPERM this user has no permissions", NoPermission),
            ("-ERR invalid password", Unauthorized),
            ("-ERR Client sent AUTH, but no password is set", Unauthorized),
            ("-ERR AUTH <password> called without any password configured", Unauthorized),
            ("-LOADING Redis is loading the dataset in memory", Refused),
            ("-MOVED 866 10.0.0.1:6379", Refused),
            ("-READONLY You can't write against a read only replica.", Refused),
            ("-ERR DB index is out of range", Refused),
            ("-MASTERDOWN Link with MASTER is down", Refused),
        ] {
            for replies in [vec![reply], vec!["+OK", reply]] {
                let fault = commands_sent(&address, &replies).unwrap_err();
                assert_eq!(fault.kind(), kind, "{reply}");
                assert!(fault.to_string().contains(&reply[1..]), "{fault}");
            }
        }
    }

    #[test]
    fn another_protocol_is_reported_with_its_first_bytes() {
        for (line, shown) in [("HTTP/1.1 400 Bad Request", "HTTP/1.1 400 Bad"), (":1", ":1")] {
            let fault = commands_sent(&address(None, Some(PASSWORD), None), &[line]).unwrap_err();
            assert_eq!(fault.kind(), NotifyFaultKind::Unreachable);
            assert!(fault.to_string().contains("redis.example:6379 does not"), "{fault}");
            assert!(fault.to_string().contains(shown), "{fault}");
            assert!(!fault.to_string().contains("Request"), "{fault}");
        }
        let fault =
            commands_sent(&address(None, Some(PASSWORD), None), &["$correct horse"]).unwrap_err();
        assert!(!fault.to_string().contains("horse"), "{fault}");
    }

    #[test]
    fn a_text_that_repeats_the_password_is_not_quoted() {
        let address = address(None, Some(PASSWORD), None);
        for (text, code) in [("ERR bad correct horse", "ERR"), ("correct horse", "")] {
            let fault = NotifyFault::from(redis_error(text, &address, &[]));
            assert!(!format!("{fault} {fault:?}").contains("horse"), "{fault}");
            assert!(fault.to_string().contains(code));
        }
        let printed = format!("{:?}", Handshake::new(Arc::clone(&address), false));
        assert!(!printed.contains("horse"), "{printed}");
        let long =
            NotifyFault::from(redis_error(&format!("ERR {}", "x".repeat(1 << 20)), &address, &[]));
        assert!(format!("{long:?}").len() < 500);
    }
}
