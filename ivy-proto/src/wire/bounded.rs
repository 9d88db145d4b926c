//! JSON serialization with a nesting limit.

use std::cell::Cell;
use std::io;

use serde::Serialize;
use serde_json::ser::Formatter;

use super::scan::measure;

/// The initial capacity, enough for most values.
const ROOM: usize = 128;

/// Why a value was not written.
#[derive(Debug)]
pub(super) enum Failure {
    /// The value is nested more deeply than allowed.
    TooDeep,
    Other(serde_json::Error),
}

/// Writes a value as JSON with at most `max_depth` nested levels of arrays and objects. The first
/// level beyond the limit stops the writing, so the stack usage is bounded for values of any depth.
pub(super) fn to_string<T: Serialize + ?Sized>(
    value: &T,
    max_depth: usize,
) -> Result<String, Failure> {
    let too_deep = Cell::new(false);
    let mut text = Vec::with_capacity(ROOM);
    let levels = Levels { left: max_depth, too_deep: &too_deep };
    let written = value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, levels));
    // Checked even if the value's own code has discarded the error.
    if too_deep.get() {
        return Err(Failure::TooDeep);
    }
    written.map_err(Failure::Other)?;
    String::from_utf8(text).map_err(|error| Failure::Other(serde::ser::Error::custom(error)))
}

/// Writes compact JSON, like `serde_json`, and counts the open levels.
struct Levels<'a> {
    /// How many more levels may be opened.
    left: usize,
    too_deep: &'a Cell<bool>,
}

impl Levels<'_> {
    fn open(&mut self) -> io::Result<()> {
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(self.refuse()),
        }
    }

    #[cold]
    fn refuse(&self) -> io::Error {
        self.too_deep.set(true);
        io::ErrorKind::InvalidData.into()
    }
}

impl Formatter for Levels<'_> {
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open()?;
        writer.write_all(b"[")
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.left += 1;
        writer.write_all(b"]")
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open()?;
        writer.write_all(b"{")
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.left += 1;
        writer.write_all(b"}")
    }

    /// Raw JSON fragments are measured instead.
    fn write_raw_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if measure(fragment).depth > self.left {
            return Err(self.refuse());
        }
        writer.write_all(fragment.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::ser::{SerializeSeq, Serializer};
    use serde_json::value::RawValue;

    use super::*;

    /// A list that contains a list, and so on.
    struct Nested(usize);

    impl Serialize for Nested {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let mut list = serializer.serialize_seq(None)?;
            if self.0 > 1 {
                list.serialize_element(&Nested(self.0 - 1))?;
            }
            list.end()
        }
    }

    #[derive(Serialize)]
    enum Tree {
        Leaf,
        Struct { below: Box<Tree> },
        Tuple(u8, Box<Tree>),
        Newtype(Box<Tree>),
        Map(BTreeMap<&'static str, Tree>),
    }

    fn is_too_deep<T: Serialize + ?Sized>(value: &T, max_depth: usize) -> bool {
        matches!(to_string(value, max_depth), Err(Failure::TooDeep))
    }

    #[test]
    fn the_allowed_number_of_levels_is_written_and_no_more() {
        assert_eq!(to_string(&Nested(3), 3).unwrap(), "[[[]]]");
        assert!(is_too_deep(&Nested(4), 3));
        assert!(is_too_deep(&[0; 0], 0) && to_string(&5, 0).is_ok());
    }

    #[test]
    fn levels_of_all_shapes_are_counted_while_they_are_open() {
        let tree = Tree::Struct {
            below: Box::new(Tree::Tuple(
                1,
                Box::new(Tree::Newtype(Box::new(Tree::Map(BTreeMap::from([
                    ("a", Tree::Leaf),
                    ("b", Tree::Leaf),
                ]))))),
            )),
        };
        let text = serde_json::to_string(&[&tree, &tree]).unwrap();
        let depth = measure(&text).depth;
        assert_eq!(to_string(&[&tree, &tree], depth).unwrap(), text);
        assert!(is_too_deep(&[&tree, &tree], depth - 1));
    }

    #[test]
    fn raw_json_fragments_count_too() {
        let raw = RawValue::from_string("[[[]]]".to_owned()).unwrap();
        assert_eq!(to_string(&(1, &raw), 4).unwrap(), "[1,[[[]]]]");
        assert!(is_too_deep(&(1, &raw), 3));
    }

    #[test]
    fn deep_nesting_does_not_overflow_the_stack() {
        let small_stack = std::thread::Builder::new().stack_size(256 * 1024);
        let refused = small_stack.spawn(|| is_too_deep(&Nested(1_000_000), 127)).unwrap();
        assert!(refused.join().unwrap());
    }

    #[test]
    fn an_excess_level_is_an_error_even_if_the_value_ignores_it() {
        struct Careless;
        impl Serialize for Careless {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut list = serializer.serialize_seq(None)?;
                let _ = list.serialize_element(&Nested(10));
                list.end()
            }
        }
        assert!(is_too_deep(&Careless, 5));
    }
}
