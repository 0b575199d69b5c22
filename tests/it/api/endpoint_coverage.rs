//! Every route of the table has a recorded answer, and every record belongs to a route.

use std::collections::BTreeSet;
use std::path::Path;

use bunraku::api::ENDPOINTS;

use super::client::slug;

/// The part of a record's file name before the case.
fn recorded() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/api/snapshots");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    files.filter_map(|file| Some(file.split_once('@')?.0.to_owned())).collect()
}

#[test]
fn every_route_has_a_record() {
    let recorded = recorded();
    let routes: BTreeSet<String> =
        ENDPOINTS.iter().map(|endpoint| slug(&format!("{} {}", endpoint.method, endpoint.path))).collect();
    assert_eq!(routes.len(), ENDPOINTS.len(), "two routes share a name");
    let missing: Vec<_> = routes.difference(&recorded).collect();
    assert!(missing.is_empty(), "no recorded answer: {missing:#?}");
    let stray: Vec<_> = recorded.iter().filter(|name| *name != "any" && !routes.contains(*name)).collect();
    assert!(stray.is_empty(), "records of no route: {stray:#?}");
}
