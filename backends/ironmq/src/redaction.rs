//! Redacts text from a server: it must not reveal the token or the request.

use std::borrow::Cow;

use crate::token::Token;
use ivy_proto::queue::QueueOp;
use ivy_proto::text::{holds_run_of, shares_run};

/// The longest text from a server that is kept, in characters.
const MAX_QUOTE: usize = 256;

/// Knows the secrets of a request, which error texts must not repeat. Servers do repeat them when
/// they quote what they could not parse.
pub(crate) struct Redaction<'a> {
    pub(crate) token: &'a Token,
    pub(crate) op: &'a QueueOp,
}

impl Redaction<'_> {
    /// The beginning of a server's text, or `None` if it repeats a part of a secret.
    pub(crate) fn quote(&self, text: &str) -> Option<String> {
        // Servers may change the case of what they parse as a name.
        let token = self.token.expose().to_ascii_lowercase();
        let repeats_the_token = holds_run_of(&text.to_ascii_lowercase(), &token);
        let quote: String = text.chars().take(MAX_QUOTE).collect();
        (!repeats_the_token && !self.repeats_what_was_sent(&quote)).then_some(quote)
    }

    fn repeats_what_was_sent(&self, quote: &str) -> bool {
        match self.op {
            QueueOp::Post { messages, .. } => {
                messages.items().iter().any(|message| quotes(quote, message.body.as_str()))
            }
            _ => false,
        }
    }
}

/// Whether a text quotes a part of the request, literally or as it is written in JSON.
fn quotes(quote: &str, sent: &str) -> bool {
    let in_json = || serde_json::to_string(sent).map_or(Cow::Borrowed(sent), Cow::Owned);
    shares_run(quote, sent) || (quote.contains('\\') && shares_run(quote, &in_json()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_request_is_recognised_literally_and_in_json() {
        let sent = r#"{"pin":1234,"to":"a@b","x":"\u00e4"}"#;
        for quote in [sent, r#"near pin":1234,"#, r#"near \"pin\":12"#, r#"at 4,\"to\":\""#] {
            assert!(quotes(quote, sent), "{quote}");
        }
        assert!(!quotes("Queue not found", sent));
        assert!(quotes("what is 42?", "42"));
        assert!(!quotes("anything", ""));
    }
}
