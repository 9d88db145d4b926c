//! Checks whether a server is suitable for storing messages.

use redis::Value;

use super::command::Command;
use super::keys::Prefix;
use ivy_proto::text::number;

/// The memory usage, in percent, above which a server is nearly full.
const NEARLY_FULL: u64 = 80;

/// Queries the server's state and its persistence settings. A user may lack the permission for any
/// of them.
pub(crate) fn commands(prefix: &Prefix) -> Vec<Command> {
    vec![
        Command::new("INFO"),
        Command::new("CONFIG").arg("GET").arg("save"),
        Command::new("EXISTS").arg(prefix.queues_of_next_format()),
    ]
}

/// The risks of the server, each with what to do about it. Settings that the server does not return
/// are not checked.
pub(crate) fn warnings(replies: &[Value]) -> Vec<String> {
    let info = replies.first().and_then(text).unwrap_or_default();
    let saves = replies.get(1).and_then(saves);
    let has_other_format = matches!(replies.get(2), Some(Value::Int(1..)));
    let field = |name: &str| {
        let lines = info.lines().filter_map(|line| line.trim_end().split_once(':'));
        lines.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    };
    let size = |name| field(name).and_then(number::<u64>);
    let mut warnings = Vec::new();
    let mut warn = |text: String| warnings.push(text);
    if let Some(version) = field("redis_version").filter(|version| is_before_6_2(version)) {
        warn(format!("Redis {version} is not supported as a queue; use version 6.2 or later"));
    }
    if field("role") == Some("slave") {
        warn("the server is a replica, which accepts no messages; use the primary".to_owned());
    }
    match field("maxmemory_policy") {
        Some(policy) if policy.starts_with("allkeys") => warn(format!(
            "the server deletes whole queues when its memory is full (maxmemory-policy {policy}); \
             set maxmemory-policy noeviction"
        )),
        _ => {}
    }
    if field("aof_enabled") == Some("0") && saves == Some(false) {
        warn(
            "the server stores nothing on disk: all messages are lost when it restarts; \
             set appendonly yes"
                .to_owned(),
        );
    }
    for (name, what) in [
        ("aof_last_write_status", "its append-only file"),
        ("rdb_last_bgsave_status", "its snapshots"),
    ] {
        if field(name).is_some_and(|status| status != "ok") {
            warn(format!(
                "the server cannot write {what} and may therefore refuse messages; \
                 check its disk and the server's log"
            ));
        }
    }
    if let (Some(used), Some(max @ 1..)) = (size("used_memory"), size("maxmemory")) {
        let share = used.saturating_mul(100) / max;
        if share > NEARLY_FULL {
            warn(format!(
                "the memory of the server is {share} % full, and a full server accepts no messages; \
                 run more workers, or raise maxmemory"
            ));
        }
    }
    if has_other_format {
        warn(
            "this server contains queues in a later format of ivy, which this program does not \
             serve; run workers of the later version as well"
                .to_owned(),
        );
    }
    warnings
}

fn is_before_6_2(version: &str) -> bool {
    let mut parts = version.split('.').map_while(number::<u32>);
    parts.next().zip(parts.next()).is_some_and(|version| version < (6, 2))
}

/// Whether snapshots are enabled.
fn saves(reply: &Value) -> Option<bool> {
    let Value::Array(pair) = reply else { return None };
    pair.get(1).and_then(text).map(|save| !save.is_empty())
}

fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "# Server\r\nredis_version:7.0.15\r\nrole:master\r\nused_memory:800\r\nmaxmemory:1000\r\nmaxmemory_policy:noeviction\r\naof_enabled:1\r\naof_last_write_status:ok\r\nrdb_last_bgsave_status:ok\r\n";

    fn warned(info: &str, save: &str, formats: i64) -> Vec<String> {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let save = Value::Array(vec![text("save"), text(save)]);
        warnings(&[text(info), save, Value::Int(formats)])
    }

    #[test]
    fn a_suitable_server_causes_no_warning() {
        assert_eq!(warned(GOOD, "", 0), [""; 0]);
        let only_snapshots = GOOD.replace("aof_enabled:1", "aof_enabled:0");
        assert_eq!(warned(&only_snapshots, "3600 1", 0), [""; 0]);
    }

    #[test]
    fn each_risk_for_messages_is_reported_with_what_to_do() {
        for (good, bad, advice) in [
            ("7.0.15", "6.0.16", "6.2 or later"),
            ("role:master", "role:slave", "use the primary"),
            ("noeviction", "allkeys-lru", "noeviction"),
            ("aof_enabled:1", "aof_enabled:0", "appendonly yes"),
            ("write_status:ok", "write_status:err", "its append-only file"),
            ("bgsave_status:ok", "bgsave_status:err", "its snapshots"),
            ("used_memory:800", "used_memory:810", "81 %"),
        ] {
            let warned = warned(&GOOD.replace(good, bad), "", 0);
            assert_eq!(warned.len(), 1, "{warned:?}");
            assert!(warned[0].contains(advice), "{warned:?}");
        }
        assert!(warned(GOOD, "", 1)[0].contains("later format"));
    }

    #[test]
    fn settings_that_a_server_does_not_return_are_not_checked() {
        let refused = redis::parse_redis_value(b"-NOPERM no permissions\r\n").unwrap();
        assert_eq!(warnings(&[refused.clone(), refused.clone(), refused]), [""; 0]);
        assert_eq!(warnings(&[]), [""; 0]);
        assert_eq!(warned("", "", 0), [""; 0]);
    }
}
