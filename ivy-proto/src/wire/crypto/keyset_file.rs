//! Keysets as text:
//! `{"primary":"k2","keys":[{"kid":"k1","status":"decrypt_only","secret":"<base64>"},{"kid":"k2","status":"enabled","secret":"<base64>"}]}`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::key_id::KeyId;
use super::keys::{Derivation, InvalidSecret, KeySecret};
use super::keyset::{BadKeyset, Key, KeyStatus, Keyset};
use crate::wire::object::{BadObject, Field, Object, Tree, Value};

const SHAPE: &str = "a JSON object with `primary` and a list of `keys`";
const ENTRY: &str = "a JSON object with a list of `keys`, each an object with `kid`, `status` and `secret`, none of them twice";

/// The largest keyset that is read, in bytes: a few hundred keys.
const LARGEST: usize = 256 * 1024;

impl Keyset {
    /// Parses a keyset.
    ///
    /// # Errors
    /// If it is invalid.
    pub fn parse(json: &str) -> Result<Keyset, BadKeyset> {
        if json.len() > LARGEST {
            return Err(BadKeyset::Malformed("at most 256 KiB"));
        }
        let malformed = |error| match error {
            BadObject::DuplicateKey(at) if names_primary(json, at) => BadKeyset::TwoPrimaries,
            _ => BadKeyset::Malformed(SHAPE),
        };
        let tree = Tree::parse(json).map_err(malformed)?;
        let object = tree.root().map_err(malformed)?;
        only_known(object, &["primary", "keys"])?;
        let raw_keys: Vec<&RawValue> = object
            .get("keys")
            .and_then(|keys| serde_json::from_str(keys.text()).ok())
            .ok_or(BadKeyset::Malformed(SHAPE))?;
        let keys = raw_keys
            .into_iter()
            .enumerate()
            .map(|(index, raw)| read_key(index + 1, raw))
            .collect::<Result<Vec<_>, _>>()?;
        let primary = object.get("primary").ok_or(BadKeyset::NoPrimary)?;
        if primary.text().starts_with('[') {
            return Err(BadKeyset::TwoPrimaries);
        }
        let primary: Option<String> = primary.read();
        let primary = primary.and_then(|text| KeyId::new(&text).ok());
        Keyset::of(primary.ok_or(BadKeyset::NoPrimary)?, keys)
    }

    /// The keyset's JSON, including secrets. Wiped on drop.
    #[must_use]
    pub fn to_json(&self) -> Zeroizing<String> {
        // Enough capacity for everything, because a reallocation would leave copies behind.
        let mut out = Zeroizing::new(String::with_capacity(64 + 320 * self.entries().len()));
        out.push_str("{\n  \"primary\": \"");
        out.push_str(self.primary().as_str());
        out.push_str("\",\n  \"keys\": [");
        for (index, key) in self.entries().iter().enumerate() {
            out.push_str(if index == 0 { "\n" } else { ",\n" });
            out.push_str("    {\"kid\": \"");
            out.push_str(key.id.as_str());
            out.push_str("\", \"status\": \"");
            out.push_str(key.status.as_str());
            out.push_str("\", \"secret\": \"");
            STANDARD.encode_string(key.secret.expose(), &mut out);
            out.push('"');
            if let Some(Derivation { salt, memory_kib, passes, lanes }) = key.derivation {
                let salt = STANDARD.encode(salt);
                out.push_str(&format!(
                    ", \"argon2id\": {{\"salt\": \"{salt}\", \"m\": {memory_kib}, \"t\": {passes}, \"p\": {lanes}}}"
                ));
            }
            out.push('}');
        }
        out.push_str("\n  ]\n}\n");
        out
    }
}

fn names_primary(json: &str, at: usize) -> bool {
    json.get(at..).is_some_and(|rest| rest.starts_with("\"primary\""))
}

fn only_known(object: Object<'_>, known: &[&str]) -> Result<(), BadKeyset> {
    let is_unknown = |field: &Field<'_>| !field.key().is_some_and(|key| known.contains(&key));
    match object.fields().find(is_unknown) {
        Some(field) => Err(BadKeyset::UnknownField(object.offset(field.value()))),
        None => Ok(()),
    }
}

fn read_key(number: usize, raw: &RawValue) -> Result<Key, BadKeyset> {
    let malformed = |_| BadKeyset::Malformed(ENTRY);
    let tree = Tree::parse(raw.get()).map_err(malformed)?;
    let object = tree.root().map_err(malformed)?;
    only_known(object, &["kid", "status", "secret", "argon2id"])?;
    let id: Option<String> = object.read("kid");
    let id = id.and_then(|id| KeyId::new(&id).ok()).ok_or(BadKeyset::BadKeyId(number))?;
    let status: Option<String> = object.read("status");
    let status = status.and_then(|status| KeyStatus::parse(&status));
    let status = status.ok_or_else(|| BadKeyset::BadStatus(id.clone()))?;
    let secret =
        read_secret(object).map_err(|error| BadKeyset::BadSecret { id: id.clone(), error })?;
    let derivation = match object.get("argon2id") {
        None => None,
        Some(value) => {
            Some(read_derivation(value).ok_or_else(|| BadKeyset::BadDerivation(id.clone()))?)
        }
    };
    Ok(Key::new(id, status, secret, derivation))
}

fn read_secret(object: Object<'_>) -> Result<KeySecret, InvalidSecret> {
    let base64: Option<Zeroizing<String>> = object.read("secret").map(Zeroizing::new);
    let base64 = base64.ok_or(InvalidSecret::NotBase64)?;
    let bytes = STANDARD.decode(base64.as_bytes()).map_err(|_| InvalidSecret::NotBase64)?;
    KeySecret::new(Zeroizing::new(bytes))
}

fn read_derivation(value: Value<'_>) -> Option<Derivation> {
    let object = value.object().ok()?;
    only_known(object, &["salt", "m", "t", "p"]).ok()?;
    let salt: String = object.read("salt")?;
    Some(Derivation {
        salt: STANDARD.decode(salt).ok()?.try_into().ok()?,
        memory_kib: object.read("m")?,
        passes: object.read("t")?,
        lanes: object.read("p")?,
    })
}

#[cfg(test)]
mod tests;
