//! The broker over real sockets and TLS, and the transport on top of it.

#![expect(clippy::unwrap_used, reason = "a helper that cannot do its work fails the test")]

mod ca;
mod door;
mod frames;
mod life_cycle;
mod rig;
mod session;
