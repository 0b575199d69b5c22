//! Integration tests of `store`: through its ports only, on real files.

mod builders;
mod durable;
mod fixtures;
mod large;
mod life;
mod lists;
mod model;
mod random;
mod refusals;
mod tokens;
mod trouble;
