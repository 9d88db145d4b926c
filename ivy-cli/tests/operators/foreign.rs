//! What another program has written to a queue on Redis, byte by byte.

use std::time::Duration;

use ivy_test_kit::PATIENCE;
use serde_json::Value;
use tokio::time::{sleep, timeout};

use crate::backend::{Backend, lines};
use crate::workers::SEND;

/// A task, but for one byte.
const NOT_UTF8: &[u8] = b"{\"name\":\"mail.send\",\"options\":{},\"args\":[\"\xff\"]}";
/// The length of an id and its counts.
const HEADER: usize = 22;

/// Runs a worker of `mail` until its dead-letter queue holds so many letters.
async fn work_until_dead(backend: &Backend, count: u64) {
    let ivy = backend.ivy();
    let send = || async { Ok::<_, ivy_tokio::TaskError>(()) };
    let worker = ivy.worker().register(&SEND, send).start().await.unwrap();
    let dead = async {
        while backend.redis_of_others().size("mail.dead").await < count
            || backend.redis_of_others().size("mail").await > 0
        {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, dead).await.expect("they are dead-lettered");
    worker.drain(PATIENCE).await;
}

fn ids(records: &[Value]) -> Vec<&str> {
    records.iter().map(|record| record["message"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_a_text_return_from_the_dead_letters_unchanged() {
    let backend = Backend::redis().await;
    let server = backend.redis_of_others();
    // A message, and an element that is none.
    server.push("mail", &[b"bytes-message-0000", &b"0000"[..], NOT_UTF8].concat()).await;
    server.push("mail", NOT_UTF8).await;
    work_until_dead(&backend, 2).await;

    let shown = backend.json(&["peek", "mail.dead", "--raw"]);
    let letter = shown.iter().find(|record| !record["dead_letter"].is_null()).unwrap();
    let bare = shown.iter().find(|record| record["dead_letter"].is_null()).unwrap();
    assert_eq!(letter["dead_letter"]["reason"], "BadJson");
    assert_eq!(letter["unreadable"]["text"], "the body is not a text");
    let base64 = "eyJuYW1lIjoibWFpbC5zZW5kIiwib3B0aW9ucyI6e30sImFyZ3MiOlsi/yJdfQ==";
    let inside = format!(r#""body_base64":"{base64}""#);
    assert!(letter["body"].as_str().unwrap().contains(&inside), "{letter}");
    assert_eq!((&bare["body_base64"], &bare["body"]), (&base64.into(), &Value::Null));
    let page = backend.done(&["dead", "show", "mail", bare["message"].as_str().unwrap(), "--raw"]);
    assert!(page.contains("body in base64") && page.contains(base64), "{page}");
    let table = backend.done(&["peek", "mail.dead", "--raw"]);
    assert!(table.contains(&format!("not a text, in base64: {base64}")), "{table}");

    // They cannot be read, so they are not changed.
    let ended = backend.run(&["dead", "requeue", "mail", "--yes"]);
    assert!(ended.stdout.contains("2 stay in the queue") || ended.code != 0, "{ended:?}");
    assert_eq!(server.size("mail.dead").await, 2);

    let done = backend.done(&["dead", "requeue", "mail", "--raw", "--yes"]);
    assert!(done.contains("2 posted, 2 deleted"), "{done}");
    let requeued = server.ready("mail").await;
    assert_eq!(requeued.len(), 2);
    assert!(requeued.iter().all(|element| element[HEADER..] == *NOT_UTF8), "{requeued:?}");
    assert_eq!((server.size("mail.dead").await, server.reserved("mail.dead").await), (0, 0));

    // They die again, and are not wrapped twice.
    work_until_dead(&backend, 2).await;
    for letter in backend.json(&["peek", "mail.dead", "--raw"]) {
        assert_eq!(letter["body"].as_str().unwrap().matches(base64).count(), 1, "{letter}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn identical_elements_of_a_dead_letter_queue_are_seen_and_processed_one_by_one() {
    let backend = Backend::redis().await;
    let server = backend.redis_of_others();
    for element in ["hello", "world", "hello", "hello"] {
        server.push("mail.dead", element.as_bytes()).await;
    }
    let hello = ["raw-aaf4c61ddcc5e8", "raw-aaf4c61ddcc5e8.2", "raw-aaf4c61ddcc5e8.3"];
    let all = [hello[0], "raw-7c211433f02071", hello[1], hello[2]];
    let before = server.ready("mail.dead").await;
    let peek = ["peek", "mail.dead"];
    let list = ["dead", "ls", "mail", "--list"];
    let look = ["dead", "ls", "mail", "--all", "--list"];
    for args in [&peek[..], &list, &look] {
        assert_eq!(ids(&backend.json(args)), all, "{args:?}");
        assert_eq!(server.reserved("mail.dead").await, 0, "{args:?}");
    }
    for id in all {
        let page = backend.done(&["dead", "show", "mail", id, "--raw"]);
        let body = if id == all[1] { "world" } else { "hello" };
        assert!(page.contains(id) && page.contains(body), "{page}");
    }
    let exported = lines(&backend.done(&["dead", "export", "mail", "-"]));
    assert_eq!(ids(&exported), all);
    backend.done(&["dead", "requeue", "mail", "--raw", "--dry-run"]);
    assert_eq!(server.ready("mail.dead").await, before);
    assert_eq!(server.reserved("mail.dead").await, 0);

    let done = backend.done(&["dead", "delete", "mail", "--id", hello[1], "--yes"]);
    assert!(done.contains("1 deleted"), "{done}");
    assert_eq!(server.size("mail.dead").await, 3);
    assert_eq!(server.reserved("mail.dead").await, 0);
    let done = backend.done(&["dead", "requeue", "mail", "--raw", "--id", hello[0], "--yes"]);
    assert!(done.contains("1 posted, 1 deleted"), "{done}");
    let done = backend.done(&["dead", "requeue", "mail", "--raw", "--yes"]);
    assert!(done.contains("2 posted, 2 deleted"), "{done}");
    let mut requeued: Vec<_> = server.ready("mail").await;
    requeued.iter_mut().for_each(|element| drop(element.drain(..HEADER)));
    requeued.sort();
    assert_eq!(requeued, [&b"hello"[..], b"hello", b"world"]);
    assert_eq!((server.size("mail.dead").await, server.reserved("mail.dead").await), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_found_by_its_whole_id_and_by_the_number_that_peek_gives_it() {
    let backend = Backend::redis().await;
    let server = backend.redis_of_others();
    for element in ["AbCd-_0123456789zZ0000one", "AbCd-_0123456789zZ0000two", "hello", "hello"] {
        server.push("mail", element.as_bytes()).await;
    }
    let id = "AbCd-_0123456789zZ";
    for (id, body) in [
        (id, "one"),
        ("AbCd-_0123456789zZ.2", "two"),
        ("raw-aaf4c61ddcc5e8", "hello"),
        ("raw-aaf4c61ddcc5e8.2", "hello"),
    ] {
        let page = backend.done(&["show", "mail", id, "--raw"]);
        assert!(page.contains(body), "{page}");
    }
    for wrong in ["AbCd", "", "AbCd-_0123456789zZ.3", "raw-aaf4c61ddcc5e8.999"] {
        assert_eq!(backend.run(&["show", "mail", wrong]).code, 3, "{wrong}");
        assert_eq!(backend.run(&["explain", "mail", wrong]).code, 3, "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_queues_with_large_elements_of_another_program_is_shown() {
    let backend = Backend::redis().await;
    let server = backend.redis_of_others();
    server.push("mail", b"AbCd-_0123456789zZ0000one").await;
    server.list_as_queue(b"mail").await;
    for number in 0..120 {
        server.list_as_queue(format!("a{number}{}", "x".repeat(20_000)).as_bytes()).await;
    }
    let page = backend.done(&["ls"]);
    assert!(page.contains("mail"), "{page}");
    let page = backend.done(&["stats"]);
    assert!(page.contains("messages                1"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_names_the_letters_that_no_import_accepts() {
    let backend = Backend::redis().await;
    let server = backend.redis_of_others();
    server.push("mail.dead", &vec![b'x'; 300 << 10]).await;
    let ended = backend.run(&["dead", "export", "mail", "-"]);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stderr.contains("1 letter of more than"), "{}", ended.stderr);
    assert!(ended.stderr.contains("cannot be imported"), "{}", ended.stderr);
}
