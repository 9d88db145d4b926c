//! The URL of a queue.

use super::url::{BadUrl, Parts, UrlProblem, decoded};
use crate::queue::ironmq::{Address, Scheme, Token, segment};

/// The schemes of queues, for error messages.
const ACCEPTED: &str = "ironmq://, ironmq+http://, memory://";

/// A queue's URL, taken apart.
///
/// * `memory://`: queues in the memory of this process.
/// * `ironmq://TOKEN@HOST[:PORT][/PREFIX...]/PROJECT_ID`: a project on an IronMQ v3 server, over
///   https (port 443). `ironmq+http://`: the same over plain http (port 80). Each part but the
///   scheme may be left out, and is then looked up elsewhere; a host that is found nowhere is
///   IronMQ's own, [`Address::DEFAULT_HOST`]: `mq-aws-us-east-1-1.iron.io`.
///
/// ```
/// use ivy_proto::config::QueueUrl;
///
/// let url = QueueUrl::parse("ironmq+http://token@localhost:8080/5e3a6f0c1b2d4e5f6a7b8c9d")?;
/// assert!(matches!(url, QueueUrl::IronMq(_)));
/// # Ok::<(), ivy_proto::config::BadUrl>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum QueueUrl {
    /// Queues in the memory of this process.
    Memory,
    /// A project on an IronMQ server, or as much as the URL says of it.
    IronMq(IronMqUrl),
}

/// What a URL says of a project on an IronMQ server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IronMqUrl {
    /// How requests travel.
    pub scheme: Scheme,
    /// The token, if it is given.
    pub token: Option<Token>,
    /// Host and port, if the host is given.
    pub server: Option<(String, u16)>,
    /// The path in front of `/3`, and the project id, if they are given; unescaped.
    pub project: Option<(Vec<String>, String)>,
}

impl QueueUrl {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// If it is not the URL of a queue that is built in. The error shows neither the token nor a
    /// query.
    pub fn parse(text: &str) -> Result<Self, BadUrl> {
        parse(text).map_err(|problem| BadUrl::new(text, problem))
    }

    /// The URL, with the token in it: a secret.
    #[must_use]
    pub fn expose(&self) -> String {
        match self {
            QueueUrl::Memory => "memory://".to_owned(),
            QueueUrl::IronMq(ironmq) => ironmq.expose(),
        }
    }
}

impl IronMqUrl {
    fn expose(&self) -> String {
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

fn parse(text: &str) -> Result<QueueUrl, UrlProblem> {
    let parts = Parts::parse(text, ACCEPTED)?;
    match parts.scheme.as_str() {
        "memory" if parts.is_bare() => Ok(QueueUrl::Memory),
        "memory" => Err(UrlProblem::NotBare),
        "ironmq" => ironmq(Scheme::Https, &parts).map(QueueUrl::IronMq),
        "ironmq+http" => ironmq(Scheme::Http, &parts).map(QueueUrl::IronMq),
        "redis" | "rediss" => Err(UrlProblem::NotBuiltIn),
        _ => Err(UrlProblem::UnknownScheme { accepted: ACCEPTED }),
    }
}

fn ironmq(scheme: Scheme, parts: &Parts<'_>) -> Result<IronMqUrl, UrlProblem> {
    let token = match parts.credentials {
        Some(credentials) if credentials.contains(':') => return Err(UrlProblem::ColonInToken),
        Some(token) => Some(Token::new(&decoded(token)?).map_err(UrlProblem::Token)?),
        None => None,
    };
    let server = parts.host.clone().map(|host| (host, parts.port.unwrap_or(scheme.default_port())));
    let mut prefix = parts.segments()?;
    let project = prefix.pop().map(|project| (prefix, project));
    if let Some((prefix, project)) = &project {
        let address = Address::new(scheme, Address::DEFAULT_HOST, project);
        let address = address.and_then(|address| address.with_prefix(prefix.clone()));
        address.map_err(UrlProblem::Address)?;
    }
    Ok(IronMqUrl { scheme, token, server, project })
}
