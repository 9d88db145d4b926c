//! Clocks of other hosts.

use std::time::Duration;

use ivy_proto::inspect::Span;

use super::report::Checks;

/// A larger difference is a warning: deadlines and waiting times compare the clocks of hosts.
const APART: Duration = Duration::from_secs(5);

/// Checks how far a clock and this host's are apart.
pub(super) fn check(check: &'static str, whose: &str, apart: Duration, checks: &mut Checks) {
    // Some servers report whole seconds.
    if apart <= Duration::from_secs(1) {
        return checks.ok(check, format!("the clock of {whose} shows the time of this host"));
    }
    let text = format!("the clock of {whose} differs from this host's by {}", Span(apart));
    if apart <= APART {
        checks.ok(check, text);
    } else {
        checks.warning(check, text, "run NTP on both hosts");
    }
}
