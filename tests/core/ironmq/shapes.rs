//! Responses of another shape than the protocol's, although the status means success.

use ivy_proto::queue::{Effect, FaultKind, QueueOp, QueueReply, Reserved, ResponseDeviation};

use crate::support::*;

/// What a server, a proxy or another program may send instead of the expected JSON.
pub(crate) const UNEXPECTED_BODIES: &[&str] = &[
    "",
    " ",
    "null",
    "[]",
    "5",
    "\"x\"",
    "true",
    "{",
    "{}{}",
    "\u{feff}{}",
    "{'messages':[]}",
    "<!doctype html><html><body>Please log in</body></html>",
    "HTTP/1.1 200 OK\r\n\r\n{}",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "\u{15}\u{3}\u{1}\0\u{2}\u{2}(",
    "{\"msg\":\"a\",\"msg\":\"b\"}",
];

#[test]
fn a_response_that_is_no_json_object_is_malformed() {
    for op in all_ops() {
        for body in UNEXPECTED_BODIES {
            let fault = fault(&op, 200, body);
            assert_eq!(fault.kind(), FaultKind::BadReply, "{op:?}: {body:?}");
            assert_eq!(fault.status(), Some(200));
            assert_eq!(fault.effect(), Effect::Unknown);
        }
    }
}

#[test]
fn a_response_that_is_not_utf8_is_malformed() {
    for op in all_ops() {
        let body = b"{\"msg\":\"\xff\",\"messages\":[]}".to_vec();
        let fault = ironmq().decode(&op, response(200, body)).unwrap_err();
        assert_eq!(fault.kind(), FaultKind::BadReply);
    }
}

#[test]
fn a_login_page_is_reported_by_its_type_and_never_quoted() {
    let page = "<html>LOGIN-PAGE</html>";
    let headers = [("content-type", "text/html; charset=utf-8")];
    let fault = ironmq().decode(&reserve(1), response_with(200, &headers, page)).unwrap_err();
    let said = format!("{fault} {fault:?}");
    assert!(said.contains("text/html") && said.contains("200"), "{said}");
    assert!(!said.contains("LOGIN-PAGE"), "{said}");
}

#[test]
fn a_response_with_two_lengths_is_refused() {
    let headers = [("transfer-encoding", "chunked"), ("content-length", "15")];
    for alone in headers {
        let response = response_with(200, &[alone], r#"{"messages":[]}"#);
        assert!(ironmq().decode(&reserve(1), response).is_ok(), "{alone:?}");
    }
    let response = response_with(200, &headers, r#"{"messages":[]}"#);
    let fault = ironmq().decode(&reserve(1), response).unwrap_err();
    assert_eq!(fault.kind(), FaultKind::BadReply);
}

/// The oddities of an accepted response; `None` if it is not accepted.
fn deviations(
    op: &QueueOp,
    headers: &[(&str, &str)],
    body: &str,
) -> Option<Vec<ResponseDeviation>> {
    let mut deviations = Vec::new();
    let response = response_with(200, headers, body.to_owned());
    let decoded = ironmq().decode_noting(op, response, |deviation| deviations.push(deviation));
    assert!(decoded.is_ok() || deviations.is_empty(), "{body}: {decoded:?}, {deviations:?}");
    decoded.is_ok().then_some(deviations)
}

#[test]
fn json_under_another_content_type_is_accepted_and_noted() {
    for (content_type, is_odd) in [
        (Some("application/json"), false),
        (Some("Application/JSON ; charset=utf-8"), false),
        (Some("text/plain; charset=utf-8"), true),
        (Some("application/jsonp"), true),
        (Some(""), true),
        (None, true),
    ] {
        let headers: Vec<_> =
            content_type.map(|value| ("content-type", value)).into_iter().collect();
        for (op, body) in [(reserve(1), r#"{"messages":[]}"#), (delete(), r#"{"msg":"Deleted"}"#)] {
            let expected = if is_odd { vec![ResponseDeviation::ContentType] } else { Vec::new() };
            assert_eq!(deviations(&op, &headers, body), Some(expected), "{content_type:?} {op:?}");
        }
    }
    assert_eq!(
        deviations(&delete(), &[], "{}"),
        None,
        "a response that is not accepted is a fault"
    );
}

#[test]
fn a_response_in_an_encoding_that_was_not_requested_is_refused() {
    for (encoding, accepted) in [
        ("identity", true),
        ("Identity", true),
        ("gzip", false),
        ("br", false),
        ("identity, gzip", false),
        ("", false),
    ] {
        let response = response_with(200, &[("content-encoding", encoding)], r#"{"messages":[]}"#);
        assert_eq!(ironmq().decode(&reserve(1), response).is_ok(), accepted, "{encoding:?}");
    }
}

#[test]
fn an_empty_reserve_may_omit_the_messages_or_contain_null_and_that_is_noted() {
    for (body, is_odd) in [
        ("{}", true),
        (r#"{"messages":null}"#, true),
        (r#"{"messages":null,"msg":"x"}"#, true),
        (r#"{"messages":[]}"#, false),
    ] {
        assert_eq!(reserved(body), Reserved::default(), "{body}");
        assert_eq!(decode(&peek(), 200, body), Ok(QueueReply::Peeked(Vec::new())), "{body}");
        let expected = if is_odd { vec![ResponseDeviation::NoMessages] } else { Vec::new() };
        for op in [reserve(1), peek()] {
            let json = [("content-type", "application/json")];
            assert_eq!(deviations(&op, &json, body), Some(expected.clone()), "{body}");
        }
    }
}

#[test]
fn a_response_without_content_acknowledges_nothing() {
    for body in ["", "null", "[]", "{}"] {
        for status in [200, 201, 204] {
            let fault = fault(&post(&["a"]), status, body);
            assert_eq!(fault.effect(), Effect::Unknown, "{status} {body:?}");
        }
        for op in [delete(), delete_many(), touch(), release()] {
            assert_eq!(kind(&op, 200, body), FaultKind::BadReply, "{op:?} {body:?}");
        }
    }
}

#[test]
fn messages_of_another_type_are_malformed() {
    for body in [r#"{"messages":{}}"#, r#"{"messages":"none"}"#, r#"{"messages":0}"#] {
        assert_eq!(kind(&reserve(1), 200, body), FaultKind::BadReply, "{body}");
    }
}

#[test]
fn an_error_text_under_a_status_of_success_is_no_success() {
    for op in [
        post(&["a"]),
        reserve(1),
        get(),
        peek(),
        touch(),
        get_queue(),
        create_queue(),
        list_queues(),
    ] {
        let fault = fault(&op, 200, r#"{"msg":"error"}"#);
        assert_eq!(fault.kind(), FaultKind::BadReply, "{op:?}");
        assert_eq!(fault.effect(), Effect::Unknown, "{op:?}");
    }
}

#[test]
fn nothing_counts_as_done_without_an_acknowledgement() {
    for op in [delete(), delete_many(), release(), clear(), delete_queue()] {
        for body in ["{}", r#"{"msg":null}"#, r#"{"msg":1}"#, r#"{"ok":true}"#] {
            assert_eq!(kind(&op, 200, body), FaultKind::BadReply, "{op:?}: {body}");
        }
        // The texts differ from server to server.
        assert!(decode(&op, 200, r#"{"msg":"Weg damit"}"#).is_ok());
    }
}

#[test]
fn a_post_is_only_acknowledged_by_one_id_for_each_message() {
    let op = post(&["a"]);
    for body in [
        "{}",
        r#"{"msg":"Messages put on queue."}"#,
        r#"{"ids":null,"msg":"Messages put on queue."}"#,
        r#"{"ids":[]}"#,
        r#"{"ids":["1","2"]}"#,
        r#"{"ids":[null]}"#,
        r#"{"ids":[""]}"#,
        r#"{"ids":[{}]}"#,
        r#"{"ids":[["1"]]}"#,
        r#"{"ids":[-1]}"#,
        r#"{"ids":[1.5]}"#,
        r#"{"ids":["\ud800"]}"#,
        r#"{"ids":["a\r\nb"]}"#,
        r#"{"ids":"1"}"#,
        r#"{"ids":{"0":"1"}}"#,
        r#"{"ids":["1"],"ids":["2"]}"#,
    ] {
        for status in [200, 201] {
            let fault = fault(&op, status, body);
            assert_eq!(fault.effect(), Effect::Unknown, "{body}");
        }
    }
    assert_eq!(kind(&post(&["a", "b"]), 201, r#"{"ids":["1"]}"#), FaultKind::BadReply);
}

#[test]
fn a_response_to_another_operation_is_refused() {
    let late = r#"{"message":{"id":"1","body":"x","reserved_count":0}}"#;
    assert_eq!(kind(&get(), 200, late), FaultKind::BadReply);
    let late = r#"{"queue":{"name":"other","size":1}}"#;
    assert_eq!(kind(&get_queue(), 200, late), FaultKind::BadReply);
}

#[test]
fn a_touch_without_a_new_reservation_is_no_success() {
    for body in [
        r#"{"msg":"Touched"}"#,
        r#"{"reservation_id":"","msg":"Touched"}"#,
        r#"{"reservation_id":null}"#,
    ] {
        assert_eq!(kind(&touch(), 200, body), FaultKind::BadReply, "{body}");
    }
}

#[test]
fn a_success_that_is_not_in_the_protocol_is_refused() {
    for status in [100, 202, 203, 204, 206, 299, 600, 999] {
        for op in all_ops() {
            let kind = kind(&op, status, r#"{"msg":"Deleted","ids":["1"],"messages":[]}"#);
            assert_eq!(kind, FaultKind::BadReply, "{status} {op:?}");
        }
    }
}

#[test]
fn unknown_fields_of_any_depth_are_skipped() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let body = format!(
        r#"{{"x":{deep},"messages":[{{"y":{deep},"id":"1","reservation_id":"r","body":"b"}}]}}"#
    );
    assert_eq!(reserved(&body).messages.len(), 1);
    let body = format!(r#"{{"x":{deep},"ids":["1"]}}"#);
    assert!(decode(&post(&["a"]), 201, &body).is_ok());
}

#[test]
fn a_response_of_any_depth_is_refused_without_a_stack_overflow() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("[{\"messages\":", "}]")] {
        let body = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        for op in all_ops() {
            // An object without any known key is a reply to a reserve, so it may be a success.
            let _ = decode(&op, 200, &body);
            let _ = decode(&op, 500, &body);
        }
        assert!(decode(&delete(), 200, &body).is_err());
        assert!(decode(&post(&["a"]), 200, &body).is_err());
    }
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(reserved(&format!(r#"{{"messages":[{deep}]}}"#)).unusable, 1);
}
