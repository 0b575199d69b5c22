//! Simulated agents over the real protocol and real TLS, many of them in one process: for capacity planning and our own
//! benchmarks. They run nothing.
//!
//! `identity` makes their certificates, `agent` is one of them, `profile` says how they behave, `gauge` counts what
//! happens. What is asked of the service meanwhile is the command line's affair.

mod agent;
mod gauge;
mod identity;
mod profile;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rustls_pki_types::ServerName;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::ca::{Authority, CaError};
use crate::tls::TlsError;
use bunraku_actors::model::{CertName, InvalidName};

pub use gauge::{Latencies, Percentiles, Snapshot};
pub use profile::{Profile, ProfileError, Span};

use self::agent::Agent;
use self::gauge::Gauge;
use self::identity::Identities;

/// Connections from one loopback address; its ports run out not far above.
const PER_ADDRESS: usize = 20_000;

/// What a swarm is made of.
#[derive(Debug, Clone)]
pub struct Options {
    pub nodes: usize,
    /// The broker's address, and the name that its certificate is checked for.
    pub broker: SocketAddr,
    pub server_name: ServerName<'static>,
    /// Certnames are this, a number, and `.swarm`.
    pub prefix: String,
    /// So many of them connect at the same time; the others wait for their turn.
    pub connecting: usize,
    pub profile: Profile,
}

/// Why there is no swarm.
#[derive(Debug, thiserror::Error)]
pub enum SwarmError {
    #[error(transparent)]
    Ca(#[from] CaError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Name(#[from] InvalidName),
    #[error("certificates cannot be used: {0}")]
    Certificates(String),
}

/// A swarm; its agents end when it is dropped.
pub struct Swarm {
    names: Vec<CertName>,
    gauge: Arc<Gauge>,
    _agents: JoinSet<()>,
}

impl Swarm {
    /// Makes the agents' certificates, which are kept nowhere, and lets them connect. Needs a tokio runtime.
    ///
    /// # Errors
    /// See [`SwarmError`].
    pub fn start(options: &Options, authority: &Authority) -> Result<Self, SwarmError> {
        let identities = Arc::new(Identities::new(authority)?);
        let names = (0..options.nodes)
            .map(|number| CertName::parse(&format!("{}{number:05}.swarm", options.prefix)))
            .collect::<Result<Vec<_>, _>>()?;
        let shared = Arc::new(agent::Shared {
            broker: options.broker,
            server_name: options.server_name.clone(),
            profile: options.profile,
            gauge: Arc::default(),
            handshakes: Semaphore::new(options.connecting),
        });
        let mut agents = JoinSet::new();
        for (number, name) in names.iter().enumerate() {
            let config = identities.config_of(authority, name)?;
            let source = source_of(options.broker, number);
            agents.spawn(Agent::new(name.clone(), config, source, Arc::clone(&shared)).live());
        }
        Ok(Self { names, gauge: Arc::clone(&shared.gauge), _agents: agents })
    }

    /// The certnames.
    #[must_use]
    pub fn names(&self) -> &[CertName] {
        &self.names
    }

    /// What has happened so far.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.gauge.snapshot()
    }

    /// The times of each agent's first handshake.
    #[must_use]
    pub fn handshakes(&self) -> Percentiles {
        self.gauge.handshakes.percentiles()
    }

    /// The times of all handshakes of agents that came back.
    #[must_use]
    pub fn reconnects(&self) -> Percentiles {
        self.gauge.reconnects.percentiles()
    }

    /// From now on the most runs at once are those from now on.
    pub fn forget_the_most_runs(&self) {
        self.gauge.forget_the_most();
    }

    /// From now on the next request is the first one.
    pub fn watch_for_first_request(&self) {
        self.gauge.watch_for_first_request();
    }

    /// When the first request since then came.
    #[must_use]
    pub fn first_request(&self) -> Option<tokio::time::Instant> {
        self.gauge.first_request()
    }
}

/// The address that an agent connects from: on this machine several are needed, as the ports of one run out.
fn source_of(broker: SocketAddr, number: usize) -> Option<IpAddr> {
    let block = number / PER_ADDRESS;
    let last = u8::try_from(block + 2).ok().filter(|_| block > 0)?;
    match broker.ip() {
        IpAddr::V4(address) if address.is_loopback() => Some(Ipv4Addr::new(127, 0, 0, last).into()),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loopback_address_is_left_for_the_next_before_its_ports_run_out() {
        let local = "127.0.0.1:8142".parse().unwrap();
        assert_eq!(source_of(local, 19_999), None);
        assert_eq!(source_of(local, 20_000), Some("127.0.0.3".parse().unwrap()));
        assert_eq!(source_of("192.0.2.1:8142".parse().unwrap(), 20_000), None);
    }
}
