//! A message's `options`.

use std::borrow::Cow;

use crate::name::Priority;
use crate::wire::ivy_options::{MAX_UNKNOWN_OPTIONS, bad, field, text_field};
use crate::wire::object::{BadObject, Tree, Value};
use crate::wire::write::ObjectWriter;
use crate::wire::{BadBody, DeadLetterReason, IvyOptions, RawJson};

/// The maximum number of retries that a message may specify.
pub const MAX_RETRIES: u32 = 100;

/// The number of retries if neither the message nor the worker specifies it.
pub(crate) const DEFAULT_MAX_RETRIES: u32 = 10;

/// The options of a message: a JSON object.
///
/// Known options are validated when they are read; `null` counts as absent. All others, such as
/// those that an application of the Node package registered its task with, are preserved. A
/// producer sets only options that differ from the workers' defaults: `retry` true, `maxRetries`
/// 10, `priority` 0.
///
/// ```
/// use ivy_proto::Priority;
/// use ivy_proto::wire::Options;
///
/// let options = Options::new().with_priority(Priority::HIGHEST).with_max_retries(3);
/// assert_eq!(options.to_json().as_str(), r#"{"maxRetries":3,"priority":9}"#);
/// assert_eq!(options.max_retries(), Some(3));
/// assert_eq!(options.retry(), None);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The text that was read, including unknown options. `None` if there are only the fields
    /// below.
    read: Option<RawJson>,
    retry: Option<bool>,
    max_retries: Option<u32>,
    priority: Option<Priority>,
    route: Option<String>,
    /// Boxed, because messages and calls are moved often and most of their bytes would be these.
    ivy: Option<Box<IvyOptions>>,
}

/// The known keys, in the order in which they are written.
const KNOWN: [&str; 5] = ["retry", "maxRetries", "priority", "route", "ivy"];

fn rank(key: Option<&str>) -> Option<usize> {
    KNOWN.iter().position(|known| Some(*known) == key)
}

impl Options {
    /// No options.
    #[must_use]
    pub fn new() -> Self {
        Options::default()
    }

    pub(super) fn parse(value: Value<'_>) -> Result<Self, BadBody> {
        if value.text() == "null" {
            return Ok(Options::new());
        }
        let object = value.object().map_err(|error| match error {
            BadObject::DuplicateKey(at) => {
                BadBody::new(DeadLetterReason::DuplicateKey, "`options` has a duplicate key").at(at)
            }
            BadObject::NotJson(_) | BadObject::NotAnObject => {
                bad("`options` must be an object").at(0)
            }
        })?;
        let unknown = object.fields().filter(|field| rank(field.key()).is_none());
        if unknown.count() > MAX_UNKNOWN_OPTIONS {
            return Err(bad("`options` has too many keys"));
        }
        let retries_rule = "`maxRetries` must be a whole number from 0 to 100";
        let max_retries = field(object, "maxRetries", retries_rule)?;
        if max_retries.is_some_and(|retries| retries > MAX_RETRIES) {
            return Err(bad(retries_rule));
        }
        let priority_rule = "`priority` must be a whole number from 0 to 9";
        let priority = field(object, "priority", priority_rule)?
            .map(|number| Priority::new(number).ok_or_else(|| bad(priority_rule)))
            .transpose()?;
        let ivy = match object.get("ivy").filter(|ivy| ivy.text() != "null") {
            Some(ivy) => {
                let ivy = IvyOptions::parse(ivy).map_err(|bad| bad.within(object.offset(ivy)))?;
                Some(Box::new(ivy))
            }
            None => None,
        };
        Ok(Options {
            read: Some(value.into()),
            retry: field(object, "retry", "`retry` must be true or false")?,
            max_retries,
            priority,
            route: text_field(object, "route", "`route` must be a text")?.map(Cow::into_owned),
            ivy,
        })
    }

    /// Whether a failed task is retried, if specified.
    #[must_use]
    pub fn retry(&self) -> Option<bool> {
        self.retry
    }

    /// The number of retries, 0 to 100, if specified.
    #[must_use]
    pub fn max_retries(&self) -> Option<u32> {
        self.max_retries
    }

    /// The message's priority, if specified.
    #[must_use]
    pub fn priority(&self) -> Option<Priority> {
        self.priority
    }

    /// The queue that the task was sent to instead of its own, if specified.
    #[must_use]
    pub fn route(&self) -> Option<&str> {
        self.route.as_deref()
    }

    /// ivy's own fields, unless the message was sent by a peer of the Node package.
    #[must_use]
    pub fn ivy(&self) -> Option<&IvyOptions> {
        self.ivy.as_deref()
    }

    /// Sets whether a failed task is retried.
    #[must_use]
    pub fn with_retry(mut self, retry: bool) -> Self {
        self.retry = Some(retry);
        self.written_again("retry")
    }

    /// Sets the number of retries. Limited to 100.
    #[must_use]
    pub fn with_max_retries(mut self, retries: u32) -> Self {
        self.max_retries = Some(retries.min(MAX_RETRIES));
        self.written_again("maxRetries")
    }

    /// Sets the priority.
    #[must_use]
    pub fn with_priority(mut self, priority: Priority) -> Self {
        self.priority = (priority != Priority::NORMAL).then_some(priority);
        self.written_again("priority")
    }

    /// Sets the queue that the task was sent to instead of its own.
    #[must_use]
    pub fn with_route(mut self, route: &str) -> Self {
        self.route = Some(route.to_owned());
        self.written_again("route")
    }

    /// Sets ivy's own fields.
    #[must_use]
    pub fn with_ivy(mut self, ivy: IvyOptions) -> Self {
        self.ivy = Some(Box::new(ivy));
        self.written_again("ivy")
    }

    /// Updates one field in the text that was read, and leaves everything else unchanged.
    fn written_again(mut self, key: &'static str) -> Self {
        let Some(read) = self.read.take() else { return self };
        let mine = rank(Some(key));
        let mut out = ObjectWriter::new();
        let tree = Tree::parse(read.as_str()).expect("valid options");
        let mut is_due = true;
        for field in tree.root().expect("unique keys").fields() {
            let place = rank(field.key());
            if place >= mine && std::mem::take(&mut is_due) {
                self.write_known(key, &mut out);
            }
            if place != mine {
                out.entry(&field.raw_key(), field.value().text());
            }
        }
        if is_due {
            self.write_known(key, &mut out);
        }
        self.read = Some(RawJson::written(out.finish()));
        self
    }

    /// Writes a known key, if it is set.
    fn write_known(&self, key: &'static str, out: &mut ObjectWriter) {
        match key {
            "retry" => {
                if let Some(retry) = self.retry {
                    out.json(key, if retry { "true" } else { "false" });
                }
            }
            "maxRetries" => {
                if let Some(retries) = self.max_retries {
                    out.number(key, retries);
                }
            }
            "priority" => {
                if let Some(priority) = self.priority {
                    out.number(key, priority.number());
                }
            }
            "route" => {
                if let Some(route) = &self.route {
                    out.text(key, route);
                }
            }
            _ => {
                if let Some(ivy) = &self.ivy {
                    out.object(key, |out| ivy.write(out, &[]));
                }
            }
        }
    }

    /// Writes the entry `options`. Options that were read are written unchanged.
    pub(super) fn write(&self, out: &mut ObjectWriter) {
        match &self.read {
            Some(read) => out.json("options", read.as_str()),
            None => out.object("options", |out| {
                for key in KNOWN {
                    self.write_known(key, out);
                }
            }),
        }
    }

    /// The options as JSON. Options that were read are unchanged.
    #[must_use]
    pub fn to_json(&self) -> RawJson {
        if let Some(read) = &self.read {
            return read.clone();
        }
        let mut out = ObjectWriter::new();
        for key in KNOWN {
            self.write_known(key, &mut out);
        }
        RawJson::written(out.finish())
    }
}

impl PartialEq for Options {
    /// All fields are derived from the text.
    fn eq(&self, other: &Self) -> bool {
        self.to_json() == other.to_json()
    }
}

impl Eq for Options {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::TaskId;

    fn parse(text: &str) -> Result<Options, BadBody> {
        let object = format!("{{\"options\":{text}}}");
        let tree = Tree::parse(&object).unwrap();
        Options::parse(tree.root().unwrap().get("options").unwrap())
    }

    const ID: &str = "BwcHBwcHBwcHBwcHBwcHBw";

    #[test]
    fn known_options_are_read_and_all_are_preserved() {
        let text = format!(
            r#"{{ "x" : 1e400, "retry":false,"maxRetries":0,"priority":9,"route":"\u0061","ivy":{{"v":1,"id":"{ID}","y":[]}} }}"#
        );
        let options = parse(&text).unwrap();
        assert_eq!(options.retry(), Some(false));
        assert_eq!(options.max_retries(), Some(0));
        assert_eq!(options.priority(), Some(Priority::HIGHEST));
        assert_eq!(options.route(), Some("a"));
        assert_eq!(options.ivy().unwrap().id.to_string(), ID);
        assert_eq!(options.to_json().as_str(), text);
    }

    #[test]
    fn an_option_out_of_range_is_refused() {
        for text in [
            r#"{"retry":1}"#,
            r#"{"retry":"true"}"#,
            r#"{"maxRetries":-1}"#,
            r#"{"maxRetries":101}"#,
            r#"{"maxRetries":1.5}"#,
            r#"{"maxRetries":1e99}"#,
            r#"{"maxRetries":"10"}"#,
            r#"{"priority":10}"#,
            r#"{"priority":-1}"#,
            r#"{"route":5}"#,
            r#"{"route":"\ud800"}"#,
            r#"{"ivy":[]}"#,
            r#"{"ivy":{}}"#,
            "[]",
            "5",
            "\"str\"",
        ] {
            let reason = parse(text).map_err(|bad| bad.reason());
            assert_eq!(reason, Err(DeadLetterReason::BadOptions), "{text}");
        }
    }

    #[test]
    fn null_counts_as_absent() {
        assert_eq!(parse("null").unwrap(), Options::new());
        let options = parse(r#"{"retry":null,"route":null,"ivy":null}"#).unwrap();
        assert_eq!((options.retry(), options.route(), options.ivy()), (None, None, None));
    }

    #[test]
    fn a_duplicate_key_is_refused() {
        let bad = parse(r#"{"x":1,"x":2}"#).unwrap_err();
        assert_eq!((bad.reason(), bad.offset()), (DeadLetterReason::DuplicateKey, Some(7)));
    }

    #[test]
    fn only_the_number_of_unknown_keys_is_limited() {
        let many = |count: usize| {
            let entries: Vec<_> = (0..count).map(|n| format!("\"{n}\":{n}")).collect();
            parse(&format!("{{\"retry\":false,{}}}", entries.join(",")))
        };
        assert!(many(MAX_UNKNOWN_OPTIONS).is_ok());
        let bad = many(MAX_UNKNOWN_OPTIONS + 1).unwrap_err();
        assert_eq!(bad.reason(), DeadLetterReason::BadOptions);
    }

    #[test]
    fn options_are_written_in_a_fixed_order() {
        let ivy = IvyOptions::new(TaskId::from_random([7; 16]));
        let options = Options::new()
            .with_ivy(ivy)
            .with_route("r")
            .with_priority(Priority::HIGHEST)
            .with_max_retries(3)
            .with_retry(false);
        assert_eq!(
            options.to_json().as_str(),
            format!(
                r#"{{"retry":false,"maxRetries":3,"priority":9,"route":"r","ivy":{{"v":1,"id":"{ID}"}}}}"#
            )
        );
        assert_eq!(parse(options.to_json().as_str()).unwrap(), options);
    }

    #[test]
    fn a_set_option_replaces_the_old_one_in_place() {
        let options = parse(r#"{"x":0,"retry":false,"maxRetries":3,"priority":9}"#)
            .unwrap()
            .with_retry(true)
            .with_max_retries(10)
            .with_priority(Priority::NORMAL);
        let expected = r#"{"x":0,"retry":true,"maxRetries":10}"#;
        assert_eq!(options.to_json().as_str(), expected);
        assert_eq!(options, parse(expected).unwrap());
    }

    #[test]
    fn ivy_is_replaced_in_place() {
        let before = format!(r#"{{"a":"\u0031","ivy":{{"v":1,"id":"{ID}"}},"b":2}}"#);
        let options = parse(&before).unwrap();
        let mut ivy = options.ivy().unwrap().clone();
        ivy.attempt = 2;
        let after = format!(r#"{{"a":"\u0031","ivy":{{"v":1,"id":"{ID}","attempt":2}},"b":2}}"#);
        assert_eq!(options.with_ivy(ivy).to_json().as_str(), after);
    }

    #[test]
    fn all_fields_of_ivy_are_written_in_order_and_read_back() {
        let text = format!(
            r#"{{"v":1,"id":"{ID}","reply":"ivy-notifier.r.{ID}","attempt":2,"due":1700000000000,"lost":3,"later":4,"requeued":5,"deadline":1700000000000,"trace":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01","tracestate":"a=\"1\",b=2","node":true,"z":{{"a":1}}}}"#
        );
        let options = parse(&format!("{{\"ivy\":{text}}}")).unwrap();
        let ivy = options.ivy().unwrap();
        let written = Options::new().with_ivy(ivy.clone());
        assert_eq!(written.to_json(), options.to_json());
        assert_eq!((ivy.attempt, ivy.deadline, ivy.node), (2, Some(1_700_000_000_000), true));
        assert!(ivy.trace.is_some() && ivy.tracestate.is_some());
    }

    #[test]
    fn an_invalid_trace_context_is_ignored() {
        let options = parse(&format!(r#"{{"ivy":{{"v":1,"id":"{ID}","trace":"cc-x"}}}}"#)).unwrap();
        assert_eq!(options.ivy().unwrap().trace, None);
    }

    #[test]
    fn a_trace_state_that_is_invalid_or_without_a_trace_context_is_ignored() {
        let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let state = |trace: &str, state: &str| {
            let text = format!(
                r#"{{"ivy":{{"v":1,"id":"{ID}","trace":"{trace}","tracestate":{state}}}}}"#
            );
            let options = parse(&text).unwrap();
            options.ivy().unwrap().tracestate.as_ref().map(|state| state.as_str().to_owned())
        };
        assert_eq!(state(trace, r#""a=1""#).unwrap(), "a=1");
        assert_eq!(state("cc-x", r#""a=1""#), None);
        for unreadable in [r#""a""#, r#""\ud800""#, "null", "5", "{}", "[]"] {
            assert_eq!(state(trace, unreadable), None, "{unreadable}");
        }
    }

    #[test]
    fn another_version_is_not_read() {
        let bad = parse(r#"{"ivy":{"v":2,"id":5}}"#).unwrap_err();
        assert_eq!(bad.reason(), DeadLetterReason::UnsupportedVersion);
        assert_eq!(bad.offset(), Some(7));
    }

    #[test]
    fn a_broken_field_of_ivy_is_refused() {
        for fields in [
            r#""id":"short""#,
            r#""id":null"#,
            r#""id":"BwcHBwcHBwcHBwcHBwcHBw","attempt":0"#,
            r#""id":"BwcHBwcHBwcHBwcHBwcHBw","attempt":-1"#,
            r#""id":"BwcHBwcHBwcHBwcHBwcHBw","reply":5"#,
            r#""id":"BwcHBwcHBwcHBwcHBwcHBw","deadline":"x""#,
            r#""id":"BwcHBwcHBwcHBwcHBwcHBw","due":-1"#,
            r#""id":"BwcHBwcHBwcHBwcHBwcHBw","later":"1""#,
            r#""id":"BwcHBwcHBwcHBwcHBwcHBw","later":4294967296"#,
            r#""id":"BwcHBwcHBwcHBwcHBwcHBw","requeued":0.5"#,
            r#""id":"BwcHBwcHBwcHBwcHBwcHBw","node":1"#,
            r#""id":"BwcHBwcHBwcHBwcHBwcHBw","trace":{}"#,
        ] {
            let bad = parse(&format!(r#"{{"ivy":{{"v":1,{fields}}}}}"#)).unwrap_err();
            assert_eq!(bad.reason(), DeadLetterReason::BadOptions, "{fields}");
        }
        let bad = parse(&format!(r#"{{"ivy":{{"id":"{ID}"}}}}"#)).unwrap_err();
        assert_eq!(bad.reason(), DeadLetterReason::BadOptions);
    }
}
