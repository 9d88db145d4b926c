//! Where a worker listens for probes.

use std::io;
use std::net::{SocketAddr, TcpListener};

use crate::environment::environment;

/// The variable with the address of the health listener.
const VARIABLE: &str = "IVY_HEALTH";

/// Why a health listener cannot be started. It is the source of an error of the kind
/// [`Config`](ivy_proto::ErrorKind::Config).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HealthError {
    /// The text is not an address.
    #[error(
        "the address of the health listener, from {given_by}, is invalid; write an IP address and a port, such as 127.0.0.1:9464, or 0.0.0.0:9464 to be reached from other hosts"
    )]
    BadAddress {
        /// Where the text comes from.
        given_by: &'static str,
    },
    /// Another socket listens there.
    #[error(
        "cannot listen for health probes at {address}: the address is in use; choose another port for each worker on this host, or port 0 for any free one"
    )]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// The system does not allow it.
    #[error(
        "cannot listen for health probes at {address}: {error}; check that the address belongs to this host, and that the program may use the port"
    )]
    Refused {
        /// The address.
        address: SocketAddr,
        /// Why.
        error: io::Error,
    },
}

/// The address of a health listener, as it was given.
#[derive(Clone, Debug, Default)]
pub(crate) struct HealthAddress(Option<Result<SocketAddr, HealthAddressSource>>);

/// Where an address that is invalid comes from.
type HealthAddressSource = &'static str;

impl HealthAddress {
    pub(crate) fn given(text: &str) -> Self {
        HealthAddress(Some(text.parse().map_err(|_| ".health(..)")))
    }

    /// The address that was given, or else that of the environment.
    pub(crate) fn resolve(self) -> Result<Option<SocketAddr>, HealthError> {
        let from_environment = || {
            let text = environment(|environment| environment.variable(VARIABLE));
            text.filter(|text| !text.is_empty()).map(|text| text.parse().map_err(|_| VARIABLE))
        };
        let address = self.0.or_else(from_environment).transpose();
        address.map_err(|given_by| HealthError::BadAddress { given_by })
    }
}

/// Binds a socket to an address.
pub(super) fn bind(address: SocketAddr) -> Result<TcpListener, HealthError> {
    TcpListener::bind(address).map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => HealthError::InUse { address },
        _ => HealthError::Refused { address, error },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_an_ip_address_and_a_port() {
        for text in ["127.0.0.1:9464", "0.0.0.0:0", "[::1]:9464"] {
            let address = HealthAddress::given(text).resolve().unwrap();
            assert_eq!(address, Some(text.parse().unwrap()));
        }
        for text in ["", "9464", ":9464", "localhost:9464", "127.0.0.1", "redis://:hunter2@h:1"] {
            let error = HealthAddress::given(text).resolve().unwrap_err().to_string();
            assert!(error.contains(".health(..)") && error.contains("127.0.0.1:9464"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
