//! Access control.

use serde_json::json;

use crate::server::{PROJECT, Server, TOKEN, raw_request};

const REFUSED: (u16, &str) = (401, r#"{"msg":"Invalid project/token combination"}"#);

/// The response to a request for the list of queues of a project.
fn list(server: &Server, project: &str, query: &str, headers: &[&str]) -> crate::http::Response {
    let mut connection = server.connect();
    let target = format!("/3/projects/{project}/queues{query}");
    connection.send(raw_request("GET", &target, headers, ""));
    connection.read()
}

#[test]
fn the_token_may_be_in_the_header_or_in_the_query() {
    let server = Server::start();
    let header = format!("Authorization: OAuth {TOKEN}");
    let query = format!("?oauth={TOKEN}");
    assert_eq!(list(&server, PROJECT, "", &[&header]).status(), 200);
    assert_eq!(list(&server, PROJECT, "", &[&header.replace("OAuth", "oauth")]).status(), 200);
    assert_eq!(list(&server, PROJECT, &query, &[]).status(), 200);
    assert_eq!(list(&server, PROJECT, &query, &[&header]).status(), 200);
}

#[test]
fn a_wrong_or_missing_token_is_refused() {
    let server = Server::start();
    for (query, headers) in [
        ("", &[][..]),
        ("?oauth=aaaaaa", &[]),
        ("", &["Authorization: OAuth aaaaaa"]),
        ("", &["Authorization: OAuth"]),
        ("", &["Authorization: Bearer test-token"]),
        ("", &["Authorization: test-token"]),
    ] {
        let response = list(&server, PROJECT, query, headers);
        assert_eq!(response.status_and_text(), REFUSED, "{query} {headers:?}");
        assert_eq!(response.header("Content-Type"), Some("application/json"));
    }
}

#[test]
fn another_project_is_refused() {
    let server = Server::start();
    let header = format!("Authorization: OAuth {TOKEN}");
    assert_eq!(
        list(&server, "5f0c2a8e9b1d4c7e8a6f0b3e", "", &[&header]).status_and_text(),
        REFUSED
    );
}

#[test]
fn a_token_in_the_body_is_ignored() {
    let server = Server::start();
    let mut connection = server.connect();
    let body = json!({"oauth": TOKEN, "messages": [{"body": "a"}]}).to_string();
    let target = format!("/3/projects/{PROJECT}/queues/q/messages");
    connection.send(raw_request("POST", &target, &[], body));
    assert_eq!(connection.read().status_and_text(), REFUSED);
}

#[test]
fn a_client_without_access_learns_nothing_of_a_project() {
    let server = Server::start();
    for path in ["queues/q", "nonsense", "queues/%ff"] {
        let mut connection = server.connect();
        connection.send(raw_request("PATCH", &format!("/3/projects/{PROJECT}/{path}"), &[], "{"));
        assert_eq!(connection.read().status_and_text(), REFUSED, "{path}");
    }
}
