//! `ivy-blocking`, which needs no runtime.

use std::sync::mpsc::Sender;
use std::thread;
use std::time::Duration;

use ivy_proto::event::Event;

use crate::adapter::adapter;

adapter!(ivy_blocking, "blocking");

fn wait<T>(done: T) -> T {
    done
}

fn forward(events: ivy_blocking::Events, to: Sender<Event>) {
    thread::spawn(move || {
        for event in events {
            if to.send(event).is_err() {
                return;
            }
        }
    });
}

fn cancelled_within(ctx: &ivy_blocking::Ctx, limit: Duration) -> bool {
    ctx.cancelled().cancelled_within(limit)
}
