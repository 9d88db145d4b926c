//! Tests that typed values are read with the bits of every float that was sent.

use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll};

use super::{Callbacks, FromArgs, Registry, Task, TaskError, TaskOutcome, ToArgs};
use crate::error::Cause;
use crate::name::TaskName;
use crate::rng::Rng;
use crate::wire::RawJson;
use crate::worker::JobOutcome;

type Eight = (f64, f64, f64, f64, f64, f64, f64, f64);

const ECHO: Task<(f64, f32), (f64, f32)> = Task::new("floats.echo");

/// Values that a reader with an error of one unit in the last place reads wrong, and the limits of
/// the range.
const KNOWN: [f64; 11] = [
    117.633_313_941_400_17,
    0.921_568_632_125_863_4,
    1.577_777_777_777_000_1,
    0.091_443_385_120_928_87,
    9_007_199_254_740_991.0 / 7.0,
    f64::MIN_POSITIVE,
    5e-324,
    f64::MAX,
    f64::MIN,
    f64::EPSILON,
    -0.0,
];

/// Finite floats of random bits.
fn floats(seed: u64) -> impl Iterator<Item = f64> {
    let mut rng = Rng::from_number(seed);
    std::iter::repeat_with(move || f64::from_bits(rng.next_u64())).filter(|float| float.is_finite())
}

fn bits(floats: Eight) -> [u64; 8] {
    let (a, b, c, d, e, f, g, h) = floats;
    [a, b, c, d, e, f, g, h].map(f64::to_bits)
}

#[test]
fn a_million_floats_of_random_bits_arrive_as_arguments() {
    let mut floats = KNOWN.into_iter().chain(floats(1)).take(1_000_000);
    let mut next = || floats.next();
    let eight = || Some((next()?, next()?, next()?, next()?, next()?, next()?, next()?, next()?));
    for sent in std::iter::from_fn(eight) {
        let args = sent.to_args().unwrap();
        let arrived = Eight::from_args(&args).unwrap();
        assert_eq!(bits(arrived), bits(sent), "{}", args.as_str());
    }
}

#[test]
fn a_million_floats_of_random_bits_arrive_as_results() {
    let floats: Vec<f64> = KNOWN.into_iter().chain(floats(2)).take(1_000_000).collect();
    for sent in floats.chunks(1000) {
        let outcome = TaskOutcome::Done(RawJson::from_value(sent).unwrap());
        let arrived: Vec<f64> = outcome.value().unwrap();
        for (arrived, sent) in arrived.iter().zip(sent) {
            assert_eq!(arrived.to_bits(), sent.to_bits(), "{sent:e}");
        }
    }
}

#[test]
fn handlers_and_callbacks_receive_exact_floats() {
    let (mut registry, callbacks) = (Registry::<()>::default(), Callbacks::default());
    registry.register(&ECHO, |a: f64, b: f32| async move { Ok::<_, TaskError>((a, b)) }).unwrap();
    let (sender, received) = mpsc::channel();
    let callback = move |args, result: Result<(f64, f32), Cause>| {
        sender.send((args, result.unwrap())).unwrap();
    };
    callbacks.insert(&ECHO, callback).unwrap();
    let echo = TaskName::new(ECHO.name()).unwrap();
    for sent in KNOWN.into_iter().chain(floats(3).take(10_000)) {
        let small = f32::from_bits((sent.to_bits() >> 32) as u32);
        let sent = (sent, if small.is_finite() { small } else { 0.1 });
        let args = sent.to_args().unwrap();
        let mut job = registry.run(&echo, (), args.clone()).unwrap();
        let waker = std::task::Waker::noop();
        let Poll::Ready(JobOutcome::Done(result)) =
            Pin::new(&mut job).poll(&mut Context::from_waker(waker))
        else {
            panic!("the handler is ready immediately");
        };
        callbacks.prepare(&echo, args, &TaskOutcome::Done(result)).unwrap()().unwrap();
        let (args, result): ((f64, f32), (f64, f32)) = received.try_recv().unwrap();
        for arrived in [args, result] {
            assert_eq!(arrived.0.to_bits(), sent.0.to_bits());
            assert_eq!(arrived.1.to_bits(), sent.1.to_bits());
        }
    }
}
