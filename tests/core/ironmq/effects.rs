//! What a failed request may have done all the same.

use ivy_proto::queue::Effect;

use crate::support::*;

#[test]
fn a_post_that_ended_in_a_server_error_may_be_stored() {
    for status in [408, 500, 502, 503, 504] {
        assert_eq!(fault(&post(&["a"]), status, "").effect(), Effect::Unknown, "{status}");
    }
}

#[test]
fn a_refused_post_is_not_stored() {
    for (status, effect) in [
        (400, Effect::Refused),
        (401, Effect::Refused),
        (404, Effect::Refused),
        (413, Effect::Refused),
        (301, Effect::Refused),
        (429, Effect::None),
    ] {
        assert_eq!(fault(&post(&["a"]), status, "").effect(), effect, "{status}");
    }
}
