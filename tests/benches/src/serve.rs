//! `ivy serve` and the bare servers, used by one client over one connection.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::time::{Duration, Instant};

use crate::load::{Load, Step};
use crate::samples;
use crate::server::{PROJECT, Server, TOKEN};

/// How many requests make a step.
const ROUND: usize = 20;

/// `verb` is what is measured: `post`, `reserve` or `delete`, of one message or of a hundred.
pub(crate) fn load(server: &str, verb: &str, count: usize) -> Option<Load> {
    let verb = match verb {
        "post" => Verb::Post,
        "reserve" => Verb::Reserve,
        "delete" => Verb::Delete,
        _ => return None,
    };
    let server = match server {
        "ivy" => Server::ivy(),
        "bytes" | "json" => Server::own(&format!("serve-{server}")),
        _ => return None,
    };
    let mut client = Client::connect(server.port(), count);
    let step = move || client.round(verb);
    Some(Load { servers: vec![server], ..Load::timed(step) })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Post,
    Reserve,
    Delete,
}

/// A handwritten client: the less it does, the more the server shows.
struct Client {
    stream: TcpStream,
    response: Vec<u8>,
    post: Vec<u8>,
    reserve: Vec<u8>,
    clear: Vec<u8>,
    queue: String,
}

impl Client {
    fn connect(port: u16, count: usize) -> Client {
        let stream = connect(port);
        let queue = queue(&format!("q{count}"));
        let body = serde_json::to_string(samples::SMALL).expect("a text");
        let message = format!("{{\"body\":{body}}}");
        let messages = vec![message; count].join(",");
        let post = request("POST", &queue, "messages", &format!("{{\"messages\":[{messages}]}}"));
        let reserve =
            request("POST", &queue, "reservations", &format!("{{\"n\":{count},\"timeout\":60}}"));
        let clear = request("DELETE", &queue, "messages", "{}");
        let response = Vec::with_capacity(1 << 20);
        Client { stream, response, post, reserve, clear, queue }
    }

    /// Posts, reserves and deletes the same messages, as far as the measured request needs it.
    fn round(&mut self, verb: Verb) -> Step {
        let mut took = [Duration::ZERO; 3];
        let mut receipts = Vec::new();
        let started = Instant::now();
        for _ in 0..ROUND {
            self.exchange_post();
        }
        took[0] = started.elapsed();
        if verb != Verb::Post {
            for _ in 0..ROUND {
                let started = Instant::now();
                self.exchange_reserve();
                took[1] += started.elapsed();
                receipts.push(receipts_of(body_of(&self.response)));
            }
        }
        if verb == Verb::Delete {
            let queue = &self.queue;
            let deletes: Vec<_> = receipts
                .iter()
                .map(|ids| request("DELETE", queue, "messages", &format!("{{\"ids\":[{ids}]}}")))
                .collect();
            let started = Instant::now();
            for delete in &deletes {
                exchange(&mut self.stream, delete, &mut self.response);
            }
            took[2] = started.elapsed();
        } else {
            exchange(&mut self.stream, &self.clear, &mut self.response);
        }
        Step { operations: ROUND as u64, took: took[verb as usize] }
    }

    fn exchange_post(&mut self) {
        exchange(&mut self.stream, &self.post, &mut self.response);
    }

    fn exchange_reserve(&mut self) {
        exchange(&mut self.stream, &self.reserve, &mut self.response);
    }
}

/// The ids and reservations in a response, as a delete contains them.
fn receipts_of(response: &str) -> String {
    let field = |text: &str, key: &str| {
        let (_, value) = text.split_once(key)?;
        Some(value.split('"').next()?.to_owned())
    };
    let receipts = response.split("{\"id\":\"").skip(1).map(|message| {
        let id = message.split('"').next().expect("an id ends");
        let reservation = field(message, "\"reservation_id\":\"").expect("the message is reserved");
        format!("{{\"id\":\"{id}\",\"reservation_id\":\"{reservation}\"}}")
    });
    receipts.collect::<Vec<_>>().join(",")
}

pub(crate) fn connect(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("the server listens");
    stream.set_nodelay(true).expect("the connection is TCP");
    stream
}

/// The path of a queue.
pub(crate) fn queue(name: &str) -> String {
    format!("/3/projects/{PROJECT}/queues/{name}")
}

pub(crate) fn request(verb: &str, queue: &str, of: &str, body: &str) -> Vec<u8> {
    format!(
        "{verb} {queue}/{of} HTTP/1.1\r\nhost: localhost\r\nauthorization: OAuth {TOKEN}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Sends a request and reads its whole response.
pub(crate) fn exchange(stream: &mut TcpStream, request: &[u8], response: &mut Vec<u8>) {
    stream.write_all(request).expect("the server reads requests");
    receive(stream, response);
}

/// Reads a whole response.
pub(crate) fn receive(stream: &mut TcpStream, response: &mut Vec<u8>) {
    response.clear();
    let mut piece = [0; 64 * 1024];
    loop {
        let length = stream.read(&mut piece).expect("the server responds");
        assert_ne!(length, 0, "the server closed the connection");
        response.extend_from_slice(&piece[..length]);
        if is_whole(response) {
            break;
        }
    }
    assert!(response.starts_with(b"HTTP/1.1 20"), "{}", String::from_utf8_lossy(response));
}

fn is_whole(response: &[u8]) -> bool {
    let Some(head) = response.windows(4).position(|end| end == b"\r\n\r\n") else { return false };
    let text = String::from_utf8_lossy(&response[..head]).to_ascii_lowercase();
    let (_, length) =
        text.split_once("content-length: ").expect("the response has a Content-Length");
    let length: usize =
        length.lines().next().and_then(|length| length.parse().ok()).expect("a number");
    response.len() >= head + 4 + length
}

fn body_of(response: &[u8]) -> &str {
    let text = std::str::from_utf8(response).expect("the response is UTF-8");
    text.split_once("\r\n\r\n").expect("a head and a body").1
}
