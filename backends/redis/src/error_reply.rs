//! Maps the errors of a Redis server to faults.

use crate::address::RedisAddress;
use ivy_proto::ChannelName;
use ivy_proto::notify::{NotifyFault, NotifyFaultKind};
use ivy_proto::text::shares_run;

/// The longest text from a server that is kept, in characters.
const MAX_QUOTE: usize = 256;
/// How much of another protocol's bytes is shown, in characters.
const MAX_FIRST_BYTES: usize = 16;
/// The error texts about credentials with the code `ERR`, of Redis 2 to 7.
const CREDENTIAL_ERRORS: [&str; 4] = [
    "invalid username-password",
    "invalid password",
    "called without any password",
    "no password is set",
];

/// Why a connection is unusable, or a command was refused. Whether this is a
/// fault of the notifier or of the queue depends on the command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RedisError {
    pub(crate) kind: NotifyFaultKind,
    /// Contains no secret.
    pub(crate) detail: String,
}

impl From<RedisError> for NotifyFault {
    fn from(RedisError { kind, detail }: RedisError) -> Self {
        NotifyFault::new(kind).with_detail(detail)
    }
}

/// The fault for an error reply: its text including the code, as in `LOADING Redis is loading the
/// dataset in memory`.
///
/// Only errors about credentials are [`NotifyFaultKind::Unauthorized`], whatever the command was: a
/// server that is loading, or is full, may accept the same credentials later. For a missing
/// permission, the fault names the permissions that these channels need.
pub(crate) fn redis_error(
    error: &str,
    address: &RedisAddress,
    channels: &[ChannelName],
) -> RedisError {
    publish_error(error, address, channels, "")
}

/// The same for a publication, parts of which the text may repeat: they are not shown.
pub(crate) fn publish_error(
    error: &str,
    address: &RedisAddress,
    channels: &[ChannelName],
    published: &str,
) -> RedisError {
    let (code, text) = error.split_once(' ').unwrap_or((error, ""));
    let kind = match code {
        "NOAUTH" | "WRONGPASS" => NotifyFaultKind::Unauthorized,
        "NOPERM" => NotifyFaultKind::NoPermission,
        "ERR" if CREDENTIAL_ERRORS.iter().any(|pattern| text.contains(pattern)) => {
            NotifyFaultKind::Unauthorized
        }
        _ => NotifyFaultKind::Refused,
    };
    let mut detail = redacted(error, address, published);
    if kind == NotifyFaultKind::NoPermission && !channels.is_empty() {
        detail.push_str(&needed(channels));
    }
    RedisError { kind, detail }
}

/// The displayed part of an error: its text, or the code alone if the text repeats a secret.
pub(crate) fn redacted(error: &str, address: &RedisAddress, published: &str) -> String {
    let code = error.split(' ').next().unwrap_or_default();
    let is_code = !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_uppercase());
    let first: String = error.chars().take(MAX_QUOTE).collect();
    let shows = |text: &str| may_be_shown(address, text);
    match error {
        error if shows(error) && !shares_run(&first, published) => first,
        _ if is_code && shows(code) => code.to_owned(),
        _ => String::new(),
    }
}

/// The fault of a server that uses another protocol, with its first bytes.
pub(crate) fn not_redis(address: &RedisAddress, text: &str) -> RedisError {
    let mut detail = format!("{} does not use the Redis protocol", address.server());
    if may_be_shown(address, text) {
        let first: String = text.chars().take(MAX_FIRST_BYTES).collect();
        detail.push_str(&format!("; it sent {first:?}"));
    }
    RedisError { kind: NotifyFaultKind::Unreachable, detail }
}

/// Whether a text from the server does not repeat the password.
fn may_be_shown(address: &RedisAddress, text: &str) -> bool {
    !address.password.as_ref().is_some_and(|password| password.is_repeated_in(text))
}

/// The permissions that a user needs for these channels, in the syntax of `ACL SETUSER`.
fn needed(channels: &[ChannelName]) -> String {
    let mut needed = "; grant it".to_owned();
    for channel in channels {
        // Reply channels have random names, so the rule is a pattern.
        let rule = match channel.reply_prefix() {
            Some(prefix) => format!(" &{prefix}.r.*"),
            None => format!(" &{}", channel.as_str()),
        };
        needed.push_str(&rule);
    }
    needed.push_str(" +subscribe +publish +ping");
    needed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::address;

    #[test]
    fn a_text_that_repeats_a_part_of_the_publication_is_not_shown() {
        let published = r#"{"id":"1","name":"my.task","result":["a secret of the program"]}"#;
        let error = |rest: &str| format!("ERR unknown command 'PUBLISH', with args {rest}");
        let shown = |error: &str| {
            NotifyFault::from(publish_error(error, &address(None, None), &[], published))
                .to_string()
        };
        assert!(!shown(&error(r#"'{"id":"1","na"#)).contains("args"));
        assert!(!shown(&error(published)).contains("secret"));
        assert!(shown(&error(published)).contains("ERR"));
        assert!(shown(&error("'replies'")).contains("args"));
    }

    #[test]
    fn a_missing_permission_names_the_required_channels() {
        let channels =
            ["news.r.AAAAAAAAAAAAAAAAAAAAAA", "news"].map(|name| ChannelName::new(name).unwrap());
        let error = "NOPERM this user has no permissions to access one of the channels";
        let fault = NotifyFault::from(redis_error(error, &address(None, None), &channels));
        assert_eq!(fault.kind(), NotifyFaultKind::NoPermission);
        assert!(
            fault.to_string().ends_with("; grant it &news.r.* &news +subscribe +publish +ping"),
            "{fault}"
        );
    }
}
