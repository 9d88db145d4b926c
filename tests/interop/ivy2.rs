//! A peer in another language that reads and writes `$ivy2$` frames: Node, using only its own
//! crypto module.

use ivy_test_kit::{Process, node_script};
use ivy_tokio::QueueName;
use ivy_tokio::crypto::{Binding, Entropy, ivy2};
use serde_json::{Value, json};

use crate::fixture::{keyset, texts_across_blocks};

struct Peer(Process);

impl Peer {
    async fn start() -> Self {
        let mut process = node_script("ivy2.js").start();
        process.event("ready").await;
        Peer(process)
    }

    async fn request(&mut self, request: Value) -> Value {
        self.0.send(&request).await;
        self.0.event("response").await
    }
}

fn secrets() -> Value {
    let keyset = keyset();
    let secret = keyset.secret(keyset.primary()).expect("a keyset has its primary key");
    let hex: String = secret.expose().iter().map(|byte| format!("{byte:02x}")).collect();
    json!({ "k1": hex })
}

#[tokio::test]
async fn the_recorded_frames_are_read_and_written_byte_for_byte() {
    let vectors: Value =
        serde_json::from_str(include_str!("../core/wire/vectors/ivy2-frames.json")).unwrap();
    let secrets = json!({ "k1": vectors["master_hex"] });
    let mut peer = Peer::start().await;
    for vector in vectors["v2"].as_array().unwrap() {
        let request_with = |fields: Value| {
            let mut request = json!({ "secrets": secrets, "purpose": vector["purpose"], "scope": vector["scope"] });
            request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            request
        };
        let response = peer.request(request_with(json!({ "frame": vector["frame"] }))).await;
        assert_eq!(response["text"], vector["plaintext"]);
        let text = json!({
            "kid": "k1", "text": vector["plaintext"], "entropy": vector["entropy_hex"],
        });
        assert_eq!(peer.request(request_with(text)).await["frame"], vector["frame"]);
    }
}

#[tokio::test]
async fn each_opens_frames_that_the_other_sealed() {
    let queue = QueueName::new("texts").unwrap();
    let binding = Binding::task(&queue);
    let mut peer = Peer::start().await;
    for (number, text) in texts_across_blocks().enumerate() {
        let frame = ivy2::seal(&keyset(), Entropy::new([number as u8; 16]), &binding, &text);
        let mut request = json!({ "secrets": secrets(), "purpose": "task", "scope": "texts" });
        request["frame"] = json!(frame);
        assert_eq!(peer.request(request.clone()).await["text"], json!(text));
        request["scope"] = json!("other");
        assert_eq!(peer.request(request.clone()).await["error"], json!("not authentic"));
        request.as_object_mut().unwrap().remove("frame");
        request["scope"] = json!("texts");
        request["kid"] = json!("k1");
        request["text"] = json!(text);
        let response = peer.request(request).await;
        let opened = ivy2::open(&keyset(), &binding, response["frame"].as_str().unwrap()).unwrap();
        assert_eq!(opened.text.as_str(), text);
    }
}
