//! Ids of tasks that are derived from keys.

use ivy_proto::TaskId;
use proptest::prelude::*;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::aead::hex;

#[derive(Deserialize)]
struct Vectors {
    ids: Vec<Derived>,
}

#[derive(Deserialize)]
struct Derived {
    namespace: String,
    key: String,
    id: String,
}

#[test]
fn ids_are_derived_as_by_another_implementation() {
    let Vectors { ids } = serde_json::from_str(include_str!("vectors/derived-ids.json")).unwrap();
    assert!(ids.len() > 10);
    for Derived { namespace, key, id } in ids {
        assert_eq!(TaskId::derived(&namespace, hex(&key)).to_string(), id, "{namespace} {key}");
    }
}

proptest! {
    #[test]
    fn an_id_is_the_beginning_of_the_digest_of_length_namespace_and_key(
        namespace in "\\PC{0,40}",
        key in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let length = u32::try_from(namespace.len()).unwrap().to_be_bytes();
        let digest = Sha256::digest([&length[..], namespace.as_bytes(), &key].concat());
        let id = TaskId::from_random(digest[..16].try_into().unwrap());
        prop_assert_eq!(TaskId::derived(&namespace, &key), id);
    }

    #[test]
    fn what_is_moved_from_the_namespace_to_the_key_changes_the_id(
        text in "[a-z]{1,20}",
        cut in any::<prop::sample::Index>(),
    ) {
        let (namespace, key) = text.split_at(cut.index(text.len()));
        prop_assert_ne!(TaskId::derived(namespace, key), TaskId::derived(&text, ""));
    }
}
