//! Integration tests of `agent`.
