//! The URLs of backends: one grammar for all, of which each backend uses a part.
//!
//! `scheme://[user[:password]@][host[:port]][/segment...][?key=value[&...]]`. User, password,
//! segments, keys and values are percent-encoded.

use std::fmt;

use super::host::Host;
use super::problem::UrlProblem;
use super::segment::{decoded, segment};
use crate::config::{BadUrl, ConfigError, Origin};
use crate::secret::Secret;
use crate::text::number;

/// The longest URL, in bytes.
const MAX_LENGTH: usize = 64 * 1024;

/// A parsed URL of a backend. `Debug` shows only host and port, because any other part may contain
/// a secret.
///
/// ```
/// use ivy_proto::backend::BackendUrl;
/// use ivy_proto::config::Origin;
///
/// let origin = Origin::Argument("queue URL");
/// let url = BackendUrl::parse("store://ada:p%40ss@[::1]:70/a%2Fb/c?wait=5", origin)?;
/// assert_eq!((url.scheme(), url.port()), ("store", Some(70)));
/// assert_eq!(url.host().unwrap().to_string(), "[::1]");
/// assert_eq!(url.password().unwrap().expose(), "p@ss");
/// assert_eq!(url.segments(), ["a/b", "c"]);
/// assert_eq!(url.query("wait"), Some("5"));
/// # Ok::<(), ivy_proto::config::ConfigError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct BackendUrl {
    origin: Origin,
    scheme: String,
    user: Option<Secret>,
    password: Option<Secret>,
    host: Option<Host>,
    port: Option<u16>,
    segments: Vec<String>,
    has_path: bool,
    query: Vec<(String, String)>,
}

impl BackendUrl {
    /// Parses a URL that was found at `origin`. The password may contain a raw `:` or `@`.
    ///
    /// # Errors
    /// [`ConfigError::BadUrl`] if the URL is invalid.
    pub fn parse(text: &str, origin: Origin) -> Result<Self, ConfigError> {
        parse(text, origin)
            .map_err(|problem| ConfigError::BadUrl { origin, error: BadUrl::new(None, problem) })
    }

    /// Where the URL was found.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The scheme, in lower case.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The part before the `@`, up to a colon: a user, or a token.
    #[must_use]
    pub fn user(&self) -> Option<&Secret> {
        self.user.as_ref()
    }

    /// The part between that colon and the `@`. `None` without a colon.
    #[must_use]
    pub fn password(&self) -> Option<&Secret> {
        self.password.as_ref()
    }

    /// The host.
    #[must_use]
    pub fn host(&self) -> Option<&Host> {
        self.host.as_ref()
    }

    /// The port, if it is given.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The segments of the path. Empty for a single slash.
    #[must_use]
    pub fn segments(&self) -> &[String] {
        &self.segments
    }

    /// The value of a key of the query. Only the keys that a [`Plug`](super::Plug) declares reach it.
    #[must_use]
    pub fn query(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// The keys of the query, in order.
    pub(crate) fn query_keys(&self) -> impl Iterator<Item = &str> {
        self.query.iter().map(|(key, _)| key.as_str())
    }

    /// Whether there is a path, even if it is a single slash.
    pub(crate) fn has_path(&self) -> bool {
        self.has_path
    }

    /// Whether the URL consists of only the scheme.
    #[must_use]
    pub fn is_bare(&self) -> bool {
        self.user.is_none() && self.host.is_none() && !self.has_path && self.query.is_empty()
    }

    /// Creates the error of a backend that refuses the URL. It shows only the scheme of the URL.
    #[must_use]
    pub fn refuse(&self, problem: UrlProblem) -> ConfigError {
        let error = BadUrl::new(Some(self.scheme.clone()), problem);
        ConfigError::BadUrl { origin: self.origin, error }
    }

    /// The URL, including its secrets.
    #[must_use]
    pub fn expose(&self) -> String {
        let mut url = format!("{}://", self.scheme);
        if let Some(user) = &self.user {
            url.push_str(&segment(user.expose()));
            if let Some(password) = &self.password {
                url.push(':');
                url.push_str(&segment(password.expose()));
            }
            url.push('@');
        }
        url.extend(self.host.as_ref().map(ToString::to_string));
        url.extend(self.port.map(|port| format!(":{port}")));
        if self.has_path && self.segments.is_empty() {
            url.push('/');
        }
        url.extend(self.segments.iter().map(|part| format!("/{}", segment(part))));
        for (index, (key, value)) in self.query.iter().enumerate() {
            url.push(if index == 0 { '?' } else { '&' });
            url.push_str(&format!("{}={}", segment(key), segment(value)));
        }
        url
    }
}

impl fmt::Debug for BackendUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("BackendUrl");
        shown.field("host", &self.host).field("port", &self.port);
        shown.finish_non_exhaustive()
    }
}

fn parse(text: &str, origin: Origin) -> Result<BackendUrl, UrlProblem> {
    if text.is_empty() {
        return Err(UrlProblem::Empty);
    }
    if text.len() > MAX_LENGTH {
        return Err(UrlProblem::TooLong);
    }
    let no_scheme = || UrlProblem::NoScheme { accepted: String::new() };
    let (scheme, rest) = split_scheme(text).ok_or_else(no_scheme)?;
    if text.chars().any(|character| character.is_whitespace() || character.is_control()) {
        return Err(UrlProblem::Space);
    }
    let (authority, rest) = split_at_any(rest, &['/', '?', '#']);
    if rest.contains('@') {
        return Err(UrlProblem::MisplacedAt);
    }
    let (path, query) = match rest.find(['?', '#']).map(|at| rest.split_at(at)) {
        Some((_, behind)) if behind.starts_with('#') => return Err(UrlProblem::Fragment),
        Some((path, query)) => (path, Some(&query[1..])),
        None => (rest, None),
    };
    if query.is_some_and(|query| query.contains('#')) {
        return Err(UrlProblem::Fragment);
    }
    let (credentials, url) = match authority.rsplit_once('@') {
        Some((credentials, url)) => (Some(credentials), url),
        None => (None, authority),
    };
    let (host, port) = host_and_port(url)?;
    let (user, password) = match credentials.map(|text| text.split_once(':').ok_or(text)) {
        Some(Ok((user, password))) => (Some(secret(user)?), Some(secret(password)?)),
        Some(Err(user)) => (Some(secret(user)?), None),
        None => (None, None),
    };
    let segments = match path.strip_prefix('/') {
        None | Some("") => Vec::new(),
        Some(path) => path.split('/').map(part).collect::<Result<_, _>>()?,
    };
    let query = match query {
        None => Vec::new(),
        Some(query) => query.split('&').map(key_and_value).collect::<Result<_, _>>()?,
    };
    let (scheme, has_path) = (scheme.to_ascii_lowercase(), !path.is_empty());
    Ok(BackendUrl { origin, scheme, user, password, host, port, segments, has_path, query })
}

fn part(written: &str) -> Result<String, UrlProblem> {
    decoded(written).ok_or(UrlProblem::Escape)
}

fn secret(written: &str) -> Result<Secret, UrlProblem> {
    part(written).map(Secret::new)
}

fn key_and_value(written: &str) -> Result<(String, String), UrlProblem> {
    let (key, value) = written.split_once('=').unwrap_or((written, ""));
    Ok((part(key)?, part(value)?))
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

fn host_and_port(url: &str) -> Result<(Option<Host>, Option<u16>), UrlProblem> {
    if url.is_empty() {
        return Ok((None, None));
    }
    // The colons of an IPv6 address are inside of its brackets.
    let (host, port) = match url.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (url, None),
    };
    let host = Host::parse(host).ok_or(UrlProblem::Host)?;
    let port = match port.map(number::<u16>) {
        Some(None | Some(0)) => return Err(UrlProblem::Port),
        Some(port) => port,
        None => None,
    };
    Ok((Some(host), port))
}
