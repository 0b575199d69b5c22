//! Micro benchmarks of what runs once or more for every run of a node: the codec, the plan, the step functions. They find a
//! slip of one of these early; what the whole service costs stands in the benchmark `service`.
//!
//! `cargo bench --bench micro`; of one group: `cargo bench --bench micro -- plan`.

mod codec;
mod plan;
mod steps;

fn main() {
    divan::main();
}
