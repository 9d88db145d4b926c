//! URLs that are not understood.

use std::fmt;

use crate::backend::UrlProblem;

/// A URL is not understood. Tells what is wrong with it, and of the URL itself at most its scheme: a
/// token or a password may stand in any other place by mistake.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("the URL{} is not understood: {problem}", Scheme(.scheme))]
pub struct BadUrl {
    scheme: Option<String>,
    problem: UrlProblem,
}

/// The beginning of a URL, if it may be shown.
struct Scheme<'a>(&'a Option<String>);

impl fmt::Display for Scheme<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |scheme| write!(f, " {scheme}://..."))
    }
}

impl BadUrl {
    /// What is wrong with it.
    #[must_use]
    pub fn problem(&self) -> &UrlProblem {
        &self.problem
    }

    /// Shows the scheme where one is given: only one that is known, since anything else in front of
    /// `://` may be a secret too.
    pub(crate) fn new(scheme: Option<String>, problem: UrlProblem) -> Self {
        BadUrl { scheme, problem }
    }
}

impl fmt::Debug for BadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
