//! The example programs of the core and of each adapter, run as a new user runs them.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::path::PathBuf;
use std::time::Duration;

use ivy_test_kit::{ClosedPort, IvyServer, Process, RedisServer, example};

/// The prefix of an adapter's examples. Each adapter has the same examples.
const ADAPTERS: [&str; 3] = ["", "async_std_", "blocking_"];

/// A queue server, a Redis, and an adapter's example programs that use both.
struct Fixture {
    adapter: &'static str,
    ironmq: IvyServer,
    redis: RedisServer,
}

impl Fixture {
    async fn start(adapter: &'static str) -> Self {
        Fixture { adapter, ironmq: IvyServer::start().await, redis: RedisServer::start().await }
    }

    fn run(&self, name: &str, args: &[&str]) -> Process {
        let env = [("IVY_QUEUE_URL", self.ironmq.url()), ("IVY_NOTIFIER_URL", self.redis.url())];
        let env = env.map(|(name, value)| (name.to_owned(), value));
        Process::spawn(name, example(&format!("{}{name}", self.adapter)).as_os_str(), args, env)
    }

    async fn worker(&self, args: &[&str]) -> Process {
        let mut worker = self.run("worker", args);
        worker.line().await;
        worker
    }
}

fn without_configuration(adapter: &str, name: &str, args: &[&str]) -> Process {
    Process::spawn(name, example(&format!("{adapter}{name}")).as_os_str(), args, [])
}

#[tokio::test]
async fn the_quickstart_shows_a_result_and_a_dead_letter_and_ends() {
    for adapter in ADAPTERS {
        let lines = without_configuration(adapter, "quickstart", &[]).success().await;
        assert!(lines.contains(&"5! = 120".to_owned()), "{lines:?}");
        assert!(
            lines
                .iter()
                .any(|line| line.starts_with("quickstart.dead contains quickstart.unlucky")),
            "{lines:?}"
        );
    }
}

#[tokio::test]
async fn the_first_program_prints_its_result() {
    let lines = without_configuration("", "first_program", &[]).success().await;
    assert_eq!(lines, ["5! = 120"]);
}

#[tokio::test]
async fn tasks_travel_over_a_custom_queue_backend() {
    let lines = without_configuration("", "custom_queue", &[]).success().await;
    assert_eq!(lines, ["2 * 21 = 42"]);
}

#[tokio::test]
async fn the_producer_prints_what_the_worker_computed_in_the_order_of_its_arguments() {
    for adapter in ADAPTERS {
        let fixture = Fixture::start(adapter).await;
        let _worker = fixture.worker(&[]).await;
        let lines = fixture.run("producer", &["5", "20", "0", "3"]).success().await;
        assert_eq!(lines, ["5! = 120", "20! = 2432902008176640000", "0! = 1", "3! = 6"]);
    }
}

#[tokio::test]
async fn one_redis_carries_tasks_and_results() {
    for adapter in ADAPTERS {
        let redis = RedisServer::start().await;
        let run = |name: &str, args: &[&str]| {
            let env = [("IVY_QUEUE_URL".to_owned(), redis.url())];
            Process::spawn(name, example(&format!("{adapter}{name}")).as_os_str(), args, env)
        };
        let mut worker = run("worker", &[]);
        worker.line().await;
        let lines = run("producer", &["5", "3"]).success().await;
        assert_eq!(lines, ["5! = 120", "3! = 6"]);
    }
}

#[tokio::test]
async fn producer_and_worker_share_the_queue_that_both_name() {
    for adapter in ADAPTERS {
        let fixture = Fixture::start(adapter).await;
        let _elsewhere = fixture.worker(&["--queue", "elsewhere"]).await;
        let _worker = fixture.worker(&["--queue", "here", "--concurrency", "2"]).await;
        let lines = fixture
            .run("producer", &["--queue", "here", "--concurrency", "3", "1", "2", "3", "4"])
            .success()
            .await;
        assert_eq!(lines, ["1! = 1", "2! = 2", "3! = 6", "4! = 24"]);
    }
}

#[tokio::test]
async fn the_worker_exits_successfully_on_a_signal() {
    for adapter in ADAPTERS {
        let fixture = Fixture::start(adapter).await;
        for signal in ["INT", "TERM", "HUP"] {
            let mut worker = fixture.worker(&[]).await;
            worker.signal(signal);
            worker.success().await;
        }
    }
}

#[tokio::test]
async fn a_result_that_cannot_be_computed_is_an_error_of_the_producer() {
    for adapter in ADAPTERS {
        let fixture = Fixture::start(adapter).await;
        let _worker = fixture.worker(&[]).await;
        let mut producer = fixture.run("producer", &["21"]);
        assert_eq!(producer.exit().await.code(), Some(1));
        assert!(producer.log().contains("21! does not fit"), "{}", producer.log());
    }
}

#[tokio::test]
async fn a_missing_result_is_an_error_of_the_producer() {
    for adapter in ADAPTERS {
        let fixture = Fixture::start(adapter).await;
        let mut producer = fixture.run("producer", &["--timeout", "1", "5"]);
        assert_eq!(producer.exit().await.code(), Some(1));
        assert!(producer.log().contains("error: "), "{}", producer.log());
    }
}

#[tokio::test]
async fn a_missing_configuration_is_an_error_that_says_what_to_set() {
    for adapter in ADAPTERS {
        for (name, args) in [("producer", ["5"].as_slice()), ("worker", &[])] {
            let mut program = without_configuration(adapter, name, args);
            assert_eq!(program.exit().await.code(), Some(1));
            assert!(program.log().contains("IVY_QUEUE_URL"), "{}", program.log());
        }
    }
}

#[tokio::test]
async fn bad_usage_has_its_own_exit_status() {
    for adapter in ADAPTERS {
        for (name, args) in [
            ("producer", ["five"].as_slice()),
            ("producer", &[]),
            ("worker", &["--concurrency", "many"]),
        ] {
            assert_eq!(
                without_configuration(adapter, name, args).exit().await.code(),
                Some(2),
                "{name} {args:?}"
            );
        }
    }
}

/// The file of an importer.
struct Imported(PathBuf);

impl Imported {
    /// A file that does not exist yet.
    fn file(name: &str) -> Self {
        let file = format!("ivy-{name}-{}", std::process::id());
        Imported(std::env::temp_dir().join(file))
    }

    fn run(&self, adapter: &str, queue: &str, rows: u64, work: &str) -> Process {
        let (program, rows) = (example(&format!("{adapter}importer")), rows.to_string());
        let file = self.0.to_str().unwrap();
        let args = ["--rows", &rows, "--imported", file, "--work", work];
        let env = [("IVY_QUEUE_URL".to_owned(), queue.to_owned())];
        Process::spawn("importer", program.as_os_str(), args, env)
    }

    /// The numbers of the rows that are imported.
    fn rows(&self) -> Vec<u64> {
        let text = std::fs::read_to_string(&self.0).unwrap();
        text.lines().map(|line| line.parse().unwrap()).collect()
    }
}

impl Drop for Imported {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[tokio::test]
async fn the_importer_reports_the_row_that_fails_and_imports_the_others() {
    for adapter in ADAPTERS {
        let file = Imported::file(&format!("{adapter}poison"));
        let mut importer = file.run(adapter, "memory://", 3_000, "0");
        assert!(importer.line().await.starts_with("1000 of 3000 rows, "));
        assert!(importer.line().await.starts_with("2000 of 3000 rows, "));
        assert_eq!(importer.line().await, "3000 of 3000 rows, 1 failed");
        assert_eq!(importer.line().await, "2999 rows imported, 1 failed, 0 left");
        assert_eq!(importer.exit().await.code(), Some(1));
        let log = importer.log();
        let failures: Vec<_> = log.lines().filter(|line| line.starts_with("row ")).collect();
        assert!(matches!(failures[..], [row] if row.starts_with("row 13: ")), "{log}");
        assert!(failures[0].contains("row 13 has no amount"), "{log}");
        assert_eq!(file.rows().len(), 2999);
    }
}

#[tokio::test]
async fn a_row_whose_note_was_cut_off_is_imported_again() {
    for adapter in ADAPTERS {
        let file = Imported::file(&format!("{adapter}cut_off"));
        // The note of row 12 lacks its last digit and its end.
        std::fs::write(&file.0, "2\n1").unwrap();
        let mut importer = file.run(adapter, "memory://", 12, "0");
        assert_eq!(importer.line().await, "11 rows imported, 0 failed, 0 left");
        assert_eq!(importer.exit().await.code(), Some(0));
        let mut rows = file.rows();
        rows.sort_unstable();
        assert_eq!(rows, (1..=12).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn an_interrupted_importer_notes_what_it_has_sent_and_continues_with_the_rest() {
    const ROWS: u64 = 5_000;
    for adapter in ADAPTERS {
        let redis = RedisServer::start().await;
        let (queue, file) = (redis.url(), Imported::file(&format!("{adapter}interrupted")));
        let mut first = file.run(adapter, &queue, ROWS, "50");
        first.line().await;
        first.signal("INT");
        assert_eq!(first.exit().await.code(), Some(1));
        let log = first.log();
        assert!(log.lines().any(|line| line.starts_with("interrupted: ")), "{log}");
        let done = file.rows().len() as u64;
        let left = ROWS - done - 1;
        let end = format!("{done} rows imported, 1 failed, {left} left");
        assert!(left > 0 && log.lines().any(|line| line == end), "{end}: {log}");

        let mut second = file.run(adapter, &queue, ROWS, "0");
        assert_eq!(second.exit().await.code(), Some(1));
        let (log, end) = (second.log(), format!("{left} rows imported, 1 failed, 0 left"));
        assert!(log.lines().any(|line| line == end), "{end}: {log}");
        let mut all = file.rows();
        all.sort_unstable();
        assert_eq!(all, (1..=ROWS).filter(|row| *row != 13).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn an_importer_whose_queue_is_unreachable_ends_instead_of_trying_all_rows() {
    const ROWS: u64 = 50_000;
    let port = ClosedPort::take();
    let queue = format!("redis://127.0.0.1:{}", port.number());
    for adapter in ADAPTERS {
        let file = Imported::file(&format!("{adapter}outage"));
        let mut importer = file.run(adapter, &queue, ROWS, "0");
        assert_eq!(importer.exit().await.code(), Some(1));
        let log = importer.log();
        let end = "error: queue unreachable, nothing more is sent; run again";
        assert!(log.lines().any(|line| line == end), "{log}");
        let tried = log.lines().filter(|line| line.starts_with("row ")).count();
        assert!((200..5_000).contains(&tried), "{tried} rows were tried");
        assert!(file.rows().is_empty());
    }
}

/// The other adapters wait for the next result and for a signal at once.
#[tokio::test]
async fn an_importer_on_threads_notices_an_interrupt_before_the_next_result() {
    let file = Imported::file("blocking_prompt");
    let mut importer = file.run("blocking_", "memory://", 3_000, "3600000");
    // The file is created once the handler of the signal is set.
    while !file.0.exists() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    importer.signal("INT");
    assert!(importer.line().await.starts_with("interrupted: "));
}

#[tokio::test]
async fn the_machines_driven_by_hand_return_a_result_after_a_retry() {
    let lines = without_configuration("", "by_hand", &[]).success().await;
    assert!(lines.iter().any(|line| line.ends_with("attempt 2 of 4")), "{lines:?}");
    assert!(lines.last().is_some_and(|line| line.ends_with("6! = 720")), "{lines:?}");
}
