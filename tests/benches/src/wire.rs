//! Messages and notices, with the bytes that ivy writes, written and parsed by `serde_json` alone.

use std::hint::black_box;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The task that all loads call.
pub(crate) const TASK: &str = "testpackage.factorial";
/// Its queue.
pub(crate) const QUEUE: &str = "testpackage";

/// The message and the notice.
pub(crate) struct Wire {
    message: Message<'static>,
    notice: Notice<'static>,
}

impl Wire {
    pub(crate) fn new() -> Self {
        let json = |text| serde_json::from_str(text).expect("the text is valid JSON");
        Wire {
            message: Message {
                name: TASK,
                options: Options { ivy: ivy_options(None) },
                args: json("[5]"),
            },
            notice: Notice {
                id: "1000000000000000001",
                name: TASK,
                args: json("[]"),
                options: Options { ivy: ivy_options(Some("ok")) },
                result: json("[10]"),
                notify: true,
                queue: QUEUE,
            },
        }
    }

    /// Writes a message.
    pub(crate) fn message(&self) -> String {
        serde_json::to_string(black_box(&self.message)).expect("the message can be serialized")
    }

    /// Parses a message, runs its task, and writes its notice.
    pub(crate) fn work(&self, message: &str) -> String {
        let message: Message<'_> = serde_json::from_str(black_box(message)).expect("a message");
        let (n,): (u64,) = serde_json::from_str(message.args.get()).expect("a number");
        black_box(n * 2);
        serde_json::to_string(black_box(&self.notice)).expect("the notice can be serialized")
    }

    /// Parses a notice.
    pub(crate) fn read(&self, notice: &str) {
        let notice: Notice<'_> = serde_json::from_str(black_box(notice)).expect("a notice");
        black_box(notice);
    }
}

fn ivy_options(outcome: Option<&str>) -> IvyOptions<'_> {
    IvyOptions {
        v: 1,
        id: "AAAAAAAAAAAAAAAAAAAAAA",
        reply: "ivy.r.AAAAAAAAAAAAAAAAAAAAAA",
        outcome,
    }
}

#[derive(Serialize, Deserialize)]
struct Message<'a> {
    name: &'a str,
    #[serde(borrow)]
    options: Options<'a>,
    #[serde(borrow)]
    args: &'a RawValue,
}

#[derive(Serialize, Deserialize)]
struct Notice<'a> {
    id: &'a str,
    name: &'a str,
    #[serde(borrow)]
    args: &'a RawValue,
    #[serde(borrow)]
    options: Options<'a>,
    #[serde(borrow)]
    result: &'a RawValue,
    notify: bool,
    queue: &'a str,
}

#[derive(Serialize, Deserialize)]
struct Options<'a> {
    #[serde(borrow)]
    ivy: IvyOptions<'a>,
}

#[derive(Serialize, Deserialize)]
struct IvyOptions<'a> {
    v: u64,
    id: &'a str,
    reply: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    outcome: Option<&'a str>,
}
