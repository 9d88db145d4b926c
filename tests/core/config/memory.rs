//! Queues and notifiers in memory, and their names.

use ivy_proto::config::{Config, NotifierConfig, QueueConfig, Warning};

use crate::support::{builder, environment};

fn config(queue: &str) -> Config {
    environment().resolve(builder().queue_url(queue)).unwrap()
}

fn names(config: &Config) -> [Option<&str>; 2] {
    let queue = match &config.queue {
        Some(QueueConfig::SharedMemory(name)) => Some(name.as_str()),
        Some(QueueConfig::Memory) => None,
        other => panic!("{other:?}"),
    };
    let notifier = match &config.notifier {
        Some(NotifierConfig::SharedMemory(name)) => Some(name.as_str()),
        Some(NotifierConfig::Memory) => None,
        other => panic!("{other:?}"),
    };
    [queue, notifier]
}

#[test]
fn a_memory_without_a_name_is_private() {
    assert_eq!(names(&config("memory://")), [None, None]);
}

#[test]
fn a_shared_memory_is_queue_and_notifier() {
    let name = "a-memory_of.v2";
    assert_eq!(names(&config(&format!("memory://{name}"))), [Some(name), Some(name)]);
    let longest = "n".repeat(64);
    assert_eq!(names(&config(&format!("memory://{longest}")))[0], Some(longest.as_str()));
}

#[test]
fn queue_and_notifier_may_be_in_two_memories() {
    let builder = builder().queue_url("memory://one").notifier_url("memory://other");
    let config = environment().resolve(builder).unwrap();
    assert_eq!(names(&config), [Some("one"), Some("other")]);
    assert_eq!(config.warnings, []);
}

#[test]
fn a_private_notifier_of_a_shared_queue_is_warned_about() {
    let builder = builder().queue_url("memory://one").notifier_url("memory://");
    let config = environment().resolve(builder).unwrap();
    assert_eq!(config.warnings, [Warning::PrivateNotifier]);
}
