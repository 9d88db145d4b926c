//! What a worker publishes about its process.

use ivy_proto::presence::Identity;

use crate::runtime::Runtime;

/// Where Linux keeps the name of the host.
const FILES: [&str; 2] = ["/proc/sys/kernel/hostname", "/etc/hostname"];
/// Where other systems keep it, if their shell exports it.
const VARIABLES: [&str; 2] = ["HOSTNAME", "COMPUTERNAME"];

/// This process: a worker in it runs on `R`.
pub(crate) fn identity<R: Runtime>() -> Identity {
    let identity = Identity::new(env!("CARGO_PKG_VERSION"), R::NAME);
    identity.with_process(host().as_deref(), std::process::id())
}

fn host() -> Option<String> {
    let files = FILES.iter().filter_map(|path| std::fs::read_to_string(path).ok());
    let variables = VARIABLES.iter().filter_map(|name| std::env::var(name).ok());
    files.chain(variables).map(|name| name.trim().to_owned()).find(|name| !name.is_empty())
}
