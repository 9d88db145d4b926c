//! The settings of push queues. They are stored and returned; nothing is pushed.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use super::failure::Failure;
use super::fields::{Field, Fields};

/// The maximum number of headers per pushed message, and the maximum size of their names and
/// values, in bytes.
const MAX_HEADERS: usize = 5;
const MAX_HEADER_NAME: usize = 64;
const MAX_HEADER_VALUE: usize = 1024;
/// Headers that IronMQ itself sets when it pushes.
const RESERVED_HEADERS: [&str; 6] = [
    "Content-Type",
    "User-Agent",
    "Iron-Message-Id",
    "Iron-Reservation-Id",
    "Iron-Subscriber-Name",
    "Iron-Subscriber-Message-Url",
];

/// The push settings of a queue. All fields are returned, because some clients require them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Push {
    subscribers: Vec<Subscriber>,
    retries: u64,
    /// In seconds.
    retries_delay: u64,
    /// Empty if there is none.
    error_queue: String,
}

/// A subscriber of a push queue, identified by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Subscriber {
    name: String,
    url: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
}

/// The delivery status of a message for one subscriber. It is always untried, because nothing is
/// pushed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct PushStatus {
    name: String,
    /// The same. Some clients read this key, the documentation names the other one.
    subscriber_name: String,
    url: String,
    tries: u64,
    retries_remaining: u64,
}

/// Changes of push settings; `None` leaves a field unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PushUpdate {
    pub(crate) subscribers: Option<Vec<Subscriber>>,
    retries: Option<u64>,
    retries_delay: Option<u64>,
    error_queue: Option<String>,
}

/// A change of a queue's subscribers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum SubscribersChange {
    /// Adds these, or replaces those of the same name.
    Add(Vec<Subscriber>),
    /// Replaces all subscribers by these.
    Replace(Vec<Subscriber>),
    /// Removes those of these names.
    Remove(Vec<String>),
}

impl Default for Push {
    fn default() -> Self {
        Push { subscribers: Vec::new(), retries: 3, retries_delay: 60, error_queue: String::new() }
    }
}

impl Push {
    /// These settings with the changes applied.
    pub(crate) fn merged(mut self, update: PushUpdate) -> Result<Self, Failure> {
        self.subscribers = update.subscribers.unwrap_or(self.subscribers);
        self.retries = update.retries.unwrap_or(self.retries);
        self.retries_delay = update.retries_delay.unwrap_or(self.retries_delay);
        self.error_queue = update.error_queue.unwrap_or(self.error_queue);
        self.checked()
    }

    /// These settings with other subscribers.
    pub(crate) fn changed(mut self, change: SubscribersChange) -> Result<Self, Failure> {
        match change {
            SubscribersChange::Replace(subscribers) => self.subscribers = subscribers,
            SubscribersChange::Remove(names) => {
                self.subscribers.retain(|subscriber| !names.contains(&subscriber.name));
            }
            SubscribersChange::Add(subscribers) => {
                for new in subscribers {
                    match self.subscribers.iter_mut().find(|old| old.name == new.name) {
                        Some(old) => *old = new,
                        None => self.subscribers.push(new),
                    }
                }
            }
        }
        self.checked()
    }

    /// The delivery status of a message that was not pushed to any subscriber.
    pub(crate) fn untried(&self) -> Vec<PushStatus> {
        let status = |Subscriber { name, url, .. }: &Subscriber| PushStatus {
            name: name.clone(),
            subscriber_name: name.clone(),
            url: url.clone(),
            tries: 0,
            retries_remaining: self.retries,
        };
        self.subscribers.iter().map(status).collect()
    }

    fn checked(self) -> Result<Self, Failure> {
        if self.subscribers.is_empty() {
            return Err(Failure::bad_request("Push queues must have at least one subscriber"));
        }
        if self.retries > 100 {
            return Err(Failure::bad_request("retries must be from 0 to 100"));
        }
        if !(3..=86_400).contains(&self.retries_delay) {
            return Err(Failure::bad_request("retries_delay must be from 3 to 86400 seconds"));
        }
        Ok(self)
    }
}

impl PushUpdate {
    pub(crate) fn read(fields: Fields<'_>) -> Result<Self, Failure> {
        Ok(PushUpdate {
            subscribers: read_subscribers(&fields)?,
            retries: fields.integer("retries")?,
            retries_delay: fields.integer("retries_delay")?.filter(|seconds| *seconds > 0),
            error_queue: fields.text("error_queue")?.map(Cow::into_owned),
        })
    }

    /// Whether the update applies to push queues only.
    pub(crate) fn has_subscribers(&self) -> bool {
        self.subscribers.as_ref().is_some_and(|subscribers| !subscribers.is_empty())
    }
}

/// Validates the push headers of a message. They are not stored, because nothing is pushed.
pub(crate) fn check_headers(headers: Field<'_>) -> Result<(), Failure> {
    let Some(headers) = headers.texts()? else { return Ok(()) };
    if headers.len() > MAX_HEADERS {
        return Err(Failure::bad_request("A message has at most 5 push_headers"));
    }
    for (name, value) in headers {
        if !(1..=MAX_HEADER_NAME).contains(&name.len()) {
            return Err(Failure::bad_request("The name of a push header has 1 to 64 bytes"));
        }
        if !(1..=MAX_HEADER_VALUE).contains(&value.len()) {
            return Err(Failure::bad_request("The value of a push header has 1 to 1024 bytes"));
        }
        if RESERVED_HEADERS.iter().any(|reserved| name.eq_ignore_ascii_case(reserved)) {
            return Err(Failure::bad_request("A push header has a name that is IronMQ's own"));
        }
    }
    Ok(())
}

/// The subscribers of a body that must contain some.
pub(crate) fn required_subscribers(fields: Fields<'_>) -> Result<Vec<Subscriber>, Failure> {
    read_subscribers(&fields)?.ok_or_else(|| Failure::bad_request("subscribers are required"))
}

/// The names of the subscribers of a body that must contain some.
pub(crate) fn required_names(fields: Fields<'_>) -> Result<Vec<String>, Failure> {
    let subscribers = fields.objects("subscribers")?;
    subscribers
        .ok_or_else(|| Failure::bad_request("subscribers are required"))?
        .map(|subscriber| read_name(&subscriber))
        .collect()
}

fn read_subscribers(fields: &Fields<'_>) -> Result<Option<Vec<Subscriber>>, Failure> {
    let Some(subscribers) = fields.objects("subscribers")? else { return Ok(None) };
    subscribers.map(read_subscriber).collect::<Result<_, _>>().map(Some)
}

fn read_subscriber(fields: Fields<'_>) -> Result<Subscriber, Failure> {
    Ok(Subscriber {
        name: read_name(&fields)?,
        url: fields
            .non_empty_text("url")?
            .ok_or_else(|| Failure::bad_request("A subscriber needs a url"))?
            .into_owned(),
        headers: fields.field("headers").texts()?.unwrap_or_default().into_iter().collect(),
    })
}

fn read_name(fields: &Fields<'_>) -> Result<String, Failure> {
    let name = fields.non_empty_text("name")?.map(Cow::into_owned);
    name.ok_or_else(|| Failure::bad_request("A subscriber needs a name"))
}
