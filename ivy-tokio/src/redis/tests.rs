use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

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
async fn server(
    script: &'static [(&'static str, &'static str)],
) -> (RedisNotifier, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let running = tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(converse(stream, script));
        }
    });
    (notifier(port), running)
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

fn publication() -> Publication {
    Publication { channel: ChannelName::new("news").unwrap(), payload: Body::new("{}") }
}

async fn publish_fault(script: &'static [(&'static str, &'static str)]) -> NotifyFault {
    server(script).await.0.publish(publication()).await.unwrap_err()
}

fn subscribe(notifier: &RedisNotifier) -> BoxStream<'static, Heard> {
    notifier.subscribe(vec![ChannelName::new("a").unwrap(), ChannelName::new("b").unwrap()])
}

const SUBSCRIBED: &str =
    "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n";

#[tokio::test]
async fn a_publication_tells_how_many_heard_it() {
    let (notifier, _) = server(&[("AUTH", "+OK\r\n"), ("PUBLISH", ":2\r\n")]).await;
    assert_eq!(notifier.publish(publication()).await, Ok(2));
}

#[tokio::test]
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

#[tokio::test]
async fn a_server_that_takes_nobody_for_now_has_not_refused_the_credentials() {
    for answer in ["-LOADING it is loading\r\n", "-MOVED 1 host:1\r\n", "-READONLY a replica\r\n"] {
        let script: &'static [_] = Box::leak(Box::new([("AUTH", answer)]));
        let fault = publish_fault(script).await;
        assert_eq!(fault.kind(), NotifyFaultKind::Refused, "{answer:?}");
        assert!(fault.to_string().contains(answer[1..].trim_end()), "{fault}");
    }
}

#[tokio::test]
async fn a_refused_publication_is_told_with_the_servers_code() {
    let fault = publish_fault(&[("AUTH", "+OK\r\n"), ("PUBLISH", "-READONLY you write\r\n")]).await;
    assert_eq!(fault.kind(), NotifyFaultKind::Refused);
    assert!(fault.to_string().contains("READONLY"), "{fault}");
}

#[tokio::test]
async fn a_connection_that_ends_before_the_answer_may_have_published() {
    let fault = publish_fault(&[("AUTH", "+OK\r\n"), ("PUBLISH", "HANG UP")]).await;
    assert_eq!(fault.kind(), NotifyFaultKind::ConnectionLost);
}

#[tokio::test(start_paused = true)]
async fn damaged_answers_are_faults() {
    for answer in ["?\r\n", ":99999999999999999999\r\n", "$-2\r\n", "*9223372036854775807\r\n", "x"]
    {
        let script: &'static [_] = Box::leak(Box::new([("AUTH", "+OK\r\n"), ("PUBLISH", answer)]));
        let (notifier, running) = server(script).await;
        let publishing = notifier.publish(publication());
        assert_eq!(
            publishing.await.unwrap_err().kind(),
            NotifyFaultKind::ConnectionLost,
            "{answer:?}"
        );
        running.abort();
    }
}

#[tokio::test]
async fn a_broken_connection_is_replaced_by_the_next_publication() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let notifier = notifier(listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        let (first, _) = listener.accept().await.unwrap();
        converse(first, &[("AUTH", "+OK\r\n"), ("PUBLISH", "HANG UP")]).await;
        let (second, _) = listener.accept().await.unwrap();
        converse(second, &[("AUTH", "+OK\r\n"), ("PUBLISH", ":1\r\n")]).await;
    });
    assert!(notifier.publish(publication()).await.is_err());
    assert_eq!(notifier.publish(publication()).await, Ok(1));
}

#[tokio::test]
async fn a_connection_that_broke_while_it_rested_is_replaced_before_it_publishes() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let notifier = notifier(listener.local_addr().unwrap().port());
    tokio::spawn(async move {
        let (first, _) = listener.accept().await.unwrap();
        converse(first, &[("AUTH", "+OK\r\n"), ("PUBLISH", ":1\r\n"), ("PING", "HANG UP")]).await;
        let (second, _) = listener.accept().await.unwrap();
        converse(second, &[("AUTH", "+OK\r\n"), ("PUBLISH", ":2\r\n")]).await;
    });
    assert_eq!(notifier.publish(publication()).await, Ok(1));
    let rest = Duration::from_millis(1001);
    tokio::time::sleep(rest).await;
    assert_eq!(notifier.publish(publication()).await, Ok(2));
}

#[tokio::test]
async fn an_address_at_which_nobody_answers_does_not_hide_the_others() {
    let silent = SilentAddress::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addresses = [silent.address, listener.local_addr().unwrap()];
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        converse(stream, &[("AUTH", "+OK\r\n"), ("PUBLISH", ":1\r\n")]).await;
    });
    let resolver = Resolver::new(move |_, _| async move { Ok(addresses.to_vec()) });
    let connector = Connector::with_resolver(resolver, None);
    let notifier = RedisNotifier::over(RedisServer::new(address(6379)), connector);
    assert_eq!(notifier.publish(publication()).await, Ok(1));
}

#[tokio::test]
async fn an_unreachable_server_has_published_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let notifier = notifier(listener.local_addr().unwrap().port());
    drop(listener);
    let fault = notifier.publish(publication()).await.unwrap_err();
    assert_eq!(fault.kind(), NotifyFaultKind::Unreachable);
    assert!(fault.to_string().contains("127.0.0.1:"), "{fault}");
    assert!(matches!(subscribe(&notifier).next().await, Some(Heard::Lost(_))));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_is_unreachable() {
    let fault = publish_fault(&[("AUTH", "")]).await;
    assert_eq!(fault.kind(), NotifyFaultKind::Unreachable);
}

#[tokio::test]
async fn a_subscription_brings_its_notices_until_the_connection_ends() {
    let notice = "*3\r\n$7\r\nmessage\r\n$1\r\nb\r\n$2\r\n{}\r\n";
    let answer: &'static str = Box::leak(format!("{SUBSCRIBED}{notice}").into_boxed_str());
    let script: &'static [_] =
        Box::leak(Box::new([("AUTH", "+OK\r\n"), ("SUBSCRIBE", answer), ("PING", "HANG UP")]));
    let (notifier, _) = server(script).await;
    let mut subscription = subscribe(&notifier);
    assert!(matches!(subscription.next().await, Some(Heard::Subscribed)));
    let Some(Heard::Notice { channel, payload }) = subscription.next().await else { panic!() };
    assert_eq!((channel.as_str(), payload.as_slice()), ("b", b"{}".as_slice()));
    // The next thing that happens on this connection is the question whether it still stands.
    tokio::time::pause();
    assert!(matches!(subscription.next().await, Some(Heard::Lost(_))));
    assert!(subscription.next().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_subscription_that_falls_silent_is_lost() {
    let (notifier, _) =
        server(&[("AUTH", "+OK\r\n"), ("SUBSCRIBE", SUBSCRIBED), ("PING", "")]).await;
    let mut subscription = subscribe(&notifier);
    let first = subscription.next().await;
    assert!(matches!(first, Some(Heard::Subscribed)), "{first:?}");
    assert!(matches!(subscription.next().await, Some(Heard::Lost(_))));
}

#[tokio::test]
async fn a_dropped_subscription_closes_its_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let notifier = notifier(listener.local_addr().unwrap().port());
    let conversation = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        converse(stream, &[("AUTH", "+OK\r\n"), ("SUBSCRIBE", SUBSCRIBED)]).await;
    });
    let mut subscription = subscribe(&notifier);
    assert!(matches!(subscription.next().await, Some(Heard::Subscribed)));
    drop(subscription);
    conversation.await.unwrap();
}

/// A server over TLS, as `rediss://` reaches it, for whoever trusts its certificate.
async fn secure_notifier(host: &str, tls: ClientConfig) -> RedisNotifier {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if let Ok(stream) = acceptor().accept(stream).await {
                tokio::spawn(converse(stream, &[("AUTH", "+OK\r\n"), ("PUBLISH", ":1\r\n")]));
            }
        }
    });
    RedisNotifier::new(
        RedisServer::new(RedisAddress { tls: true, host: host.to_owned(), ..address(port) }),
        Some(tls),
    )
}

#[tokio::test]
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
