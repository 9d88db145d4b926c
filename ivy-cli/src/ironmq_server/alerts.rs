//! Alerts of a queue, a legacy feature of IronMQ: they are stored and returned, and never raised.

use std::borrow::Cow;

use serde::Serialize;

use super::failure::Failure;
use super::fields::Fields;

/// An alert as requested.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct NewAlert {
    r#type: String,
    trigger: u64,
    direction: String,
    queue: String,
    /// In seconds.
    snooze: u64,
}

/// An alert with its id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Alert {
    id: String,
    #[serde(flatten)]
    alert: NewAlert,
}

/// The alerts of one queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub(crate) struct Alerts {
    alerts: Vec<Alert>,
    #[serde(skip)]
    last_id: u64,
}

/// A change of a queue's alerts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AlertsChange {
    /// Adds these.
    Add(Vec<NewAlert>),
    /// Replaces all alerts by these.
    Replace(Vec<NewAlert>),
    /// Deletes those with these ids.
    Remove(Vec<String>),
}

impl AlertsChange {
    /// The message of the response.
    pub(crate) fn text(&self) -> &'static str {
        match self {
            AlertsChange::Add(_) => "Alerts were added.",
            AlertsChange::Replace(_) => "Alerts were replaced.",
            AlertsChange::Remove(_) => "Alerts were deleted.",
        }
    }
}

impl Alerts {
    pub(crate) fn is_empty(&self) -> bool {
        self.alerts.is_empty()
    }

    /// Changes the alerts, or nothing if one to be deleted does not exist.
    pub(crate) fn change(&mut self, change: AlertsChange) -> Result<(), Failure> {
        match change {
            AlertsChange::Add(alerts) => self.add(alerts),
            AlertsChange::Replace(alerts) => {
                self.alerts.clear();
                self.add(alerts);
            }
            AlertsChange::Remove(ids) => {
                if !ids.iter().all(|id| self.alerts.iter().any(|alert| alert.id == *id)) {
                    return Err(Failure::not_found("Alert not found"));
                }
                self.alerts.retain(|alert| !ids.contains(&alert.id));
            }
        }
        Ok(())
    }

    fn add(&mut self, alerts: Vec<NewAlert>) {
        for alert in alerts {
            self.last_id += 1;
            self.alerts.push(Alert { id: format!("{:024x}", self.last_id), alert });
        }
    }
}

/// The alerts of a body that must contain some.
pub(crate) fn required_alerts(fields: Fields<'_>) -> Result<Vec<NewAlert>, Failure> {
    read_alerts(&fields)?.ok_or_else(alerts_are_required)
}

/// The ids of the alerts of a body that must contain some.
pub(crate) fn required_ids(fields: Fields<'_>) -> Result<Vec<String>, Failure> {
    let alerts = fields.objects("alerts")?.ok_or_else(alerts_are_required)?;
    alerts
        .map(|alert| {
            let id = alert.non_empty_text("id")?.map(Cow::into_owned);
            id.ok_or_else(|| Failure::bad_request("An alert needs its id"))
        })
        .collect()
}

/// The alerts of a body that may contain some.
pub(crate) fn read_alerts(fields: &Fields<'_>) -> Result<Option<Vec<NewAlert>>, Failure> {
    let Some(alerts) = fields.objects("alerts")? else { return Ok(None) };
    alerts.map(read_alert).collect::<Result<_, _>>().map(Some)
}

fn read_alert(fields: Fields<'_>) -> Result<NewAlert, Failure> {
    Ok(NewAlert {
        r#type: one_of(fields.text("type")?, "type must be fixed or progressive", |text| {
            matches!(text, "fixed" | "progressive")
        })?,
        trigger: fields
            .integer("trigger")?
            .filter(|trigger| *trigger > 0)
            .ok_or_else(|| Failure::bad_request("trigger must be a positive integer"))?,
        direction: one_of(
            fields.non_empty_text("direction")?.or_else(|| Some("asc".into())),
            "direction must be asc or desc",
            |text| matches!(text, "asc" | "desc"),
        )?,
        queue: one_of(fields.text("queue")?, "An alert needs a queue", |text| !text.is_empty())?,
        snooze: fields.integer("snooze")?.unwrap_or_default(),
    })
}

fn one_of(
    text: Option<Cow<'_, str>>,
    otherwise: &'static str,
    fits: impl Fn(&str) -> bool,
) -> Result<String, Failure> {
    text.filter(|text| fits(text))
        .map(Cow::into_owned)
        .ok_or_else(|| Failure::bad_request(otherwise))
}

fn alerts_are_required() -> Failure {
    Failure::bad_request("alerts are required")
}
