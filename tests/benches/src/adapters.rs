//! The adapters with everything in memory, and the channels that they use.

use std::sync::mpsc;

use crate::calls::{MEMORY, layered_program, program};
use crate::load::Load;
use crate::runtime;
use crate::wire::Wire;

/// In the threads adapter each handler has a thread, and there is one core.
const THREADS: usize = 4;

/// Calls with their results, this many outstanding at a time.
pub(crate) fn ivy(adapter: &str, outstanding: u64) -> Option<Load> {
    let concurrency = match adapter {
        "blocking" => THREADS,
        _ => usize::try_from(outstanding).ok()?,
    };
    let mut call = program(adapter, MEMORY, concurrency, |n| n * 2)?;
    Some(Load::of(move || {
        call(outstanding);
        outstanding
    }))
}

/// The same on tokio, with a layer around the handler that does nothing.
pub(crate) fn layered(outstanding: u64) -> Load {
    let mut call = layered_program(MEMORY, outstanding as usize, |n| n * 2);
    Load::of(move || {
        call(outstanding);
        outstanding
    })
}

/// Messages through a channel and notices back through another, this many outstanding at a time.
pub(crate) fn baseline(adapter: &str, outstanding: u64) -> Option<Load> {
    match adapter {
        "tokio" => Some(tokio_channels(outstanding)),
        "async-std" => Some(async_std_channels(outstanding)),
        "blocking" => Some(thread_channels(outstanding)),
        _ => None,
    }
}

fn tokio_channels(outstanding: u64) -> Load {
    let runtime = runtime();
    let (messages, mut inbox) = tokio::sync::mpsc::unbounded_channel::<String>();
    let (notices, mut results) = tokio::sync::mpsc::unbounded_channel();
    runtime.spawn(async move {
        let wire = Wire::new();
        while let Some(message) = inbox.recv().await {
            if notices.send(wire.work(&message)).is_err() {
                return;
            }
        }
    });
    let wire = Wire::new();
    Load::of(move || {
        runtime.block_on(async {
            for _ in 0..outstanding {
                messages.send(wire.message()).expect("the worker runs");
            }
            for _ in 0..outstanding {
                wire.read(&results.recv().await.expect("the worker runs"));
            }
        });
        outstanding
    })
}

fn async_std_channels(outstanding: u64) -> Load {
    let (messages, inbox) = async_channel::unbounded::<String>();
    let (notices, results) = async_channel::unbounded();
    async_std::task::spawn(async move {
        let wire = Wire::new();
        while let Ok(message) = inbox.recv().await {
            if notices.send(wire.work(&message)).await.is_err() {
                return;
            }
        }
    });
    let wire = Wire::new();
    Load::of(move || {
        async_std::task::block_on(async {
            for _ in 0..outstanding {
                messages.send(wire.message()).await.expect("the worker runs");
            }
            for _ in 0..outstanding {
                wire.read(&results.recv().await.expect("the worker runs"));
            }
        });
        outstanding
    })
}

fn thread_channels(outstanding: u64) -> Load {
    let (messages, inbox) = mpsc::channel::<String>();
    let (notices, results) = mpsc::channel();
    std::thread::spawn(move || {
        let wire = Wire::new();
        while let Ok(message) = inbox.recv() {
            if notices.send(wire.work(&message)).is_err() {
                return;
            }
        }
    });
    let wire = Wire::new();
    Load::of(move || {
        for _ in 0..outstanding {
            messages.send(wire.message()).expect("the worker runs");
        }
        for _ in 0..outstanding {
            wire.read(&results.recv().expect("the worker runs"));
        }
        outstanding
    })
}
