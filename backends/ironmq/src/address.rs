//! The address of a project on an IronMQ server.

use std::fmt;

use ivy_proto::backend::{Host, segment};
use ivy_proto::text::is_plain;

/// The longest project id and the longest segment of a path prefix, in bytes.
const MAX_SEGMENT_LENGTH: usize = 255;
/// The maximum number of segments of a path prefix. Together with the limit on each, it keeps URLs
/// well below the 64 KiB that HTTP libraries accept.
const MAX_SEGMENTS: usize = 16;

/// The protocol of requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Unencrypted, by default on port 80.
    Http,
    /// Encrypted, by default on port 443.
    Https,
}

impl Scheme {
    /// The default port.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }

    /// `http` or `https`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// A project on an IronMQ server:
/// `{scheme}://{host}:{port}{/prefix...}/3/projects/{project}`.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    scheme: Scheme,
    host: Host,
    port: u16,
    prefix: Vec<String>,
    project: String,
}

/// Why the parts do not form an [`Address`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidAddress {
    /// The host is neither a name nor an IP address.
    #[error("the host must be a name, an IPv4 address, or an IPv6 address in brackets")]
    Host,
    /// The port is 0.
    #[error("the port must be 1 to 65535")]
    Port,
    /// The project id is empty, too long, or contains control characters.
    #[error("the project id must be 1 to 255 bytes without control characters")]
    Project,
    /// A segment of the path prefix is empty, too long, or contains control characters, or there
    /// are too many segments.
    #[error(
        "a path prefix must be at most 16 segments of 1 to 255 bytes without control characters"
    )]
    Prefix,
}

impl Address {
    /// The host that IronMQ's clients use by default.
    pub const DEFAULT_HOST: &'static str = "mq-aws-us-east-1-1.iron.io";

    /// The address of a project, on the scheme's default port.
    ///
    /// # Errors
    /// If the host or the project id is invalid.
    pub fn new(scheme: Scheme, host: &str, project: &str) -> Result<Self, InvalidAddress> {
        if !is_segment(project) {
            return Err(InvalidAddress::Project);
        }
        Ok(Address {
            scheme,
            host: Host::parse(host).ok_or(InvalidAddress::Host)?,
            port: scheme.default_port(),
            prefix: Vec::new(),
            project: project.to_owned(),
        })
    }

    /// Sets the port.
    ///
    /// # Errors
    /// If the port is 0.
    pub fn with_port(mut self, port: u16) -> Result<Self, InvalidAddress> {
        if port == 0 {
            return Err(InvalidAddress::Port);
        }
        self.port = port;
        Ok(self)
    }

    /// Sets a path in front of `/3`, as some servers behind a proxy have it. The segments are given
    /// unescaped.
    ///
    /// # Errors
    /// If a segment is invalid, or there are too many.
    pub fn with_prefix(mut self, prefix: Vec<String>) -> Result<Self, InvalidAddress> {
        if prefix.len() > MAX_SEGMENTS || !prefix.iter().all(|segment| is_segment(segment)) {
            return Err(InvalidAddress::Prefix);
        }
        self.prefix = prefix;
        Ok(self)
    }

    /// The protocol of requests.
    #[must_use]
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host; an IPv6 address is in brackets.
    #[must_use]
    pub fn host(&self) -> String {
        self.host.to_string()
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The segments of the path in front of `/3`, unescaped.
    #[must_use]
    pub fn prefix(&self) -> &[String] {
        &self.prefix
    }

    /// The project id.
    #[must_use]
    pub fn project(&self) -> &str {
        &self.project
    }

    /// Whether the token would be sent unencrypted over a network that others may read.
    #[must_use]
    pub fn is_exposed(&self) -> bool {
        self.scheme == Scheme::Http && !self.host.is_loopback()
    }

    /// The base URL of the project's queues, without a trailing slash.
    fn base(&self) -> String {
        let mut base = format!("{}://{}", self.scheme.as_str(), self.host);
        if self.port != self.scheme.default_port() {
            base.push_str(&format!(":{}", self.port));
        }
        for part in &self.prefix {
            base.push('/');
            base.push_str(&segment(part));
        }
        base.push_str("/3/projects/");
        base.push_str(&segment(&self.project));
        base
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.base())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn is_segment(text: &str) -> bool {
    (1..=MAX_SEGMENT_LENGTH).contains(&text.len()) && text.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base(scheme: Scheme, host: &str) -> Result<String, InvalidAddress> {
        Address::new(scheme, host, "p").map(|address| address.base())
    }

    #[test]
    fn the_default_port_is_omitted() {
        assert_eq!(base(Scheme::Https, "mq.example").unwrap(), "https://mq.example/3/projects/p");
        let address = Address::new(Scheme::Http, "[::1]", "p").unwrap().with_port(8080).unwrap();
        assert_eq!(address.base(), "http://[::1]:8080/3/projects/p");
    }

    #[test]
    fn prefix_and_project_stay_single_segments() {
        let address = Address::new(Scheme::Https, "mq.example", "a/b").unwrap();
        let address = address.with_prefix(vec!["..".into(), "ä ?".into()]).unwrap();
        let expected = "https://mq.example/%2E%2E/%C3%A4%20%3F/3/projects/a%2Fb";
        assert_eq!(address.base(), expected);
    }

    #[test]
    fn an_invalid_host_is_refused() {
        for host in ["", " ", "a b", "a/b", "a@b", "a:1", "::1", "a#b", "a\"b", "a\r\nb", "a{b"] {
            assert_eq!(base(Scheme::Http, host), Err(InvalidAddress::Host), "{host:?}");
        }
        let long = vec!["x"; 128].join(".");
        assert_eq!(base(Scheme::Http, &long), Err(InvalidAddress::Host));
    }

    #[test]
    fn only_plain_http_off_this_machine_is_exposed() {
        for (scheme, host, exposed) in [
            (Scheme::Https, "mq.example", false),
            (Scheme::Http, "mq.example", true),
            (Scheme::Http, "10.0.0.1", true),
            (Scheme::Http, "localhost", false),
            (Scheme::Http, "127.1.2.3", false),
            (Scheme::Http, "[::1]", false),
        ] {
            let address = Address::new(scheme, host, "p").unwrap();
            assert_eq!(address.is_exposed(), exposed, "{address}");
        }
    }
}
