//! Integration tests of `config`.
