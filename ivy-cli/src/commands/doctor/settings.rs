//! Where the settings come from.

use ivy_proto::config::{Source, Sources};
use ivy_tokio::Ivy;

use super::report::Checks;

/// A server whose backend does not say where it is.
const UNNAMED: &str = "a server";

pub(super) fn check(ivy: &Ivy, checks: &mut Checks) {
    let Sources { queue, notifier, channel, password, keyset, .. } = ivy.sources();
    let server = ivy.queue_address().unwrap_or(UNNAMED);
    checks.ok("queue_setting", format!("{server}, from {}", source(queue)));
    match ivy.notifier() {
        Some(_) => {
            let server = ivy.notifier_address().unwrap_or(UNNAMED);
            checks.ok("notifier_setting", format!("{server}, from {}", source(notifier)));
        }
        None => checks.warning(
            "notifier_setting",
            "there is no notifier: tasks can be sent, but their results do not arrive",
            "set IVY_NOTIFIER_URL",
        ),
    }
    checks.ok("channel_setting", format!("{}, from {}", ivy.channel(), source(channel)));
    let keys = match (password, keyset) {
        (Source::Unspecified, Source::Unspecified) => {
            "none: messages are sent unencrypted, and sealed ones cannot be read".to_owned()
        }
        (password, Source::Unspecified) => format!("a password, from {}", source(password)),
        (Source::Unspecified, keyset) => format!("a keyset, from {}", source(keyset)),
        (password, keyset) => {
            format!("a password, from {}, and a keyset, from {}", source(password), source(keyset))
        }
    };
    checks.ok("keys", keys);
}

fn source(source: Source) -> String {
    match source {
        Source::Origin(origin) => origin.to_string(),
        Source::Backend => "the variables and files of its server's own clients".to_owned(),
        Source::Queue => "the queue, whose server is the notifier too".to_owned(),
        Source::Program => "this program".to_owned(),
        _ => "the default".to_owned(),
    }
}
