//! Hosts in URLs.

use core::net::{Ipv4Addr, Ipv6Addr};
use std::fmt;

/// The longest host name that the DNS allows.
const MAX_LENGTH: usize = 253;

/// A host: a name or an address. Displayed as in a URL: an IPv6 address has brackets.
///
/// ```
/// use ivy_proto::backend::Host;
///
/// assert_eq!(Host::parse("MQ.Example").unwrap().to_string(), "mq.example");
/// assert_eq!(Host::parse("[::1]").unwrap().to_string(), "[::1]");
/// assert_eq!(Host::parse("a b"), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name, in lower case.
    Name(String),
    /// An IPv4 address.
    V4(Ipv4Addr),
    /// An IPv6 address.
    V6(Ipv6Addr),
}

impl Host {
    /// Parses a host. A name consists of ASCII letters, digits, `-`, `_` and dots, and is not a
    /// number; an international name must be in its ASCII form, which begins with `xn--`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(address) = text.strip_prefix('[') {
            return address.strip_suffix(']')?.parse().ok().map(Host::V6);
        }
        let labels = text.strip_suffix('.').unwrap_or(text).split('.');
        // A host that ends in a number must be an IPv4 address in its usual form.
        if labels.clone().next_back().is_some_and(is_number) {
            return text.parse().ok().map(Host::V4);
        }
        let is_name = text.len() <= MAX_LENGTH && labels.clone().all(is_label);
        is_name.then(|| Host::Name(text.to_ascii_lowercase()))
    }

    /// Whether this is the local host.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        match self {
            Host::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Host::V4(address) => address.is_loopback(),
            Host::V6(address) => address.is_loopback(),
        }
    }
}

/// Whether a label is a number to parsers that accept `127.1` or `0x7f.1` as an address.
fn is_number(label: &str) -> bool {
    let hexadecimal = label.strip_prefix("0x").or_else(|| label.strip_prefix("0X"));
    match hexadecimal {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

fn is_label(label: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    !label.is_empty() && label.bytes().all(is_allowed)
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::V4(address) => address.fmt(f),
            Host::V6(address) => write!(f, "[{address}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_name_or_an_address_in_its_usual_form() {
        for (text, written) in [
            ("MQ.Example", "mq.example"),
            ("my_host-1.", "my_host-1."),
            ("127.0.0.1", "127.0.0.1"),
            ("[0:0::1]", "[::1]"),
            ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ] {
            assert_eq!(Host::parse(text).map(|host| host.to_string()).as_deref(), Some(written));
        }
    }

    #[test]
    fn ambiguous_hosts_are_refused() {
        for text in
            ["127.1", "0x7f.1", "2130706433", "0x7f000001", "1.2.3.256", "1.2.3.4.", "01.2.3.4"]
        {
            assert_eq!(Host::parse(text), None, "{text}");
        }
        for text in
            ["", ".", "a..b", "a b", "a:1", "::1", "[::1", "[::1%eth0]", "b\u{fc}cher", "a%20b"]
        {
            assert_eq!(Host::parse(text), None, "{text}");
        }
    }
}
