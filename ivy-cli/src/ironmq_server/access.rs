//! Access control: the single project that the server has, and the single token that it accepts.

use std::fmt;
use std::str::FromStr;

use hyper::header::{AUTHORIZATION, HeaderMap};

use super::route::Query;

/// The scheme of the header, with the space after it.
const SCHEME: &[u8] = b"OAuth ";

/// The served project and its token.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pub(crate) project: ProjectId,
    pub(crate) token: Token,
}

/// A project id: letters, digits and `-._~`, so that it needs no escaping anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProjectId(String);

/// A token, of the same characters. Its `Debug` output does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(String);

/// The text needs escaping in an address, a header or a shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it must not be empty, and may contain only letters, digits and -._~")]
pub(crate) struct InvalidText;

impl Access {
    /// Whether a request may access this project: its header or its query must contain the token.
    pub(crate) fn allows(&self, project: &str, headers: &HeaderMap, query: &Query) -> bool {
        let header = headers.get(AUTHORIZATION).and_then(|value| credentials(value.as_bytes()));
        let token = header.or(query.get("oauth").map(str::as_bytes));
        project == self.project.0 && token == Some(self.token.0.as_bytes())
    }
}

/// The token of an `Authorization` header, if its scheme is `OAuth`, in any case.
fn credentials(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(SCHEME.len())?;
    scheme.eq_ignore_ascii_case(SCHEME).then(|| token.trim_ascii())
}

impl ProjectId {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Token {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

impl FromStr for ProjectId {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        unreserved(text).map(ProjectId)
    }
}

impl FromStr for Token {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        unreserved(text).map(Token)
    }
}

/// Returns the text if it consists of the characters that RFC 3986 calls unreserved.
fn unreserved(text: &str) -> Result<String, InvalidText> {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    if text.is_empty() || !text.bytes().all(fits) { Err(InvalidText) } else { Ok(text.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allows(project: &str, header: Option<&str>, query: &str) -> bool {
        let access = Access { project: "p".parse().unwrap(), token: "t".parse().unwrap() };
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(AUTHORIZATION, header.parse().unwrap());
        }
        access.allows(project, &headers, &Query::parse(Some(query)))
    }

    #[test]
    fn the_token_may_be_in_the_header_or_in_the_query() {
        assert!(allows("p", Some("OAuth t"), ""));
        assert!(allows("p", None, "oauth=t"));
        assert!(allows("p", Some("OAuth t"), "oauth=t"), "some clients send both");
        assert!(allows("p", Some("Basic x"), "oauth=t"), "a webhook may have its own header");
    }

    #[test]
    fn the_scheme_is_case_insensitive() {
        for header in ["oauth t", "OAUTH t", "OAuth  t "] {
            assert!(allows("p", Some(header), ""), "{header}");
        }
    }

    #[test]
    fn another_token_or_project_is_refused() {
        for (project, header, query) in [
            ("p", None, ""),
            ("p", None, "oauth="),
            ("p", None, "oauth=T"),
            ("p", Some("OAuth aaaaaa"), ""),
            ("p", Some("OAuth aaaaaa"), "oauth=t"),
            ("p", Some("OAutht"), ""),
            ("p", Some("OAuth"), ""),
            ("p", Some("Bearer t"), ""),
            ("p", Some("t"), ""),
            ("q", Some("OAuth t"), ""),
            ("", Some("OAuth t"), ""),
        ] {
            assert!(!allows(project, header, query), "{project} {header:?} {query}");
        }
    }

    #[test]
    fn a_project_or_token_that_needs_escaping_is_refused() {
        for text in ["", "a b", "a'b", "a/b", "a%20b", "ä", "a\n"] {
            assert_eq!(text.parse::<ProjectId>(), Err(InvalidText), "{text:?}");
            assert_eq!(text.parse::<Token>(), Err(InvalidText), "{text:?}");
        }
    }

    #[test]
    fn a_token_is_not_shown_by_its_debug() {
        let token: Token = "secret".parse().unwrap();
        assert_eq!(format!("{token:?}"), "Token");
    }
}
