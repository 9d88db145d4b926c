//! Recorded responses that arrive in pieces, through the HTTP clients of the three adapters:
//! however the bytes are split, the response is the same.

use std::time::Duration;

use ivy_core_tests::fuzz::ironmq_operations::{PROJECT, TOKEN};
use ivy_core_tests::recorded::{self, Recorded};
use ivy_driver::{Clients, HttpClient};
use ivy_ironmq::{Address, IronMq, Scheme, Token};
use ivy_proto::Rng;
use ivy_proto::backend::{Exchange, Step};
use ivy_test_kit::{ScriptedHttp, ScriptedResponse, Then, cut_at_two_positions};

/// At how many pairs of positions each response is cut, for each client. All pairs are too many.
const PAIRS: usize = 40;

/// The response, once with a Content-Length and once chunked.
fn as_http(status: u16, body: &str) -> [Vec<u8>; 2] {
    let head = format!("HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\n");
    let (start, end) = body.split_at(body.len() / 2);
    let (first, second) = (start.len(), end.len());
    [
        format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()),
        format!(
            "{head}Transfer-Encoding: chunked\r\n\r\n\
             {first:x}\r\n{start}\r\n{second:x};a=b\r\n{end}\r\n0\r\n\r\n"
        ),
    ]
    .map(String::into_bytes)
}

async fn each_recorded_response_survives_being_split(client: Option<Box<dyn HttpClient>>) {
    let client = client.unwrap();
    let server = ScriptedHttp::start();
    let address = Address::new(Scheme::Http, "127.0.0.1", PROJECT).unwrap();
    let address = address.with_port(server.port()).unwrap();
    let ironmq = IronMq::new(&address, Token::new(TOKEN).unwrap());
    let mut rng = Rng::from_number(21);
    for Recorded { op, status, body, reply } in recorded::responses() {
        for response in as_http(status, &body) {
            for _ in 0..PAIRS {
                let pieces = cut_at_two_positions(&response, &mut rng);
                server.respond(ScriptedResponse { pieces: pieces.clone(), then: Then::KeepAlive });
                let Step::Send(request) = ironmq.start(&op, Duration::ZERO) else {
                    panic!("each operation is a request")
                };
                let result = client.send(request);
                let result = result.await.and_then(|result| ironmq.decode(&op, result));
                assert_eq!(result.as_ref(), Ok(&reply), "{pieces:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_response_in_pieces_is_the_same_with_tokio() {
    each_recorded_response_survives_being_split(ivy_tokio::Tokio::http(None)).await;
}

#[tokio::test]
async fn a_response_in_pieces_is_the_same_with_async_std() {
    each_recorded_response_survives_being_split(ivy_async_std::AsyncStd::http(None)).await;
}

#[tokio::test]
async fn a_response_in_pieces_is_the_same_with_threads() {
    each_recorded_response_survives_being_split(ivy_blocking::Runtime::http(None)).await;
}
