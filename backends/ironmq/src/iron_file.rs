//! The configuration files of IronMQ's clients.

use serde_json::{Map, Value};

use ivy_proto::config::{ConfigError, Environment, Found, Origin};

/// The file in the current folder.
pub(crate) const FOLDER_FILE: &str = "./iron.json";
/// The file in the home directory, as shown to users.
pub(crate) const HOME_FILE: &str = "~/.iron.json";

/// A configuration file of IronMQ's clients. Other products share it, so unknown keys are ignored.
pub(crate) struct IronFile {
    path: &'static str,
    /// The object under `iron_mq`, then the root object.
    objects: Vec<Map<String, Value>>,
}

impl IronFile {
    /// The files that exist, strongest first.
    pub(crate) fn all(environment: &Environment<'_>) -> Result<Vec<IronFile>, ConfigError> {
        let mut files = Vec::new();
        if let Some(content) = environment.file(FOLDER_FILE) {
            files.push(IronFile::parse(FOLDER_FILE, &content)?);
        }
        let home = environment.variable("HOME").filter(|home| !home.is_empty());
        if let Some(content) = home.and_then(|home| environment.file(&format!("{home}/.iron.json")))
        {
            files.push(IronFile::parse(HOME_FILE, &content)?);
        }
        Ok(files)
    }

    fn parse(path: &'static str, content: &[u8]) -> Result<IronFile, ConfigError> {
        let bad = |expected| ConfigError::BadFile { path, expected };
        let mut root: Map<String, Value> =
            serde_json::from_slice(content).map_err(|_| bad("a JSON object"))?;
        let objects = match root.remove("iron_mq") {
            None => vec![root],
            Some(Value::Object(iron_mq)) => vec![iron_mq, root],
            Some(_) => return Err(bad("a JSON object, in which \"iron_mq\" is an object too")),
        };
        Ok(IronFile { path, objects })
    }

    /// The value of the first of these keys that is present. A number is converted to text.
    pub(crate) fn find(&self, keys: &'static [&'static str]) -> Result<Option<Found>, ConfigError> {
        for object in &self.objects {
            for key in keys {
                let origin = Origin::File { path: self.path, key };
                let value = match object.get(*key) {
                    None | Some(Value::Null) => continue,
                    Some(Value::String(text)) => text.clone(),
                    Some(Value::Number(number)) => number.to_string(),
                    Some(_) => {
                        return Err(ConfigError::BadValue {
                            origin,
                            expected: "a string or number",
                        });
                    }
                };
                return Ok(Some(Found { value, origin }));
            }
        }
        Ok(None)
    }
}
