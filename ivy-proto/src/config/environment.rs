//! Access to the environment of the program.

use std::fmt;

/// The environment variables and files of a program. The core reads neither itself; the caller
/// provides functions that do.
#[derive(Clone, Copy)]
pub struct Environment<'a> {
    variable: &'a dyn Fn(&str) -> Option<String>,
    file: &'a dyn Fn(&str) -> Option<Vec<u8>>,
    mode: &'a dyn Fn(&str) -> Option<u32>,
}

impl<'a> Environment<'a> {
    /// How many bytes of a file are needed. A larger file is invalid.
    pub const MAX_FILE: usize = 1 << 20;

    /// Creates an environment. `variable` returns a variable's value by its name, and `file`
    /// returns a file's content by its path. The paths are the one in `IVY_KEYSET` and those that a
    /// backend reads. No more than [`MAX_FILE`](Environment::MAX_FILE) bytes are needed of any file.
    #[must_use]
    pub fn new(
        variable: &'a dyn Fn(&str) -> Option<String>,
        file: &'a dyn Fn(&str) -> Option<Vec<u8>>,
    ) -> Self {
        Environment { variable, file, mode: &|_| None }
    }

    /// Adds `mode`, which returns a file's permissions by its path, on Unix systems. Without it, the
    /// permissions of a keyset file are not checked.
    #[must_use]
    pub fn with_modes(self, mode: &'a dyn Fn(&str) -> Option<u32>) -> Self {
        Environment { mode, ..self }
    }

    /// An environment without variables and files.
    #[must_use]
    pub fn empty() -> Environment<'static> {
        Environment { variable: &|_| None, file: &|_| None, mode: &|_| None }
    }

    /// The value of a variable.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<String> {
        (self.variable)(name)
    }

    /// The content of a file, by its path.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<Vec<u8>> {
        (self.file)(path)
    }

    pub(super) fn mode(&self, path: &str) -> Option<u32> {
        (self.mode)(path)
    }

    /// The first of these variables that is set.
    #[must_use]
    pub fn first(&self, names: &[&'static str]) -> Option<Found> {
        names.iter().find_map(|name| {
            let value = self.variable(name)?;
            Some(Found { value, origin: Origin::Variable(name) })
        })
    }
}

impl fmt::Debug for Environment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Environment")
    }
}

/// A value, and its origin, so that an error can name it. The value may be a secret, so `Debug`
/// does not show it.
pub struct Found {
    /// The value.
    pub value: String,
    /// Where it was found.
    pub origin: Origin,
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value of {}", self.origin)
    }
}

/// The origin of a part of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// An argument of the program.
    Argument(&'static str),
    /// An environment variable.
    Variable(&'static str),
    /// A key in a file.
    File {
        /// The file, with `~` for the home directory.
        path: &'static str,
        /// The key.
        key: &'static str,
    },
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Argument(name) => write!(f, "the given {name}"),
            Origin::Variable(name) => f.write_str(name),
            Origin::File { path, key } => write!(f, "{key:?} in {path}"),
        }
    }
}
