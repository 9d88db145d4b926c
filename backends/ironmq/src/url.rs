//! The URL of an IronMQ project.

use ivy_proto::backend::{BackendUrl, UrlProblem, segment};
use ivy_proto::config::ConfigError;

use crate::address::{Address, Scheme};
use crate::token::Token;

/// The URL of a project on an IronMQ server: `ironmq://TOKEN@HOST[:PORT][/PREFIX...]/PROJECT_ID`,
/// over https (port 443), or `ironmq+http://` for the same over plain http (port 80). Each part
/// except the scheme may be left out, and is then looked up elsewhere; if no host is found,
/// IronMQ's own is used, [`Address::DEFAULT_HOST`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IronMqUrl {
    /// The protocol of requests.
    pub scheme: Scheme,
    /// The token, if given.
    pub token: Option<Token>,
    /// Host and port, if the host is given.
    pub server: Option<(String, u16)>,
    /// The path in front of `/3`, and the project id, if given; unescaped.
    pub project: Option<(Vec<String>, String)>,
}

impl IronMqUrl {
    /// Parses the parts of a URL.
    ///
    /// # Errors
    /// [`ConfigError::BadUrl`] if a part is invalid. The error shows no secret.
    pub fn of(url: &BackendUrl) -> Result<Self, ConfigError> {
        parts(url).map_err(|problem| url.refuse(problem))
    }

    /// The URL of a project, without a token.
    #[must_use]
    pub fn without_token(address: &Address) -> Self {
        IronMqUrl {
            scheme: address.scheme(),
            token: None,
            server: Some((address.host(), address.port())),
            project: Some((address.prefix().to_vec(), address.project().to_owned())),
        }
    }

    /// The URL including the token: a secret.
    #[must_use]
    pub fn expose(&self) -> String {
        let mut url = match self.scheme {
            Scheme::Https => "ironmq://".to_owned(),
            Scheme::Http => "ironmq+http://".to_owned(),
        };
        if let Some(token) = &self.token {
            url.push_str(&format!("{}@", segment(token.expose())));
        }
        if let Some((host, port)) = &self.server {
            url.push_str(host);
            if *port != self.scheme.default_port() {
                url.push_str(&format!(":{port}"));
            }
        }
        if let Some((prefix, project)) = &self.project {
            for part in prefix.iter().chain([project]) {
                url.push_str(&format!("/{}", segment(part)));
            }
        }
        url
    }
}

/// There is a `:` before the `@` of the URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "only the token precedes the @, and the project id is at the end; write a colon in a token as %3A"
)]
pub struct ColonInToken;

fn parts(url: &BackendUrl) -> Result<IronMqUrl, UrlProblem> {
    let scheme = if url.scheme() == "ironmq+http" { Scheme::Http } else { Scheme::Https };
    if url.password().is_some() {
        return Err(UrlProblem::backend(ColonInToken));
    }
    let token = url.user().map(|token| Token::new(token.expose()));
    let token = token.transpose().map_err(UrlProblem::backend)?;
    let port = url.port().unwrap_or(scheme.default_port());
    let server = url.host().map(|host| (host.to_string(), port));
    let mut prefix = url.segments().to_vec();
    let project = prefix.pop().map(|project| (prefix, project));
    if let Some((prefix, project)) = &project {
        let address = Address::new(scheme, Address::DEFAULT_HOST, project);
        let address = address.and_then(|address| address.with_prefix(prefix.clone()));
        address.map_err(UrlProblem::backend)?;
    }
    Ok(IronMqUrl { scheme, token, server, project })
}
