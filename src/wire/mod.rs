//! PCP and PXP: bytes ↔ typed messages, nothing else. No sockets, no runtime.

pub mod pcp;
pub mod pxp;
