//! Integration tests of `directory`.
