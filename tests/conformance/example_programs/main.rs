//! The example programs of the core and of each adapter, run as a new user runs them.

use ivy_test_kit::{IvyServer, Process, RedisServer, example};

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

#[tokio::test]
async fn the_machines_driven_by_hand_return_a_result_after_a_retry() {
    let lines = without_configuration("", "by_hand", &[]).success().await;
    assert!(lines.iter().any(|line| line.ends_with("attempt 2 of 4")), "{lines:?}");
    assert!(lines.last().is_some_and(|line| line.ends_with("6! = 720")), "{lines:?}");
}
