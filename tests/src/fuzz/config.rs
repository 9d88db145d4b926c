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
    // The same with a secret where passwords stand: at the end of what is before an @.
    if let Some((before, after)) = text.rsplit_once('@')
        && !text.contains(SECRET)
    {
        let text = format!("{before}{SECRET}@{after}");
        let shown = format!("{:?} {:?}", QueueUrl::parse(&text), NotifierConfig::parse(&text));
        assert!(!shown.contains(SECRET), "{shown}");
    }
}
