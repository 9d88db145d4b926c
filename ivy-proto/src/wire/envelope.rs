//! The envelope: the content of a message.

use std::sync::Arc;

use crate::name::TaskName;
use crate::wire::canonical::FirstAttempt;
use crate::wire::object::{BadObject, Object, Tree};
use crate::wire::shape::{MAX_ARGS, Shape};
use crate::wire::write::ObjectWriter;
use crate::wire::{BadBody, DeadLetterReason, IvyOptions, Options, RawJson};

/// The initial capacity for name and options. Longer ones only cost a reallocation.
const ROOM: usize = 192;

/// A task to run, as a message contains it: `{"name":..,"options":..,"args":..}`.
///
/// Parsing is stricter than the Node package: the name must be a text, keys must be unique, and
/// names and options must be within their limits. It tolerates differences between peers: options
/// may be absent, and other keys are ignored.
///
/// ```
/// use ivy_proto::wire::Envelope;
///
/// let text = r#"{"name":"testpackage.factorial","options":{"maxRetries":3},"args":[5]}"#;
/// let envelope = Envelope::parse(text)?;
/// assert_eq!(envelope.name.as_str(), "testpackage.factorial");
/// assert_eq!(envelope.args.as_str(), "[5]");
/// assert_eq!(envelope.to_text(), text);
/// # Ok::<(), ivy_proto::wire::BadBody>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The task's name.
    pub name: TaskName,
    /// The message's options.
    pub options: Options,
    /// The arguments: a JSON array, because anything else crashes a worker of the Node package.
    pub args: RawJson,
}

impl Envelope {
    /// Parses the JSON of an envelope.
    ///
    /// # Errors
    /// If it is invalid, with the reason for dead-lettering the message.
    pub fn parse(text: &str) -> Result<Envelope, BadBody> {
        FirstAttempt::read(text)
            .and_then(first_attempt)
            .map_or_else(|| Envelope::parse_any(text), Ok)
    }

    pub(super) fn parse_any(text: &str) -> Result<Envelope, BadBody> {
        let tree = Tree::parse(text).map_err(bad_object)?;
        let object = tree.root().map_err(bad_object)?;
        let name = read_name(object)?;
        let options = read_options(object).map_err(|bad| bad.of(&name))?;
        let args = read_args(object).map_err(|bad| bad.of(&name))?;
        Ok(Envelope { name, options, args })
    }

    /// The envelope's JSON, byte for byte as the Node package writes it.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = ObjectWriter::with_room(ROOM + self.args.as_str().len());
        out.text("name", self.name.as_str());
        self.options.write(&mut out);
        out.json("args", self.args.as_str());
        out.finish()
    }
}

/// The envelope of a first attempt, if its arguments are within the limits.
fn first_attempt(read: FirstAttempt<'_>) -> Option<Envelope> {
    check_args(read.args.shape).ok()?;
    let mut ivy = IvyOptions::new(read.id);
    ivy.reply = read.reply.map(Arc::from);
    ivy.due = read.due;
    Some(Envelope {
        name: read.name,
        options: Options::new().with_ivy(ivy),
        args: RawJson::written(read.args.text),
    })
}

fn bad_object(error: BadObject) -> BadBody {
    match error {
        BadObject::NotJson(at) => {
            BadBody::new(DeadLetterReason::BadJson, "the body is not JSON").at(at)
        }
        BadObject::NotAnObject => {
            BadBody::new(DeadLetterReason::NotAnObject, "the body is JSON, but not an object")
        }
        BadObject::DuplicateKey(at) => {
            BadBody::new(DeadLetterReason::DuplicateKey, "the envelope has a duplicate key").at(at)
        }
    }
}

fn read_name(object: Object<'_>) -> Result<TaskName, BadBody> {
    let bad = |rule| BadBody::new(DeadLetterReason::BadName, rule);
    let value = object.get("name").ok_or_else(|| bad("`name` is missing"))?;
    let at = object.offset(value);
    let text = value.as_str().ok_or_else(|| bad("`name` must be a text").at(at))?;
    let rule = "`name` must have 1 to 255 bytes and no control characters";
    TaskName::new(&text).map_err(|_| bad(rule).at(at))
}

fn read_options(object: Object<'_>) -> Result<Options, BadBody> {
    match object.get("options") {
        Some(value) => Options::parse(value).map_err(|bad| bad.within(object.offset(value))),
        None => Ok(Options::new()),
    }
}

fn read_args(object: Object<'_>) -> Result<RawJson, BadBody> {
    let bad = |rule| BadBody::new(DeadLetterReason::BadArgs, rule);
    let value = object.get("args").ok_or_else(|| bad("`args` is missing"))?;
    let at = object.offset(value);
    let shape = value.array().ok_or_else(|| bad("`args` must be an array").at(at))?;
    check_args(shape).map_err(|bad| bad.at(at))?;
    Ok(value.into())
}

fn check_args(shape: Shape) -> Result<(), BadBody> {
    if shape.is_too_deep() {
        let rule = "an argument is nested more than 125 levels deep";
        return Err(BadBody::new(DeadLetterReason::TooDeep, rule));
    }
    if shape.elements > MAX_ARGS {
        let rule = "`args` has more than 10,000 elements";
        return Err(BadBody::new(DeadLetterReason::BadArgs, rule));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_of_the_node_package_is_read_and_written_unchanged() {
        let text = r#"{"name":"test","options":{"retry":true,"maxRetries":10},"args":[1,"two",{"three":3},null,true,[4.5]]}"#;
        assert_eq!(Envelope::parse(text).unwrap().to_text(), text);
    }

    #[test]
    fn keys_are_unordered_and_unknown_ones_ignored() {
        let text = r#" {"args":[ ],"extra":{},"name":"\u0074"} "#;
        let envelope = Envelope::parse(text).unwrap();
        assert_eq!(envelope.to_text(), r#"{"name":"t","options":{},"args":[ ]}"#);
    }

    #[test]
    fn an_error_contains_the_task_and_the_offset_in_the_body() {
        let text = r#"{"name":"t","options":{"ivy":{"v":1,"id":5}},"args":[]}"#;
        let bad = Envelope::parse(text).unwrap_err();
        assert_eq!(bad.task().unwrap().as_str(), "t");
        assert_eq!(bad.offset(), text.find("5}"));
    }
}
