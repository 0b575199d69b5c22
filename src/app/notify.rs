//! Tells the service manager how the service is: systemd's notification protocol, datagrams to `$NOTIFY_SOCKET`.
//!
//! Without that variable nothing is sent. A manager that does not listen is no trouble of ours.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// A line to the service manager, if there is one.
#[derive(Debug, Default)]
pub(super) struct Notifier(Option<(UnixDatagram, SocketAddr)>);

impl Notifier {
    /// As the environment says.
    pub(super) fn from_environment() -> Self {
        std::env::var_os("NOTIFY_SOCKET").map_or_else(Self::default, |path| Self::to(&path))
    }

    pub(super) fn to(path: &OsStr) -> Self {
        let bytes = path.as_bytes();
        let address = match bytes.split_first() {
            // A name that is no file begins with @, which stands for a zero byte.
            Some((b'@', name)) => SocketAddr::from_abstract_name(name),
            _ => SocketAddr::from_pathname(path),
        };
        let socket = address.and_then(|address| Ok((UnixDatagram::unbound()?, address)));
        Self(socket.inspect_err(|error| tracing::warn!(%error, "the service manager cannot be told anything")).ok())
    }

    /// Sends assignments, one per line.
    pub(super) fn tell(&self, what: &str) {
        if let Some((socket, address)) = &self.0
            && let Err(error) = socket.send_to_addr(what.as_bytes(), address)
        {
            tracing::debug!(%error, what, "the service manager does not listen");
        }
    }
}

/// How long the service manager waits for a sign of life, where it waits for one of this process.
pub(super) fn watchdog_time() -> Option<Duration> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let ours = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    number("WATCHDOG_USEC").filter(|microseconds| ours && *microseconds > 0).map(Duration::from_micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_addresses_are_reached() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let file = UnixDatagram::bind(&path).unwrap();
        let name = format!("bunraku-test-{}", std::process::id());
        let abstract_address = SocketAddr::from_abstract_name(&name).unwrap();
        let named = UnixDatagram::bind_addr(&abstract_address).unwrap();
        for (socket, address) in [(file, path.into_os_string()), (named, format!("@{name}").into())] {
            Notifier::to(&address).tell("READY=1\nSTATUS=all is well");
            let mut told = [0; 100];
            let length = socket.recv(&mut told).unwrap();
            assert_eq!(&told[..length], b"READY=1\nSTATUS=all is well");
        }
        Notifier::default().tell("READY=1");
        Notifier::to(OsStr::new("/nonexistent/socket")).tell("READY=1");
    }
}
