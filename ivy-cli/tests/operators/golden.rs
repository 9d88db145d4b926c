//! Golden files: the JSON lines of commands, with ids and times replaced.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

/// Compares lines with those of a file. `IVY_UPDATE_GOLDEN=1` writes the file instead.
pub(crate) fn compare(file: &str, lines: &[Value]) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/operators/golden").join(file);
    let path = path.with_extension("jsonl");
    let lines: String = lines.iter().map(|line| format!("{}\n", stable(line))).collect();
    if std::env::var_os("IVY_UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        return fs::write(&path, lines).unwrap();
    }
    let expected = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; the lines are:\n{lines}", path.display()));
    assert_eq!(lines, expected, "{}", path.display());
}

/// The value with everything replaced that differs from run to run.
fn stable(value: &Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| {
                let value = match key.as_str() {
                    _ if value.is_null() => Value::Null,
                    "message" | "id" | "task_id" | "worker" if value.is_string() => json!("<id>"),
                    "due" | "called" | "deadline" | "started_at" => json!("<time>"),
                    "host" | "pid" | "version" => json!("<process>"),
                    "wait" | "head_age" | "oldest" | "leases_end_within" | "silence" | "up"
                    | "p50" | "p95" | "p99"
                        if value.is_f64() =>
                    {
                        json!("<seconds>")
                    }
                    _ => stable(value),
                };
                (key.clone(), value)
            })
            .collect(),
        Value::Array(values) => values.iter().map(stable).collect(),
        other => other.clone(),
    }
}
