//! The core names no server: what is specific to one server belongs to the crate of its backend.
//!
//! PROTOCOL.md may name servers, because it describes what peers find on them.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

use std::fs;
use std::path::{Path, PathBuf};

/// Parts of the names of servers, their protocols and their variables, in lower case.
const NAMES: [&str; 14] = [
    "ironmq",
    "iron.io",
    "iron.json",
    "iron_",
    "redis",
    "valkey",
    "rabbit",
    "amqp",
    "sqs",
    "amazon",
    "postgres",
    "sqlite",
    "kafka",
    "beanstalk",
];

/// The lines of a text that name a server, with their numbers.
fn lines_with_names(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let names_one = |line: &str| {
        let line = line.to_ascii_lowercase();
        NAMES.iter().any(|name| line.contains(name))
    };
    (1..).zip(text.lines()).filter(move |(_, line)| names_one(line))
}

/// All files below a directory.
fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files
}

#[test]
fn the_core_names_no_server() {
    let core = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ivy-proto");
    let mut files = vec![core.join("Cargo.toml")];
    for directory in ["src", "examples"] {
        files.extend(files_below(&core.join(directory)));
    }
    // Guards against a moved directory.
    assert!(files.len() > 150, "only {} files were searched", files.len());
    let mut violations = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        violations.extend(
            lines_with_names(&text).map(|(line, text)| format!("{file:?}, {line}: {text}")),
        );
    }
    assert!(violations.is_empty(), "the core names servers:\n{}", violations.join("\n"));
}

#[test]
fn a_name_is_found_in_code_comments_and_texts() {
    let text =
        "//! Waits.\n\n// as RabbitMQ does\nconst IRONMQ: u8 = 1;\n\"set REDIS_URL\"\nlet x;";
    let found: Vec<usize> = lines_with_names(text).map(|(line, _)| line).collect();
    assert_eq!(found, [3, 4, 5]);
}
