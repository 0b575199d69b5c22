//! PCP listener, sessions and inventory: sockets on one side, messages on the other.
