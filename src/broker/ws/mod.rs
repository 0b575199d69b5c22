//! The server's side of RFC 6455: frames in, frames out, nothing kept while a connection is idle.
//!
//! Written for many mostly silent connections: no read buffer stands by, a payload is allocated as it arrives, and what
//! was read is handed over whole. No extensions, no sub-protocols, no client side. Closing, idle times and queues are
//! the session's business.

mod frame;
pub mod invariants;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod oracle;
mod read;

pub(crate) use frame::{Close, close_payload, head};
pub use frame::{FrameError, FrameHead, Opcode, close_code, parse_head};
pub(crate) use read::{Incoming, MessageReader, ReadError};
