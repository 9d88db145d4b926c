//! Reports of sweeps.

use std::iter;
use std::time::Duration;

use ivy_proto::admin::{Ended, Report as SweepReport};
use ivy_proto::inspect::{Span, Timestamp};
use ivy_proto::text::Counted;
use serde::Serialize;

use super::notes::not_seen;
use crate::commands::time::{now, seconds};
use crate::output::{Page, Report};

/// A time, and in how long it is.
fn until(within: Duration) -> String {
    let at = now().saturating_add(u64::try_from(within.as_millis()).unwrap_or(u64::MAX));
    format!("{} (in {})", Timestamp(at), Span(within))
}

/// What a sweep did.
pub(super) struct FinishedSweep<'a> {
    pub(super) report: &'a SweepReport,
    /// Whether the operator limited how many messages are looked at.
    pub(super) is_limited: bool,
}

#[derive(Debug, Serialize)]
pub(super) struct ReportRecord<'a> {
    report: ReportFields<'a>,
}

#[derive(Debug, Serialize)]
struct ReportFields<'a> {
    queue: &'a str,
    end: &'static str,
    size: Option<u64>,
    looked_at: usize,
    matched: usize,
    not_compared: usize,
    too_large: usize,
    posted: usize,
    deleted: usize,
    refused: usize,
    unknown: usize,
    leases_lost: usize,
    remaining: usize,
    gone: usize,
    others_of_task: usize,
    not_tried: usize,
    released: usize,
    left_to_expire: usize,
    hidden: usize,
    leases_end_within: Option<f64>,
    truncated: Option<String>,
    not_looked_at: u64,
    requests: u64,
}

impl Report for FinishedSweep<'_> {
    type Record<'a>
        = ReportRecord<'a>
    where
        Self: 'a;

    fn page(&self, page: &mut Page) {
        let SweepReport { left_to_expire, looked_at, leases_end_within, .. } = self.report;
        page.line(&self.report.to_string());
        if let Some(within) = leases_end_within {
            let looked_at = Counted(*looked_at as u64, "message", "messages");
            let until = until(*within);
            page.line(&format!("{left_to_expire} of {looked_at} are reserved until {until}"));
        }
        if let Some(text) = not_seen(self.report, self.is_limited) {
            page.line(&text);
        }
    }

    fn records(&self) -> impl Iterator<Item = ReportRecord<'_>> {
        let report = self.report;
        iter::once(ReportRecord {
            report: ReportFields {
                queue: report.queue.as_str(),
                end: match report.end {
                    Ended::Done => "done",
                    Ended::Cancelled => "cancelled",
                    Ended::NotConfirmed => "not_confirmed",
                    Ended::Interrupted => "interrupted",
                    _ => "failed",
                },
                size: report.size,
                looked_at: report.looked_at,
                matched: report.matched,
                not_compared: report.not_compared,
                too_large: report.too_large,
                posted: report.posted,
                deleted: report.deleted,
                refused: report.refused,
                unknown: report.unknown,
                leases_lost: report.leases_lost,
                remaining: report.remaining,
                gone: report.gone,
                others_of_task: report.others_of_task,
                not_tried: report.not_tried,
                released: report.released,
                left_to_expire: report.left_to_expire,
                hidden: report.hidden,
                leases_end_within: report.leases_end_within.map(seconds),
                truncated: report.truncated.as_ref().map(ToString::to_string),
                not_looked_at: report.not_looked_at,
                requests: report.requests,
            },
        })
    }
}
