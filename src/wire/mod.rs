//! PCP and PXP: bytes ↔ typed messages, nothing else. No sockets, no runtime.

pub mod cut;
#[doc(hidden)]
pub mod invariants;
pub mod pcp;
pub mod pxp;

#[cfg(test)]
mod tests;
