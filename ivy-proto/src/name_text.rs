//! The text of a name.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// A text that is cheap to clone. Every call names its task and its queue, usually by constants of
/// the program, which are neither copied nor counted.
#[derive(Clone)]
pub(crate) enum NameText {
    /// A text of the program.
    Static(&'static str),
    /// A text that its clones share.
    Shared(Arc<str>),
}

impl NameText {
    /// The text, shared by its clones.
    pub(crate) fn to_shared(&self) -> Arc<str> {
        match self {
            NameText::Static(text) => Arc::from(*text),
            NameText::Shared(text) => Arc::clone(text),
        }
    }
}

impl From<&str> for NameText {
    fn from(text: &str) -> Self {
        NameText::Shared(text.into())
    }
}

impl Deref for NameText {
    type Target = str;

    fn deref(&self) -> &str {
        match self {
            NameText::Static(text) => text,
            NameText::Shared(text) => text,
        }
    }
}

// Not derived: equal texts are equal names, wherever they are stored.
impl PartialEq for NameText {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for NameText {}

impl PartialOrd for NameText {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for NameText {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for NameText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}
