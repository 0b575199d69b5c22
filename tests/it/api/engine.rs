//! Starts the engine on the ports of a test.

use bunraku_actors::handle::{Engine, Limits, Orchestrator, Ports};

/// An engine on the present thread that takes commands.
pub(crate) async fn start(ports: Ports) -> Orchestrator {
    let orchestrator = Engine::start_here(ports, Limits::default());
    orchestrator.recovered().await;
    orchestrator
}
