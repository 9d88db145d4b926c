//! A fast path for messages and notices in the exact form that ivy writes.
//!
//! Returns `None` for any text in another form, which the general JSON readers then read. Otherwise
//! the result is the same, only faster.

use crate::id::TaskId;
use crate::name::{TaskName, is_name};

use super::scan::Scanner;
use super::shape::Shape;
use super::unescaped_run::unescaped_run;

/// The message of a first attempt, without options except those that ivy always adds.
pub(super) struct FirstAttempt<'t> {
    pub(super) name: TaskName,
    pub(super) id: TaskId,
    pub(super) reply: Option<&'t str>,
    pub(super) due: Option<u64>,
    pub(super) args: Array<'t>,
}

/// The notice of a first attempt that succeeded.
pub(super) struct Success<'t> {
    pub(super) message: &'t str,
    pub(super) task: TaskId,
    pub(super) result: Array<'t>,
}

/// An array in its original form.
pub(super) struct Array<'t> {
    pub(super) text: &'t str,
    pub(super) shape: Shape,
}

impl<'t> FirstAttempt<'t> {
    pub(super) fn read(text: &'t str) -> Option<Self> {
        let mut text = Text(text);
        text.literal(r#"{"name":""#)?;
        let name = text.plain()?;
        text.literal(r#","options":{"#)?;
        let (id, reply, due) = text.ivy()?;
        text.literal(r#"}},"args":"#)?;
        let args = text.array()?;
        text.ends_with("}")?;
        Some(FirstAttempt { name: TaskName::new(name).ok()?, id, reply, due, args })
    }
}

impl<'t> Success<'t> {
    pub(super) fn read(text: &'t str) -> Option<Self> {
        let mut text = Text(text);
        text.literal(r#"{"id":""#)?;
        let message = text.plain()?;
        text.literal(r#","name":""#)?;
        text.name()?;
        text.literal(r#","args":[],"options":{"#)?;
        let (task, ..) = text.ivy()?;
        text.literal(r#","outcome":"ok"}},"result":"#)?;
        let result = text.array()?;
        text.literal(r#","notify":true,"queue":""#)?;
        text.name()?;
        text.ends_with("}")?;
        Some(Success { message, task, result })
    }
}

/// All numbers with this many digits fit into 64 bits.
const MAX_DIGITS: usize = 19;

/// The remaining text. Each method consumes what it returns.
struct Text<'t>(&'t str);

impl<'t> Text<'t> {
    fn literal(&mut self, literal: &str) -> Option<()> {
        self.0 = self.0.strip_prefix(literal)?;
        Some(())
    }

    fn ends_with(&self, end: &str) -> Option<()> {
        (self.0 == end).then_some(())
    }

    /// A text without escapes, up to its closing quote.
    fn plain(&mut self) -> Option<&'t str> {
        let (plain, behind) = self.0.split_at_checked(unescaped_run(self.0.as_bytes()))?;
        self.0 = behind.strip_prefix('"')?;
        Some(plain)
    }

    fn name(&mut self) -> Option<&'t str> {
        self.plain().filter(|name| is_name(name))
    }

    /// The beginning of `options.ivy`: the task's id, the optional reply channel and the optional
    /// due time.
    fn ivy(&mut self) -> Option<(TaskId, Option<&'t str>, Option<u64>)> {
        self.literal(r#""ivy":{"v":1,"id":""#)?;
        let id = self.plain()?.parse().ok()?;
        let reply = match self.literal(r#","reply":""#) {
            Some(()) => Some(self.plain()?),
            None => None,
        };
        let due = match self.literal(r#","due":"#) {
            Some(()) => Some(self.number()?),
            None => None,
        };
        Some((id, reply, due))
    }

    /// A whole number. Of a number with too many digits, a rest remains, which matches no form.
    fn number(&mut self) -> Option<u64> {
        let digits = self.0.bytes().map(|byte| byte.wrapping_sub(b'0'));
        let (mut number, mut length) = (0, 0);
        for digit in digits.take_while(|digit| *digit < 10).take(MAX_DIGITS) {
            number = 10 * number + u64::from(digit);
            length += 1;
        }
        let (text, behind) = self.0.split_at_checked(length)?;
        self.0 = behind;
        (length == 1 || length > 1 && !text.starts_with('0')).then_some(number)
    }

    fn array(&mut self) -> Option<Array<'t>> {
        if !self.0.starts_with('[') {
            return None;
        }
        let (end, shape) = Scanner::new(self.0).measure_value(0)?;
        let (text, behind) = self.0.split_at_checked(end)?;
        self.0 = behind;
        Some(Array { text, shape })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::{Envelope, NoticeSummary};

    const MESSAGE: &str = r#"{"name":"a.b","options":{"ivy":{"v":1,"id":"BwcHBwcHBwcHBwcHBwcHBw","reply":"ivy.r.x","due":1700000000000}},"args":[5,{"k":[]}]}"#;
    const NOTICE: &str = r#"{"id":"61","name":"a.b","args":[],"options":{"ivy":{"v":1,"id":"BwcHBwcHBwcHBwcHBwcHBw","reply":"ivy.r.x","due":1700000000000,"outcome":"ok"}},"result":[ 10 ],"notify":true,"queue":"q"}"#;

    #[test]
    fn the_form_that_ivy_writes_is_read() {
        let read = FirstAttempt::read(MESSAGE).unwrap();
        assert_eq!(
            (read.name.as_str(), read.reply, read.due, read.args.text),
            ("a.b", Some("ivy.r.x"), Some(1_700_000_000_000), r#"[5,{"k":[]}]"#)
        );
        let silent = MESSAGE.replace(r#","reply":"ivy.r.x""#, "");
        assert_eq!(FirstAttempt::read(&silent).unwrap().reply, None);
        let zero = MESSAGE.replace("1700000000000", "0");
        assert_eq!(FirstAttempt::read(&zero).unwrap().due, Some(0));
        let without = MESSAGE.replace(r#","due":1700000000000"#, "");
        assert_eq!(FirstAttempt::read(&without).unwrap().due, None);
        let read = Success::read(NOTICE).unwrap();
        assert_eq!(
            (read.message, read.result.text, read.result.shape.elements),
            ("61", "[ 10 ]", 1)
        );
    }

    #[test]
    fn other_forms_are_not_read() {
        for (part, other) in [
            ("\"ivy\":{", "\"retry\":true,\"ivy\":{"),
            ("\"v\":1", "\"v\":2"),
            ("\"v\":1", "\"v\": 1"),
            ("Bw\"", "B\""),
            ("ivy.r.x\"", "ivy.r.x\",\"attempt\":2"),
            ("ivy.r.x", "ivy\\u002er.x"),
            ("1700000000000", "01700000000000"),
            ("1700000000000", "17000000000000000000000"),
            ("1700000000000", "-1"),
            ("1700000000000", ""),
            ("\"name\":\"a.b\"", "\"name\":\"\""),
            ("\"name\":\"a.b\"", "\"name\":\"a\u{202e}b\""),
        ] {
            let (message, notice) = (MESSAGE.replace(part, other), NOTICE.replace(part, other));
            assert_ne!((&*message, &*notice), (MESSAGE, NOTICE));
            assert!(FirstAttempt::read(&message).is_none(), "{message}");
            assert!(Success::read(&notice).is_none(), "{notice}");
        }
        for end in ["", "}", "x"] {
            let text = format!("{}{end}", MESSAGE.strip_suffix('}').unwrap());
            assert_eq!(FirstAttempt::read(&text).is_some(), end == "}", "{text}");
        }
    }

    /// The text with some parts deleted, duplicated or changed.
    fn edited(text: &'static str) -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "", "\"", "\\", ",", ":", "[", "]", "{", "}", " ", "0", "é", "\u{7f}", "\u{202e}",
            "null",
        ]);
        let edit = (any::<prop::sample::Index>(), 0..3_usize, piece);
        prop::collection::vec(edit, 0..3).prop_map(|edits| {
            let mut characters: Vec<String> = text.chars().map(String::from).collect();
            for (place, removed, piece) in edits {
                let start = place.index(characters.len());
                let end = characters.len().min(start + removed);
                characters.splice(start..end, [piece.to_owned()]);
            }
            characters.concat()
        })
    }

    proptest! {
        #[test]
        fn a_message_is_read_like_any_json(text in edited(MESSAGE)) {
            prop_assert_eq!(Envelope::parse(&text), Envelope::parse_any(&text));
        }

        #[test]
        fn a_notice_is_read_like_any_json(text in edited(NOTICE)) {
            prop_assert_eq!(NoticeSummary::parse(text.as_bytes()), NoticeSummary::parse_any(&text));
        }
    }
}
