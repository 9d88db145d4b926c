//! The sources of the configuration of IronMQ's clients: project and token, in variables and files.
//!
//! The program and its environment are the strongest source, then `./iron.json`, then
//! `~/.iron.json`. A server named by a weaker source is used only with a token of the same or of a
//! weaker source, and no weaker source turns TLS off: otherwise, a user who can write to the
//! current folder could redirect the token to a server of theirs. Such a configuration is refused
//! as [`BadConfig::WeakerSource`].

use ivy_proto::backend::Host;
use ivy_proto::config::{ConfigError, Environment, Found, Origin};
use ivy_proto::text::number;

use crate::address::{Address, InvalidAddress, Scheme};
use crate::bad_config::BadConfig;
use crate::iron_file::{FOLDER_FILE, IronFile};
use crate::token::Token;
use crate::url::IronMqUrl;

/// A part of the configuration: its variables and its keys in a file, each in order of precedence.
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
/// The clients use different names.
const SCHEME: Part = Part {
    variables: &["IRON_MQ_SCHEME", "IRON_MQ_PROTOCOL", "IRON_SCHEME", "IRON_PROTOCOL"],
    keys: &["scheme", "protocol"],
};

/// The address and token of a URL, completed from variables and files. `None` if there is no URL,
/// and neither a token nor a project id anywhere.
pub(crate) fn resolve(
    url: Option<(IronMqUrl, Origin)>,
    environment: &Environment<'_>,
) -> Result<Option<(Address, Token)>, ConfigError> {
    let url_scheme = url.as_ref().map(|(url, origin)| (url.scheme, *origin));
    let (url, url_origin) = url.unwrap_or((EMPTY_URL, Origin::Argument("queue URL")));
    let sources = Sources::new(environment, url.is_complete())?;

    let token = match url.token {
        Some(token) => Some((token, url_origin)),
        None => sources.token()?,
    };
    let project = match url.project {
        Some(project) => Some(project),
        None => sources.project()?.map(|project| (Vec::new(), project)),
    };
    let ((token, token_origin), (prefix, project)) = match (token, project) {
        (Some(token), Some(project)) => (token, project),
        (None, None) if url_scheme.is_none() => return Ok(None),
        (None, _) => return Err(BadConfig::NoToken.into()),
        (_, None) => return Err(BadConfig::NoProject.into()),
    };
    let (scheme, host, port) = match url.server {
        Some((host, port)) => (url.scheme, host, port),
        None => sources.server(url_scheme, token_origin)?,
    };
    let address = Address::new(scheme, &host, &project)
        .and_then(|address| address.with_port(port)?.with_prefix(prefix))
        .expect("each part was checked when it was read");
    Ok(Some((address, token)))
}

/// The URL `ironmq://`.
const EMPTY_URL: IronMqUrl =
    IronMqUrl { scheme: Scheme::Https, token: None, server: None, project: None };

impl IronMqUrl {
    fn is_complete(&self) -> bool {
        self.token.is_some() && self.server.is_some() && self.project.is_some()
    }
}

/// The sources of the parts.
struct Sources<'a> {
    environment: &'a Environment<'a>,
    files: Vec<IronFile>,
}

impl<'a> Sources<'a> {
    /// Reads the sources, except the files if no part will be looked up in them: they may belong to
    /// something else, and be invalid.
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

    fn token(&self) -> Result<Option<(Token, Origin)>, ConfigError> {
        let Some(Found { value, origin }) = self.find(&TOKEN)? else {
            return Ok(None);
        };
        match Token::new(&value) {
            Ok(token) => Ok(Some((token, origin))),
            Err(error) => Err(BadConfig::Token { origin, error }.into()),
        }
    }

    fn project(&self) -> Result<Option<String>, ConfigError> {
        let Some(Found { value, origin }) = self.find(&PROJECT)? else {
            return Ok(None);
        };
        match Address::new(Scheme::Https, Address::DEFAULT_HOST, &value) {
            Ok(_) => Ok(Some(value)),
            Err(error) => Err(BadConfig::Address { origin, error }.into()),
        }
    }

    /// Scheme, host and port. The scheme `http` of a URL applies even if the host comes from
    /// elsewhere.
    ///
    /// The source of the server's name decides who receives the token. So a part of the server is
    /// used only if its source is not weaker than that of the token, and of the parts that it is
    /// combined with.
    fn server(
        mut self,
        url_scheme: Option<(Scheme, Origin)>,
        token: Origin,
    ) -> Result<(Scheme, String, u16), ConfigError> {
        let mut combined_with = vec![("token", token)];
        let host = match self.find(&HOST)? {
            Some(found) => {
                let (origin, host) = (found.origin, host(found)?);
                if host != Address::DEFAULT_HOST {
                    HOST.check_source(origin, &combined_with)?;
                }
                combined_with.push(("host", origin));
                self.ignore_other_servers(&host)?;
                host
            }
            None => Address::DEFAULT_HOST.to_owned(),
        };
        let scheme = match url_scheme {
            Some((Scheme::Http, _)) => Scheme::Http,
            url_scheme => match self.find(&SCHEME)? {
                Some(found) => {
                    let (origin, scheme) = (found.origin, scheme(found)?);
                    if scheme == Scheme::Http {
                        let url_scheme = url_scheme.map(|(_, origin)| ("scheme", origin));
                        SCHEME.check_source(origin, combined_with.iter().chain(&url_scheme))?;
                    }
                    scheme
                }
                None => Scheme::Https,
            },
        };
        let port = match self.find(&PORT)? {
            Some(found) => {
                let (origin, port) = (found.origin, port(found)?);
                if port != scheme.default_port() {
                    PORT.check_source(origin, &combined_with)?;
                }
                port
            }
            None => scheme.default_port(),
        };
        Ok((scheme, host, port))
    }

    /// Ignores host, port and scheme of a file that names another host: they belong together.
    fn ignore_other_servers(&mut self, host: &str) -> Result<(), ConfigError> {
        let mut files = Vec::with_capacity(self.files.len());
        for file in std::mem::take(&mut self.files) {
            let other = file.find(HOST.keys)?.is_some_and(|found| {
                Host::parse(&found.value).is_none_or(|other| other.to_string() != host)
            });
            if !other {
                files.push(file);
            }
        }
        self.files = files;
        Ok(())
    }
}

impl Part {
    /// Refuses this part of the server if its source is weaker than one of those that it would be
    /// combined with.
    fn check_source<'b>(
        &self,
        origin: Origin,
        combined_with: impl IntoIterator<Item = &'b (&'static str, Origin)>,
    ) -> Result<(), ConfigError> {
        let stronger = combined_with.into_iter().find(|(_, other)| rank(*other) < rank(origin));
        match stronger {
            None => Ok(()),
            Some(&(what, stronger)) => {
                let variable = self.variables[0];
                Err(BadConfig::WeakerSource { origin, what, stronger, variable }.into())
            }
        }
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
    let bad = BadConfig::Address { origin: found.origin, error: InvalidAddress::Host };
    Host::parse(&found.value).map(|host| host.to_string()).ok_or(bad.into())
}

fn port(found: Found) -> Result<u16, ConfigError> {
    let port = number(&found.value).filter(|port| *port > 0);
    port.ok_or(ConfigError::BadValue { origin: found.origin, expected: "a port, 1 to 65535" })
}

/// The strength of a source, strongest first. A weaker one can often be written to by others: the
/// current folder may be shared, or contain downloads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// The program and its environment, including URLs.
    Process,
    /// The file in the current folder.
    Folder,
    /// The file in the home directory.
    Home,
}

fn rank(origin: Origin) -> Rank {
    match origin {
        Origin::File { path, .. } if path == FOLDER_FILE => Rank::Folder,
        Origin::File { .. } => Rank::Home,
        _ => Rank::Process,
    }
}
