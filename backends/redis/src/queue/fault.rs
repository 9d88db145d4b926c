//! Maps the errors of a server to faults of a queue.

use std::time::Duration;

use ivy_proto::notify::NotifyFaultKind;
use ivy_proto::queue::{Fault, FaultKind};

use crate::address::RedisAddress;
use crate::error_reply::{RedisError, redacted};

/// How long to pause before a server that is temporarily unavailable is asked again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

const FULL: &str = "the memory of the server is full: let workers empty the queue, or add memory";
const DISK: &str = "the server cannot write to its disk: fix that, or change its setting stop-writes-on-bgsave-error";
const LOADING: &str = "it is retried: the server is loading its data, or waits for another server";
const READ_ONLY: &str =
    "it is retried over a new connection; if this persists, the address leads to a replica";
const BUSY: &str = "another script has been running for too long: see SCRIPT KILL";
const REPLICAS: &str = "too few replicas are connected: see the setting min-replicas-to-write";
const GRANT: &str = "grant the user the permissions that the documentation of ivy-redis lists";
const OTHER_KIND: &str = "a key of the queue contains other data: find it with TYPE ivy1:{QUEUE}:r, :d, :h, :l and :p and rename it, or choose another queue name, or another prefix with ?prefix=";
const VERSION: &str = "a queue needs Redis 6.2 or later, or a compatible server";
const CLUSTER: &str =
    "a cluster is not supported as a queue: use a standalone server, or a proxy of the cluster";
const NO_SCRIPTS: &str =
    "the server runs no scripts: a queue needs Redis 6.2 or later, or a compatible server";
const PARTIAL: &str = "it can be retried; a message may then be delivered twice";

/// The fault for an error reply to a command of a queue, a script or not: its text including the
/// code.
pub(crate) fn fault_of_error(error: &str, address: &RedisAddress) -> Fault {
    let (kind, advice) = meaning(error);
    let mut fault = Fault::new(kind).with_detail(redacted(without_arguments(error), address, ""));
    if let Some(advice) = advice {
        fault = fault.with_advice(advice);
    }
    if kind == FaultKind::Unavailable { fault.with_retry_after(RETRY_AFTER) } else { fault }
}

/// Whether the error means that the server has become a replica, so that the name may resolve to
/// another one.
pub(crate) fn is_read_only(error: &str) -> bool {
    code(error) == "READONLY"
}

/// Whether the error means that the server does not know a script's hash, so that it had no effect.
pub(crate) fn is_unknown_script(error: &str) -> bool {
    error.starts_with("NOSCRIPT")
}

/// Whether the error means that a key contains another kind of data.
pub(crate) fn is_of_another_kind(error: &str) -> bool {
    code(error) == "WRONGTYPE"
}

/// The fault of an operation whose connection is unusable, depending on whether it was sent.
pub(crate) fn fault_of_redis_error(
    broken: &RedisError,
    was_sent: bool,
    address: &RedisAddress,
) -> Fault {
    let detail = || broken.detail.clone();
    match broken.kind {
        NotifyFaultKind::ConnectionLost if was_sent => {
            Fault::new(FaultKind::ReplyLost).with_detail(detail())
        }
        NotifyFaultKind::Tls => Fault::new(FaultKind::Tls).with_detail(detail()),
        NotifyFaultKind::Unauthorized => Fault::new(FaultKind::Unauthorized).with_detail(detail()),
        NotifyFaultKind::NoPermission | NotifyFaultKind::Refused
            if !broken.detail.contains("max number of clients") =>
        {
            fault_of_error(&broken.detail, address)
        }
        _ => Fault::new(FaultKind::Unreachable).with_detail(detail()),
    }
}

fn meaning(error: &str) -> (FaultKind, Option<&'static str>) {
    use FaultKind::{Redirected, Refused, ServerError, Unauthorized, Unavailable};
    match code(error) {
        "OOM" => (Unavailable, Some(FULL)),
        "MISCONF" => (Unavailable, Some(DISK)),
        "READONLY" => (Unavailable, Some(READ_ONLY)),
        "NOREPLICAS" => (Unavailable, Some(REPLICAS)),
        "BUSY" => (Unavailable, Some(BUSY)),
        "LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" => (Unavailable, Some(LOADING)),
        "NOAUTH" | "WRONGPASS" => (Unauthorized, None),
        "NOPERM" => (Unauthorized, Some(GRANT)),
        // The source was sent as well.
        "NOSCRIPT" => (Refused, Some(NO_SCRIPTS)),
        "MOVED" | "ASK" => (Redirected, Some(CLUSTER)),
        "WRONGTYPE" | "CROSSSLOT" => (Refused, Some(OTHER_KIND)),
        _ if error.contains("can't run this command") => (ServerError, Some(GRANT)),
        _ if is_from_a_script(error) => (ServerError, Some(PARTIAL)),
        _ if error.contains("unknown command") || error.contains("wrong number of arguments") => {
            (Refused, Some(VERSION))
        }
        _ => (Refused, None),
    }
}

/// The code of an error. Servers before version 7 include the code of a command inside a script in
/// the text: `ERR Error running script (..): @user_script:12: -OOM command not allowed`.
fn code(error: &str) -> &str {
    let mut words = error.split(' ');
    let first = words.next().unwrap_or_default();
    if !error.contains("Error running script") {
        return first;
    }
    let is_code =
        |code: &&str| !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_uppercase());
    words.filter_map(|word| word.strip_prefix('-')).find(is_code).unwrap_or(first)
}

fn is_from_a_script(error: &str) -> bool {
    error.contains("Error running script") || error.contains("user_script")
}

/// The text of an error about a command may repeat its arguments.
fn without_arguments(error: &str) -> &str {
    error.split(", with args").next().unwrap_or(error)
}

#[cfg(test)]
mod tests {
    use ivy_proto::queue::Effect;

    use super::*;
    use crate::tests::{self, PASSWORD};

    fn address() -> RedisAddress {
        tests::address(None, Some(PASSWORD))
    }

    #[test]
    fn each_error_of_a_server_has_its_kind_and_its_advice() {
        use FaultKind::{Redirected, Refused, ServerError, Unauthorized, Unavailable};
        for (error, kind, advice) in [
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                Unavailable,
                "workers empty",
            ),
            (
                "OOM command not allowed script: 5f, on @user_script:7.",
                Unavailable,
                "workers empty",
            ),
            (
                "ERR Error running script (call to f_5f): @user_script:7: @user_script: 7: -OOM command not allowed",
                Unavailable,
                "workers empty",
            ),
            ("MISCONF Redis is configured to save RDB snapshots", Unavailable, "disk"),
            ("READONLY You can't write against a read only replica.", Unavailable, "replica"),
            ("READONLY You can't write script: 5f, on @user_script:10.", Unavailable, "replica"),
            ("NOREPLICAS Not enough good replicas to write.", Unavailable, "min-replicas"),
            ("LOADING Redis is loading the dataset in memory", Unavailable, "loading its data"),
            ("MASTERDOWN Link with MASTER is down", Unavailable, "loading its data"),
            ("CLUSTERDOWN The cluster is down", Unavailable, "loading its data"),
            ("TRYAGAIN Multiple keys request during rehashing", Unavailable, "loading its data"),
            ("BUSY Redis is busy running a script.", Unavailable, "SCRIPT KILL"),
            ("NOAUTH Authentication required.", Unauthorized, "credentials"),
            ("WRONGPASS invalid username-password pair", Unauthorized, "credentials"),
            (
                "NOPERM this user has no permissions to run the 'rpush' command",
                Unauthorized,
                "grant",
            ),
            ("WRONGTYPE Operation against a key", Refused, "?prefix="),
            ("CROSSSLOT Keys in request don't hash to the same slot", Refused, "?prefix="),
            ("ERR unknown command 'BLMOVE', with args beginning with: 'k'", Refused, "6.2"),
            ("ERR wrong number of arguments for 'lpop' command", Refused, "6.2"),
            ("MOVED 866 10.0.0.1:6379", Redirected, "cluster"),
            (
                "ERR The user executing the script can't run this command or subcommand script: 5f",
                ServerError,
                "grant",
            ),
            (
                "ERR attempt to index a nil value script: 5f, on @user_script:3.",
                ServerError,
                "twice",
            ),
            ("NOSCRIPT No matching script.", Refused, "runs no scripts"),
            ("ERR something else", Refused, "until the cause is removed"),
        ] {
            let fault = fault_of_error(error, &address());
            assert_eq!(fault.kind(), kind, "{error}");
            assert!(fault.to_string().contains(advice), "{error}: {fault}");
            let is_retried_later = fault.retry_after() == Some(RETRY_AFTER);
            assert_eq!(is_retried_later, fault.effect() == Effect::None, "{error}");
        }
    }

    #[test]
    fn arguments_and_the_password_are_not_repeated() {
        let error = "ERR unknown command 'RPUSH', with args beginning with: 'the body'";
        assert!(!fault_of_error(error, &address()).to_string().contains("body"));
        assert!(!fault_of_error("ERR bad correct horse", &address()).to_string().contains("horse"));
    }

    #[test]
    fn a_lost_connection_affects_only_requests_that_were_sent() {
        let lost = RedisError { kind: NotifyFaultKind::ConnectionLost, detail: "gone".to_owned() };
        assert_eq!(fault_of_redis_error(&lost, true, &address()).kind(), FaultKind::ReplyLost);
        assert_eq!(fault_of_redis_error(&lost, false, &address()).kind(), FaultKind::Unreachable);
        let loading =
            RedisError { kind: NotifyFaultKind::Refused, detail: "LOADING data".to_owned() };
        assert_eq!(
            fault_of_redis_error(&loading, false, &address()).kind(),
            FaultKind::Unavailable
        );
        let full = "ERR max number of clients reached".to_owned();
        let full = RedisError { kind: NotifyFaultKind::Refused, detail: full };
        assert_eq!(fault_of_redis_error(&full, false, &address()).kind(), FaultKind::Unreachable);
    }
}
