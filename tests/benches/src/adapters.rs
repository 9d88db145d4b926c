//! The adapters with everything in memory, and the channels that are under them.

use std::hint::black_box;
use std::sync::mpsc;
use std::time::Duration;

use ivy_proto::task::{Task, TaskError};

use crate::load::Load;
use crate::runtime;
use crate::wire::Wire;

/// The task that is called.
const DOUBLE: Task<(u64,), u64> = Task::new(crate::wire::TASK).queue(crate::wire::QUEUE);

const PATIENCE: Duration = Duration::from_secs(60);

/// Calls with their results, so many outstanding at a time.
pub(crate) fn ivy(adapter: &str, outstanding: u64) -> Option<Load> {
    let concurrency = usize::try_from(outstanding).ok()?;
    match adapter {
        "tokio" => Some(on_tokio(outstanding, concurrency)),
        "async-std" => Some(on_async_std(outstanding, concurrency)),
        "blocking" => Some(on_blocking(outstanding)),
        _ => None,
    }
}

async fn double(n: u64) -> Result<u64, TaskError> {
    Ok(n * 2)
}

fn on_tokio(outstanding: u64, concurrency: usize) -> Load {
    let runtime = runtime();
    let ivy = runtime.block_on(async { ivy_tokio::Ivy::connect("memory://") });
    let ivy = ivy.expect("memory is always there");
    let worker = ivy.worker().register(&DOUBLE, double).concurrency(concurrency);
    let worker = runtime.block_on(worker.start()).expect("a good worker");
    Load::of(move || {
        let _ = &worker;
        runtime.block_on(async {
            for handle in ivy.call_many(&DOUBLE, (0..outstanding).map(|n| (n,))).await {
                let handle = handle.expect("memory accepts everything");
                black_box(handle.result(PATIENCE).await.expect("a result"));
            }
        });
        outstanding
    })
}

fn on_async_std(outstanding: u64, concurrency: usize) -> Load {
    use async_std::task::block_on;

    let ivy = block_on(async { ivy_async_std::Ivy::connect("memory://") });
    let ivy = ivy.expect("memory is always there");
    let worker = ivy.worker().register(&DOUBLE, double).concurrency(concurrency);
    let worker = block_on(worker.start()).expect("a good worker");
    Load::of(move || {
        let _ = &worker;
        block_on(async {
            for handle in ivy.call_many(&DOUBLE, (0..outstanding).map(|n| (n,))).await {
                let handle = handle.expect("memory accepts everything");
                black_box(handle.result(PATIENCE).await.expect("a result"));
            }
        });
        outstanding
    })
}

fn on_blocking(outstanding: u64) -> Load {
    let ivy = ivy_blocking::Ivy::connect("memory://").expect("memory is always there");
    let handler = |n: u64| -> Result<u64, TaskError> { Ok(n * 2) };
    // Each handler has a thread, and there is one core.
    let worker = ivy.worker().register(&DOUBLE, handler).concurrency(4);
    let worker = worker.start().expect("a good worker");
    Load::of(move || {
        let _ = &worker;
        for handle in ivy.call_many(&DOUBLE, (0..outstanding).map(|n| (n,))) {
            let handle = handle.expect("memory accepts everything");
            black_box(handle.result(PATIENCE).expect("a result"));
        }
        outstanding
    })
}

/// Messages through a channel and notices back through another, so many outstanding at a time.
pub(crate) fn limit(adapter: &str, outstanding: u64) -> Option<Load> {
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
                messages.send(wire.message()).expect("somebody works");
            }
            for _ in 0..outstanding {
                wire.read(&results.recv().await.expect("somebody works"));
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
                messages.send(wire.message()).await.expect("somebody works");
            }
            for _ in 0..outstanding {
                wire.read(&results.recv().await.expect("somebody works"));
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
            messages.send(wire.message()).expect("somebody works");
        }
        for _ in 0..outstanding {
            wire.read(&results.recv().expect("somebody works"));
        }
        outstanding
    })
}
