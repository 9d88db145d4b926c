use async_std::net::TcpListener;
use async_std::task;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use ivy_driver::Resolver;
use ivy_proto::Secret;
use ivy_proto::queue::Body;

use super::*;
use crate::connector::Transport;
use crate::testing::{SilentAddress, acceptor, distrusting, trusting};

const PASSWORD: &str = "correct horse battery staple";

/// Speaks Redis's protocol by rote: to each command that holds a word, the answer beside it. What
/// is not known is answered with an error, an empty answer is silence, and `HANG UP` ends the
/// connection.
async fn server(script: &'static [(&'static str, &'static str)]) -> RedisNotifier {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    task::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            task::spawn(converse(stream, script));
        }
    });
    notifier(port)
}

async fn converse(mut stream: impl Transport, script: &[(&str, &str)]) {
    let mut buffer = [0; 4096];
    loop {
        let Ok(length @ 1..) = stream.read(&mut buffer).await else { return };
        let said = String::from_utf8_lossy(&buffer[..length]);
        let answer = script.iter().find(|(word, _)| said.contains(word));
        match answer.map_or("-ERR unknown command\r\n", |(_, answer)| answer) {
            "HANG UP" => return,
            answer => stream.write_all(answer.as_bytes()).await.unwrap(),
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

/// A notifier that waits for a moment only.
async fn hasty(script: &'static [(&'static str, &'static str)]) -> RedisNotifier {
    let mut notifier = server(script).await;
    let moment = Duration::from_millis(300);
    let shared = Arc::get_mut(&mut notifier.shared).unwrap();
    shared.limits = Limits { connect: moment, command: moment, ping: moment };
    notifier
}

fn publication() -> Publication {
    Publication { channel: ChannelName::new("news").unwrap(), payload: Body::new("{}") }
}

async fn publish_fault(script: &'static [(&'static str, &'static str)]) -> NotifyFault {
    server(script).await.publish(publication()).await.unwrap_err()
}

fn subscribe(notifier: &RedisNotifier) -> BoxStream<'static, Heard> {
    notifier.subscribe(vec![ChannelName::new("a").unwrap(), ChannelName::new("b").unwrap()])
}

const SUBSCRIBED: &str =
    "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n";

#[async_std::test]
async fn a_publication_tells_how_many_heard_it() {
    let notifier = server(&[("AUTH", "+OK\r\n"), ("PUBLISH", ":2\r\n")]).await;
    assert_eq!(notifier.publish(publication()).await, Ok(2));
}

#[async_std::test]
async fn wrong_credentials_are_told_without_the_password() {
    for answer in [
        "-WRONGPASS correct horse battery staple\r\n",
        "-NOAUTH a\r\n",
        "-ERR invalid password\r\n",
    ] {
        let script: &'static [_] = Box::leak(Box::new([("AUTH", answer)]));
        let fault = publish_fault(script).await;
        assert_eq!(fault.kind(), NotifyFaultKind::Unauthorized, "{answer:?}");
        assert!(!format!("{fault} {fault:?}").contains("horse"), "{fault:?}");
    }
}

#[async_std::test]
async fn a_server_that_takes_nobody_for_now_has_not_refused_the_credentials() {
    for answer in ["-LOADING it is loading\r\n", "-MOVED 1 host:1\r\n", "-READONLY a replica\r\n"] {
        let script: &'static [_] = Box::leak(Box::new([("AUTH", answer)]));
        let fault = publish_fault(script).await;
        assert_eq!(fault.kind(), NotifyFaultKind::Refused, "{answer:?}");
        assert!(fault.to_string().contains(answer[1..].trim_end()), "{fault}");
    }
}

#[async_std::test]
async fn a_refused_publication_is_told_with_the_servers_code() {
    let fault = publish_fault(&[("AUTH", "+OK\r\n"), ("PUBLISH", "-READONLY you write\r\n")]).await;
    assert_eq!(fault.kind(), NotifyFaultKind::Refused);
    assert!(fault.to_string().contains("READONLY"), "{fault}");
}

#[async_std::test]
async fn a_connection_that_ends_before_the_answer_may_have_published() {
    let fault = publish_fault(&[("AUTH", "+OK\r\n"), ("PUBLISH", "HANG UP")]).await;
    assert_eq!(fault.kind(), NotifyFaultKind::ConnectionLost);
}

#[async_std::test]
async fn damaged_answers_are_faults() {
    for answer in ["?\r\n", ":99999999999999999999\r\n", "$-2\r\n", "*9223372036854775807\r\n", "x"]
    {
        let script: &'static [_] = Box::leak(Box::new([("AUTH", "+OK\r\n"), ("PUBLISH", answer)]));
        let fault = hasty(script).await.publish(publication()).await.unwrap_err();
        assert_eq!(fault.kind(), NotifyFaultKind::ConnectionLost, "{answer:?}");
    }
}

#[async_std::test]
async fn a_broken_connection_is_replaced_by_the_next_publication() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let notifier = notifier(listener.local_addr().unwrap().port());
    task::spawn(async move {
        let (first, _) = listener.accept().await.unwrap();
        converse(first, &[("AUTH", "+OK\r\n"), ("PUBLISH", "HANG UP")]).await;
        let (second, _) = listener.accept().await.unwrap();
        converse(second, &[("AUTH", "+OK\r\n"), ("PUBLISH", ":1\r\n")]).await;
    });
    assert!(notifier.publish(publication()).await.is_err());
    assert_eq!(notifier.publish(publication()).await, Ok(1));
}

#[async_std::test]
async fn a_connection_that_broke_while_it_rested_is_replaced_before_it_publishes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let notifier = notifier(listener.local_addr().unwrap().port());
    task::spawn(async move {
        let (first, _) = listener.accept().await.unwrap();
        converse(first, &[("AUTH", "+OK\r\n"), ("PUBLISH", ":1\r\n"), ("PING", "HANG UP")]).await;
        let (second, _) = listener.accept().await.unwrap();
        converse(second, &[("AUTH", "+OK\r\n"), ("PUBLISH", ":2\r\n")]).await;
    });
    assert_eq!(notifier.publish(publication()).await, Ok(1));
    let rest = Duration::from_millis(1001);
    task::sleep(rest).await;
    assert_eq!(notifier.publish(publication()).await, Ok(2));
}

#[async_std::test]
async fn an_address_at_which_nobody_answers_does_not_hide_the_others() {
    let silent = SilentAddress::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addresses = [silent.address, listener.local_addr().unwrap()];
    task::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        converse(stream, &[("AUTH", "+OK\r\n"), ("PUBLISH", ":1\r\n")]).await;
    });
    let resolver = Resolver::new(move |_, _| async move { Ok(addresses.to_vec()) });
    let connector = Connector::with_resolver(resolver, None);
    let notifier = RedisNotifier::over(RedisServer::new(address(6379)), connector);
    assert_eq!(notifier.publish(publication()).await, Ok(1));
}

#[async_std::test]
async fn an_unreachable_server_has_published_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let notifier = notifier(listener.local_addr().unwrap().port());
    drop(listener);
    let fault = notifier.publish(publication()).await.unwrap_err();
    assert_eq!(fault.kind(), NotifyFaultKind::Unreachable);
    assert!(fault.to_string().contains("127.0.0.1:"), "{fault}");
    assert!(matches!(subscribe(&notifier).next().await, Some(Heard::Lost(_))));
}

#[async_std::test]
async fn a_server_that_says_nothing_is_unreachable() {
    let fault = hasty(&[("AUTH", "")]).await.publish(publication()).await.unwrap_err();
    assert_eq!(fault.kind(), NotifyFaultKind::Unreachable);
}

#[async_std::test]
async fn a_subscription_brings_its_notices_until_the_connection_ends() {
    let notice = "*3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$2\r\n{}\r\n";
    let answer: &'static str = Box::leak(format!("{SUBSCRIBED}{notice}").into_boxed_str());
    let script: &'static [_] =
        Box::leak(Box::new([("AUTH", "+OK\r\n"), ("SUBSCRIBE", answer), ("PING", "HANG UP")]));
    let notifier = hasty(script).await;
    let mut subscription = subscribe(&notifier);
    assert!(matches!(subscription.next().await, Some(Heard::Subscribed)));
    let Some(Heard::Notice { channel, payload }) = subscription.next().await else { panic!() };
    assert_eq!((channel.as_str(), payload.as_slice()), ("b", b"{}".as_slice()));
    // The next thing that happens on this connection is the question whether it still stands.
    assert!(matches!(subscription.next().await, Some(Heard::Lost(_))));
    assert!(subscription.next().await.is_none());
}

#[async_std::test]
async fn a_subscription_that_falls_silent_is_lost() {
    let notifier = hasty(&[("AUTH", "+OK\r\n"), ("SUBSCRIBE", SUBSCRIBED), ("PING", "")]).await;
    let mut subscription = subscribe(&notifier);
    let first = subscription.next().await;
    assert!(matches!(first, Some(Heard::Subscribed)), "{first:?}");
    assert!(matches!(subscription.next().await, Some(Heard::Lost(_))));
}

#[async_std::test]
async fn a_dropped_subscription_closes_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let notifier = notifier(listener.local_addr().unwrap().port());
    let conversation = task::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        converse(stream, &[("AUTH", "+OK\r\n"), ("SUBSCRIBE", SUBSCRIBED)]).await;
    });
    let mut subscription = subscribe(&notifier);
    assert!(matches!(subscription.next().await, Some(Heard::Subscribed)));
    drop(subscription);
    conversation.await;
}

/// A server over TLS, as `rediss://` reaches it, for whoever trusts its certificate.
async fn secure_notifier(host: &str, tls: ClientConfig) -> RedisNotifier {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    task::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor().accept(stream).await {
                task::spawn(converse(stream, &[("AUTH", "+OK\r\n"), ("PUBLISH", ":1\r\n")]));
            }
        }
    });
    RedisNotifier::new(
        RedisServer::new(RedisAddress { tls: true, host: host.to_owned(), ..address(port) }),
        Some(tls),
    )
}

#[async_std::test]
async fn a_connection_over_tls_needs_a_certificate_that_is_trusted_for_its_host() {
    let right = secure_notifier("localhost", trusting()).await;
    assert_eq!(right.publish(publication()).await, Ok(1));
    for notifier in [
        secure_notifier("127.0.0.1", trusting()).await,
        secure_notifier("localhost", distrusting()).await,
    ] {
        let fault = notifier.publish(publication()).await.unwrap_err();
        assert_eq!(fault.kind(), NotifyFaultKind::Tls, "{fault}");
    }
}

#[test]
fn what_it_prints_holds_no_credentials() {
    assert_eq!(format!("{:?}", notifier(6379)), "RedisNotifier(127.0.0.1:6379)");
}
