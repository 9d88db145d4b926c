//! Addresses: maps a path to a project and a resource.

use std::borrow::Cow;

use ivy_proto::{MessageId, QueueName};
use percent_encoding::percent_decode_str;

use super::failure::Failure;

/// A path under `/3/projects/`, split but not yet resolved: access to the project is checked before
/// the resource is.
#[derive(Debug)]
pub(crate) struct Route<'a> {
    /// The project, percent-decoded.
    pub(crate) project: Cow<'a, str>,
    segments: Vec<&'a str>,
}

/// A resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// `queues`
    Queues,
    /// `queues/Q`
    Queue(QueueName),
    /// `queues/Q/info`
    QueueInfo(QueueName),
    /// `queues/Q/messages`
    Messages(QueueName),
    /// `queues/Q/webhook`
    Webhook(QueueName),
    /// `queues/Q/reservations`
    Reservations(QueueName),
    /// `queues/Q/messages/ID`
    Message(QueueName, MessageId),
    /// `queues/Q/messages/ID/touch`
    Touch(QueueName, MessageId),
    /// `queues/Q/messages/ID/release`
    Release(QueueName, MessageId),
    /// `queues/Q/messages/ID/subscribers`
    PushStatus(QueueName, MessageId),
    /// `queues/Q/subscribers`
    Subscribers(QueueName),
    /// `queues/Q/alerts`
    Alerts(QueueName),
    /// `queues/Q/alerts/ID`
    Alert(QueueName, String),
}

impl Resource {
    /// The verbs that it supports.
    pub(crate) fn verbs(&self) -> &'static str {
        match self {
            Resource::Queues | Resource::QueueInfo(_) | Resource::PushStatus(..) => "GET",
            Resource::Queue(_) => "GET, PUT, PATCH, DELETE",
            Resource::Messages(_) => "GET, POST, DELETE",
            Resource::Message(..) => "GET, DELETE",
            Resource::Webhook(_)
            | Resource::Reservations(_)
            | Resource::Touch(..)
            | Resource::Release(..) => "POST",
            Resource::Subscribers(_) | Resource::Alerts(_) => "POST, PUT, DELETE",
            Resource::Alert(..) => "DELETE",
        }
    }
}

impl<'a> Route<'a> {
    /// Splits a path.
    ///
    /// A trailing slash is ignored. Segments are split before they are decoded, so a name may
    /// contain an encoded slash, and a raw `+` is a plus.
    pub(crate) fn parse(path: &'a str) -> Result<Self, Failure> {
        let path = path.strip_prefix("/3/projects/").ok_or_else(Failure::no_such_resource)?;
        let path = path.strip_suffix('/').unwrap_or(path);
        let mut segments = path.split('/');
        let project = decode(segments.next().unwrap_or_default())?;
        Ok(Route { project, segments: segments.collect() })
    }

    /// The resource of this path.
    pub(crate) fn resource(&self) -> Result<Resource, Failure> {
        Ok(match self.segments.as_slice() {
            ["queues"] => Resource::Queues,
            ["queues", queue] => Resource::Queue(name(queue)?),
            ["queues", queue, "info"] => Resource::QueueInfo(name(queue)?),
            ["queues", queue, "messages"] => Resource::Messages(name(queue)?),
            ["queues", queue, "webhook"] => Resource::Webhook(name(queue)?),
            ["queues", queue, "reservations"] => Resource::Reservations(name(queue)?),
            ["queues", queue, "messages", id] => Resource::Message(name(queue)?, message(id)?),
            ["queues", queue, "messages", id, "touch"] => {
                Resource::Touch(name(queue)?, message(id)?)
            }
            ["queues", queue, "messages", id, "release"] => {
                Resource::Release(name(queue)?, message(id)?)
            }
            ["queues", queue, "messages", id, "subscribers"] => {
                Resource::PushStatus(name(queue)?, message(id)?)
            }
            ["queues", queue, "subscribers"] => Resource::Subscribers(name(queue)?),
            ["queues", queue, "alerts"] => Resource::Alerts(name(queue)?),
            ["queues", queue, "alerts", id] => Resource::Alert(name(queue)?, decode(id)?.into()),
            _ => return Err(Failure::no_such_resource()),
        })
    }
}

fn name(segment: &str) -> Result<QueueName, Failure> {
    QueueName::new(&decode(segment)?)
        .map_err(|error| Failure::bad_request(format!("Invalid queue name: {error}")))
}

fn message(segment: &str) -> Result<MessageId, Failure> {
    decode(segment).map(MessageId::new)
}

fn decode(segment: &str) -> Result<Cow<'_, str>, Failure> {
    percent_decode_str(segment)
        .decode_utf8()
        .map_err(|_| Failure::bad_request("The path must be UTF-8, percent-encoded"))
}

/// The query of an address: its keys and values, decoded as those of a form.
#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    /// Parses a query. Invalid UTF-8 is kept as replacement characters: it is only compared, and
    /// matches nothing.
    pub(crate) fn parse(query: Option<&str>) -> Self {
        let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        Query(
            pairs
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (form_decode(key), form_decode(value))
                })
                .collect(),
        )
    }

    /// The value of a key, if it is present and not empty.
    pub(crate) fn get(&self, key: &str) -> Option<&str> {
        let value = self.0.iter().find(|(other, _)| other == key).map(|(_, value)| value.as_str());
        value.filter(|value| !value.is_empty())
    }

    /// The number of a key; zero if it is missing or empty.
    pub(crate) fn integer(&self, key: &'static str) -> Result<usize, Failure> {
        let Some(text) = self.get(key) else { return Ok(0) };
        text.parse()
            .map_err(|_| Failure::bad_request(format!("{key} must be a non-negative integer")))
    }
}

fn form_decode(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(path: &str) -> Result<Resource, Failure> {
        Route::parse(path)?.resource()
    }

    fn queue(name: &str) -> QueueName {
        QueueName::new(name).unwrap()
    }

    #[test]
    fn a_trailing_slash_is_ignored() {
        assert_eq!(resource("/3/projects/p/queues"), Ok(Resource::Queues));
        assert_eq!(resource("/3/projects/p/queues/"), Ok(Resource::Queues));
        assert_eq!(
            resource("/3/projects/p/queues/q/messages/"),
            Ok(Resource::Messages(queue("q")))
        );
    }

    #[test]
    fn names_are_percent_decoded_one_segment_at_a_time() {
        for (segment, name) in [
            ("a%20b", "a b"),
            ("a+b", "a+b"),
            ("a%2Fb", "a/b"),
            ("a%252Fb", "a%2Fb"),
            ("%C3%BCber", "über"),
            ("x:=y", "x:=y"),
        ] {
            let path = format!("/3/projects/p/queues/{segment}");
            assert_eq!(resource(&path), Ok(Resource::Queue(queue(name))), "{segment}");
        }
    }

    #[test]
    fn a_queue_may_be_named_like_a_part_of_a_path() {
        assert_eq!(
            resource("/3/projects/p/queues/messages/messages"),
            Ok(Resource::Messages(queue("messages")))
        );
    }

    #[test]
    fn invalid_names_are_bad_requests() {
        let long = "x".repeat(300);
        for segment in ["%ff", "%0d%0a", "%00", &long] {
            let failure = resource(&format!("/3/projects/p/queues/{segment}")).unwrap_err();
            assert_eq!(failure.status, 400, "{segment}");
        }
    }

    #[test]
    fn other_paths_are_not_found() {
        for path in [
            "",
            "/",
            "/1/projects/p/queues",
            "/3/projects/p",
            "/3/projects/p/queue",
            "/3/projects/p/queues/q/nonsense",
            "/3/projects/p/queues/q/messages/1/touch/2",
        ] {
            assert_eq!(resource(path), Err(Failure::no_such_resource()), "{path:?}");
        }
    }

    #[test]
    fn a_query_is_read_as_a_form() {
        let query = Query::parse(Some("prefix=a%20b+c&per_page=&&flag&n=5&n=6&previous=%2B"));
        assert_eq!(query.get("prefix"), Some("a b c"));
        assert_eq!(query.get("previous"), Some("+"));
        assert_eq!(query.get("per_page"), None);
        assert_eq!(query.get("flag"), None);
        assert_eq!(query.integer("n"), Ok(5));
        assert_eq!(query.integer("missing"), Ok(0));
    }

    #[test]
    fn a_number_in_a_query_must_be_whole() {
        for text in ["n=-1", "n=1.5", "n=ten", "n=99999999999999999999999"] {
            assert_eq!(Query::parse(Some(text)).integer("n").unwrap_err().status, 400, "{text}");
        }
    }
}
