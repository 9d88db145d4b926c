//! The trace context of a call.

use std::fmt;

/// A W3C `traceparent`: 2, 32, 16 and 2 lower-case hexadecimal digits, joined by dashes.
#[derive(Clone, PartialEq, Eq)]
pub struct TraceParent(String);

impl TraceParent {
    /// The trace context in this text, if it is one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let lengths = [2, 32, 16, 2];
        let mut fields = text.split('-');
        let fit = lengths.iter().all(|length| {
            fields.next().is_some_and(|field| {
                field.len() == *length
                    && field.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
            })
        });
        (fit && fields.next().is_none()).then(|| TraceParent(text.to_owned()))
    }

    /// The context's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_form_of_the_standard_is_a_trace_context() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        assert_eq!(TraceParent::parse(good).unwrap().as_str(), good);
        for bad in ["", "00", &good[1..], &format!("{good}-x"), &good.to_uppercase()] {
            assert!(TraceParent::parse(bad).is_none(), "{bad:?}");
        }
    }
}
