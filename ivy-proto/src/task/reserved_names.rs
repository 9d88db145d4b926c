//! Task names that are reserved.

use crate::name::TaskName;

/// The properties that every JavaScript object inherits. A worker of the Node package looks up a
/// task as a property of an object. It finds these without a registration, deletes the message, and
/// runs nothing.
const PROPERTIES_OF_EVERY_OBJECT: [&str; 12] = [
    "__defineGetter__",
    "__defineSetter__",
    "__lookupGetter__",
    "__lookupSetter__",
    "__proto__",
    "constructor",
    "hasOwnProperty",
    "isPrototypeOf",
    "propertyIsEnumerable",
    "toLocaleString",
    "toString",
    "valueOf",
];

/// The prefix of ivy's own messages, such as dead letters.
const IVY_PREFIX: &str = "ivy.";

/// The name is valid, but reserved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReservedName {
    /// The name is a property of every JavaScript object.
    #[error(
        "it is a property of every JavaScript object, and workers of the Node package would delete such a task without running it; choose another name"
    )]
    PropertyOfEveryObject,
    /// The name begins with `ivy.`.
    #[error("names that begin with `ivy.` are reserved for ivy itself; choose another name")]
    ReservedPrefix,
}

/// The former name of [`ReservedName`].
#[deprecated(note = "renamed to `ReservedName`: such names are reserved, not forbidden")]
pub type ForbiddenName = ReservedName;

impl ReservedName {
    /// Checks that the name is not reserved.
    pub(crate) fn check(name: &TaskName) -> Result<(), ReservedName> {
        if PROPERTIES_OF_EVERY_OBJECT.contains(&name.as_str()) {
            return Err(ReservedName::PropertyOfEveryObject);
        }
        if name.as_str().starts_with(IVY_PREFIX) {
            return Err(ReservedName::ReservedPrefix);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str) -> Result<(), ReservedName> {
        ReservedName::check(&TaskName::new(name).unwrap())
    }

    #[test]
    fn properties_of_every_javascript_object_are_reserved() {
        for name in PROPERTIES_OF_EVERY_OBJECT {
            assert_eq!(check(name), Err(ReservedName::PropertyOfEveryObject), "{name}");
        }
    }

    #[test]
    fn the_prefix_of_ivy_itself_is_reserved() {
        assert_eq!(check("ivy.dead-letter"), Err(ReservedName::ReservedPrefix));
    }

    #[test]
    fn names_that_only_resemble_reserved_ones_are_free() {
        for name in ["tostring", "app.toString", "ivy", "ivyx.grow"] {
            assert_eq!(check(name), Ok(()), "{name}");
        }
    }
}
