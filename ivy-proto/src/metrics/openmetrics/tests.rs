//! The text is what its parser reads, and stays what it was.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::event::ReleaseReason;
use crate::metrics::{
    Execution, NoticeOutcome, QueueCounts, RequestMeter, Scale, SendOutcome, TaskCounts, TaskKey,
};
use crate::name::TaskName;
use crate::wire::DeadLetterReason;

const GOLDEN: &str = include_str!("golden.txt");

/// A sample: its name and labels.
type Name = (String, BTreeMap<String, String>);

/// What a parser reads: the samples, and the type of each family.
#[derive(Debug, Default)]
struct Parsed {
    samples: BTreeMap<Name, String>,
    families: BTreeMap<String, String>,
}

impl Parsed {
    /// Reads the text strictly by the format: each family once, its samples together, each sample
    /// once, and the mark of the end.
    fn read(text: &str) -> Parsed {
        let body = text.strip_suffix("# EOF\n").expect("it ends with its mark");
        let mut parsed = Parsed::default();
        let mut family = String::new();
        for line in body.lines() {
            if let Some(meta) = line.strip_prefix("# ") {
                let (kind, rest) = meta.split_once(' ').unwrap();
                let (name, value) = rest.split_once(' ').unwrap();
                match kind {
                    "TYPE" => {
                        family = name.to_owned();
                        let before = parsed.families.insert(family.clone(), value.to_owned());
                        assert_eq!(before, None, "{name} occurs twice");
                    }
                    "UNIT" => assert!(name == family && name.ends_with(&format!("_{value}"))),
                    "HELP" => assert_eq!(name, family),
                    other => panic!("{other}"),
                }
                continue;
            }
            let (name, value) = sample(line);
            let suffixes: &[&str] = match &*parsed.families[&family] {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_count", "_sum"],
                "info" => &["_info"],
                "gauge" => &[""],
                other => panic!("{other}"),
            };
            let belongs = suffixes.iter().any(|suffix| name.0 == format!("{family}{suffix}"));
            assert!(belongs, "{} is not of {family}", name.0);
            assert_eq!(parsed.samples.insert(name.clone(), value), None, "{name:?} occurs twice");
        }
        parsed
    }

    fn value(&self, name: &str, labels: &[(&str, &str)]) -> Option<&str> {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        self.samples.get(&(name.to_owned(), labels.collect())).map(String::as_str)
    }
}

fn sample(line: &str) -> (Name, String) {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    let mut labels = BTreeMap::new();
    if let Some(list) = rest.strip_prefix('{') {
        rest = list;
        while !rest.starts_with('}') {
            rest = rest.strip_prefix(',').unwrap_or(rest);
            let (key, value) = rest.split_once("=\"").unwrap();
            let (value, after) = unescaped(value);
            labels.insert(key.to_owned(), value);
            rest = after;
        }
        rest = &rest[1..];
    }
    ((name.to_owned(), labels), rest.strip_prefix(' ').unwrap().to_owned())
}

/// The label value up to its quotation mark, and what follows.
fn unescaped(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match characters.next().unwrap().1 {
                'n' => '\n',
                other => other,
            }),
            other => value.push(other),
        }
    }
    panic!("the value has no end: {text}")
}

fn written(snapshot: &Snapshot) -> String {
    let mut text = String::new();
    snapshot.write_openmetrics(&mut text).unwrap();
    text
}

fn queue(name: &str) -> QueueName {
    QueueName::new(name).unwrap()
}

fn key(name: &str, task: &str) -> TaskKey {
    TaskKey { queue: queue(name), task: TaskName::new(task).unwrap() }
}

/// A snapshot that has something of everything.
fn example() -> Snapshot {
    let mut snapshot =
        Snapshot { slots: 10, calls_waiting: 2, outbox_calls: 1, ..Snapshot::default() };
    let counts = snapshot.tasks.entry(key("mail", "mail.\"send\"")).or_default();
    counts.started = 3;
    counts.executed.add(Execution::Ok, 2);
    counts.executed.add(Execution::Panic, 1);
    counts.retried = 1;
    counts.dead.insert(DeadLetterReason::Fatal, 1);
    counts.wait.record(Duration::from_millis(3));
    counts.run.record(Duration::from_secs(7200));
    counts.run.record(Duration::from_micros(1_500));
    let counts = QueueCounts {
        reserved: 4,
        released: [(ReleaseReason::Drain, 1)].into(),
        leases_lost: 1,
        touches: 5,
        running: 1,
        held: 2,
        longest_running: Duration::from_millis(61_250),
    };
    snapshot.queues.insert(queue("mail"), counts);
    snapshot.notices.add(NoticeOutcome::Heard, 2);
    snapshot.sent.entry(key("mail", "mail.\"send\"")).or_default().add(SendOutcome::Sent, 4);
    snapshot.resends.insert(queue("mail"), 1);
    let results = snapshot.results.entry(TaskName::new("back\\slash").unwrap()).or_default();
    results.record_micros(ResultOutcome::Failed, 20_000);
    let mut requests = RequestMeter::default();
    requests.ended(RequestKind::Post, RequestOutcome::Ok, 700);
    requests.ended(RequestKind::Publish, RequestOutcome::NotDone, 90_000_000);
    snapshot.requests = requests.by_kind();
    snapshot.degraded.insert(Part::Queue(queue("mail")));
    snapshot.clock_skew = Some(Duration::from_millis(400));
    snapshot.backends = Some(Backends::new("memory", Some("other")));
    snapshot
}

#[test]
fn the_text_stays_what_it_was() {
    let version = format!("version=\"{}\"", env!("CARGO_PKG_VERSION"));
    let text = written(&example()).replace(&version, "version=\"VERSION\"");
    assert_eq!(text, GOLDEN);
}

#[test]
fn every_part_of_a_snapshot_is_written() {
    let parsed = Parsed::read(&written(&example()));
    let task = ("task", "mail.\"send\"");
    let mail = ("queue", "mail");
    for (name, labels, value) in [
        ("ivy_tasks_sent_total", &[mail, task, ("outcome", "sent")][..], "4"),
        ("ivy_resends_total", &[mail], "1"),
        ("ivy_clock_skew_seconds", &[], "0.4"),
        ("ivy_calls_waiting", &[], "2"),
        ("ivy_outbox_calls", &[], "1"),
        ("ivy_result_seconds_sum", &[("task", "back\\slash"), ("outcome", "failed")], "0.02"),
        ("ivy_task_wait_seconds_count", &[mail, task], "1"),
        ("ivy_task_run_seconds_bucket", &[mail, task, ("le", "0.0025")], "1"),
        ("ivy_task_run_seconds_bucket", &[mail, task, ("le", "3600.0")], "1"),
        ("ivy_task_run_seconds_bucket", &[mail, task, ("le", "+Inf")], "2"),
        ("ivy_task_run_seconds_sum", &[mail, task], "7200.0015"),
        ("ivy_tasks_executed_total", &[mail, task, ("outcome", "panic")], "1"),
        ("ivy_tasks_retried_total", &[mail, task], "1"),
        ("ivy_tasks_dead_total", &[mail, task, ("reason", "Fatal")], "1"),
        ("ivy_messages_reserved_total", &[mail], "4"),
        ("ivy_messages_released_total", &[mail, ("reason", "Drain")], "1"),
        ("ivy_leases_lost_total", &[mail], "1"),
        ("ivy_touches_total", &[mail], "5"),
        ("ivy_notices_total", &[("outcome", "heard")], "2"),
        ("ivy_tasks_running", &[mail], "1"),
        ("ivy_messages_held", &[mail], "2"),
        ("ivy_worker_slots", &[], "10"),
        ("ivy_task_longest_running_seconds", &[mail], "61.25"),
        (
            "ivy_requests_total",
            &[("backend", "other"), ("op", "publish"), ("outcome", "not_done")],
            "1",
        ),
        (
            "ivy_request_seconds_bucket",
            &[("backend", "memory"), ("op", "post"), ("outcome", "ok"), ("le", "0.001")],
            "1",
        ),
        ("ivy_degraded", &[("part", "queue"), mail], "1"),
        ("ivy_degraded", &[("part", "messages"), mail], "0"),
        ("ivy_degraded", &[("part", "notifier")], "0"),
    ] {
        assert_eq!(parsed.value(name, labels), Some(value), "{name} {labels:?}");
    }
}

#[test]
fn no_label_names_a_worker_a_message_or_a_task_id() {
    let allowed = ["queue", "task", "outcome", "reason", "backend", "op", "part", "version", "le"];
    let parsed = Parsed::read(&written(&example()));
    for (_, labels) in parsed.samples.keys() {
        assert!(labels.keys().all(|label| allowed.contains(&label.as_str())), "{labels:?}");
    }
}

prop_compose! {
    fn counts()(
        started in any::<u64>(),
        retried in any::<u64>(),
        panics in any::<u64>(),
        dead in proptest::collection::btree_map(0..DeadLetterReason::ALL.len(), any::<u64>(), 0..4),
        buckets in proptest::collection::vec(0_u64..1 << 32, 0..=21),
        micros in any::<u64>(),
    ) -> TaskCounts {
        let mut counts = TaskCounts { started, retried, ..TaskCounts::default() };
        counts.executed.add(Execution::Panic, panics);
        let reasons = dead.iter().map(|(at, count)| (DeadLetterReason::ALL[*at], *count));
        counts.dead.extend(reasons);
        counts.run = Histogram::from_parts(Scale::Tasks, &buckets, micros).unwrap();
        counts
    }
}

proptest! {
    #[test]
    fn a_parser_reads_what_was_written(
        tasks in proptest::collection::btree_map(
            ("[a-z\"\\\\,{}= ä]{1,6}", "[a-z\"\\\\,{}= ä]{1,6}"), counts(), 0..6,
        ),
    ) {
        let mut snapshot = Snapshot::default();
        for ((queue, task), counts) in &tasks {
            snapshot.tasks.insert(key(queue, task), counts.clone());
        }
        let parsed = Parsed::read(&written(&snapshot));
        for ((queue, task), counts) in &tasks {
            let (queue, task) = (("queue", queue.as_str()), ("task", task.as_str()));
            let number = |name: &str, labels: &[(&str, &str)]| {
                parsed.value(name, labels).and_then(|value| value.parse::<u64>().ok())
            };
            let retried = number("ivy_tasks_retried_total", &[queue, task]);
            prop_assert_eq!(retried, Some(counts.retried));
            for (outcome, count) in counts.executed.iter() {
                let labels = [queue, task, ("outcome", outcome.as_str())];
                prop_assert_eq!(number("ivy_tasks_executed_total", &labels), Some(count));
            }
            for (reason, count) in &counts.dead {
                let labels = [queue, task, ("reason", reason.as_str())];
                prop_assert_eq!(number("ivy_tasks_dead_total", &labels), Some(*count));
            }
            let mut read = Vec::new();
            let bounds = Scale::Tasks.bounds().iter().map(|bound| Seconds(*bound).to_string());
            for bound in bounds.chain(["+Inf".to_owned()]) {
                let labels = [queue, task, ("le", &*bound)];
                read.push(number("ivy_task_run_seconds_bucket", &labels).unwrap());
            }
            let below = std::iter::once(0).chain(read.iter().copied());
            let buckets: Vec<u64> = read.iter().zip(below).map(|(to, from)| to - from).collect();
            prop_assert_eq!(&buckets, counts.run.buckets());
        }
    }

    #[test]
    fn any_label_value_is_read_back(value in any::<String>()) {
        let mut text = String::new();
        Writer { out: &mut text }.sample("name", &[("label", &value), ("other", "x")], 7).unwrap();
        let line = text.strip_suffix('\n').unwrap();
        prop_assert!(!line.contains('\n'));
        let ((name, labels), number) = sample(line);
        prop_assert_eq!((name.as_str(), number.as_str()), ("name", "7"));
        prop_assert_eq!(&labels["label"], &value);
        prop_assert_eq!(&labels["other"], "x");
    }

    #[test]
    fn seconds_are_exact(micros in any::<u64>()) {
        let text = Seconds(micros).to_string();
        let (seconds, fraction) = text.split_once('.').unwrap();
        let micros_read = seconds.parse::<u64>().unwrap() * 1_000_000
            + format!("{fraction:0<6}").parse::<u64>().unwrap();
        prop_assert_eq!(micros_read, micros);
    }
}
