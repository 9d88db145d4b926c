//! The dashboard is laid out as Grafana expects, and works with any data source.

use std::collections::BTreeSet;

use serde_json::Value;

use super::read;

/// Grafana's last version of this schema.
const SCHEMA: u64 = 42;

pub(super) fn dashboard() -> Value {
    serde_json::from_str(&read("grafana/ivy.json")).unwrap()
}

/// The panels that show something, with their queries.
pub(super) fn panels(dashboard: &Value) -> Vec<&Value> {
    let panels = dashboard["panels"].as_array().unwrap();
    panels.iter().filter(|panel| panel["type"] != "row").collect()
}

#[test]
fn it_has_the_current_schema_and_its_variables() {
    let dashboard = dashboard();
    assert_eq!(dashboard["schemaVersion"], SCHEMA);
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    let variables: Vec<_> = variables.iter().map(|one| (&one["name"], &one["type"])).collect();
    assert_eq!(
        variables,
        [
            (&Value::from("datasource"), &Value::from("datasource")),
            (&Value::from("queue"), &Value::from("query")),
        ]
    );
}

#[test]
fn it_has_its_rows() {
    let dashboard = dashboard();
    let panels = dashboard["panels"].as_array().unwrap();
    let rows = panels.iter().filter(|panel| panel["type"] == "row");
    let rows: Vec<_> = rows.map(|row| row["title"].as_str().unwrap()).collect();
    assert_eq!(rows, ["Overview", "By task", "By queue", "Workers", "Requests"]);
}

#[test]
fn panels_do_not_overlap_and_ids_are_unique() {
    let dashboard = dashboard();
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{panel}");
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(cells.insert((x, y)), "overlaps: {panel}");
            }
        }
    }
}

#[test]
fn each_query_asks_the_chosen_data_source() {
    let dashboard = dashboard();
    for panel in panels(&dashboard) {
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
        let mut names = BTreeSet::new();
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{panel}");
            assert!(names.insert(target["refId"].as_str().unwrap()), "{panel}");
        }
        assert!(!names.is_empty(), "{panel}");
    }
}
