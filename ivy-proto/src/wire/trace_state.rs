//! The state that tracing systems add to a trace context.

use std::fmt;

/// A W3C `tracestate`: the state that tracing systems add to a
/// [`TraceParent`](crate::wire::TraceParent), as `key=value` members joined by commas, latest
/// first.
///
/// It has at most 32 members and [`TraceState::MAX_LENGTH`] characters. Excess members are dropped
/// as the W3C recommendation requires: those of more than 128 characters first, then the last ones.
///
/// ```
/// use ivy_proto::wire::TraceState;
///
/// let state = TraceState::parse("congo=t61rcWkgMzE , rojo=00f067aa0ba902b7").unwrap();
/// assert_eq!(state.as_str(), "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7");
/// assert!(TraceState::parse("congo").is_none());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TraceState(String);

const MAX_MEMBERS: usize = 32;
const MAX_KEY: usize = 256;
const MAX_VALUE: usize = 256;
/// Members above this length are dropped first.
const LONG: usize = 128;

impl TraceState {
    /// The limit in characters, which are all ASCII.
    pub const MAX_LENGTH: usize = 512;

    /// Parses a state. `None` if it is invalid, has a duplicate key or no members.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut members: Vec<&str> = Vec::new();
        let written = text.split(',').map(|member| member.trim_matches([' ', '\t']));
        for member in written.filter(|member| !member.is_empty()).take(MAX_MEMBERS) {
            let key = valid_key(member)?;
            if members.iter().any(|earlier| valid_key(earlier) == Some(key)) {
                return None;
            }
            members.push(member);
        }
        let mut length = members.iter().map(|member| member.len() + 1).sum::<usize>();
        while length > TraceState::MAX_LENGTH + 1 {
            let long = members.iter().rposition(|member| member.len() > LONG);
            let dropped = members.remove(long.unwrap_or(members.len() - 1));
            length -= dropped.len() + 1;
        }
        (!members.is_empty()).then(|| TraceState(members.join(",")))
    }

    /// The state's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The key of a member, if it is valid.
fn valid_key(member: &str) -> Option<&str> {
    let (key, value) = member.split_once('=')?;
    let key_character =
        |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    let is_key = (1..=MAX_KEY).contains(&key.len())
        && key.starts_with(|first: char| first.is_ascii_lowercase() || first.is_ascii_digit())
        && key.bytes().all(key_character);
    let is_value = (1..=MAX_VALUE).contains(&value.len())
        && value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=');
    (is_key && is_value).then_some(key)
}

impl fmt::Debug for TraceState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<String> {
        TraceState::parse(text).map(|state| state.as_str().to_owned())
    }

    #[test]
    fn members_are_trimmed_and_keep_their_order() {
        assert_eq!(parsed("a=1,,\tb@c= x \"\\ ,\t0d*/_-=~").unwrap(), "a=1,b@c= x \"\\,0d*/_-=~");
    }

    #[test]
    fn an_invalid_state_is_ignored() {
        let long = format!("{}=1", "k".repeat(257));
        let wide = format!("k={}", "v".repeat(257));
        for text in [
            "", " , ", "a", "=1", "a=", "A=1", "é=1", "a=é", "a=\u{7f}", "a=1=2", "_a=1",
            "a=1,a=2", "a =1", &long, &wide,
        ] {
            assert_eq!(parsed(text), None, "{text:?}");
        }
    }

    #[test]
    fn at_most_32_members_are_kept() {
        let members: Vec<_> = (0..40).map(|number| format!("k{number}=v")).collect();
        assert_eq!(parsed(&members.join(",")).unwrap(), members[..32].join(","));
    }

    #[test]
    fn a_state_that_is_too_long_loses_long_members_first_and_then_the_last_ones() {
        let long = format!("long={}", "x".repeat(130));
        let short = |key: &str| format!("{key}={}", "x".repeat(118));
        let [a, b, c, d] = ["a", "b", "c", "d"].map(short);
        let with_long = [&*a, &long, &b, &c, &d].join(",");
        assert_eq!(parsed(&with_long).unwrap(), [&*a, &b, &c, &d].join(","));
        let exact = format!("{a},{b},{c},{d},e={}", "x".repeat(512 - 4 * 121 - 2));
        assert_eq!((exact.len(), parsed(&exact)), (512, Some(exact.clone())));
        assert_eq!(parsed(&format!("{exact}x")).unwrap(), [&*a, &b, &c, &d].join(","));
    }
}
