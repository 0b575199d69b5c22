//! Integration tests of `store`: through its ports only, on real files.

mod builders;
mod life;
mod lists;
