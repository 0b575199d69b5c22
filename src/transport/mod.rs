//! The engine's transport port over the broker.
