//! What IronMQ's clients look up: the project and its token, in variables and files.

use serde_json::{Map, Value};

use super::environment::{Environment, Found, Origin};
use super::error::ConfigError;
use super::queue_url::IronMqUrl;
use super::url::port_number;
use crate::queue::ironmq::{Address, Scheme, Token, parse_host};

/// A part of the configuration: the variables that hold it, and the keys of a file, each strongest
/// first.
struct Part {
    variables: &'static [&'static str],
    keys: &'static [&'static str],
}

const TOKEN: Part =
    Part { variables: &["IRON_MQ_TOKEN", "IRON_TOKEN", "IRONMQ_TOKEN"], keys: &["token"] };
const PROJECT: Part = Part {
    variables: &["IRON_MQ_PROJECT_ID", "IRON_PROJECT_ID", "IRONMQ_PROJECT_ID", "IRONMQ_PROJECT"],
    keys: &["project_id"],
};
const HOST: Part = Part { variables: &["IRON_MQ_HOST", "IRON_HOST"], keys: &["host"] };
const PORT: Part = Part { variables: &["IRON_MQ_PORT", "IRON_PORT"], keys: &["port"] };
/// The clients disagree on the name.
const SCHEME: Part = Part {
    variables: &["IRON_MQ_SCHEME", "IRON_MQ_PROTOCOL", "IRON_SCHEME", "IRON_PROTOCOL"],
    keys: &["scheme", "protocol"],
};

/// Address and token of what a URL says, completed from variables and files. Nothing if there is
/// no URL, and neither a token nor a project id anywhere.
pub(super) fn resolve(
    url: Option<IronMqUrl>,
    environment: &Environment<'_>,
) -> Result<Option<(Address, Token)>, ConfigError> {
    let is_asked_for = url.is_some();
    let url = url.unwrap_or(NOTHING_SAID);
    let sources = Sources::new(environment, url.is_complete())?;

    let token = match url.token {
        Some(token) => Some(token),
        None => sources.token()?,
    };
    let project = match url.project {
        Some(project) => Some(project),
        None => sources.project()?.map(|project| (Vec::new(), project)),
    };
    let (token, (prefix, project)) = match (token, project) {
        (Some(token), Some(project)) => (token, project),
        (None, None) if !is_asked_for => return Ok(None),
        (None, _) => return Err(ConfigError::NoToken),
        (_, None) => return Err(ConfigError::NoProject),
    };
    // Host, port and scheme belong together: those of a named server are not mixed with those of
    // another that stands elsewhere.
    let (scheme, host, port) = match url.server {
        Some((host, port)) => (url.scheme, host, port),
        None => sources.server(url.scheme)?,
    };
    let address = Address::new(scheme, &host, &project)
        .and_then(|address| address.with_port(port)?.with_prefix(prefix))
        .expect("each part was checked where it was found");
    Ok(Some((address, token)))
}

/// What `ironmq://` says.
const NOTHING_SAID: IronMqUrl =
    IronMqUrl { scheme: Scheme::Https, token: None, server: None, project: None };

impl IronMqUrl {
    fn is_complete(&self) -> bool {
        self.token.is_some() && self.server.is_some() && self.project.is_some()
    }
}

/// Everything that parts are looked up in.
struct Sources<'a> {
    environment: &'a Environment<'a>,
    files: Vec<IronFile>,
}

impl<'a> Sources<'a> {
    /// The sources, without reading files if nothing will be looked up: they may belong to
    /// something else, and be broken.
    fn new(environment: &'a Environment<'a>, complete: bool) -> Result<Self, ConfigError> {
        let files = if complete { Vec::new() } else { IronFile::all(environment)? };
        Ok(Sources { environment, files })
    }

    fn find(&self, part: &Part) -> Result<Option<Found>, ConfigError> {
        if let Some(found) = self.environment.first(part.variables) {
            return Ok(Some(found));
        }
        for file in &self.files {
            if let Some(found) = file.find(part.keys)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn token(&self) -> Result<Option<Token>, ConfigError> {
        let Some(Found { value, origin }) = self.find(&TOKEN)? else {
            return Ok(None);
        };
        match Token::new(&value) {
            Ok(token) => Ok(Some(token)),
            Err(error) => Err(ConfigError::BadToken { origin, error }),
        }
    }

    fn project(&self) -> Result<Option<String>, ConfigError> {
        let Some(Found { value, origin }) = self.find(&PROJECT)? else {
            return Ok(None);
        };
        match Address::new(Scheme::Https, Address::DEFAULT_HOST, &value) {
            Ok(_) => Ok(Some(value)),
            Err(error) => Err(ConfigError::BadAddress { origin, error }),
        }
    }

    /// Scheme, host and port. A URL that says `http` means it, wherever the host stands.
    fn server(&self, said: Scheme) -> Result<(Scheme, String, u16), ConfigError> {
        let scheme = match said {
            Scheme::Http => Scheme::Http,
            Scheme::Https => self.find(&SCHEME)?.map_or(Ok(Scheme::Https), scheme)?,
        };
        let host = match self.find(&HOST)? {
            Some(found) => host(found)?,
            None => Address::DEFAULT_HOST.to_owned(),
        };
        let port = self.find(&PORT)?.map_or(Ok(scheme.default_port()), port)?;
        Ok((scheme, host, port))
    }
}

fn scheme(found: Found) -> Result<Scheme, ConfigError> {
    match found.value.to_ascii_lowercase().as_str() {
        "http" => Ok(Scheme::Http),
        "https" => Ok(Scheme::Https),
        _ => Err(ConfigError::BadValue { origin: found.origin, expected: "http or https" }),
    }
}

fn host(found: Found) -> Result<String, ConfigError> {
    match parse_host(&found.value) {
        Ok(host) => Ok(host.to_string()),
        Err(error) => Err(ConfigError::BadAddress { origin: found.origin, error }),
    }
}

fn port(found: Found) -> Result<u16, ConfigError> {
    let port = port_number(&found.value);
    port.ok_or(ConfigError::BadValue { origin: found.origin, expected: "a port, 1 to 65535" })
}

/// A file of IronMQ's clients. Other products share it, so a key that is not known is none of our
/// business.
struct IronFile {
    path: &'static str,
    /// What stands under `iron_mq`, then what stands at the root.
    objects: Vec<Map<String, Value>>,
}

impl IronFile {
    /// The files that exist, strongest first.
    fn all(environment: &Environment<'_>) -> Result<Vec<IronFile>, ConfigError> {
        let mut files = Vec::new();
        if let Some(content) = environment.file("./iron.json") {
            files.push(IronFile::parse("./iron.json", &content)?);
        }
        let home = environment.variable("HOME").filter(|home| !home.is_empty());
        if let Some(content) = home.and_then(|home| environment.file(&format!("{home}/.iron.json")))
        {
            files.push(IronFile::parse("~/.iron.json", &content)?);
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

    /// The value of the first of these keys that is given. A number counts as its text.
    fn find(&self, keys: &'static [&'static str]) -> Result<Option<Found>, ConfigError> {
        for object in &self.objects {
            for key in keys {
                let origin = Origin::File { path: self.path, key };
                let value = match object.get(*key) {
                    None | Some(Value::Null) => continue,
                    Some(Value::String(text)) => text.clone(),
                    Some(Value::Number(number)) => number.to_string(),
                    Some(_) => {
                        return Err(ConfigError::BadValue { origin, expected: "a text or number" });
                    }
                };
                return Ok(Some(Found { value, origin }));
            }
        }
        Ok(None)
    }
}
