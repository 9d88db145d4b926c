//! The files for process managers: their limits fit the code, and the guide shows them unchanged.

use std::time::Duration;

use ivy_proto::QueueName;
use ivy_proto::queue::{Capabilities, QueueOp};
use ivy_test_kit::read_yaml;
use serde_json::Value;

use super::read;

/// How long a worker needs after its drain to release what remains.
const RELEASES: Duration = Duration::from_secs(5);
const PORT: u64 = 9464;

const GUIDE: &str = include_str!("../../guides/deploying.md");

/// The limit that the guide's worker passes to `worker.drain`.
fn drain() -> Duration {
    let (_, rest) = GUIDE.split_once("const DRAIN: Duration = Duration::from_secs(").unwrap();
    let (limit, _) = rest.split_once(')').unwrap();
    Duration::from_secs(limit.parse().unwrap())
}

fn seconds(value: &Value) -> Duration {
    Duration::from_secs(value.as_u64().unwrap())
}

/// The container of the deployment's worker, and the specification of its pod.
fn pod() -> (Value, Value) {
    let [deployment] = &read_yaml(&read("kubernetes/worker.yaml"))[..] else {
        panic!("one document")
    };
    let pod = deployment["spec"]["template"]["spec"].clone();
    (pod["containers"][0].clone(), pod)
}

/// The value of a key of the unit.
fn unit(key: &str) -> Vec<String> {
    let unit = read("systemd/ivy-worker.service");
    let values = unit.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    values.map(str::to_owned).collect()
}

/// How long the machine of a worker waits for a reply at most.
fn longest_wait() -> Duration {
    let poll = QueueOp::Reserve {
        queue: QueueName::new("mail").unwrap(),
        count: 1,
        lease: Duration::from_secs(30),
        wait: Capabilities::broker().long_poll,
    };
    poll.time_limit()
}

#[test]
fn a_drain_ends_before_the_process_is_killed() {
    let (_, pod) = pod();
    assert!(seconds(&pod["terminationGracePeriodSeconds"]) >= drain() + RELEASES);
    let [stop] = &unit("TimeoutStopSec")[..] else { panic!("one limit") };
    assert!(Duration::from_secs(stop.parse().unwrap()) >= drain() + RELEASES);
    for file in ["systemd/ivy-worker.service", "kubernetes/worker.yaml"] {
        assert!(read(file).contains(&format!("{} s", drain().as_secs())), "{file}");
    }
}

#[test]
fn a_process_that_ends_is_started_again() {
    assert_eq!(unit("Restart"), ["always"]);
    let (_, pod) = pod();
    assert!(pod["restartPolicy"].is_null(), "a deployment restarts always");
}

#[test]
fn probes_ask_the_listener_of_the_worker() {
    let (container, _) = pod();
    let env = container["env"].as_array().unwrap();
    let health = env.iter().find(|variable| variable["name"] == "IVY_HEALTH").unwrap();
    assert_eq!(health["value"], format!("0.0.0.0:{PORT}"));
    let ports = container["ports"].as_array().unwrap();
    for (probe, path) in [("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
        let request = &container[probe]["httpGet"];
        assert_eq!(request["path"], path);
        let port = ports.iter().find(|port| port["name"] == request["port"]).unwrap();
        assert_eq!(port["containerPort"], PORT);
    }
    assert!(unit("Environment").contains(&format!("IVY_HEALTH=127.0.0.1:{PORT}")));
}

#[test]
fn a_probe_never_restarts_a_worker_that_waits_for_its_queue() {
    let (container, _) = pod();
    let probe = &container["livenessProbe"];
    let fails_for = seconds(&probe["periodSeconds"])
        * u32::try_from(probe["failureThreshold"].as_u64().unwrap()).unwrap();
    assert!(fails_for >= 2 * longest_wait(), "{fails_for:?}");
    assert!(seconds(&probe["timeoutSeconds"]) < seconds(&probe["periodSeconds"]));
    assert_eq!(probe["httpGet"]["path"], "/livez", "the path that asks no queue");
}

#[test]
fn the_guide_shows_the_files() {
    for (fence, file) in [("ini", "systemd/ivy-worker.service"), ("yaml", "kubernetes/worker.yaml")]
    {
        let block = format!("```{fence}\n{}```\n", read(file));
        assert!(GUIDE.contains(&block), "guides/deploying.md shows another {file}");
    }
}
