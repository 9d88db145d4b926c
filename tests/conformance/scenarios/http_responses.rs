//! A queue server that sends damaged HTTP: no damaged response counts as a success.

use std::sync::atomic::{AtomicUsize, Ordering};

use ivy_proto::event::Event;
use ivy_proto::queue::ResponseDeviation;
use ivy_proto::{ErrorKind, Rng};
use ivy_test_kit::{ScriptedHttp, ScriptedResponse, Then};

use crate::fixture::Fixture;
use crate::harness::{Failure, Harness};
use crate::tasks::DOUBLE_ONCE;

/// How often each response is damaged.
const SAMPLES: usize = 20;

/// The operations that an application requests of a server, each with the body of a successful
/// response.
const OPERATIONS: [(Operation, &str); 4] = [
    (Operation::Send, r#"{"ids":["6000653546228216707"],"msg":"Messages put on queue."}"#),
    (Operation::Clear, r#"{"msg":"Cleared"}"#),
    (Operation::Info, r#"{"queue":{"name":"QUEUE","type":"pull","size":3,"total_messages":5}}"#),
    (Operation::Peek, r#"{"messages":[{"id":"1","body":"b","reserved_count":0}]}"#),
];

#[derive(Clone, Copy, Debug)]
enum Operation {
    Send,
    Clear,
    Info,
    Peek,
}

fn scripted<H: Harness>(fixture: &Fixture<H>) -> (ScriptedHttp, Fixture<H>) {
    let server = ScriptedHttp::start();
    let url = format!("ironmq+http://token@127.0.0.1:{}/project", server.port());
    let fixture = fixture.at(|config| config.queue = url);
    (server, fixture)
}

/// Runs the operation and returns how it ended.
fn run<H: Harness>(fixture: &Fixture<H>, operation: Operation) -> Result<(), ErrorKind> {
    let ended = match operation {
        Operation::Send => fixture.ivy.send(&DOUBLE_ONCE.queue(fresh_queue()), (1,)).map(drop),
        Operation::Clear => fixture.ivy.clear(fixture.name),
        Operation::Info => fixture.ivy.info(fixture.name).map(drop),
        Operation::Peek => fixture.ivy.peek(fixture.name).map(drop),
    };
    ended.map_err(|error| error.kind())
}

/// A queue that has not failed yet, so that the next post is not delayed.
fn fresh_queue() -> &'static str {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    format!("queue-{}", NEXT.fetch_add(1, Ordering::Relaxed)).leak()
}

/// The same response in several encodings.
fn encodings(body: &str) -> Vec<Vec<u8>> {
    let length = body.len();
    let (head, tail) = body.split_at(length / 2);
    let chunks = format!("{:x}\r\n{head}\r\n{:x}\r\n{tail}\r\n0\r\n\r\n", head.len(), tail.len());
    let extended = format!("{:x};a=b\r\n{body}\r\n0\r\n\r\n", length);
    let sized = [
        "Content-Length: LENGTH",
        "content-length:LENGTH",
        "Content-Length: LENGTH\r\nConnection: close",
        "Content-Length: LENGTH\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5",
        "Content-Type: application/json\r\nContent-Length: LENGTH",
        "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: nginx\r\nContent-Length: LENGTH",
        "Content-Length: LENGTH\r\nX-Long: LONG",
        "Content-Encoding: identity\r\nContent-Length: LENGTH",
        "Vary: Origin\r\nVary: Accept\r\nContent-Length: LENGTH",
    ];
    let long = "x".repeat(1000);
    let sized = sized.map(|headers| {
        let headers = headers.replace("LENGTH", &length.to_string()).replace("LONG", &long);
        format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n{body}")
    });
    let chunked = [
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"),
        format!("HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\nA: b\r\n\r\n{chunks}"),
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{extended}"),
        format!("HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n{chunks}"),
    ];
    sized.into_iter().chain(chunked).map(String::into_bytes).collect()
}

fn random_below(rng: &mut Rng, limit: usize) -> usize {
    usize::try_from(rng.up_to(limit as u64 - 1)).unwrap()
}

fn whole(bytes: Vec<u8>) -> ScriptedResponse {
    ScriptedResponse { pieces: vec![bytes], then: Then::KeepAlive }
}

fn then_closed(bytes: Vec<u8>) -> ScriptedResponse {
    ScriptedResponse { pieces: vec![bytes], then: Then::Close }
}

/// Fifty responses, each cut at twenty positions: none is a success; for a send the error is
/// `Unknown`, because the message may have been stored.
pub(crate) fn a_truncated_response_is_never_a_success<H: Harness>(fixture: &Fixture<H>) {
    let (server, fixture) = scripted(fixture);
    let mut rng = Rng::from_number(16);
    let mut seen = 0;
    for (what, body) in OPERATIONS {
        for response in encodings(&body.replace("QUEUE", fixture.name)) {
            server.respond(whole(response.clone()));
            let text = String::from_utf8_lossy(&response);
            assert_eq!(run(&fixture, what), Ok(()), "{what:?} {text}");
            seen += 1;
            // After the last chunk, the final empty line is optional.
            let longest = response.len() - b"\r\n".len();
            for _ in 0..SAMPLES {
                let cut = &response[..random_below(&mut rng, longest)];
                server.respond(then_closed(cut.to_vec()));
                let kind = run(&fixture, what).unwrap_err();
                if let Operation::Send = what {
                    assert_eq!(kind, ErrorKind::Unknown, "{}", String::from_utf8_lossy(cut));
                }
            }
        }
    }
    assert!(seen >= 50, "{seen} responses");
}

/// The same responses, damaged: whatever the damage does, the outcome is a reply or an error, and
/// the next request is not affected.
pub(crate) fn a_damaged_response_affects_no_other_request<H: Harness>(fixture: &Fixture<H>) {
    let (server, fixture) = scripted(fixture);
    let mut rng = Rng::from_number(13);
    for (what, body) in OPERATIONS {
        for response in encodings(&body.replace("QUEUE", fixture.name)) {
            for _ in 0..SAMPLES {
                let mut bytes = response.clone();
                let at = random_below(&mut rng, bytes.len());
                let byte = u8::try_from(random_below(&mut rng, 256)).unwrap();
                match random_below(&mut rng, 4) {
                    0 => bytes[at] = byte,
                    1 => bytes.insert(at, byte),
                    2 => drop(bytes.remove(at)),
                    _ => bytes.extend_from_within(at..),
                }
                server.respond(then_closed(bytes));
                let _ = run(&fixture, what);
            }
            server.respond(whole(response));
            // A connection that the server closed after an accepted response may be reused in the
            // same moment; that request is then lost.
            let _ = run(&fixture, what);
            assert_eq!(run(&fixture, what), Ok(()), "{what:?}");
        }
    }
}

/// Lengths that disagree, invalid chunks, heads without an end, and bytes that are not HTTP at all.
pub(crate) fn invalid_http_is_an_error<H: Harness>(fixture: &Fixture<H>) {
    let (server, fixture) = scripted(fixture);
    let body = r#"{"msg":"Cleared"}"#;
    let sized = |headers: &str| format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n{body}").into_bytes();
    let chunked = |chunks: &str| {
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}").into_bytes()
    };
    let many = "X-Y: z\r\n".repeat(10_000);
    let large = "z".repeat(1024 * 1024);
    let huge = [sized("Content-Length: 1073741824"), vec![b'x'; 1024 * 1024]].concat();
    for response in [
        huge,
        sized("Content-Length: 18"),
        sized("Content-Length: 5"),
        sized("Content-Length: -1"),
        sized("Content-Length: 17, 18"),
        sized("Content-Length: 17\r\nContent-Length: 18"),
        sized("Content-Length: 99999999999999999999"),
        sized("Content-Length: 0x11"),
        chunked("zz\r\n{}\r\n0\r\n\r\n"),
        chunked("10000000000000000\r\n{}\r\n0\r\n\r\n"),
        chunked("-1\r\n{}\r\n0\r\n\r\n"),
        chunked(&format!("11\r\n{body}\r\n")),
        chunked(&format!("11\r\n{body}")),
        chunked(&format!("5\r\n{body}\r\n0\r\n\r\n")),
        sized(&format!("{many}Content-Length: 17")),
        sized(&format!("X-Y: {large}\r\nContent-Length: 17")),
        sized("X-Y: a\0b\r\nContent-Length: 17"),
        body.as_bytes().to_vec(),
        b"HTTP/0.9 200 OK\r\n\r\n{}".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"\x15\x03\x01\x00\x02\x02(".to_vec(),
        b"HTTP/1.1 2OO OK\r\n\r\n{}".to_vec(),
        Vec::new(),
    ] {
        let shown = String::from_utf8_lossy(&response[..response.len().min(200)]).into_owned();
        server.respond(then_closed(response));
        assert!(run(&fixture, Operation::Clear).is_err(), "{shown:?}");
    }
    server.respond(whole(sized("Content-Length: 17")));
    assert_eq!(run(&fixture, Operation::Clear), Ok(()));
}

/// Deviations of old servers and careless proxies are accepted and reported.
pub(crate) fn an_unusual_response_is_accepted_and_reported<H: Harness>(fixture: &Fixture<H>) {
    let (server, fixture) = scripted(fixture);
    let mut watch = fixture.watch();
    let response = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}";
    server.respond(whole(response.to_vec()));
    assert_eq!(run(&fixture, Operation::Peek), Ok(()));
    for expected in [ResponseDeviation::NoMessages, ResponseDeviation::ContentType] {
        let reported = watch.until(|event| match event {
            Event::UnexpectedResponse { queue: Some(queue), deviation } => {
                Some((queue.to_string(), *deviation))
            }
            _ => None,
        });
        assert_eq!(reported, (fixture.name.to_owned(), expected));
    }
}

/// However the bytes of a response are split, the response is the same.
pub(crate) fn a_response_in_pieces_is_the_same_response<H: Harness>(fixture: &Fixture<H>) {
    let (server, fixture) = scripted(fixture);
    let sized = b"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"msg\":\"x\"}";
    let chunked =
        b"HTTP/1.1 200 \r\nTransfer-Encoding:chunked\r\n\r\nb\r\n{\"msg\":\"x\"}\r\n0\r\n\r\n";
    for response in [&sized[..], chunked] {
        for second in 1..response.len() {
            for first in 1..=second {
                let (before, last) = response.split_at(second);
                let (start, middle) = before.split_at(first);
                let pieces = [start, middle, last].map(<[u8]>::to_vec).to_vec();
                server.respond(ScriptedResponse { pieces, then: Then::KeepAlive });
                assert_eq!(run(&fixture, Operation::Clear), Ok(()), "{first} {second}");
            }
        }
    }
}

/// A response that never ends is cancelled, and its connection is not reused.
pub(crate) fn an_endless_response_is_cancelled<H: Harness>(fixture: &Fixture<H>) {
    let (server, fixture) = scripted(fixture);
    let endless = b"HTTP/1.1 200 OK\r\nContent-Length: 17000\r\n\r\n".to_vec();
    server.respond(ScriptedResponse { pieces: vec![endless], then: Then::SendForever });
    assert!(run(&fixture, Operation::Clear).is_err());
    let before = server.connections();
    server.respond(whole(encodings(r#"{"msg":"Cleared"}"#).remove(0)));
    assert_eq!(run(&fixture, Operation::Clear), Ok(()));
    assert_eq!(server.connections(), before + 1);
}
