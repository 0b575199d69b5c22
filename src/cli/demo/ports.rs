//! Where the demo listens: the well-known ports, or free ones where those are taken.

use std::io;
use std::net::{SocketAddr, TcpListener};

use super::site::reachable;
use crate::cli::error::CliError;

const DEFAULT_API: &str = "127.0.0.1:8143";
const DEFAULT_BROKER: &str = "127.0.0.1:8142";

/// The two listeners of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Endpoints {
    pub(super) api: SocketAddr,
    pub(super) broker: SocketAddr,
}

impl Endpoints {
    /// Settles both addresses; the second value holds a remark for each port that had to be replaced.
    ///
    /// The addresses are free when this returns. Another program may still take one before the service does; the service
    /// says so then.
    ///
    /// # Errors
    /// When an address that was asked for is taken or unusable.
    pub(super) fn choose(api: Option<SocketAddr>, broker: Option<SocketAddr>) -> Result<(Self, Vec<String>), CliError> {
        let mut remarks = Vec::new();
        // Both are held until both are chosen, so that they differ.
        let api = claim(api, DEFAULT_API, &mut remarks)?;
        let broker = claim(broker, DEFAULT_BROKER, &mut remarks)?;
        let address = |listener: &TcpListener| listener.local_addr().map_err(|error| CliError::Other(error.into()));
        Ok((Self { api: address(&api)?, broker: address(&broker)? }, remarks))
    }

    /// The address of the API for clients on this machine.
    pub(super) fn url(&self) -> String {
        format!("https://{}", reachable(self.api))
    }

    /// The address of the broker for agents on this machine.
    pub(super) fn broker_uri(&self) -> String {
        format!("wss://{}/pcp2/", reachable(self.broker))
    }

    /// The names of the service: those of this machine's loopback, and the addresses that it listens on.
    pub(super) fn names(&self) -> Vec<String> {
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        for address in [reachable(self.api), reachable(self.broker)] {
            let name = address.ip().to_string();
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

fn claim(asked: Option<SocketAddr>, default: &str, remarks: &mut Vec<String>) -> Result<TcpListener, CliError> {
    let wanted = asked.unwrap_or_else(|| default.parse().expect("our own default is an address"));
    match TcpListener::bind(wanted) {
        Ok(listener) => Ok(listener),
        Err(error) if asked.is_none() && error.kind() == io::ErrorKind::AddrInUse => {
            let free = TcpListener::bind(SocketAddr::new(wanted.ip(), 0)).map_err(|error| refused(wanted, &error))?;
            let port = free.local_addr().map_err(|error| refused(wanted, &error))?.port();
            remarks.push(format!("port {} is taken, so the demo uses {port} instead", wanted.port()));
            Ok(free)
        }
        Err(error) => Err(refused(wanted, &error)),
    }
}

fn refused(address: SocketAddr, error: &io::Error) -> CliError {
    CliError::Usage(format!("cannot listen on {address}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_was_asked_for_is_used_or_refused() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let any = Some("127.0.0.1:0".parse().unwrap());
        let error = Endpoints::choose(Some(address), any).unwrap_err().to_string();
        assert!(error.contains(&address.to_string()), "{error}");
        let (endpoints, remarks) = Endpoints::choose(any, any).unwrap();
        assert!(endpoints.api.port() != 0 && endpoints.api.port() != endpoints.broker.port() && remarks.is_empty());
    }

    #[test]
    fn a_taken_default_is_replaced_and_that_is_said() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let default = taken.local_addr().unwrap();
        let mut remarks = Vec::new();
        let listener = claim(None, &default.to_string(), &mut remarks).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_ne!(port, default.port());
        assert!(remarks[0].contains(&default.port().to_string()) && remarks[0].contains(&port.to_string()));
    }

    #[test]
    fn clients_get_addresses_that_they_can_use() {
        let endpoints = Endpoints { api: "0.0.0.0:1".parse().unwrap(), broker: "[::]:2".parse().unwrap() };
        assert_eq!(endpoints.url(), "https://127.0.0.1:1");
        assert_eq!(endpoints.broker_uri(), "wss://[::1]:2/pcp2/");
        let endpoints = Endpoints { api: "10.0.0.1:1".parse().unwrap(), broker: "10.0.0.1:2".parse().unwrap() };
        assert_eq!(endpoints.names(), ["localhost", "127.0.0.1", "::1", "10.0.0.1"]);
    }
}
