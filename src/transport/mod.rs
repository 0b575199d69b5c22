//! Implements the engine's transport port over the broker: requests out, answers matched and typed.
//!
//! `request` encodes what goes out, `answer` types what comes back, `advice` says what an agent has to change, `routes` knows which transaction is waited for by
//! whom, `watches` tells who wants to hear of a node, `asks` are requests that have nothing to do with a run. Nothing here judges an outcome: that is the engine's.

mod advice;
mod answer;
mod asks;
mod output;
mod pxp;
mod request;
mod routes;
mod watches;

pub use answer::{parse_results, parse_status};
pub use pxp::{LedgerError, Options, PxpTransport};
