use std::sync::mpsc::Receiver;
use std::time::Instant;

use ivy_proto::TaskId;
use ivy_proto::event::Event;
use ivy_test_kit::PATIENCE;

use crate::leak_search;

/// Watches an ivy's events.
pub(crate) struct Watch {
    events: Receiver<Event>,
    seen: Vec<Event>,
}

impl Watch {
    pub(crate) fn new(events: Receiver<Event>) -> Self {
        Watch { events, seen: Vec::new() }
    }

    /// Waits for an event that this function selects, among those that no earlier call returned.
    pub(crate) fn until<T>(&mut self, pick: impl Fn(&Event) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(event) = self.events.recv_timeout(left) else {
                panic!("the expected event did not come; seen: {:#?}", self.seen)
            };
            leak_search::event(&event);
            let picked = pick(&event);
            self.seen.push(event);
            if let Some(picked) = picked {
                return picked;
            }
        }
    }

    /// All events so far that this function selects.
    pub(crate) fn all<T>(&mut self, pick: impl Fn(&Event) -> Option<T>) -> Vec<T> {
        self.seen.extend(self.events.try_iter().inspect(leak_search::event));
        self.seen.iter().filter_map(pick).collect()
    }

    /// The tasks whose callers received their results, up to this one, which is waited for.
    pub(crate) fn resumed_until(&mut self, last: TaskId) -> Vec<TaskId> {
        let resumed = |event: &Event| match event {
            Event::CallerResumed { task, .. } => Some(task.id),
            _ => None,
        };
        while self.until(resumed) != last {}
        self.all(resumed)
    }
}
