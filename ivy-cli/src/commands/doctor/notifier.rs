//! The notifier and the keys, by the check that programs make of themselves.

use std::time::Duration;

use ivy_proto::inspect::Span;
use ivy_tokio::Ivy;
use ivy_tokio::check::Checked;

use super::report::Checks;

/// How long a publication may take.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) async fn check(ivy: &Ivy, checks: &mut Checks) {
    let checked = ivy.check(PATIENCE).await;
    let report = match &checked {
        Ok(report) => report,
        Err(error) => match error.check_report() {
            Some(report) => report,
            None => return checks.wrong("notifier", error.to_string()),
        },
    };
    if let Checked::Failed(fault) = &report.keys {
        checks.wrong("keys", fault.to_string());
    }
    match &report.notifier {
        Checked::Works { took } => {
            let text = format!("a publication was received, in {}", Span(*took));
            checks.ok("notifier", text);
        }
        Checked::Failed(fault) => checks.wrong("notifier", fault.to_string()),
        _ => checks.not_checked("notifier", "there is no notifier", "set IVY_NOTIFIER_URL"),
    }
}
