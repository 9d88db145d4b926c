//! Records that are written, sealed, lost, foreign and too large.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::event::{Part, ReleaseReason, TaskRef};
use crate::id::TaskId;
use crate::metrics::{Execution, Histogram, OTHER, Scale, TaskCounts, TaskKey};
use crate::name::{ChannelName, QueueName, TaskName};
use crate::time::Moment;
use crate::wire::crypto::samples::{both, keyring};
use crate::wire::crypto::{BodyForm, Encryption, EntropyPool, Policy};
use crate::wire::{Codec, DeadLetterReason};

const SECOND: Duration = Duration::from_secs(1);

fn queue(name: &str) -> QueueName {
    QueueName::new(name).unwrap()
}

fn task(name: &str) -> TaskName {
    TaskName::new(name).unwrap()
}

fn key(task_name: &str) -> TaskKey {
    TaskKey { queue: queue("mail"), task: task(task_name) }
}

fn prefix() -> ChannelName {
    ChannelName::new("ivy-notifier").unwrap()
}

fn channel() -> ChannelName {
    prefix().presence().unwrap()
}

fn at(seconds: u64) -> Moment {
    Moment::after_epoch(Duration::from_secs(seconds))
}

/// The record of this number, of a worker that serves the queue `mail` and has run `seq` tasks.
fn record(worker: u8, seq: u64) -> Record {
    let mut counts = TaskCounts { started: seq, ..TaskCounts::default() };
    counts.executed.add(Execution::Ok, seq);
    Record {
        worker: WorkerId::from_random([worker; 16]),
        seq,
        up: Duration::from_secs(2 * seq),
        counts: [(key("mail.send"), counts)].into(),
        ..Record::sample("mail")
    }
}

fn hear(listener: &mut Listener, record: &Record, now: Moment) {
    listener.hear(record.to_text().as_bytes(), now).unwrap();
}

fn listener() -> Listener {
    Listener::new(Codec::plain(), &prefix()).unwrap()
}

fn pool() -> EntropyPool {
    EntropyPool::from_seed(&[3; 32])
}

prop_compose! {
    fn names()(name in "[a-z.\"\\\\äß]{1,40}") -> String { name }
}

prop_compose! {
    fn histograms()(
        buckets in proptest::collection::vec(any::<u64>(), 0..=21), micros in any::<u64>(),
    ) -> Histogram {
        Histogram::from_parts(Scale::Tasks, &buckets, micros).unwrap()
    }
}

prop_compose! {
    fn counts()(
        numbers in any::<[u64; 4]>(),
        reasons in proptest::collection::vec(
            proptest::collection::btree_map(0..DeadLetterReason::ALL.len(), 1_u64.., 0..5), 2,
        ),
        wait in histograms(),
        run in histograms(),
    ) -> TaskCounts {
        let [started, retried, leases_lost, panics] = numbers;
        let reason = |(at, count): (&usize, &u64)| (DeadLetterReason::ALL[*at], *count);
        let dead = reasons[0].iter().map(reason).collect();
        let undecided = |(reason, count)| (ReleaseReason::Undecided(reason), count);
        let released = reasons[1].iter().map(reason).map(undecided).collect();
        let mut counts = TaskCounts {
            started, retried, released, dead, leases_lost, wait, run, ..TaskCounts::default()
        };
        counts.executed.add(Execution::Panic, panics);
        counts
    }
}

fn parts() -> impl Strategy<Value = Part> {
    prop_oneof![
        Just(Part::Notifier),
        names().prop_map(|name| Part::Queue(queue(&name))),
        names().prop_map(|name| Part::Messages(queue(&name))),
        (names(), names())
            .prop_map(|(name, of)| Part::Task { task: task(&name), queue: queue(&of) }),
    ]
}

prop_compose! {
    /// Any record, also one that is too large to be published.
    fn records(most: usize)(
        numbers in any::<[u64; 5]>(),
        millis in 0..u64::MAX / 2,
        worker in any::<[u8; 16]>(),
        state in prop_oneof![
            Just(WorkerState::Running), Just(WorkerState::Paused),
            Just(WorkerState::Draining), Just(WorkerState::Gone),
        ],
        process in proptest::option::of((proptest::option::of(names()), any::<u32>())),
        degraded in proptest::collection::vec((parts(), names()), 0..12),
        queues in proptest::collection::vec((names(), any::<bool>()), 1..most),
        tasks in proptest::collection::vec(names(), 0..most),
        longest in proptest::collection::vec(
            (any::<[u8; 16]>(), names(), names(), any::<u32>(), any::<u32>()), 0..25,
        ),
        counts in proptest::collection::vec(((names(), names()), counts()), 0..most),
    ) -> Record {
        let [seq, started, slots, running, held] = numbers;
        let seq = seq.max(1);
        let mut identity = Identity::new("1.2.3", "tokio");
        if let Some((host, pid)) = process {
            identity = identity.with_process(host.as_deref(), pid);
        }
        Record {
            worker: WorkerId::from_random(worker),
            seq, state, identity, started, slots, running, held,
            up: Duration::from_millis(millis),
            degraded: degraded
                .into_iter()
                .map(|(part, why)| Degraded { part, why: ShortText::lossy(&why) })
                .collect(),
            queues: queues
                .into_iter()
                .map(|(name, is_degraded)| QueuePresence { name: queue(&name), is_degraded })
                .collect(),
            tasks: tasks.iter().map(|name| task(name)).collect(),
            more: More::default(),
            longest: longest
                .into_iter()
                .map(|(id, name, of, attempt, millis)| RunningTask {
                    task: TaskRef {
                        id: TaskId::from_random(id), name: task(&name), queue: queue(&of),
                    },
                    attempt,
                    running: Duration::from_millis(millis.into()),
                })
                .collect(),
            counts: counts
                .into_iter()
                .map(|((of, name), counts)| {
                    (TaskKey { queue: queue(&of), task: task(&name) }, counts)
                })
                .collect(),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_record_is_read_as_it_was_written(record in records(8)) {
        prop_assert_eq!(Record::parse(&record.to_text()).unwrap(), record);
    }

    #[test]
    fn any_record_fits_and_keeps_its_totals(record in records(120)) {
        let total = |record: &Record| {
            record.counts.values().fold(0_u64, |sum, counts| sum.saturating_add(counts.started))
        };
        let (before, queues) = (total(&record), record.queues.len() as u64);
        let fitted = record.fitted();
        prop_assert!(fitted.to_text().len() <= TEXT_CAP);
        prop_assert_eq!(total(&fitted), before);
        prop_assert_eq!(fitted.queues.len() as u64 + fitted.more.queues, queues);
        prop_assert!(!fitted.queues.is_empty());
        for codec in codecs() {
            prop_assert!(
                fitted.seal(&channel(), &codec, &mut pool()).as_str().len() <= PRESENCE_CAP
            );
        }
    }

    #[test]
    fn no_payload_does_harm(payload in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut listener = listener();
        prop_assert!(listener.hear(&payload, at(0)).is_err());
        prop_assert_eq!(listener.heard(at(0)).ignored, 1);
    }

    #[test]
    fn a_damaged_record_does_no_harm(record in records(4), place in any::<u16>(), byte in any::<u8>()) {
        let mut text = record.to_text().into_bytes();
        let place = usize::from(place) % text.len();
        text[place] = byte;
        let _ = Record::open(&text, &channel(), &Codec::plain());
    }
}

fn codecs() -> Vec<Codec> {
    let with = |policy| Codec::new(&both().with_policy(policy)).unwrap();
    vec![Codec::plain(), with(Policy::legacy()), with(Policy::bridge()), with(Policy::v2())]
}

#[test]
fn a_record_is_sealed_like_the_queues_that_it_names() {
    let forms = ["{", "$aes-256-cbc$", "$aes-256-cbc$", "$ivy2$"];
    for (codec, form) in codecs().iter().zip(forms) {
        let sealed = record(1, 1).seal(&channel(), codec, &mut pool());
        assert!(sealed.as_str().starts_with(form), "{}", sealed.as_str());
        let opened = Record::open(sealed.as_str().as_bytes(), &channel(), codec).unwrap();
        assert_eq!(opened, record(1, 1));
    }
}

#[test]
fn one_protected_queue_protects_the_record() {
    let encryption = Encryption::new()
        .with_keyring(keyring())
        .with_policy(Policy::plain())
        .with_queue(queue("secret"), Policy::v2());
    let codec = Codec::new(&encryption).unwrap();
    let mut both = record(1, 1);
    both.queues.push(QueuePresence { name: queue("secret"), is_degraded: false });
    let sealed = both.seal(&channel(), &codec, &mut pool());
    assert!(sealed.as_str().starts_with("$ivy2$"));
    assert!(Record::open(sealed.as_str().as_bytes(), &channel(), &codec).is_ok());
    let plain = both.to_text();
    let refused = Record::open(plain.as_bytes(), &channel(), &codec);
    assert_eq!(refused, Err(BadPresence::Downgrade));
    assert!(Record::open(record(1, 1).to_text().as_bytes(), &channel(), &codec).is_ok());
}

#[test]
fn a_record_opens_on_its_own_channel_only() {
    for codec in codecs().iter().filter(|codec| codec.sends(&queue("mail")).is_authenticated()) {
        let sealed = record(1, 1).seal(&channel(), codec, &mut pool());
        let other = ChannelName::new("other").unwrap().presence().unwrap();
        assert!(Record::open(sealed.as_str().as_bytes(), &other, codec).is_err());
    }
    assert_eq!(
        codecs().iter().filter(|codec| codec.sends(&queue("mail")) == BodyForm::V2).count(),
        1
    );
}

#[test]
fn a_record_without_its_key_is_counted_and_ignored() {
    let sealed = record(1, 1).seal(&channel(), &codecs()[3], &mut pool());
    let mut listener = listener();
    let bad = listener.hear(sealed.as_str().as_bytes(), at(1)).unwrap_err();
    assert!(matches!(bad, BadPresence::Sealed(_)), "{bad}");
    let heard = listener.heard(at(2));
    assert_eq!((heard.workers.len(), heard.ignored, heard.last_ignored), (0, 1, Some(bad)));
}

#[test]
fn another_version_is_named_and_unknown_fields_are_ignored() {
    let text = record(1, 1).to_text();
    let newer = text.replacen("\"v\":1", "\"v\":2,\"x\":[]", 1);
    assert_eq!(Record::parse(&newer), Err(BadPresence::UnsupportedVersion(2)));
    let more = text.replacen("\"v\":1", "\"v\":1,\"x\":[{}]", 1);
    assert_eq!(Record::parse(&more).unwrap(), record(1, 1));
    let newer_outcome = text.replace("\"ok\":1", "\"ok\":1,\"newer\":7");
    assert_eq!(Record::parse(&newer_outcome).unwrap(), record(1, 1));
}

#[test]
fn what_is_no_record_is_refused() {
    let text = record(1, 1).to_text();
    for bad in [
        String::new(),
        "[]".to_owned(),
        "{}".to_owned(),
        text.replace("running\",\"host", "jogging\",\"host"),
        text.replace("web-3", "web\\n3"),
        text.replace("web-3", &"x".repeat(256)),
        text.replace("mail.send", ""),
        text.replace("{\"name\":\"mail\"}", ""),
        text.replace("\"seq\":1", "\"seq\":0"),
        text.replace("\"seq\":1", "\"seq\":-1"),
        text.replace("\"seq\":1", "\"seq\":1,\"seq\":1"),
        "[".repeat(20_000),
    ] {
        assert_ne!(bad, text);
        assert!(matches!(Record::parse(&bad), Err(BadPresence::Invalid(_))), "{bad}");
    }
    let large = format!("{text}{}", " ".repeat(PRESENCE_CAP));
    let refused = Record::open(large.as_bytes(), &channel(), &Codec::plain());
    assert!(matches!(refused, Err(BadPresence::TooLarge(_))));
}

#[test]
fn the_counts_of_all_other_tasks_fit_however_large_they_are() {
    let most = u64::MAX;
    let mut others =
        TaskCounts { started: most, retried: most, leases_lost: most, ..TaskCounts::default() };
    for reason in DeadLetterReason::ALL {
        others.dead.insert(reason, most);
        others.released.insert(ReleaseReason::Undecided(reason), most);
    }
    for outcome in Execution::ALL {
        others.executed.add(*outcome, most);
    }
    for times in [&mut others.wait, &mut others.run] {
        *times = Histogram::from_parts(Scale::Tasks, &[most; 21], most).unwrap();
    }
    let mut large = record(1, 1);
    for number in 0..100 {
        large.counts.insert(key(&format!("t{number}")), others.clone());
    }
    let fitted = large.fitted();
    assert!(fitted.to_text().len() <= TEXT_CAP, "{}", fitted.to_text().len());
    let others = TaskKey { queue: queue(OTHER), task: task(OTHER) };
    assert_eq!(fitted.counts[&others].all_released(), most);
}

#[test]
fn the_tasks_beyond_the_fifty_busiest_are_added() {
    let mut many = record(1, 1);
    many.counts = BTreeMap::new();
    for number in 1..=60 {
        let counts = TaskCounts { started: number, ..TaskCounts::default() };
        many.counts.insert(key(&format!("t{number}")), counts);
    }
    let fitted = many.fitted();
    assert_eq!(fitted.counts.len(), 51);
    let others = TaskKey { queue: queue(OTHER), task: task(OTHER) };
    assert_eq!(fitted.counts[&others].started, (1..=10).sum::<u64>());
    assert_eq!(fitted.counts[&key("t60")].started, 60);
}

#[test]
fn a_worker_is_alive_then_silent_then_forgotten() {
    let mut listener = listener();
    listener.subscribed(at(0));
    hear(&mut listener, &record(1, 1), at(0));
    for (seconds, liveness) in
        [(49, Liveness::Alive), (50, Liveness::Silent), (599, Liveness::Silent)]
    {
        let heard = listener.heard(at(seconds));
        assert_eq!(heard.workers[0].liveness, liveness, "{seconds}");
        assert_eq!(heard.workers[0].silence, Duration::from_secs(seconds));
    }
    assert!(listener.heard(at(600)).workers.is_empty());
}

#[test]
fn a_worker_that_has_drained_is_gone() {
    let mut listener = listener();
    hear(&mut listener, &record(1, 1), at(0));
    hear(&mut listener, &Record { state: WorkerState::Gone, ..record(1, 2) }, at(1));
    assert_eq!(listener.heard(at(1)).workers[0].liveness, Liveness::Gone);
}

#[test]
fn rates_are_the_difference_of_two_records() {
    let mut listener = listener();
    hear(&mut listener, &record(1, 1), at(0));
    assert_eq!(listener.heard(at(0)).workers[0].rates, None, "one record has no rate");
    hear(&mut listener, &record(1, 5), at(8));
    let worker = listener.heard(at(8)).workers.remove(0);
    let rates = worker.rates.unwrap();
    assert_eq!((rates.over, rates.has_gap, worker.missed), (8 * SECOND, true, 3));
    let ok = rates.by_task[&key("mail.send")].executed.of(Execution::Ok);
    assert_eq!(ok, 4);
    assert!((rates.per_second(ok) - 0.5).abs() < 1e-9);
}

#[test]
fn a_worker_that_starts_again_is_another_one() {
    let mut listener = listener();
    hear(&mut listener, &record(1, 9), at(0));
    hear(&mut listener, &record(2, 1), at(2));
    let heard = listener.heard(at(2));
    assert_eq!(heard.workers.len(), 2);
    assert!(heard.workers.iter().all(|worker| worker.rates.is_none() && worker.missed == 0));
}

#[test]
fn a_record_that_arrives_late_changes_nothing() {
    let mut listener = listener();
    hear(&mut listener, &record(1, 3), at(0));
    hear(&mut listener, &record(1, 2), at(1));
    let worker = listener.heard(at(1)).workers.remove(0);
    assert_eq!((worker.record.seq, worker.silence), (3, SECOND));
}

#[test]
fn the_time_without_a_subscription_is_no_listening() {
    let mut listener = listener();
    listener.subscribed(at(10));
    listener.lost(at(15));
    listener.lost(at(20));
    listener.subscribed(at(30));
    listener.subscribed(at(31));
    assert_eq!(listener.heard(at(32)).listened, 7 * SECOND);
}

#[test]
fn workers_without_end_take_no_memory_without_end() {
    let mut listener = listener();
    for number in 0..5_100_u32 {
        let mut one = record(1, 1);
        let mut id = [0; 16];
        id[..4].copy_from_slice(&number.to_be_bytes());
        one.worker = WorkerId::from_random(id);
        hear(&mut listener, &one, Moment::from_nanos(number.into()));
    }
    let heard = listener.heard(at(0));
    assert_eq!((heard.workers.len(), heard.evicted), (5_000, 100));
}

#[test]
fn a_record_is_named_by_its_process_unless_that_is_hidden() {
    let mut one = record(1, 1);
    assert_eq!(one.name().to_string(), "web-3:812");
    one.identity = Identity::new("1.2.3", "tokio");
    assert_eq!(one.name().to_string(), one.worker.to_string());
}

#[test]
fn a_list_that_was_cut_answers_neither_yes_nor_no() {
    let mut one = record(1, 1);
    assert_eq!(one.registers(&task("mail.send")), Some(true));
    assert_eq!(one.registers(&task("mail.sent")), Some(false));
    assert_eq!((one.serves(&queue("mail")), one.serves(&queue("sms"))), (Some(true), Some(false)));
    one.more = More { queues: 1, tasks: 1 };
    assert_eq!(one.registers(&task("mail.send")), Some(true));
    assert_eq!((one.registers(&task("x")), one.serves(&queue("sms"))), (None, None));
}
