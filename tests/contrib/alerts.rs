//! Alerts are valid, tested, and say what to do.

use std::collections::BTreeSet;
use std::process::Command;

use ivy_test_kit::{promtool, read_yaml};
use serde_json::Value;

use super::{contrib, read};

pub(super) const RULES: &str = "prometheus/ivy.rules.yml";
const TESTS: &str = "prometheus/ivy.rules.test.yml";

/// All alerts, as the file describes them.
pub(super) fn alerts() -> Vec<Value> {
    let [file] = &read_yaml(&read(RULES))[..] else { panic!("one document") };
    let groups = file["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap()).cloned().collect()
}

fn name(alert: &Value) -> &str {
    alert["alert"].as_str().unwrap()
}

#[test]
fn the_rules_are_valid_and_their_tests_pass() {
    for (what, file) in [("check", RULES), ("test", TESTS)] {
        let output = Command::new(promtool()).args([what, "rules"]).arg(contrib(file)).output();
        let output = output.unwrap();
        let text = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&text));
    }
}

#[test]
fn each_alert_is_tested_to_fire_and_to_stay_silent() {
    let [file] = &read_yaml(&read(TESTS))[..] else { panic!("one document") };
    let tests = file["tests"].as_array().unwrap();
    let cases = tests.iter().flat_map(|test| test["alert_rule_test"].as_array().unwrap());
    let cases: BTreeSet<(&str, bool)> = cases
        .map(|case| {
            let fires = !case["exp_alerts"].as_array().unwrap().is_empty();
            (case["alertname"].as_str().unwrap(), fires)
        })
        .collect();
    let alerts = alerts();
    for alert in &alerts {
        assert!(cases.contains(&(name(alert), true)), "{} never fires", name(alert));
        // An alert without a delay is silent for another label in the same test.
        let is_silent = cases.contains(&(name(alert), false)) || alert["for"].is_null();
        assert!(is_silent, "{} is not tested to stay silent", name(alert));
    }
    assert_eq!(alerts.len(), 10);
}

#[test]
fn each_alert_says_what_happened_and_what_to_type_next() {
    for alert in alerts() {
        let annotation = |key: &str| alert["annotations"][key].as_str().unwrap_or_default();
        assert!(!annotation("summary").is_empty(), "{}", name(&alert));
        assert!(!annotation("description").is_empty(), "{}", name(&alert));
        assert!(annotation("command").starts_with("ivy "), "{}", name(&alert));
    }
}
