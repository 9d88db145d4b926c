//! The URLs of queues and notifiers: one grammar, of which each kind takes its part.
//!
//! `scheme://[credentials@][host[:port]][/segment...]`, where credentials and segments are
//! percent-encoded. A query or fragment is refused, since nothing that could stand there is known.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use crate::queue::ironmq::{BadToken, InvalidAddress, parse_host};

/// A URL is not understood. Tells what is wrong with it, and of the URL itself at most its scheme: a
/// token or a password may stand in any other place by mistake.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("the URL{} is not understood: {problem}", Scheme(*.scheme))]
pub struct BadUrl {
    scheme: Option<&'static str>,
    problem: UrlProblem,
}

/// The schemes that are shown. Anything else in front of `://` may be a secret too.
const SHOWN: [&str; 9] =
    ["ironmq", "ironmq+http", "redis", "rediss", "memory", "http", "https", "amqp", "amqps"];

/// The beginning of a URL, if it may be shown.
struct Scheme(Option<&'static str>);

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |scheme| write!(f, " {scheme}://..."))
    }
}

/// What is wrong with a URL, and what to write instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UrlProblem {
    /// There is nothing.
    #[error("it is empty")]
    Empty,
    /// It does not begin with a scheme.
    #[error("it must begin with one of {accepted}")]
    NoScheme {
        /// The beginnings that are understood.
        accepted: &'static str,
    },
    /// It begins with a scheme that is not understood here.
    #[error("its scheme is not known here; it must begin with one of {accepted}")]
    UnknownScheme {
        /// The beginnings that are understood.
        accepted: &'static str,
    },
    /// The scheme is planned.
    #[error("Redis as a queue is not built in yet; use ironmq:// or memory://")]
    NotBuiltIn,
    /// It holds a space or a control character.
    #[error("a space or control character must be percent-encoded, a space as %20")]
    Space,
    /// A `%` is not followed by two hexadecimal digits, or what is encoded is no UTF-8.
    #[error("each % must begin a percent-encoded UTF-8 character; write % itself as %25")]
    Escape,
    /// There is an `@` behind the host.
    #[error(
        "a / ? or # in the credentials must be written as %2F, %3F or %23, and an @ in the path as %40"
    )]
    MisplacedAt,
    /// It holds a query.
    #[error("no query is understood; leave out the ? and what follows it")]
    Query,
    /// It holds a fragment.
    #[error("no fragment is understood; leave out the # and what follows it")]
    Fragment,
    /// The port is not a number from 1 to 65535.
    #[error("the port must be a number from 1 to 65535")]
    Port,
    /// Host, project id or path prefix cannot be one.
    #[error("{0}")]
    Address(InvalidAddress),
    /// The token cannot be one.
    #[error("{0}")]
    Token(BadToken),
    /// There is a `:` before the `@` of an IronMQ URL.
    #[error(
        "only the token stands before the @, and the project id at the end; write a colon in a token as %3A"
    )]
    ColonInToken,
    /// There is no host where one is needed.
    #[error("the host is missing")]
    NoHost,
    /// There is a user name without a password, or the other part is empty.
    #[error("credentials must be USER:PASSWORD@ or :PASSWORD@")]
    Credentials,
    /// The path of a Redis URL is not the number of a database.
    #[error("the path must be the number of a database, as in /0")]
    Database,
    /// There is something behind `memory://`.
    #[error("nothing follows memory://")]
    NotBare,
}

impl BadUrl {
    /// What is wrong with it.
    #[must_use]
    pub fn problem(&self) -> UrlProblem {
        self.problem
    }

    pub(super) fn new(text: &str, problem: UrlProblem) -> Self {
        let scheme = split_scheme(text).and_then(|(scheme, _)| {
            SHOWN.into_iter().find(|shown| scheme.eq_ignore_ascii_case(shown))
        });
        BadUrl { scheme, problem }
    }
}

impl fmt::Debug for BadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The parts of a URL, as they are written.
pub(super) struct Parts<'a> {
    /// In lower case.
    pub(super) scheme: String,
    pub(super) credentials: Option<&'a str>,
    /// Checked and in its usual form; an IPv6 address in brackets.
    pub(super) host: Option<String>,
    pub(super) port: Option<u16>,
    /// Nothing, or a path that begins with a slash.
    pub(super) path: &'a str,
}

impl<'a> Parts<'a> {
    /// Takes a URL apart. `accepted` names the schemes that the caller knows, for the error.
    pub(super) fn parse(text: &'a str, accepted: &'static str) -> Result<Self, UrlProblem> {
        if text.is_empty() {
            return Err(UrlProblem::Empty);
        }
        let (scheme, rest) = split_scheme(text).ok_or(UrlProblem::NoScheme { accepted })?;
        if text.chars().any(|character| character.is_whitespace() || character.is_control()) {
            return Err(UrlProblem::Space);
        }
        let (authority, path) = split_at_any(rest, &['/', '?', '#']);
        if path.contains('@') {
            return Err(UrlProblem::MisplacedAt);
        }
        match path.find(['?', '#']).map(|at| &path[at..]) {
            Some(query) if query.starts_with('?') => return Err(UrlProblem::Query),
            Some(_) => return Err(UrlProblem::Fragment),
            None => {}
        }
        let (credentials, place) = match authority.rsplit_once('@') {
            Some((credentials, place)) => (Some(credentials), place),
            None => (None, authority),
        };
        let (host, port) = host_and_port(place)?;
        Ok(Parts { scheme: scheme.to_ascii_lowercase(), credentials, host, port, path })
    }

    /// Whether there is nothing but the scheme.
    pub(super) fn is_bare(&self) -> bool {
        self.credentials.is_none() && self.host.is_none() && self.path.is_empty()
    }

    /// The segments of the path, decoded. A single slash is no path.
    pub(super) fn segments(&self) -> Result<Vec<String>, UrlProblem> {
        match self.path.strip_prefix('/') {
            None | Some("") => Ok(Vec::new()),
            Some(path) => path.split('/').map(decoded).collect(),
        }
    }
}

/// The text that a part of a URL stands for.
pub(super) fn decoded(part: &str) -> Result<String, UrlProblem> {
    let mut escapes = part.split('%').skip(1);
    let is_hex = |escape: &str| {
        escape.len() >= 2 && escape.bytes().take(2).all(|byte| byte.is_ascii_hexdigit())
    };
    if !escapes.all(is_hex) {
        return Err(UrlProblem::Escape);
    }
    percent_decode_str(part).decode_utf8().map(Cow::into_owned).map_err(|_| UrlProblem::Escape)
}

/// A number that is written in digits only: `1e3`, `0x10`, `+1` and `10s` are typing errors.
pub(super) fn number<T: FromStr>(text: &str) -> Option<T> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// The number of a port.
pub(super) fn port_number(text: &str) -> Option<u16> {
    number(text).filter(|port| *port > 0)
}

fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme.then_some((scheme, rest))
}

fn split_at_any<'a>(text: &'a str, characters: &[char]) -> (&'a str, &'a str) {
    text.split_at(text.find(characters).unwrap_or(text.len()))
}

fn host_and_port(place: &str) -> Result<(Option<String>, Option<u16>), UrlProblem> {
    if place.is_empty() {
        return Ok((None, None));
    }
    // The colons of an IPv6 address stand inside of its brackets.
    let (host, port) = match place.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (place, None),
    };
    let host = parse_host(host).map_err(UrlProblem::Address)?;
    let port = port.map(|port| port_number(port).ok_or(UrlProblem::Port)).transpose()?;
    Ok((Some(host.to_string()), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_url_that_is_not_understood_only_a_known_scheme_is_shown() {
        for (text, expected) in [
            ("redis://u:SECRET@host:1/2", "the URL redis://... is not understood"),
            ("ironmq://SECRET", "the URL ironmq://... is not understood"),
            ("IronMQ+HTTP://SECRET/p", "the URL ironmq+http://... is not understood"),
            ("rediss://host/SECRET", "the URL rediss://... is not understood"),
            ("SECRET://host", "the URL is not understood"),
            ("user:SECRET@host", "the URL is not understood"),
            ("SECRET", "the URL is not understood"),
        ] {
            let error = BadUrl::new(text, UrlProblem::Port).to_string();
            assert_eq!(error, format!("{expected}: {}", UrlProblem::Port), "{text}");
        }
    }

    #[test]
    fn a_percent_sign_begins_an_escape() {
        assert_eq!(decoded("a%20b%C3%A4").unwrap(), "a b\u{e4}");
        for part in ["%", "%2", "%zz", "a%%20", "%ff"] {
            assert_eq!(decoded(part), Err(UrlProblem::Escape), "{part}");
        }
    }
}
