//! What a worker publishes about its process.

use ivy_proto::presence::Identity;

use crate::runtime::Runtime;

/// Where Linux keeps the name of the host.
const HOST_NAME_FILES: [&str; 2] = ["/proc/sys/kernel/hostname", "/etc/hostname"];
/// Where other systems keep it, if their shell exports it.
const HOST_NAME_VARIABLES: [&str; 2] = ["HOSTNAME", "COMPUTERNAME"];

/// The identity of this process, whose workers run on the runtime `R`.
pub(crate) fn identity<R: Runtime>() -> Identity {
    let identity = Identity::new(env!("CARGO_PKG_VERSION"), R::NAME);
    identity.with_process(host_name().as_deref(), std::process::id())
}

fn host_name() -> Option<String> {
    let files = HOST_NAME_FILES.iter().filter_map(|path| std::fs::read_to_string(path).ok());
    let variables = HOST_NAME_VARIABLES.iter().filter_map(|name| std::env::var(name).ok());
    files.chain(variables).map(|name| name.trim().to_owned()).find(|name| !name.is_empty())
}
