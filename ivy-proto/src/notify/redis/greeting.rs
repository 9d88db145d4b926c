//! What is said first on a connection to a Redis server.

use std::fmt;

use crate::config::RedisAddress;
use crate::notify::{NotifyFault, NotifyFaultKind};

use super::refusal::refusal;

/// What is said first on a connection: who we are, and which database is ours. Each command is
/// sent when the one before it has been answered.
///
/// ```
/// use ivy_proto::config::NotifierConfig;
/// use ivy_proto::notify::redis::Greeting;
///
/// let NotifierConfig::Redis(address) = NotifierConfig::parse("redis://h/2")? else { panic!() };
/// let mut greeting = Greeting::new(&address);
/// assert_eq!(greeting.next_command().as_deref(), Some(&b"*2\r\n$6\r\nSELECT\r\n$1\r\n2\r\n"[..]));
/// greeting.answered("+OK").unwrap();
/// assert_eq!(greeting.next_command(), None);
/// # Ok::<(), ivy_proto::config::BadUrl>(())
/// ```
pub struct Greeting<'a> {
    address: &'a RedisAddress,
    next: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    AuthenticateUser,
    Authenticate,
    Select,
    Done,
}

impl<'a> Greeting<'a> {
    /// The greeting of this server.
    #[must_use]
    pub fn new(address: &'a RedisAddress) -> Self {
        let next = match (&address.password, &address.user) {
            (None, _) => after_authentication(address),
            (Some(_), None) => Step::Authenticate,
            (Some(_), Some(_)) => Step::AuthenticateUser,
        };
        Greeting { address, next }
    }

    /// The command to send, as it travels; nothing when all is said. Holds the password.
    #[must_use]
    pub fn next_command(&self) -> Option<Vec<u8>> {
        let user = self.address.user.as_deref().unwrap_or_default();
        let password = self.address.password.as_ref().map(|password| password.expose());
        let password = password.unwrap_or_default();
        match self.next {
            Step::AuthenticateUser => Some(command(&["AUTH", user, password])),
            Step::Authenticate => Some(command(&["AUTH", password])),
            Step::Select => {
                let database = self.address.database.unwrap_or_default().to_string();
                Some(command(&["SELECT", &database]))
            }
            Step::Done => None,
        }
    }

    /// Takes in the answer to the command: its first line, without the line break.
    ///
    /// # Errors
    /// The fault that the answer is. The connection is of no use then.
    pub fn answered(&mut self, line: &str) -> Result<(), NotifyFault> {
        if line.starts_with('+') {
            self.next = match self.next {
                Step::AuthenticateUser | Step::Authenticate => after_authentication(self.address),
                Step::Select | Step::Done => Step::Done,
            };
            return Ok(());
        }
        match line.strip_prefix('-') {
            // Redis before 6 knows no users, and the one that stands in a URL is a filler.
            Some(said)
                if self.next == Step::AuthenticateUser
                    && said.contains("wrong number of arguments for 'auth'") =>
            {
                self.next = Step::Authenticate;
                Ok(())
            }
            Some(said) => Err(refusal(said, self.address)),
            None => Err(NotifyFault::new(NotifyFaultKind::Unreachable)
                .with_detail(format!("{} does not answer as Redis does", self.address.server()))),
        }
    }
}

impl fmt::Debug for Greeting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Greeting({:?})", self.next)
    }
}

fn after_authentication(address: &RedisAddress) -> Step {
    // Every connection begins in database 0.
    if address.database.unwrap_or_default() == 0 { Step::Done } else { Step::Select }
}

/// A command as Redis reads it: an array of texts, each with its length in front.
fn command(parts: &[&str]) -> Vec<u8> {
    let mut command = format!("*{}\r\n", parts.len());
    for part in parts {
        command.push_str(&format!("${}\r\n{part}\r\n", part.len()));
    }
    command.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Secret;

    const PASSWORD: &str = "correct horse";

    fn address(user: Option<&str>, password: Option<&str>, database: Option<u32>) -> RedisAddress {
        RedisAddress {
            tls: false,
            host: "redis.example".to_owned(),
            port: 6379,
            user: user.map(str::to_owned),
            password: password.map(Secret::new),
            database,
        }
    }

    /// What is said to a server that answers each command with the next of these lines.
    fn said(address: &RedisAddress, answers: &[&str]) -> Result<Vec<String>, NotifyFault> {
        let mut greeting = Greeting::new(address);
        let mut said = Vec::new();
        let mut answers = answers.iter();
        while let Some(command) = greeting.next_command() {
            said.push(String::from_utf8(command).unwrap());
            greeting.answered(answers.next().unwrap())?;
        }
        Ok(said)
    }

    const AUTH: &str = "*2\r\n$4\r\nAUTH\r\n$13\r\ncorrect horse\r\n";
    const AUTH_ADA: &str = "*3\r\n$4\r\nAUTH\r\n$3\r\nada\r\n$13\r\ncorrect horse\r\n";
    const SELECT: &str = "*2\r\n$6\r\nSELECT\r\n$2\r\n12\r\n";

    #[test]
    fn who_has_no_password_and_no_database_says_nothing() {
        assert_eq!(said(&address(None, None, None), &[]), Ok(vec![]));
        assert_eq!(said(&address(Some("ada"), None, Some(0)), &[]), Ok(vec![]));
    }

    #[test]
    fn credentials_come_before_the_database() {
        let both = address(None, Some(PASSWORD), Some(12));
        assert_eq!(said(&both, &["+OK", "+OK"]).unwrap(), [AUTH, SELECT]);
        let user = address(Some("ada"), Some(PASSWORD), None);
        assert_eq!(said(&user, &["+OK"]).unwrap(), [AUTH_ADA]);
    }

    #[test]
    fn a_server_that_knows_no_users_is_given_the_password_alone() {
        let old = "-ERR wrong number of arguments for 'auth' command";
        let user = address(Some("ada"), Some(PASSWORD), None);
        assert_eq!(said(&user, &[old, "+OK"]).unwrap(), [AUTH_ADA, AUTH]);
        assert!(said(&address(None, Some(PASSWORD), None), &[old]).is_err());
    }

    #[test]
    fn only_what_is_about_credentials_is_unauthorized() {
        use NotifyFaultKind::{Refused, Unauthorized};
        let address = address(None, Some(PASSWORD), Some(12));
        for (answer, kind) in [
            ("-WRONGPASS invalid username-password pair or user is disabled.", Unauthorized),
            ("-NOAUTH Authentication required.", Unauthorized),
            ("-NOPERM this user has no permissions", Unauthorized),
            ("-ERR invalid password", Unauthorized),
            ("-ERR Client sent AUTH, but no password is set", Unauthorized),
            ("-ERR AUTH <password> called without any password configured", Unauthorized),
            ("-LOADING Redis is loading the dataset in memory", Refused),
            ("-MOVED 866 10.0.0.1:6379", Refused),
            ("-READONLY You can't write against a read only replica.", Refused),
            ("-ERR DB index is out of range", Refused),
            ("-MASTERDOWN Link with MASTER is down", Refused),
        ] {
            for answers in [vec![answer], vec!["+OK", answer]] {
                let fault = said(&address, &answers).unwrap_err();
                assert_eq!(fault.kind(), kind, "{answer}");
                assert!(fault.to_string().contains(&answer[1..]), "{fault}");
            }
        }
    }

    #[test]
    fn what_is_not_redis_is_named_and_not_quoted() {
        for line in ["HTTP/1.1 400 Bad Request", "", ":1", "$5"] {
            let fault = said(&address(None, Some(PASSWORD), None), &[line]).unwrap_err();
            assert_eq!(fault.kind(), NotifyFaultKind::Unreachable);
            assert!(fault.to_string().contains("redis.example:6379 does not"), "{fault}");
        }
    }

    #[test]
    fn a_text_that_repeats_the_password_is_not_quoted() {
        let address = address(None, Some(PASSWORD), None);
        for (text, code) in [("ERR bad correct horse", "ERR"), ("correct horse", "")] {
            let fault = refusal(text, &address);
            assert!(!format!("{fault} {fault:?}").contains("horse"), "{fault}");
            assert!(fault.to_string().contains(code));
        }
        let printed = format!("{:?}", Greeting::new(&address));
        assert!(!printed.contains("horse"), "{printed}");
        let long = refusal(&format!("ERR {}", "x".repeat(1 << 20)), &address);
        assert!(format!("{long:?}").len() < 500);
    }
}
