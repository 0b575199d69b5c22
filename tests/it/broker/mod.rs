//! Integration tests of `broker`.
