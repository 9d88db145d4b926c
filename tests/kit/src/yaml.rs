use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::tools::python_packages;

/// The documents of a YAML text, as PyYAML reads them.
#[must_use]
pub fn read_yaml(text: &str) -> Vec<Value> {
    let read = "import json, sys, yaml; json.dump(list(yaml.safe_load_all(sys.stdin)), sys.stdout)";
    let mut python = Command::new("python3")
        .args(["-c", read])
        .env("PYTHONPATH", python_packages())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 starts");
    let mut input = python.stdin.take().expect("the input is piped");
    input.write_all(text.as_bytes()).expect("python reads its input");
    drop(input);
    let output = python.wait_with_output().expect("python ends");
    assert!(output.status.success(), "the YAML is invalid, or PyYAML is missing");
    serde_json::from_slice(&output.stdout).expect("python prints JSON")
}
