//! Full load for a long time: whatever grows then, grows without bound.

use std::time::{Duration, Instant};

use crate::cpu::resident;
use crate::load::Load;
use crate::server::Server;

/// Calls a thousand tasks at a time and waits for their results, over `ivy serve` and Redis. After
/// each minute passes `report` the number of tasks, and the memory of this process and of its
/// servers, in bytes.
pub fn soak(minutes: u32, mut report: impl FnMut(u64, Vec<u64>)) {
    let mut load = Load::find("round-trip/ivy/tokio/1000").expect("the load exists");
    let mut processes = vec!["self".to_owned()];
    processes.extend(load.servers.iter().map(Server::pid).map(|pid| pid.to_string()));
    for _ in 0..minutes {
        let (started, mut tasks) = (Instant::now(), 0);
        while started.elapsed() < Duration::from_secs(60) {
            tasks += (load.step)().operations;
        }
        report(tasks, processes.iter().map(|process| resident(process)).collect());
    }
}
