//! Bodies: parsed and written, by ivy and by `serde_json` alone; and arguments, deserialized.

use std::hint::black_box;

use ivy_proto::task::FromArgs;
use ivy_proto::wire::{Envelope, RawJson};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::load::{Load, repeated};
use crate::samples;

/// A message of one of the two sizes, and how many operations make a step.
pub(crate) fn sample(size: &str) -> Option<(String, u64)> {
    match size {
        "small" => Some((samples::SMALL.to_owned(), 100)),
        "objects" => Some((samples::objects(), 1)),
        _ => None,
    }
}

/// Parses a message and writes it again.
pub(crate) fn ivy_codec(size: &str) -> Option<Load> {
    let (text, times) = sample(size)?;
    Some(repeated(times, move || {
        let envelope = Envelope::parse(black_box(&text)).expect("a valid message");
        black_box(envelope.to_text());
    }))
}

/// The same with `serde_json` alone, which leaves the arguments unparsed.
pub(crate) fn baseline_codec(size: &str) -> Option<Load> {
    let (text, times) = sample(size)?;
    Some(repeated(times, move || {
        let message: Message<'_> = serde_json::from_str(black_box(&text)).expect("a valid message");
        black_box(serde_json::to_string(&message).expect("the message can be serialized"));
    }))
}

/// Reads an argument that is a list of floats: prices of two decimals, or floats with all their
/// digits.
pub(crate) fn float_arguments(digits: &str) -> Option<Load> {
    let number = |n: u32| match digits {
        "two" => Some(f64::from(n) / 100.0),
        "all" => Some(f64::from(n).sqrt()),
        _ => None,
    };
    let numbers: Vec<f64> = (1..=1000).map(number).collect::<Option<_>>()?;
    let args = RawJson::from_value(&(numbers,)).expect("floats can be serialized");
    Some(Load::of(move || {
        let read = <(Vec<f64>,)>::from_args(black_box(&args)).expect("the arguments are floats");
        black_box(read).0.len() as u64
    }))
}

#[derive(Serialize, Deserialize)]
struct Message<'a> {
    name: &'a str,
    #[serde(borrow)]
    options: &'a RawValue,
    #[serde(borrow)]
    args: &'a RawValue,
}
