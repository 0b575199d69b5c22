//! The node agent: PXP from the other side.
