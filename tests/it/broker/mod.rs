//! The broker over real sockets and TLS, and the transport on top of it.

mod ca;
mod door;
mod life_cycle;
mod rig;
mod session;
