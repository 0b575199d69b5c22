//! The signals by which a user, or a service manager, ends a command.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Takes the signals from now on: none of them ends the process by itself any more.
pub(crate) struct Leave {
    interrupt: Signal,
    terminate: Signal,
}

impl Leave {
    /// Must be called on a runtime.
    ///
    /// # Errors
    /// The kernel's.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Returns when the user wants to leave.
    pub(crate) async fn asked(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
