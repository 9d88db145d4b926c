//! Generators of well-formed input of every kind, and of damage to it.

use std::collections::BTreeSet;

use ivy_proto::queue::Body;
use ivy_proto::task::{TaskFailure, TaskReleased};
use ivy_proto::wire::crypto::EntropyPool;
use ivy_proto::wire::{
    DeadLetter, DeadLetterReason, Envelope, IvyOptions, Notice, Options, RawJson, TraceParent,
    TraceState,
};
use ivy_proto::{MessageId, Priority, QueueName, TaskId, TaskName};
use proptest::prelude::*;

/// A queue, for tests that do not depend on which.
pub(crate) fn queue() -> QueueName {
    QueueName::new("ivy").expect("a name")
}

/// Entropy, for tests that do not depend on which.
pub(crate) fn pool() -> EntropyPool {
    EntropyPool::from_seed(&[1; 32])
}

/// The text of a JSON value, in every spelling that JSON allows: any number of digits, lone
/// surrogates, duplicate keys.
pub(crate) fn json() -> BoxedStrategy<String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,4})?",
        json_string(),
    ];
    leaf.prop_recursive(4, 16, 4, |inner| {
        prop_oneof![
            json_array_of(inner.clone()),
            (prop::collection::vec((json_string(), inner), 0..4), space()).prop_map(
                |(entries, space)| {
                    let entries: Vec<_> = entries
                        .iter()
                        .map(|(key, value)| format!("{key}{space}:{value}"))
                        .collect();
                    format!("{{{space}{}}}", entries.join(&format!("{space},")))
                }
            ),
        ]
    })
    .boxed()
}

fn json_string() -> impl Strategy<Value = String> {
    r#""([^"\\\x00-\x1f]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4}|\\ud83d\\ude80){0,8}""#
}

pub(crate) fn json_array() -> impl Strategy<Value = String> {
    json_array_of(json())
}

fn json_array_of(element: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (prop::collection::vec(element, 0..4), space())
        .prop_map(|(elements, space)| format!("[{space}{}]", elements.join(&format!("{space},"))))
}

fn space() -> impl Strategy<Value = String> {
    "[ \t\r\n]{0,2}"
}

pub(crate) fn raw(text: &str) -> RawJson {
    RawJson::parse(text).expect("the generators produce valid JSON")
}

pub(crate) fn task_name() -> impl Strategy<Value = TaskName> {
    "\\PC{1,30}".prop_filter_map("not a name", |text| TaskName::new(&text).ok())
}

fn queue_name() -> impl Strategy<Value = QueueName> {
    "\\PC{1,30}".prop_filter_map("not a name", |text| QueueName::new(&text).ok())
}

fn message_id() -> impl Strategy<Value = MessageId> {
    ".{0,20}".prop_map(MessageId::new)
}

fn task_id() -> impl Strategy<Value = TaskId> {
    any::<[u8; 16]>().prop_map(TaskId::from_random)
}

fn trace() -> impl Strategy<Value = TraceParent> {
    "[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(-[a-z]{0,3})?"
        .prop_filter_map("version ff, or zeros", |text| TraceParent::parse(&text))
}

fn trace_state() -> impl Strategy<Value = TraceState> {
    "([a-z][a-z0-9]{0,9}=[!-+.-<>-~]{1,9} ?, ?){1,40}"
        .prop_filter_map("a key twice", |text| TraceState::parse(&text))
}

pub(crate) fn ivy_options() -> impl Strategy<Value = IvyOptions> {
    let rest = (
        prop::option::of(".{0,30}"),
        prop_oneof![Just(1), 1..=u32::MAX],
        (prop::option::of(any::<u64>()), prop::option::of(any::<u64>())),
        prop::array::uniform3(prop_oneof![Just(0), any::<u32>()]),
        prop::option::of((trace(), prop::option::of(trace_state()))),
        any::<bool>(),
    );
    (task_id(), rest).prop_map(
        |(id, (reply, attempt, (due, deadline), [lost, later, requeued], trace, node))| {
            let mut ivy = IvyOptions::new(id);
            ivy.reply = reply.map(Into::into);
            ivy.attempt = attempt;
            (ivy.due, ivy.deadline) = (due, deadline);
            (ivy.lost, ivy.later, ivy.requeued) = (lost, later, requeued);
            if let Some((trace, state)) = trace {
                (ivy.trace, ivy.tracestate) = (Some(trace), state);
            }
            ivy.node = node;
            ivy
        },
    )
}

/// Options as a producer writes them.
pub(crate) fn built_options() -> impl Strategy<Value = Options> {
    (
        prop::option::of(any::<bool>()),
        prop::option::of(any::<u32>()),
        prop::option::of((0..=9_u8).prop_filter_map("above 9", Priority::new)),
        prop::option::of(".{0,20}"),
        prop::option::of(ivy_options()),
    )
        .prop_map(|(retry, max_retries, priority, route, ivy)| {
            let mut options = Options::new();
            if let Some(ivy) = ivy {
                options = options.with_ivy(ivy);
            }
            if let Some(route) = route {
                options = options.with_route(&route);
            }
            if let Some(priority) = priority {
                options = options.with_priority(priority);
            }
            if let Some(max_retries) = max_retries {
                options = options.with_max_retries(max_retries);
            }
            if let Some(retry) = retry {
                options = options.with_retry(retry);
            }
            options
        })
}

/// The text of options as any program may write them: known keys in any order, unknown ones
/// between.
pub(crate) fn options_text() -> impl Strategy<Value = String> {
    let ivy = (built_ivy_entries(), unknown_entries())
        .prop_flat_map(|(known, unknown)| Just([known, unknown].concat()).prop_shuffle())
        .prop_map(|entries| object(&entries));
    let known = (
        prop::option::of(prop_oneof![Just("true"), Just("false"), Just("null")]),
        prop::option::of(0..=100_u32),
        prop::option::of(0..=9_u8),
        prop::option::of("[a-z\u{e9}]{0,9}"),
        prop::option::of(ivy),
    );
    (known, unknown_entries())
        .prop_map(|((retry, max_retries, priority, route, ivy), unknown)| {
            [
                retry.map(|retry| ("\"retry\"".to_owned(), retry.to_owned())),
                max_retries.map(|number| ("\"maxRetries\"".to_owned(), number.to_string())),
                priority.map(|number| ("\"priority\"".to_owned(), number.to_string())),
                route.map(|route| ("\"route\"".to_owned(), format!("\"{route}\""))),
                ivy.map(|ivy| ("\"i\\u0076y\"".to_owned(), ivy)),
            ]
            .into_iter()
            .flatten()
            .chain(unknown)
            .collect::<Vec<_>>()
        })
        .prop_flat_map(|entries| Just(entries).prop_shuffle())
        .prop_map(|entries| object(&entries))
}

fn built_ivy_entries() -> impl Strategy<Value = Vec<(String, String)>> {
    (task_id(), prop::option::of(1..9_u32), any::<bool>()).prop_map(|(id, attempt, node)| {
        let attempt = attempt.map(|attempt| ("\"attempt\"".to_owned(), attempt.to_string()));
        let known = [
            ("\"v\"".to_owned(), "1".to_owned()),
            ("\"id\"".to_owned(), format!("\"{id}\"")),
            ("\"node\"".to_owned(), node.to_string()),
        ];
        known.into_iter().chain(attempt).collect()
    })
}

const KNOWN: [&str; 20] = [
    "retry",
    "maxRetries",
    "priority",
    "route",
    "ivy",
    "v",
    "id",
    "reply",
    "attempt",
    "due",
    "lost",
    "later",
    "requeued",
    "deadline",
    "iat",
    "trace",
    "tracestate",
    "node",
    "outcome",
    "error",
];

/// Entries with distinct keys that mean nothing here.
fn unknown_entries() -> impl Strategy<Value = Vec<(String, String)>> {
    prop::collection::vec((json_string(), json()), 0..3).prop_map(|entries| {
        let mut seen = BTreeSet::new();
        entries
            .into_iter()
            .filter(|(key, _)| {
                let text = serde_json::from_str::<String>(key).map_err(|_| key.clone());
                !text.as_ref().is_ok_and(|text| KNOWN.contains(&text.as_str())) && seen.insert(text)
            })
            .collect()
    })
}

fn object(entries: &[(String, String)]) -> String {
    let entries: Vec<_> = entries.iter().map(|(key, value)| format!("{key}: {value}")).collect();
    format!("{{{}}}", entries.join(" ,"))
}

/// An envelope's text as any program may write it.
pub(crate) fn envelope_text() -> impl Strategy<Value = String> {
    (task_name(), options_text(), json_array(), json(), space())
        .prop_flat_map(|(name, options, args, extra, space)| {
            let name = serde_json::to_string(name.as_str()).expect("a text is JSON");
            let entries = vec![
                ("\"name\"".to_owned(), name),
                ("\"options\"".to_owned(), options),
                ("\"\\u0061rgs\"".to_owned(), args),
                ("\"extra\"".to_owned(), extra),
            ];
            (Just(entries).prop_shuffle(), Just(space))
        })
        .prop_map(|(entries, space)| format!("{space}{}{space}", object(&entries)))
}

/// An envelope as a producer writes it.
pub(crate) fn envelope() -> impl Strategy<Value = Envelope> {
    (task_name(), built_options(), json_array()).prop_map(|(name, options, args)| Envelope {
        name,
        options,
        args: raw(&args),
    })
}

fn failure() -> impl Strategy<Value = TaskFailure> {
    ("[A-Za-z]{0,20}", "\\PC{0,40}", any::<u32>())
        .prop_map(|(kind, message, attempts)| TaskFailure { kind, message, attempts })
}

fn released(queue: QueueName, failure: TaskFailure) -> TaskReleased {
    let TaskFailure { kind, message, attempts } = failure;
    TaskReleased { queue, kind, message, attempts }
}

pub(crate) fn notice() -> impl Strategy<Value = Notice> {
    (message_id(), queue_name(), envelope(), ivy_options(), json(), failure(), 0..4).prop_map(
        |(id, queue, envelope, ivy, output, failure, kind)| match kind {
            0 => Notice::success(&id, &queue, &envelope.name, &ivy, &raw(&output)),
            1 => Notice::failure(&id, &queue, &envelope.name, &ivy, &failure),
            2 => Notice::released(&id, &envelope.name, &ivy, &released(queue, failure)),
            _ => Notice::success_for_node(&id, &queue, &envelope, &raw(&output)),
        },
    )
}

pub(crate) fn dead_letter() -> impl Strategy<Value = DeadLetter> {
    let counts = (any::<u32>(), any::<u32>(), any::<u64>());
    (
        queue_name(),
        message_id(),
        prop::sample::select(&DeadLetterReason::ALL),
        prop::option::of("(?s).{0,200}"),
        counts,
        body(),
    )
        .prop_map(|(queue, id, reason, error, (attempts, deliveries, at), body)| DeadLetter {
            queue,
            id,
            reason,
            error,
            attempts,
            deliveries,
            at,
            body,
        })
}

/// A text, or any bytes.
fn body() -> impl Strategy<Value = Body> {
    let bytes = prop::collection::vec(any::<u8>(), 0..200).prop_map(Body::from_bytes);
    prop_oneof![any::<String>().prop_map(Body::new), bytes]
}

pub(crate) fn password() -> impl Strategy<Value = String> {
    ".{1,12}".prop_filter("only white space", |text| !text.trim().is_empty())
}

/// One kind of damage to bytes in transit.
#[derive(Clone, Debug)]
pub(crate) enum Damage {
    Flip(prop::sample::Index, u8),
    Remove(prop::sample::Index, usize),
    Insert(prop::sample::Index, Vec<u8>),
    Repeat(prop::sample::Index, usize),
    CutAt(prop::sample::Index),
}

pub(crate) fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let piece = prop_oneof![
        any::<Vec<u8>>(),
        prop::sample::select(vec![
            "\"",
            "\\",
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "$",
            "null",
            "\\ud800",
            "\u{feff}",
            "=",
            "1e",
            "\"name\":\"x\",",
            "\"ivy\":{},",
            "\"outcome\":\"dead\",",
            "\"outcome\":\"held\",",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    let index = any::<prop::sample::Index>;
    prop::collection::vec(
        prop_oneof![
            (index(), 1_u8..).prop_map(|(at, bits)| Damage::Flip(at, bits)),
            (index(), 1_usize..20).prop_map(|(at, length)| Damage::Remove(at, length)),
            (index(), piece).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
            (index(), 1_usize..40).prop_map(|(at, length)| Damage::Repeat(at, length)),
            index().prop_map(Damage::CutAt),
        ],
        1..4,
    )
}

pub(crate) fn damaged(text: &str, damages: &[Damage]) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    for damage in damages {
        let place = |index: &prop::sample::Index| index.index(bytes.len() + 1);
        match damage {
            Damage::Flip(index, bits) => {
                let at = place(index);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= bits;
                }
            }
            Damage::Remove(index, length) => {
                let at = place(index);
                bytes.drain(at..bytes.len().min(at + length));
            }
            Damage::Insert(index, piece) => {
                let at = place(index);
                bytes.splice(at..at, piece.iter().copied());
            }
            Damage::Repeat(index, length) => {
                let at = place(index);
                let piece = bytes[at..bytes.len().min(at + length)].to_vec();
                bytes.splice(at..at, piece);
            }
            Damage::CutAt(index) => {
                let at = place(index);
                bytes.truncate(at);
            }
        }
    }
    bytes
}
