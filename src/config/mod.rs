//! Configuration files: parsed, checked, resolved.
