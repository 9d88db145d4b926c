//! What the errors of a Redis server mean.

use crate::config::RedisAddress;
use crate::notify::{NotifyFault, NotifyFaultKind};
use crate::text::holds_run_of;

/// The longest text of a server that is kept, in characters.
const LONGEST_SAID: usize = 256;
/// What Redis says of credentials under the code `ERR`, from its version 2 to 7.
const ABOUT_CREDENTIALS: [&str; 4] = [
    "invalid username-password",
    "invalid password",
    "called without any password",
    "no password is set",
];

/// What an error that Redis answered means: its text with the code in front, as in
/// `LOADING Redis is loading the dataset in memory`.
///
/// Only what is about credentials is [`NotifyFaultKind::Unauthorized`], whatever the command was:
/// a server that is loading, or serves others only, may take the same credentials later.
#[must_use]
pub fn refusal(said: &str, address: &RedisAddress) -> NotifyFault {
    let (code, text) = said.split_once(' ').unwrap_or((said, ""));
    let kind = match code {
        "NOAUTH" | "WRONGPASS" | "NOPERM" => NotifyFaultKind::Unauthorized,
        "ERR" if ABOUT_CREDENTIALS.iter().any(|about| text.contains(about)) => {
            NotifyFaultKind::Unauthorized
        }
        _ => NotifyFaultKind::Refused,
    };
    let is_code = !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_uppercase());
    let shows = |text: &str| {
        let password = address.password.as_ref();
        !password.is_some_and(|password| holds_run_of(text, password.expose()))
    };
    let detail = match said {
        said if shows(said) => said.chars().take(LONGEST_SAID).collect(),
        _ if is_code && shows(code) => code.to_owned(),
        _ => String::new(),
    };
    NotifyFault::new(kind).with_detail(detail)
}
