//! `make bench`: the release binary, its store and its engine, each row beside a bare baseline of the same run.
//!
//! Prints one table; asserts nothing about time. `BENCH_NODES` (10,000) is the size of the large fleet, `BENCH_ROWS` names
//! the groups that are measured (all): `latency`, `fleet`, `reads`, `store`, `million`, `engine`. Goals are those of the
//! design; a row without one has none.

#![expect(clippy::print_stdout, reason = "the table is the result")]
#![expect(clippy::unwrap_used, reason = "a measurement that cannot be set up ends here")]

mod bare;
#[path = "../../tests/it/store/builders.rs"]
#[expect(dead_code, reason = "the suites use more of it")]
mod builders;
mod engine;
mod fleet;
mod latency;
mod million;
mod process;
mod reads;
mod store;
#[path = "../../tests/it/support/mod.rs"]
#[expect(dead_code, reason = "the suites use more of it")]
mod support;
mod table;

use self::table::Table;

/// The size of the large fleet.
fn nodes() -> usize {
    std::env::var("BENCH_NODES").map_or(10_000, |text| text.parse().expect("BENCH_NODES is a number"))
}

/// Whether a group of rows is measured.
fn is_wanted(group: &str) -> bool {
    std::env::var("BENCH_ROWS").map_or(true, |wanted| wanted.split(',').any(|name| name.trim() == group))
}

fn main() {
    if bare::is_one() {
        return bare::serve();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let mut table = Table::default();
    runtime.block_on(async {
        if is_wanted("latency") {
            latency::measure(&mut table).await;
        }
        if is_wanted("fleet") {
            fleet::measure(&mut table, nodes()).await;
        }
        if is_wanted("reads") {
            reads::measure(&mut table, nodes()).await;
        }
        if is_wanted("store") {
            store::measure(&mut table).await;
        }
        if is_wanted("million") {
            million::measure(&mut table).await;
        }
    });
    if is_wanted("engine") {
        engine::measure(&mut table);
    }
    println!("\n{table}");
}
