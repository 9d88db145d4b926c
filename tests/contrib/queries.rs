//! Each query of the dashboard and of the alerts is valid, and names metrics that exist.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use ivy_proto::metrics::{OPENMETRICS_CONTENT_TYPE, Snapshot};
use ivy_test_kit::{PATIENCE, Prometheus};
use ivy_tokio::{Ivy, Task, TaskError};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::alerts::{RULES, alerts};
use super::contrib;
use super::dashboard::{dashboard, panels};

const SEND: Task<(u64,), u64> = Task::new("mail.send").queue("mail");

/// What `ivy exporter` adds to the metrics of a program.
const EXPORTER: [&str; 4] =
    ["ivy_queue_messages", "ivy_queue_head_age_seconds", "ivy_dead_letters", "ivy_workers_heard"];

/// All queries, by what they are for.
fn queries() -> Vec<(String, String)> {
    let dashboard = dashboard();
    let mut queries = Vec::new();
    for panel in panels(&dashboard) {
        for target in panel["targets"].as_array().unwrap() {
            let (title, query) = (panel["title"].to_string(), target["expr"].as_str().unwrap());
            let query = query.replace("$queue", ".*").replace("$__rate_interval", "5m");
            assert!(!query.contains('$'), "{title}: {query}");
            queries.push((title, query));
        }
    }
    for alert in alerts() {
        queries.push((alert["alert"].to_string(), alert["expr"].as_str().unwrap().to_owned()));
    }
    queries
}

/// The names of metrics in a text.
fn metrics(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("ivy_")).collect()
}

/// The names of all samples that a snapshot may have.
fn written() -> BTreeSet<String> {
    let mut text = String::new();
    Snapshot::default().write_openmetrics(&mut text).unwrap();
    let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let families = types.map(|line| line.split_once(' ').unwrap());
    families
        .flat_map(|(family, kind)| {
            let suffixes: &[&str] = match kind {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_count", "_sum"],
                "info" => &["_info"],
                _ => &[""],
            };
            suffixes.iter().map(move |suffix| format!("{family}{suffix}"))
        })
        .collect()
}

#[test]
fn each_metric_that_is_asked_for_exists() {
    let written = written();
    let variable = dashboard()["templating"].to_string();
    let mut queries = queries();
    queries.push(("variable".to_owned(), variable));
    for (what, query) in &queries {
        let names = metrics(query);
        assert!(!names.is_empty(), "{what} asks for nothing");
        for name in names {
            assert!(written.contains(name) || EXPORTER.contains(&name), "{what}: no metric {name}");
        }
    }
}

#[test]
fn each_metric_is_on_the_dashboard() {
    let queries = queries();
    let asked: BTreeSet<&str> = queries.iter().flat_map(|(_, query)| metrics(query)).collect();
    let of_histograms = |name: &str| name.ends_with("_count") || name.ends_with("_sum");
    let written = written();
    let written = written.iter().map(String::as_str).filter(|name| !of_histograms(name));
    let missing: Vec<_> = written.chain(EXPORTER).filter(|name| !asked.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[tokio::test]
async fn a_prometheus_scrapes_the_metrics_loads_the_rules_and_runs_each_query() {
    let target = serve(metrics_of_a_program().await).await;
    let prometheus = Prometheus::start(&contrib(RULES), target).await;
    let executed = r#"ivy_tasks_executed_total{queue="mail",task="mail.send",outcome="ok"}"#;
    let scraped = async {
        while prometheus.query(executed).await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, scraped).await.expect("the metrics are scraped");
    let results = prometheus.query(executed).await.unwrap();
    assert_eq!(results[0]["value"][1], "1");
    for (what, query) in queries() {
        if let Err(error) = prometheus.query(&query).await {
            panic!("{what}: {query}: {error}");
        }
    }
    let loaded = prometheus.rules().await;
    assert_eq!(loaded.len(), alerts().len());
    let evaluated = async {
        while prometheus.rules().await.iter().any(|rule| rule["health"] == "unknown") {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(PATIENCE, evaluated).await.expect("the rules are evaluated");
    let failing = |rule: &Value| rule["health"] != "ok";
    let failing: Vec<_> = prometheus.rules().await.into_iter().filter(failing).collect();
    assert!(failing.is_empty(), "{failing:?}");
}

/// The metrics of a program that has run one task and dead-lettered another.
async fn metrics_of_a_program() -> String {
    let ivy = Ivy::builder().queue_url("memory://").notifier_url("memory://").build().unwrap();
    let handler =
        |n: u64| async move { if n == 0 { Err(TaskError::fatal("zero")) } else { Ok(n) } };
    let worker = ivy.worker().register(&SEND, handler).start().await.unwrap();
    ivy.call(&SEND, (1,)).await.unwrap().result(PATIENCE).await.unwrap();
    ivy.call(&SEND, (0,)).await.unwrap().result(PATIENCE).await.unwrap_err();
    let mut text = String::new();
    ivy.metrics().await.write_openmetrics(&mut text).unwrap();
    worker.drain(PATIENCE).await;
    text
}

/// Replies to each request with this text.
async fn serve(text: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let response = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: {OPENMETRICS_CONTENT_TYPE}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
        text.len()
    );
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"\r\n\r\n") {
                let Ok(byte) = stream.read_u8().await else { break };
                request.push(byte);
            }
            // The client may have left.
            let _ = stream.write_all(response.as_bytes()).await;
        }
    });
    address
}
