//! Who called a task, as far as a message says that cannot be read as a whole.

use std::sync::Arc;

use crate::id::TaskId;
use crate::name::TaskName;
use crate::wire::IvyOptions;
use crate::wire::ivy_options::VERSION;
use crate::wire::object::{Object, Tree, Value};

/// The name of a task whose message does not name one.
const UNNAMED: &str = "(unnamed)";

/// The caller of a task who waits on a channel, and the task, from a message that may be broken
/// anywhere else.
///
/// Whenever [`Envelope::parse`](crate::wire::Envelope::parse) succeeds, this says the same. Otherwise
/// it takes what stands before the text ceases to be JSON. What stands twice is not taken, since one
/// of the two is wrong, and nothing is taken from another version of `options.ivy`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    pub(crate) task: TaskName,
    pub(crate) id: TaskId,
    pub(crate) reply: Arc<str>,
}

impl Caller {
    pub(super) fn find(text: &str) -> Option<Self> {
        let tree = Tree::parse_start(text);
        let root = tree.root_as_read();
        let ivy = only(root, "options")?.object_as_read()?;
        let ivy = only(ivy, "ivy")?.object_as_read()?;
        if only(ivy, "v")?.read() != Some(VERSION) {
            return None;
        }
        let id = only(ivy, "id")?.as_str()?.parse().ok()?;
        let reply = only(ivy, "reply")?.as_str()?.into();
        let name = only(root, "name").and_then(Value::as_str);
        let task = name.and_then(|name| TaskName::new(&name).ok());
        Some(Caller { task: task.or_else(|| TaskName::new(UNNAMED).ok())?, id, reply })
    }

    /// What the caller's notice repeats of the message.
    pub(crate) fn ivy(&self) -> IvyOptions {
        let mut ivy = IvyOptions::new(self.id);
        ivy.reply = Some(Arc::clone(&self.reply));
        ivy
    }
}

/// The value of a key that stands once.
fn only<'t>(object: Object<'t>, key: &str) -> Option<Value<'t>> {
    let mut found = object.fields().filter(|field| field.key() == Some(key));
    let first = found.next()?;
    found.next().is_none().then(|| first.value())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::Envelope;

    const MESSAGE: &str = r#"{"name":"a.b","options":{"retry":true,"ivy":{"v":1,"id":"BwcHBwcHBwcHBwcHBwcHBw","reply":"c","attempt":2}},"args":[5,{"k":[]}]}"#;

    fn caller(name: &str) -> Option<Caller> {
        Some(Caller {
            task: TaskName::new(name).unwrap(),
            id: TaskId::from_random([7; 16]),
            reply: "c".into(),
        })
    }

    fn find(part: &str, other: &str) -> Option<Caller> {
        let text = MESSAGE.replace(part, other);
        assert_ne!(text, MESSAGE);
        Caller::find(&text)
    }

    #[test]
    fn the_caller_is_found_whatever_else_is_wrong() {
        for (part, other) in [
            ("\"retry\":true", "\"retry\":7"),
            ("\"attempt\":2", "\"attempt\":-2"),
            ("\"attempt\":2", "\"x\":1,\"x\":2"),
            ("[5,{\"k\":[]}]", "{}"),
            ("[5,{\"k\":[]}]", "[5"),
            ("[5,{\"k\":[]}]", &"[".repeat(100_000)),
            ("},\"args\"", ","),
            ("\"args\"", "args"),
        ] {
            assert_eq!(find(part, other), caller("a.b"), "{other:.80}");
        }
        for name in ["5", "\"\"", "\"\\u0000\""] {
            assert_eq!(find("\"a.b\"", name), caller(UNNAMED), "{name}");
        }
    }

    #[test]
    fn a_message_without_a_usable_reply_channel_has_no_caller() {
        for (part, other) in [
            ("\"reply\":\"c\"", "\"reply\":null"),
            ("\"reply\":\"c\"", "\"reply\":\"\\ud800\""),
            ("\"reply\":\"c\"", "\"reply\":\"c\",\"repl\\u0079\":\"d\""),
            ("\"v\":1", "\"v\":2"),
            ("Bw\"", "B\""),
            ("{\"v\"", "[\"v\""),
            (",\"attempt\":2}},", ",\"attempt\":2},\"ivy\":{}},"),
            ("},\"args\"", "},\"options\":{},\"args\""),
        ] {
            assert_eq!(find(part, other), None, "{other}");
        }
        for text in ["", "null", "[]", "{", "{\"options\":", "{\"options\":{\"ivy\":"] {
            assert_eq!(Caller::find(text), None, "{text}");
        }
    }

    /// The message with some places deleted, doubled or changed, and perhaps cut.
    fn edited() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "",
            "\"",
            "\\",
            "\\u0061",
            ",",
            ":",
            "[",
            "]",
            "{",
            "}",
            " ",
            "0",
            "null",
            "{}",
            "é",
            "\"ivy\":",
            "\"id\":",
            "\"name\":\"x\",",
        ]);
        let edit = (any::<prop::sample::Index>(), 0..3_usize, piece);
        let edits = prop::collection::vec(edit, 0..3);
        (edits, prop::option::weighted(0.3, any::<prop::sample::Index>())).prop_map(
            |(edits, cut)| {
                let mut characters: Vec<String> = MESSAGE.chars().map(String::from).collect();
                for (place, removed, piece) in edits {
                    let start = place.index(characters.len());
                    let end = characters.len().min(start + removed);
                    characters.splice(start..end, [piece.to_owned()]);
                }
                if let Some(cut) = cut {
                    characters.truncate(cut.index(characters.len()));
                }
                characters.concat()
            },
        )
    }

    proptest! {
        #[test]
        fn where_the_message_is_read_the_caller_is_the_one_that_it_names(text in edited()) {
            let found = Caller::find(&text);
            if let Ok(envelope) = Envelope::parse(&text) {
                let named = envelope.options.ivy().and_then(|ivy| {
                    let (id, reply) = (ivy.id, ivy.reply.clone()?);
                    Some(Caller { task: envelope.name.clone(), id, reply })
                });
                prop_assert_eq!(found, named);
            }
        }
    }
}
