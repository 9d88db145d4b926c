use std::io::{Read, Write};
use std::net::TcpListener;
use std::pin::pin;
use std::thread::{self, JoinHandle};

use futures_util::future::{Either, join_all, select};
use ivy_driver::Runtime as _;
use ivy_proto::Secret;
use ivy_proto::queue::Body;

use super::*;
use crate::Runtime;
use crate::testing::{SilentAddress, accept, distrusting, trusting};

const PASSWORD: &str = "correct horse battery staple";
/// Longer than anything takes on a busy machine.
const SOON: Duration = Duration::from_secs(60);

/// What a server does: to each command that holds a word, the answer beside it. What is not known
/// is answered with an error, an empty answer is silence, and `HANG UP` ends the connection.
type Script = &'static [(&'static str, &'static str)];

fn script(lines: &[(&'static str, &'static str)]) -> Script {
    Box::leak(lines.into())
}

fn server(script: Script) -> RedisNotifier {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            thread::spawn(move || converse(stream, script));
        }
    });
    notifier(port)
}

fn converse(mut stream: impl Read + Write, script: Script) {
    let mut buffer = [0; 4096];
    loop {
        let Ok(length @ 1..) = stream.read(&mut buffer) else { return };
        let said = String::from_utf8_lossy(&buffer[..length]);
        let answer = script.iter().find(|(word, _)| said.contains(word));
        match answer.copied().unwrap_or(("", "-ERR unknown command\r\n")) {
            (_, "HANG UP") => return,
            ("PUBLISH", answer) => {
                let answers = answer.repeat(said.matches("PUBLISH").count());
                stream.write_all(answers.as_bytes()).unwrap();
            }
            (_, answer) => stream.write_all(answer.as_bytes()).unwrap(),
        }
    }
}

fn address(port: u16) -> RedisAddress {
    RedisAddress {
        host: "127.0.0.1".to_owned(),
        port,
        tls: false,
        user: None,
        password: Some(Secret::new(PASSWORD)),
        database: None,
    }
}

fn notifier(port: u16) -> RedisNotifier {
    RedisNotifier::new(RedisServer::new(address(port)), None)
}

/// The same, with little patience.
fn hasty(notifier: RedisNotifier) -> RedisNotifier {
    let soon = Duration::from_millis(100);
    let limits = Limits { connect: SOON, command: soon, silence: soon };
    let server = Arc::new(Server { limits, ..(*notifier.server).clone() });
    RedisNotifier { server, ..notifier }
}

fn publication() -> Publication {
    Publication { channel: ChannelName::new("news").unwrap(), payload: Body::new("{}") }
}

fn publish(notifier: &RedisNotifier) -> Result<u64, NotifyFault> {
    block_on(notifier.publish(publication()))
}

fn publish_fault(lines: &[(&'static str, &'static str)]) -> NotifyFault {
    publish(&server(script(lines))).unwrap_err()
}

struct Listening(BoxStream<'static, Heard>);

impl Listening {
    fn start(notifier: &RedisNotifier) -> Self {
        let channels = vec![ChannelName::new("a").unwrap(), ChannelName::new("b").unwrap()];
        Listening(notifier.subscribe(channels))
    }

    fn next(&mut self) -> Heard {
        self.next_within(SOON).unwrap()
    }

    fn next_within(&mut self, limit: Duration) -> Option<Heard> {
        let time_is_over = pin!(Runtime::sleep_until(Instant::now() + limit));
        match block_on(select(self.0.next(), time_is_over)) {
            Either::Left((heard, _)) => heard,
            Either::Right(_) => None,
        }
    }
}

const OK: (&str, &str) = ("AUTH", "+OK\r\n");
const SUBSCRIBED: &str =
    "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n";

#[test]
fn a_publication_tells_how_many_heard_it() {
    assert_eq!(publish(&server(script(&[OK, ("PUBLISH", ":2\r\n")]))), Ok(2));
}

#[test]
fn publications_that_come_together_are_each_answered() {
    // While the connection is made the others gather, and travel as one.
    let notifier = server(script(&[OK, ("PUBLISH", ":1\r\n")]));
    let answers: Vec<_> = (0..10).map(|_| notifier.publish(publication())).collect();
    drop(notifier);
    assert_eq!(block_on(join_all(answers)), [const { Ok(1) }; 10]);
}

#[test]
fn publications_that_come_together_are_lost_together() {
    let notifier = server(script(&[OK, ("PUBLISH", "HANG UP")]));
    let (batch, answers): (Vec<_>, Vec<_>) = (0..3)
        .map(|_| {
            let (give, given) = oneshot::channel();
            ((publication(), give), given)
        })
        .unzip();
    let (mut publisher, mut connection) = (Publisher::default(), None);
    let again = notifier.server.publish(&mut publisher, &mut connection, batch, true);
    assert!(again.is_empty() && connection.is_none());
    for answer in block_on(join_all(answers)) {
        assert_eq!(answer.unwrap().unwrap_err().kind(), NotifyFaultKind::ConnectionLost);
    }
}

#[test]
fn wrong_credentials_are_told_without_the_password() {
    for answer in [
        "-WRONGPASS correct horse battery staple\r\n",
        "-NOAUTH a\r\n",
        "-ERR invalid password\r\n",
    ] {
        let fault = publish_fault(&[("AUTH", answer)]);
        assert_eq!(fault.kind(), NotifyFaultKind::Unauthorized, "{answer:?}");
        assert!(!format!("{fault} {fault:?}").contains("horse"), "{fault:?}");
    }
}

#[test]
fn a_server_that_takes_nobody_for_now_has_not_refused_the_credentials() {
    for answer in ["-LOADING it is loading\r\n", "-MOVED 1 host:1\r\n", "-READONLY a replica\r\n"] {
        let fault = publish_fault(&[("AUTH", answer)]);
        assert_eq!(fault.kind(), NotifyFaultKind::Refused, "{answer:?}");
        assert!(fault.to_string().contains(answer[1..].trim_end()), "{fault}");
    }
}

#[test]
fn a_refused_publication_is_told_with_the_servers_code() {
    let fault = publish_fault(&[OK, ("PUBLISH", "-READONLY you write\r\n")]);
    assert_eq!(fault.kind(), NotifyFaultKind::Refused);
    assert!(fault.to_string().contains("READONLY"), "{fault}");
}

#[test]
fn a_connection_that_ends_before_the_answer_may_have_published() {
    let fault = publish_fault(&[OK, ("PUBLISH", "HANG UP")]);
    assert_eq!(fault.kind(), NotifyFaultKind::ConnectionLost);
}

#[test]
fn damaged_answers_are_faults() {
    for answer in ["?\r\n", ":99999999999999999999\r\n", "$-2\r\n", "*9223372036854775807\r\n", "x"]
    {
        let notifier = hasty(server(script(&[OK, ("PUBLISH", answer)])));
        let fault = publish(&notifier).unwrap_err();
        assert_eq!(fault.kind(), NotifyFaultKind::ConnectionLost, "{answer:?}");
    }
}

#[test]
fn a_broken_connection_is_replaced_by_the_next_publication() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let notifier = notifier(listener.local_addr().unwrap().port());
    thread::spawn(move || {
        let (first, _) = listener.accept().unwrap();
        converse(first, &[OK, ("PUBLISH", "HANG UP")]);
        let (second, _) = listener.accept().unwrap();
        converse(second, &[OK, ("PUBLISH", ":1\r\n")]);
    });
    assert!(publish(&notifier).is_err());
    assert_eq!(publish(&notifier), Ok(1));
    assert_eq!(publish(&notifier), Ok(1), "on the same connection");
}

#[test]
fn a_connection_that_broke_while_it_rested_is_replaced_before_it_publishes() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let notifier = notifier(listener.local_addr().unwrap().port());
    thread::spawn(move || {
        let (first, _) = listener.accept().unwrap();
        converse(first, &[OK, ("PUBLISH", ":1\r\n"), ("PING", "HANG UP")]);
        let (second, _) = listener.accept().unwrap();
        converse(second, &[OK, ("PUBLISH", ":2\r\n")]);
    });
    assert_eq!(publish(&notifier), Ok(1));
    let rest = Duration::from_millis(1001);
    thread::sleep(rest);
    assert_eq!(publish(&notifier), Ok(2));
}

#[test]
fn an_address_at_which_nobody_answers_does_not_hide_the_others() {
    let silent = SilentAddress::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addresses = [silent.address, listener.local_addr().unwrap()];
    thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        converse(stream, script(&[OK, ("PUBLISH", ":1\r\n")]));
    });
    let connector = Connector::with_resolver(move |_, _| Ok(addresses.to_vec()), None);
    assert_eq!(publish(&RedisNotifier::over(RedisServer::new(address(6379)), connector)), Ok(1));
}

#[test]
fn an_unreachable_server_has_published_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let notifier = notifier(listener.local_addr().unwrap().port());
    drop(listener);
    let fault = publish(&notifier).unwrap_err();
    assert_eq!(fault.kind(), NotifyFaultKind::Unreachable);
    assert!(fault.to_string().contains("127.0.0.1:"), "{fault}");
    assert!(matches!(Listening::start(&notifier).next(), Heard::Lost(_)));
}

#[test]
fn a_server_that_says_nothing_is_unreachable() {
    let mut notifier = server(script(&[("AUTH", "")]));
    let limits = Limits { connect: Duration::from_millis(100), ..Limits::default() };
    notifier.server = Arc::new(Server { limits, ..(*notifier.server).clone() });
    assert_eq!(publish(&notifier).unwrap_err().kind(), NotifyFaultKind::Unreachable);
}

#[test]
fn a_subscription_brings_its_notices_until_the_connection_ends() {
    let notice = "*3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$2\r\n{}\r\n";
    let answer: &'static str = Box::leak(format!("{SUBSCRIBED}{notice}").into_boxed_str());
    let script = script(&[OK, ("SUBSCRIBE", answer), ("PING", "HANG UP")]);
    let mut listening = Listening::start(&hasty(server(script)));
    assert!(matches!(listening.next(), Heard::Subscribed));
    let Heard::Notice { channel, payload } = listening.next() else { panic!() };
    assert_eq!((channel.as_str(), payload.as_slice()), ("b", b"{}".as_slice()));
    // The next thing that happens on this connection is the question whether it still stands.
    assert!(matches!(listening.next(), Heard::Lost(_)));
}

#[test]
fn a_notice_between_the_confirmations_is_not_lost() {
    let (first, second) = SUBSCRIBED.split_at(SUBSCRIBED.len() / 2);
    let notice = "*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\n{}\r\n";
    let answer: &'static str = Box::leak(format!("{first}{notice}{second}").into_boxed_str());
    let mut listening = Listening::start(&server(script(&[OK, ("SUBSCRIBE", answer)])));
    assert!(matches!(listening.next(), Heard::Subscribed));
    assert!(matches!(listening.next(), Heard::Notice { .. }));
}

#[test]
fn a_refused_subscription_is_lost() {
    let refusal = "-NOPERM no permissions\r\n";
    let mut listening = Listening::start(&server(script(&[OK, ("SUBSCRIBE", refusal)])));
    let Heard::Lost(fault) = listening.next() else { panic!() };
    assert_eq!(fault.kind(), NotifyFaultKind::NoPermission);
}

#[test]
fn a_silent_subscription_lasts_as_long_as_its_server_answers() {
    let pong = "*2\r\n$4\r\npong\r\n$0\r\n\r\n";
    let notifier = hasty(server(script(&[OK, ("SUBSCRIBE", SUBSCRIBED), ("PING", pong)])));
    let mut listening = Listening::start(&notifier);
    assert!(matches!(listening.next(), Heard::Subscribed));
    assert!(listening.next_within(Duration::from_millis(500)).is_none());
}

#[test]
fn a_subscription_that_falls_silent_is_lost() {
    let notifier = hasty(server(script(&[OK, ("SUBSCRIBE", SUBSCRIBED), ("PING", "")])));
    let mut listening = Listening::start(&notifier);
    assert!(matches!(listening.next(), Heard::Subscribed));
    assert!(matches!(listening.next(), Heard::Lost(_)));
}

#[test]
fn a_dropped_subscription_closes_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let notifier = notifier(listener.local_addr().unwrap().port());
    let conversation: JoinHandle<()> = thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        converse(stream, &[OK, ("SUBSCRIBE", SUBSCRIBED)]);
    });
    let mut listening = Listening::start(&notifier);
    assert!(matches!(listening.next(), Heard::Subscribed));
    drop(listening);
    conversation.join().unwrap();
}

/// A server over TLS, as `rediss://` reaches it, for whoever trusts its certificate.
fn secure_notifier(host: &str, tls: ClientConfig) -> RedisNotifier {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = accept(stream.unwrap());
            thread::spawn(|| converse(stream, &[OK, ("PUBLISH", ":1\r\n")]));
        }
    });
    RedisNotifier::new(
        RedisServer::new(RedisAddress { tls: true, host: host.to_owned(), ..address(port) }),
        Some(tls),
    )
}

#[test]
fn a_connection_over_tls_needs_a_certificate_that_is_trusted_for_its_host() {
    assert_eq!(publish(&secure_notifier("localhost", trusting())), Ok(1));
    for notifier in
        [secure_notifier("127.0.0.1", trusting()), secure_notifier("localhost", distrusting())]
    {
        let fault = publish(&notifier).unwrap_err();
        assert_eq!(fault.kind(), NotifyFaultKind::Tls, "{fault}");
    }
}

#[test]
fn what_it_prints_holds_no_credentials() {
    let printed = format!("{:?}", notifier(6379));
    assert!(printed.contains("127.0.0.1:6379") && !printed.contains("horse"), "{printed}");
}
