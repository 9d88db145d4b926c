//! URLs of queues and notifiers: what is understood has one form, and no secret is shown.

use ivy_proto::config::{NotifierConfig, QueueUrl};

/// Part of no URL's other parts.
const SECRET: &str = "Zq7Secret7Zq";

/// A URL, or nearly one.
pub fn config_url(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Ok(url) = QueueUrl::parse(&text) {
        assert_eq!(QueueUrl::parse(&url.expose()), Ok(url));
    }
    if let Ok(notifier) = NotifierConfig::parse(&text) {
        assert_eq!(NotifierConfig::parse(&notifier.expose()), Ok(notifier));
    }
    // The same with a secret, right behind the scheme and where passwords stand.
    if text.contains(SECRET) {
        return;
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        hides_secret(&format!("{scheme}://{SECRET}{rest}"));
    }
    if let Some((before, after)) = text.rsplit_once('@') {
        let text = format!("{before}{SECRET}@{after}");
        hides_secret(&text);
        let shown = format!("{:?} {:?}", QueueUrl::parse(&text), NotifierConfig::parse(&text));
        assert!(!shown.contains(SECRET), "{shown}");
    }
}

/// What is not understood is shown nowhere: a secret may stand in any place of it.
fn hides_secret(text: &str) {
    let errors = (QueueUrl::parse(text).err(), NotifierConfig::parse(text).err());
    for error in [errors.0, errors.1].into_iter().flatten() {
        let shown = format!("{error} {error:?}");
        assert!(!shown.contains(SECRET), "{shown}");
    }
}
