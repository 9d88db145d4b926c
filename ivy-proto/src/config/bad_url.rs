//! Invalid URLs.

use std::fmt;

use crate::backend::UrlProblem;

/// A URL is invalid. Describes the problem, and shows at most the scheme of the URL: a token or a
/// password may be in any other part by mistake.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("the URL{} is invalid: {problem}", Scheme(.scheme))]
pub struct BadUrl {
    scheme: Option<String>,
    problem: UrlProblem,
}

/// The scheme of a URL, if it may be shown.
struct Scheme<'a>(&'a Option<String>);

impl fmt::Display for Scheme<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |scheme| write!(f, " {scheme}://..."))
    }
}

impl BadUrl {
    /// What is wrong with the URL.
    #[must_use]
    pub fn problem(&self) -> &UrlProblem {
        &self.problem
    }

    /// `scheme` must be a known one, because any other text before `://` may be a secret.
    pub(crate) fn new(scheme: Option<String>, problem: UrlProblem) -> Self {
        BadUrl { scheme, problem }
    }
}

impl fmt::Debug for BadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
