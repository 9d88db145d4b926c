//! Selects the backend of a URL.

use super::bad_url::BadUrl;
use super::environment::{Environment, Found};
use super::error::ConfigError;
use super::memory_name::MemoryName;
use super::{NotifierConfig, QueueConfig};
use crate::backend::{BackendError, BackendUrl, NotifierImpl, Plug, QueueImpl, UrlProblem};

/// The scheme of the in-memory backend.
pub(super) const MEMORY: &str = "memory";
/// The schemes of web addresses, which users often enter by mistake. They may be shown.
const WEB: [&str; 2] = ["http", "https"];

/// The backends that a configuration can use.
#[derive(Clone, Debug, Default)]
pub(super) struct Backends {
    plugs: Vec<Plug>,
    features: &'static [(&'static str, &'static str)],
    /// Why TLS is unavailable, if it is.
    no_tls: Option<BackendError>,
}

/// The role of a URL's backend.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Queue,
    Notifier,
}

impl Backends {
    /// Adds a backend. It replaces earlier backends with the same schemes.
    pub(super) fn add(&mut self, plug: Plug) {
        self.plugs.insert(0, plug);
    }

    /// Sets the feature that provides each scheme.
    pub(super) fn set_features(&mut self, features: &'static [(&'static str, &'static str)]) {
        self.features = features;
    }

    /// Sets the reason why TLS is unavailable.
    pub(super) fn set_no_tls(&mut self, why: BackendError) {
        self.no_tls = Some(why);
    }

    /// Checks that the schemes of the added backends are valid in URLs.
    ///
    /// # Errors
    /// If a scheme is invalid.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let schemes = self
            .plugs
            .iter()
            .flat_map(|plug| plug.schemes().iter().map(|scheme| (plug.name(), *scheme)));
        for (backend, scheme) in schemes {
            if !is_scheme(scheme) || scheme == MEMORY {
                return Err(ConfigError::BadScheme { backend, scheme });
            }
        }
        Ok(())
    }

    /// The queue that a URL specifies, or that is found without one, and the URL.
    pub(super) fn queue(
        &self,
        url: Option<Found>,
        environment: &Environment<'_>,
    ) -> Result<(QueueConfig, Option<BackendUrl>), ConfigError> {
        let Some(url) = url else {
            return self.found_queue(environment).map(|queue| (queue, None));
        };
        let url = self.url(url, Kind::Queue)?;
        if url.scheme() == MEMORY {
            let queue = match MemoryName::of(&url)? {
                None => QueueConfig::Memory,
                Some(name) => QueueConfig::SharedMemory(name),
            };
            return Ok((queue, Some(url)));
        }
        let makes = |plug: &'_ Plug| Some((*plug, plug.queue?.1));
        let found = self.plug(&url).and_then(makes);
        let (plug, make) = found.ok_or_else(|| self.refusal(&url, Kind::Queue))?;
        let queue = make(&url, environment)?.of(&plug);
        self.check_tls(
            &url,
            match queue.implementation() {
                QueueImpl::Exchange(exchange) => exchange.is_secure(),
                QueueImpl::Session(sessions, _) => sessions.is_secure(),
                QueueImpl::Queue(_) => false,
            },
        )?;
        Ok((QueueConfig::Backend(queue), Some(url)))
    }

    fn found_queue(&self, environment: &Environment<'_>) -> Result<QueueConfig, ConfigError> {
        for plug in &self.plugs {
            let Some((_, find)) = plug.found_queue else { continue };
            if let Some(queue) = find(environment)? {
                return Ok(QueueConfig::Backend(queue.of(plug)));
            }
        }
        let forms = self.plugs.iter().filter_map(|plug| plug.queue.map(|(form, _)| form));
        let hints = self.plugs.iter().filter_map(|plug| plug.found_queue.map(|(hint, _)| hint));
        let forms = forms.chain(["memory://"]).collect::<Vec<_>>().join(" or to ");
        let hints = hints.map(|hint| format!(", or {hint}")).collect::<String>();
        Err(ConfigError::NoQueue { ways: format!("set IVY_QUEUE_URL to {forms}{hints}") })
    }

    /// The notifier that a URL specifies.
    pub(super) fn notifier(
        &self,
        url: Found,
        environment: &Environment<'_>,
    ) -> Result<NotifierConfig, ConfigError> {
        let url = self.url(url, Kind::Notifier)?;
        let notifier = self.notifier_at(&url, environment)?;
        notifier.ok_or_else(|| self.refusal(&url, Kind::Notifier))
    }

    /// The notifier at a URL, if its backend can be one.
    pub(super) fn notifier_at(
        &self,
        url: &BackendUrl,
        environment: &Environment<'_>,
    ) -> Result<Option<NotifierConfig>, ConfigError> {
        if url.scheme() == MEMORY {
            return Ok(Some(match MemoryName::of(url)? {
                None => NotifierConfig::Memory,
                Some(name) => NotifierConfig::SharedMemory(name),
            }));
        }
        let makes = |plug: &'_ Plug| Some((*plug, plug.notifier?.1));
        let Some((plug, make)) = self.plug(url).and_then(makes) else { return Ok(None) };
        let notifier = make(url, environment)?.of(&plug);
        self.check_tls(
            url,
            match notifier.implementation() {
                NotifierImpl::Session(sessions) => sessions.is_secure(),
                NotifierImpl::Notifier(_) => false,
            },
        )?;
        Ok(Some(NotifierConfig::Backend(notifier)))
    }

    fn check_tls(&self, url: &BackendUrl, is_secure: bool) -> Result<(), ConfigError> {
        match &self.no_tls {
            Some(why) if is_secure => Err(self.refuse(url, UrlProblem::Backend(why.clone()))),
            _ => Ok(()),
        }
    }

    /// The variables that specify a notifier if nothing else does.
    pub(super) fn notifier_variables(&self) -> Vec<&'static str> {
        self.plugs.iter().filter_map(|plug| plug.notifier_variable).collect()
    }

    /// Parses a URL, and checks what is common to all backends.
    fn url(&self, Found { value, origin }: Found, kind: Kind) -> Result<BackendUrl, ConfigError> {
        let url =
            BackendUrl::parse(&value, origin).map_err(|error| self.shown(error, &value, kind))?;
        let plug = self.plug(&url);
        let known = plug.map_or(&[][..], Plug::keys);
        if url.query_keys().all(|key| known.contains(&key)) {
            return Ok(url);
        }
        Err(self.refuse(
            &url,
            match known {
                [] => UrlProblem::Query,
                known => UrlProblem::UnknownKey { known: known.join(", ") },
            },
        ))
    }

    fn plug(&self, url: &BackendUrl) -> Option<&Plug> {
        self.plugs.iter().find(|plug| plug.schemes().contains(&url.scheme()))
    }

    /// The error if no backend supports the URL in this role.
    fn refusal(&self, url: &BackendUrl, kind: Kind) -> ConfigError {
        let accepted = self.accepted(kind);
        let feature = self.features.iter().find(|(scheme, _)| *scheme == url.scheme());
        let problem = match (self.plug(url), feature, kind) {
            (Some(_), _, Kind::Queue) => UrlProblem::NotAQueue { accepted },
            (Some(_), _, Kind::Notifier) => UrlProblem::NotANotifier { accepted },
            (None, Some((_, feature)), _) => UrlProblem::MissingFeature { feature, accepted },
            (None, None, _) => UrlProblem::UnknownScheme { accepted },
        };
        self.refuse(url, problem)
    }

    fn refuse(&self, url: &BackendUrl, problem: UrlProblem) -> ConfigError {
        let scheme = Some(url.scheme().to_owned()).filter(|scheme| self.is_shown(scheme));
        ConfigError::BadUrl { origin: url.origin(), error: BadUrl::new(scheme, problem) }
    }

    /// The error about a URL that cannot be parsed, with the accepted schemes.
    fn shown(&self, error: ConfigError, text: &str, kind: Kind) -> ConfigError {
        let ConfigError::BadUrl { origin, error } = error else { return error };
        let problem = match error.problem() {
            UrlProblem::NoScheme { .. } => UrlProblem::NoScheme { accepted: self.accepted(kind) },
            problem => problem.clone(),
        };
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        let scheme = scheme.filter(|scheme| self.is_shown(scheme));
        ConfigError::BadUrl { origin, error: BadUrl::new(scheme, problem) }
    }

    /// Any other text before `://` may be a secret.
    fn is_shown(&self, scheme: &str) -> bool {
        scheme == MEMORY
            || WEB.contains(&scheme)
            || self.plugs.iter().any(|plug| plug.schemes().contains(&scheme))
            || self.features.iter().any(|(known, _)| *known == scheme)
    }

    /// The accepted prefixes: the newest backend last, followed by the in-memory one.
    fn accepted(&self, kind: Kind) -> String {
        let plugs = self.plugs.iter().rev().filter(|plug| match kind {
            Kind::Queue => plug.queue.is_some(),
            Kind::Notifier => plug.notifier.is_some(),
        });
        let schemes = plugs.flat_map(|plug| plug.schemes().iter().copied()).chain([MEMORY]);
        schemes.map(|scheme| format!("{scheme}://")).collect::<Vec<_>>().join(", ")
    }
}

/// Whether the text is a lower-case URL scheme (RFC 3986, 3.1).
fn is_scheme(text: &str) -> bool {
    let others =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"+-.".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_lowercase()) && text.bytes().all(others)
}
