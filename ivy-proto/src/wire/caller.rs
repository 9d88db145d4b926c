//! Finds the caller of a message that cannot be read as a whole.

use std::sync::Arc;

use crate::id::TaskId;
use crate::name::TaskName;
use crate::wire::IvyOptions;
use crate::wire::ivy_options::VERSION;
use crate::wire::object::{Object, Tree, Value};

/// The task name to use if the message has none.
const UNNAMED: &str = "(unnamed)";

/// The waiting caller and the task of a message that may be broken in any other part.
///
/// If [`Envelope::parse`](crate::wire::Envelope::parse) succeeds, the result is the same.
/// Otherwise, only the text before the first JSON error is read. Duplicate keys are ignored,
/// because one of the two is wrong, and so are other versions of `options.ivy`.
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

    /// The fields of the message that a notice to the caller repeats.
    pub(crate) fn ivy(&self) -> IvyOptions {
        let mut ivy = IvyOptions::new(self.id);
        ivy.reply = Some(Arc::clone(&self.reply));
        ivy
    }
}

/// The value of a key, unless the key is duplicated.
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
    fn a_caller_that_does_not_wait_or_is_ambiguous_is_not_found() {
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

    /// The message with some parts deleted, duplicated or changed, and possibly truncated.
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
        fn the_caller_of_a_valid_message_is_the_one_it_names(text in edited()) {
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
