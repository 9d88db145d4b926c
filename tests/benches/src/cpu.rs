//! Who uses the processor: the run itself, or other programs.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

/// The unit of Linux's process times, whatever the kernel counts in.
const TICKS_PER_SECOND: f64 = 100.0;

/// The work of a run's cores so far, in the system's ticks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    total: u64,
    busy: u64,
    own: u64,
}

impl Usage {
    /// How much of these cores all programs have used, and how much this process and these others.
    pub(crate) fn now(cores: &BTreeSet<usize>, processes: &[u32]) -> Usage {
        let (mut total, mut busy) = (0, 0);
        for line in read("/proc/stat").lines() {
            let mut fields = line.split_whitespace();
            let core = fields.next().and_then(|name| name.strip_prefix("cpu")?.parse().ok());
            if !core.is_some_and(|core| cores.contains(&core)) {
                continue;
            }
            // user, nice, system, idle, iowait, irq, softirq, steal; guest time is in user time.
            let times: Vec<u64> = fields.take(8).filter_map(|time| time.parse().ok()).collect();
            let all: u64 = times.iter().sum();
            let idle: u64 = times.iter().skip(3).take(2).sum();
            total += all;
            busy += all - idle;
        }
        let others = processes.iter().map(|process| ticks_of(&process.to_string()));
        Usage { total, busy, own: ticks_of("self") + others.sum::<u64>() }
    }

    /// The part of the cores' time since `earlier` that other programs used, including the host.
    pub(crate) fn foreign_since(self, earlier: Usage) -> f64 {
        let foreign = (self.busy - earlier.busy).saturating_sub(self.own - earlier.own);
        foreign as f64 / (self.total - earlier.total).max(1) as f64
    }

    /// The processor time of this process and its servers since `earlier`, in seconds.
    pub(crate) fn cpu_time_since(self, earlier: Usage) -> f64 {
        (self.own - earlier.own) as f64 / TICKS_PER_SECOND
    }
}

/// The processor time of a process so far.
pub(crate) fn cpu_time(process: u32) -> Duration {
    Duration::from_secs_f64(ticks_of(&process.to_string()) as f64 / TICKS_PER_SECOND)
}

/// The private memory of a process, in bytes.
pub(crate) fn memory(process: u32) -> u64 {
    let status = read(&format!("/proc/{process}/status"));
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok());
    let kilobytes: u64 = kilobytes.expect("the system reports the memory of a process");
    1024 * kilobytes
}

/// The cores that this process and these others may run on.
pub(crate) fn cores_of(processes: &[u32]) -> BTreeSet<usize> {
    let others = processes.iter().map(u32::to_string);
    others.chain(["self".to_owned()]).flat_map(|process| allowed(&process)).collect()
}

fn allowed(process: &str) -> Vec<usize> {
    let status = read(&format!("/proc/{process}/status"));
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
    let list = list.expect("the system reports the cores of a process").trim();
    let number = |text: &str| text.parse::<usize>().expect("cores are numbers");
    list.split(',')
        .flat_map(|range| match range.split_once('-') {
            Some((first, last)) => number(first)..=number(last),
            None => number(range)..=number(range),
        })
        .collect()
}

/// The ticks that a process has used.
fn ticks_of(process: &str) -> u64 {
    let stat = read(&format!("/proc/{process}/stat"));
    // The name, in brackets, may contain anything.
    let (_, fields) = stat.rsplit_once(')').expect("a process has a name");
    fields.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
}

/// The memory of a process, in bytes.
pub(crate) fn resident(process: &str) -> u64 {
    let status = read(&format!("/proc/{process}/status"));
    let kilobytes = status.lines().find_map(|line| {
        line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok()
    });
    kilobytes.expect("the system reports the memory of a process") * 1024
}

/// How long the threads of a process have run.
pub(crate) fn run_time(process: &str) -> Duration {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("it runs");
    let nanos = threads.flatten().filter_map(|thread| {
        // A thread may end meanwhile.
        let times = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        times.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(nanos.sum())
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"))
}
