//! The trace context of a call.

use std::fmt;

/// A W3C `traceparent` of version 00: four fields of lower-case hexadecimal digits, joined by
/// dashes.
///
/// ```
/// use ivy_proto::wire::TraceParent;
///
/// let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
/// assert_eq!(TraceParent::parse(text).unwrap().as_str(), text);
/// // Only the part that version 00 defines is read of a later version.
/// let later = "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more";
/// assert_eq!(TraceParent::parse(later).unwrap().as_str(), text);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TraceParent(String);

/// The number of digits of version, trace id, parent id and flags.
const DIGITS: [usize; 4] = [2, 32, 16, 2];
/// The length of version 00, and of the part of a later version that is read.
const LENGTH: usize = 55;
/// The flags that version 00 defines: sampled, and random trace id.
const DEFINED_FLAGS: u8 = 0b11;

impl TraceParent {
    /// Parses a trace context; `None` if it is invalid.
    ///
    /// As the W3C recommendation requires, version `ff` and all-zero ids are invalid. Of a later
    /// version, the first four fields are read, and the result is of version 00.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (known, more) = text.split_at_checked(LENGTH)?;
        let mut fields = known.split('-');
        let [version, trace, parent, flags] =
            DIGITS.map(|digits| fields.next().filter(|field| is_hex(field, digits)));
        let (version, trace, parent, flags) = (version?, trace?, parent?, flags?);
        if is_zero(trace) || is_zero(parent) {
            return None;
        }
        match version {
            "ff" => None,
            "00" => more.is_empty().then(|| TraceParent(text.to_owned())),
            _ if more.is_empty() || more.starts_with('-') => {
                let flags = u8::from_str_radix(flags, 16).ok()? & DEFINED_FLAGS;
                Some(TraceParent(format!("00-{trace}-{parent}-{flags:02x}")))
            }
            _ => None,
        }
    }

    /// The context's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The id of the trace, which all its spans have in common: 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> &str {
        self.field(1)
    }

    /// The id of the span that the context is of: 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(&self) -> &str {
        self.field(2)
    }

    /// The flags. The lowest bit is set if the trace is sampled.
    #[must_use]
    pub fn flags(&self) -> u8 {
        u8::from_str_radix(self.field(3), 16).unwrap_or_default()
    }

    fn field(&self, index: usize) -> &str {
        self.0.split('-').nth(index).unwrap_or_default()
    }
}

fn is_hex(field: &str, digits: usize) -> bool {
    field.len() == digits && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_zero(field: &str) -> bool {
    field.bytes().all(|byte| byte == b'0')
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn only_the_standard_form_is_valid() {
        assert_eq!(TraceParent::parse(GOOD).unwrap().as_str(), GOOD);
        for bad in [
            "",
            "00",
            &GOOD[1..],
            &format!("{GOOD}-"),
            &format!("{GOOD}-x"),
            &format!("{GOOD}1"),
            &GOOD.to_uppercase(),
            &GOOD.replace("0af7651916cd43dd8448eb211c80319c", &"0".repeat(32)),
            &GOOD.replace("b7ad6b7169203331", &"0".repeat(16)),
            &GOOD.replace("00-", "ff-"),
            &GOOD.replace("-01", "-é"),
        ] {
            assert!(TraceParent::parse(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn the_fields_can_be_read_one_by_one() {
        let trace = TraceParent::parse(GOOD).unwrap();
        assert_eq!(trace.trace_id(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!((trace.span_id(), trace.flags()), ("b7ad6b7169203331", 1));
    }

    #[test]
    fn the_first_four_fields_of_a_later_version_are_read() {
        for version in ["01", "cc", "fe"] {
            for more in ["", "-", "-what-the-future-holds"] {
                let later = format!("{version}{}{more}", &GOOD[2..]);
                assert_eq!(TraceParent::parse(&later).unwrap().as_str(), GOOD, "{later}");
            }
            for bad in [".what", "0", "\u{e9}"] {
                let later = format!("{version}{}{bad}", &GOOD[2..]);
                assert!(TraceParent::parse(&later).is_none(), "{later}");
            }
        }
    }

    #[test]
    fn flags_of_later_versions_are_dropped() {
        let flags = |text: &str| TraceParent::parse(text).unwrap().as_str()[53..].to_owned();
        assert_eq!(flags(&GOOD.replace("-01", "-ff")), "ff");
        assert_eq!(flags(&GOOD.replace("-01", "-ff").replace("00-", "01-")), "03");
        assert_eq!(flags(&GOOD.replace("-01", "-fc").replace("00-", "01-")), "00");
    }
}
