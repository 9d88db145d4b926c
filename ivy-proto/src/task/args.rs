//! Task arguments: a tuple in Rust, a positional JSON array in messages.

use std::any::type_name;
use std::fmt;

use serde::de::{DeserializeOwned, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Serialize, forward_to_deserialize_any};
use serde_json::value::RawValue;

use crate::text::{Counted, TypeName};
use crate::wire::{MAX_DEPTH, RawJson, Unwritable};

/// The maximum number of arguments of a task.
const MAX_ARITY: usize = 8;

/// A tuple of arguments that a producer can write.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent as the arguments of a task",
    label = "must be a tuple of up to eight values that implement `Serialize`",
    note = "one argument is a tuple too: write `(x,)`"
)]
pub trait ToArgs: sealed::Tuple {
    /// Serializes the arguments as a JSON array.
    ///
    /// # Errors
    /// If an argument cannot be written as JSON, such as a map whose keys are not strings, or a
    /// float that is NaN or infinite; or if one is nested more deeply than
    /// [`MAX_DEPTH`](crate::wire::MAX_DEPTH).
    fn to_args(&self) -> Result<RawJson, UnwritableArgs>;
}

/// A tuple of arguments that a worker can read.
///
/// Trailing arguments of type `Option` may be missing. Otherwise the number of arguments must
/// match. Numbers are checked: one that does not fit its type exactly is refused, not rounded,
/// except by `f32` and `f64`. A float is received with the bits that it was sent with. JSON has
/// only one `null`: `Some(())` and `Some(None)` are written as `null`, and are received as `None`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read as the arguments of a task",
    label = "must be a tuple of up to eight values that implement `DeserializeOwned`"
)]
pub trait FromArgs: sealed::Tuple + Sized {
    /// Deserializes the arguments from a JSON array.
    ///
    /// # Errors
    /// If there are too few or too many, or one has the wrong type.
    fn from_args(args: &RawJson) -> Result<Self, BadArgs>;
}

mod sealed {
    #[diagnostic::on_unimplemented(
        message = "the arguments of a task must be a tuple of up to eight values, which `{Self}` is not",
        note = "one argument is a tuple too: write `(x,)`"
    )]
    pub trait Tuple {}
}

/// The arguments of a call cannot be written as JSON.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnwritableArgs {
    /// An argument is nested more deeply than a worker can read.
    #[error("an argument is nested more than {MAX_DEPTH} levels deep")]
    TooDeep,
    /// An argument cannot be represented in JSON.
    #[error("the arguments cannot be written as JSON: {0}")]
    NotJson(#[source] serde_json::Error),
}

impl From<Unwritable> for UnwritableArgs {
    fn from(why: Unwritable) -> Self {
        match why {
            Unwritable::TooDeep => UnwritableArgs::TooDeep,
            Unwritable::NotJson(error) => UnwritableArgs::NotJson(error),
        }
    }
}

/// The arguments of a message do not match its task. Names the argument, but never contains its
/// value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadArgs {
    /// The arguments are not an array.
    #[error("the arguments are not a JSON array")]
    NotAnArray,
    /// There are more arguments than parameters.
    #[error("the task takes {}, but the message has {given}", Counted(*.takes, "argument", "arguments"))]
    TooMany {
        /// The number of parameters.
        takes: usize,
        /// The number of arguments.
        given: usize,
    },
    /// An argument is missing, and its type is not an `Option`.
    #[error("argument {position} ({}) is missing", TypeName(.expected))]
    Missing {
        /// The position, from 1.
        position: usize,
        /// Its type.
        expected: &'static str,
    },
    /// An argument has the wrong type.
    #[error("argument {position} is not a {} (at byte {column})", TypeName(.expected))]
    Mismatch {
        /// The position, from 1.
        position: usize,
        /// The type of the parameter.
        expected: &'static str,
        /// The byte position of the mismatch in the argument, from 1.
        column: usize,
    },
}

macro_rules! tuple {
    ($count:literal: $($argument:ident)+) => {
        impl<$($argument),+> sealed::Tuple for ($($argument,)+) {}

        impl<$($argument: Serialize),+> ToArgs for ($($argument,)+) {
            fn to_args(&self) -> Result<RawJson, UnwritableArgs> {
                Ok(RawJson::from_list(self)?)
            }
        }

        impl<$($argument: DeserializeOwned),+> FromArgs for ($($argument,)+) {
            fn from_args(args: &RawJson) -> Result<Self, BadArgs> {
                let elements = split(args, $count)?;
                let mut elements = elements.into_iter().enumerate();
                Ok(($(read::<$argument>(&mut elements)?,)+))
            }
        }
    };
}

impl sealed::Tuple for () {}

impl ToArgs for () {
    fn to_args(&self) -> Result<RawJson, UnwritableArgs> {
        // Serde would write the empty tuple as `null`.
        Ok(RawJson::from_list::<[(); 0]>(&[])?)
    }
}

impl FromArgs for () {
    fn from_args(args: &RawJson) -> Result<Self, BadArgs> {
        split(args, 0).map(|_| ())
    }
}

tuple!(1: A);
tuple!(2: A B);
tuple!(3: A B C);
tuple!(4: A B C D);
tuple!(5: A B C D E);
tuple!(6: A B C D E F);
tuple!(7: A B C D E F G);
tuple!(8: A B C D E F G H);

/// Splits the array into the texts of its elements, if there are at most `takes`.
fn split(args: &RawJson, takes: usize) -> Result<[Option<&RawValue>; MAX_ARITY], BadArgs> {
    let mut json = serde_json::Deserializer::from_str(args.as_str());
    let (elements, given) = json.deserialize_seq(Elements).map_err(|_| BadArgs::NotAnArray)?;
    if given > takes { Err(BadArgs::TooMany { takes, given }) } else { Ok(elements) }
}

/// Collects as many elements as a task can have, and counts all.
struct Elements;

impl<'de> Visitor<'de> for Elements {
    type Value = ([Option<&'de RawValue>; MAX_ARITY], usize);

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of arguments")
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut array: S) -> Result<Self::Value, S::Error> {
        let mut elements = [None; MAX_ARITY];
        for slot in &mut elements {
            match array.next_element()? {
                Some(element) => *slot = Some(element),
                None => break,
            }
        }
        let read = elements.iter().flatten().count();
        // Extra elements are counted without storing them: there may be very many.
        let mut left_over = 0;
        while array.next_element::<IgnoredAny>()?.is_some() {
            left_over += 1;
        }
        Ok((elements, read + left_over))
    }
}

/// Deserializes the next argument.
fn read<'a, T: DeserializeOwned>(
    elements: &mut impl Iterator<Item = (usize, Option<&'a RawValue>)>,
) -> Result<T, BadArgs> {
    let (index, element) = elements.next().unwrap_or_default();
    let (position, expected) = (index + 1, type_name::<T>());
    match element {
        // The error of serde is dropped, because it repeats the input.
        Some(element) => serde_json::from_str(element.get()).map_err(|error| BadArgs::Mismatch {
            position,
            expected,
            column: error.column(),
        }),
        None => T::deserialize(Missing).map_err(|_| BadArgs::Missing { position, expected }),
    }
}

/// The deserializer of a missing argument: only an `Option` can be read from it, as `None`.
struct Missing;

impl<'de> Deserializer<'de> for Missing {
    type Error = serde::de::value::Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
        Err(serde::de::Error::custom("missing"))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_none()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn parse<T: FromArgs>(args: &str) -> Result<T, BadArgs> {
        T::from_args(&RawJson::parse(args).unwrap())
    }

    #[test]
    fn arguments_are_written_as_an_array_even_if_there_are_none() {
        assert_eq!(().to_args().unwrap().as_str(), "[]");
        assert_eq!((5,).to_args().unwrap().as_str(), "[5]");
        assert_eq!(("a", [1, 2], None::<u8>).to_args().unwrap().as_str(), r#"["a",[1,2],null]"#);
    }

    #[test]
    fn arguments_are_received_as_they_were_sent() {
        let args = (1u8, -2i64, "three".to_owned(), Some(4.5), vec![5, 6], true, 'h', [8u128]);
        let json = args.to_args().unwrap();
        assert_eq!(FromArgs::from_args(&json), Ok(args));
    }

    #[test]
    fn a_value_written_as_null_is_received_as_none() {
        let json = (Some(()), Some(None::<u8>), Some(Some(1)), "end").to_args().unwrap();
        assert_eq!(json.as_str(), r#"[null,null,1,"end"]"#);
        type Args = (Option<()>, Option<Option<u8>>, Option<Option<u8>>, String);
        assert_eq!(Args::from_args(&json), Ok((None, None, Some(Some(1)), "end".to_owned())));
    }

    #[test]
    fn arguments_that_json_cannot_represent_are_an_error() {
        assert!((BTreeMap::from([((1, 2), 3)]),).to_args().is_err());
    }

    #[test]
    fn nan_and_infinity_are_errors_of_the_caller_and_not_a_null_at_the_worker() {
        assert!((f64::NAN,).to_args().is_err());
        assert!((1, vec![Some(f32::INFINITY)]).to_args().is_err());
        assert_eq!((1.5, None::<f64>, "null").to_args().unwrap().as_str(), r#"[1.5,null,"null"]"#);
    }

    #[test]
    fn arguments_can_be_written_as_deep_as_they_can_be_read() {
        let nested = |levels| {
            let innermost = serde_json::json!([]);
            (0..levels).fold(innermost, |inside, _| serde_json::json!([inside]))
        };
        let args = (1, nested(MAX_DEPTH));
        let json = args.to_args().unwrap();
        assert_eq!(FromArgs::from_args(&json), Ok(args));
        let refused = (1, nested(MAX_DEPTH + 1)).to_args();
        assert!(matches!(refused, Err(UnwritableArgs::TooDeep)));
    }

    #[test]
    fn only_a_trailing_option_may_be_missing() {
        assert_eq!(parse("[1]"), Ok((1u8, None::<String>)));
        assert_eq!(
            parse::<(Option<u8>, u8)>("[1]"),
            Err(BadArgs::Missing { position: 2, expected: "u8" })
        );
    }

    #[test]
    fn extra_arguments_are_counted_and_refused() {
        assert_eq!(parse::<()>("[1]"), Err(BadArgs::TooMany { takes: 0, given: 1 }));
        assert_eq!(parse::<(u8,)>("[1,2,3]"), Err(BadArgs::TooMany { takes: 1, given: 3 }));
        let many = format!("[0{}]", ",0".repeat(10_000));
        assert_eq!(parse::<(u8,)>(&many), Err(BadArgs::TooMany { takes: 1, given: 10_001 }));
    }

    #[test]
    fn arguments_that_are_not_an_array_are_refused() {
        for args in ["{\"0\":1}", "\"[1]\"", "null", "1"] {
            assert_eq!(parse::<(u8,)>(args), Err(BadArgs::NotAnArray), "{args}");
        }
    }

    #[test]
    fn numbers_are_not_rounded_into_integers() {
        for number in ["1.5", "1.0", "1e2", "256", "-1", "123456789012345678901234567890", "\"1\""]
        {
            let mismatch = parse::<(u8,)>(&format!("[{number}]")).unwrap_err();
            assert!(matches!(mismatch, BadArgs::Mismatch { position: 1, expected: "u8", .. }));
        }
        assert_eq!(parse("[9007199254740993]"), Ok((9_007_199_254_740_993u64,)));
    }

    #[test]
    fn json_that_no_rust_value_can_represent_is_refused() {
        assert!(parse::<(f64,)>("[1e400]").is_err());
        assert!(parse::<(String,)>(r#"["\ud800"]"#).is_err());
    }

    #[test]
    fn an_error_names_the_position_and_not_the_content() {
        let error = parse::<(u64, u64)>(r#"[1,"hunter2"]"#).unwrap_err().to_string();
        assert_eq!(error, "argument 2 is not a u64 (at byte 9)");
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        let deep = format!("[{}{}]", "[".repeat(100_000), "]".repeat(100_000));
        assert!(parse::<(serde_json::Value,)>(&deep).is_err());
    }
}
