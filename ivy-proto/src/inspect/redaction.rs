//! What is shown of the values and errors in messages.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::admin::Glob;
use crate::text::{Counted, EscapedInFull, beginning};
use crate::wire::{MAX_DEPTH, RawJson};

/// How many bytes of the arguments are shown, unless all of them are.
const SHORT: usize = 2048;
/// What a masked value is replaced by.
const MASK: &str = "\"***\"";

/// What an operator is shown of the arguments and the error of a message. All outputs for operators
/// use it, so a value that one of them hides is hidden by all.
///
/// By default, only the number and the size of the arguments are shown, and the error in full: the
/// worker's log shows it as well.
///
/// ```
/// use ivy_proto::inspect::Redaction;
/// use ivy_proto::wire::RawJson;
///
/// let args = RawJson::parse(r#"[{"user":"eve","password":"x"}]"#)?;
/// assert_eq!(Redaction::new().args(&args).to_string(), "1 value, 31 bytes");
///
/// let shown = Redaction::new().show_args().mask("password".parse()?);
/// assert_eq!(shown.args(&args).to_string(), r#"[{"user":"eve","password":"***"}]"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Redaction {
    args: ArgsLimit,
    hides_errors: bool,
    masked: Vec<KeyPattern>,
}

#[derive(Clone, Copy, Debug, Default)]
enum ArgsLimit {
    #[default]
    SizesOnly,
    Short,
    Full,
}

impl Redaction {
    /// Shows the sizes of arguments, and errors.
    #[must_use]
    pub fn new() -> Self {
        Redaction::default()
    }

    /// Shows the first 2 KiB of the arguments.
    #[must_use]
    pub fn show_args(mut self) -> Self {
        self.args = ArgsLimit::Short;
        self
    }

    /// Shows the arguments in full.
    #[must_use]
    pub fn show_full_args(mut self) -> Self {
        self.args = ArgsLimit::Full;
        self
    }

    /// Replaces the values of matching keys in the arguments by `"***"`.
    #[must_use]
    pub fn mask(mut self, keys: KeyPattern) -> Self {
        self.masked.push(keys);
        self
    }

    /// Hides the text of errors.
    #[must_use]
    pub fn hide_errors(mut self) -> Self {
        self.hides_errors = true;
        self
    }

    /// What is shown of these arguments.
    #[must_use]
    pub fn args(&self, args: &RawJson) -> ShownArgs {
        let text = args.as_str();
        let values = serde_json::from_str::<Vec<&RawValue>>(text).map_or(0, |values| values.len());
        ShownArgs { values, bytes: text.len(), text: self.text(args) }
    }

    fn text(&self, args: &RawJson) -> Option<ShownText> {
        let limit = match self.args {
            ArgsLimit::SizesOnly => return None,
            ArgsLimit::Short => SHORT,
            ArgsLimit::Full => usize::MAX,
        };
        let shown =
            if self.masked.is_empty() { args.clone() } else { RawJson::written(self.masked(args)) };
        Some(if shown.as_str().len() <= limit {
            ShownText::Whole(shown)
        } else {
            ShownText::Beginning(beginning(shown.as_str(), limit).to_owned())
        })
    }

    /// What is shown of this error.
    #[must_use]
    pub fn error<'a>(&self, error: &'a str) -> Option<&'a str> {
        (!self.hides_errors).then_some(error)
    }

    fn masked(&self, args: &RawJson) -> String {
        let mut masking = Masking { patterns: &self.masked, path: Vec::new(), out: String::new() };
        masking.value(args.as_str());
        masking.out
    }
}

/// Arguments as an operator sees them. `Display` shows their text, or else their sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShownArgs {
    /// The number of arguments.
    pub values: usize,
    /// The length of their JSON array, in bytes.
    pub bytes: usize,
    /// Their text, if it is shown.
    pub text: Option<ShownText>,
}

/// The text of arguments. Masked values are replaced in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ShownText {
    /// The JSON array.
    Whole(RawJson),
    /// The beginning of a JSON array that is too long to be shown.
    Beginning(String),
}

impl fmt::Display for ShownArgs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = Counted(self.bytes as u64, "byte", "bytes");
        match &self.text {
            None => write!(f, "{}, {bytes}", Counted(self.values as u64, "value", "values")),
            Some(ShownText::Whole(json)) => write!(f, "{}", EscapedInFull(json.as_str())),
            Some(ShownText::Beginning(text)) => write!(f, "{}... ({bytes})", EscapedInFull(text)),
        }
    }
}

/// Selects values by the keys that lead to them: patterns of one or more keys, joined by dots. The
/// last pattern matches the value's own key, the one before it the key of the object around it. The
/// index of a value in an array counts as its key.
///
/// `password` selects each value of that key, and `user.*` all values in the objects named `user`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPattern(Vec<Glob>);

/// The text is not a pattern of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a pattern of keys must be names joined by dots, such as password or user.*; `*` and `?` match any characters"
)]
pub struct BadKeyPattern;

impl FromStr for KeyPattern {
    type Err = BadKeyPattern;

    fn from_str(text: &str) -> Result<Self, BadKeyPattern> {
        let globs = text.split('.').map(|key| key.parse().map_err(|_| BadKeyPattern));
        Ok(KeyPattern(globs.collect::<Result<_, _>>()?))
    }
}

impl KeyPattern {
    fn matches(&self, path: &[String]) -> bool {
        let Some(start) = path.len().checked_sub(self.0.len()) else { return false };
        self.0.iter().zip(&path[start..]).all(|(pattern, key)| pattern.matches(key))
    }
}

/// Copies a JSON text, except values that are masked.
struct Masking<'a> {
    patterns: &'a [KeyPattern],
    /// The keys that lead to the current value.
    path: Vec<String>,
    out: String,
}

impl<'a> Masking<'a> {
    fn value(&mut self, text: &'a str) {
        let text = text.trim_ascii();
        // What cannot be searched for masked keys is masked as a whole.
        if self.path.len() > MAX_DEPTH + 1 {
            return self.out.push_str(MASK);
        }
        match text.as_bytes().first() {
            Some(b'{') => match serde_json::from_str(text) {
                Ok(Fields(fields)) => self.object(fields),
                Err(_) => self.out.push_str(MASK),
            },
            Some(b'[') => match serde_json::from_str::<Vec<&'a RawValue>>(text) {
                Ok(values) => self.array(values),
                Err(_) => self.out.push_str(MASK),
            },
            _ => self.out.push_str(text),
        }
    }

    fn object(&mut self, fields: Vec<(String, &'a RawValue)>) {
        self.out.push('{');
        for (position, (key, value)) in fields.into_iter().enumerate() {
            if position > 0 {
                self.out.push(',');
            }
            self.out.push_str(&serde_json::Value::from(key.as_str()).to_string());
            self.out.push(':');
            self.entry(key, value);
        }
        self.out.push('}');
    }

    fn array(&mut self, values: Vec<&'a RawValue>) {
        self.out.push('[');
        for (position, value) in values.into_iter().enumerate() {
            if position > 0 {
                self.out.push(',');
            }
            self.entry(position.to_string(), value);
        }
        self.out.push(']');
    }

    fn entry(&mut self, key: String, value: &'a RawValue) {
        self.path.push(key);
        if self.patterns.iter().any(|pattern| pattern.matches(&self.path)) {
            self.out.push_str(MASK);
        } else {
            self.value(value.get());
        }
        self.path.pop();
    }
}

/// The entries of an object, in order. Keys may repeat.
struct Fields<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(redaction: &Redaction, args: &str) -> String {
        redaction.args(&RawJson::parse(args).unwrap()).to_string()
    }

    fn masking(patterns: &[&str]) -> Redaction {
        patterns
            .iter()
            .fold(Redaction::new().show_full_args(), |all, one| all.mask(one.parse().unwrap()))
    }

    #[test]
    fn by_default_only_sizes_are_shown() {
        for (args, text) in [
            ("[]", "0 values, 2 bytes"),
            ("[1]", "1 value, 3 bytes"),
            (r#"["secret",{"a":[1,2]},null]"#, "3 values, 27 bytes"),
        ] {
            assert_eq!(shown(&Redaction::new(), args), text);
        }
    }

    #[test]
    fn arguments_are_shown_on_request_as_they_are() {
        let args = r#"[12345678901234567890123, 1.50,{"b":1,"a":"\u00e9"}]"#;
        assert_eq!(shown(&Redaction::new().show_args(), args), args);
    }

    #[test]
    fn long_arguments_are_truncated_unless_all_are_requested() {
        let args = format!(r#"["{}"]"#, "\u{e9}".repeat(3000));
        let short = Redaction::new().show_args().args(&RawJson::parse(&args).unwrap());
        let Some(ShownText::Beginning(text)) = &short.text else { panic!("{short}") };
        assert_eq!((text.len(), short.bytes), (2048, 6004));
        assert!(short.to_string().ends_with("... (6004 bytes)"), "{short}");
        assert_eq!(shown(&Redaction::new().show_full_args(), &args), args);
    }

    #[test]
    fn a_masked_key_is_masked_at_any_depth() {
        let args = r#"["password", {"password": {"x":1}, "user": {"pass": [{"password":2}]}}]"#;
        let expected = r#"["password",{"password":"***","user":{"pass":[{"password":"***"}]}}]"#;
        assert_eq!(shown(&masking(&["password"]), args), expected);
    }

    #[test]
    fn a_pattern_of_several_keys_matches_the_end_of_the_path() {
        let args = r#"[{"user":{"token":1,"name":2},"token":3}]"#;
        assert_eq!(
            shown(&masking(&["user.token"]), args),
            r#"[{"user":{"token":"***","name":2},"token":3}]"#
        );
        assert_eq!(
            shown(&masking(&["user.*"]), args),
            r#"[{"user":{"token":"***","name":"***"},"token":3}]"#
        );
        assert_eq!(
            shown(&masking(&["*.token", "na*"]), args),
            r#"[{"user":{"token":"***","name":"***"},"token":"***"}]"#
        );
        assert_eq!(shown(&masking(&["0"]), args), r#"["***"]"#);
    }

    #[test]
    fn a_key_is_masked_however_it_is_written() {
        assert_eq!(
            shown(&masking(&["password"]), r#"[{"pass\u0077ord":1,"password":2,"\n":3}]"#),
            r#"[{"password":"***","password":"***","\n":3}]"#
        );
    }

    #[test]
    fn a_mask_applies_before_the_text_is_truncated() {
        let args = format!(r#"[{{"password":"{}","x":1}}]"#, "p".repeat(5000));
        let redaction = Redaction::new().show_args().mask("password".parse().unwrap());
        assert_eq!(shown(&redaction, &args), r#"[{"password":"***","x":1}]"#);
    }

    #[test]
    fn what_is_too_deep_to_be_searched_is_masked() {
        let args = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let masked = shown(&masking(&["password"]), &args);
        assert!(masked.len() < 1000 && masked.contains("***"), "{masked}");
    }

    #[test]
    fn control_characters_are_escaped() {
        let shown = shown(&Redaction::new().show_args(), "[\"\u{9b}31m\u{202e}\"]");
        assert_eq!(shown, r#"["\u{9b}31m\u{202e}"]"#);
    }

    #[test]
    fn errors_are_shown_unless_they_are_hidden() {
        assert_eq!(Redaction::new().error("out of luck"), Some("out of luck"));
        assert_eq!(Redaction::new().hide_errors().error("out of luck"), None);
    }

    #[test]
    fn an_empty_key_is_not_a_pattern() {
        for text in ["", ".", "user.", "a..b"] {
            assert_eq!(text.parse::<KeyPattern>(), Err(BadKeyPattern), "{text}");
        }
    }
}
