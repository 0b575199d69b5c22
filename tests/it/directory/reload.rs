//! Environment files that come, change, break and go.

use std::fs;
use std::os::unix::fs::symlink;

use bunraku_actors::ports::{Directory as _, DirectoryError};
use tempfile::TempDir;

use super::{Lab, environment};

#[tokio::test]
async fn changes_are_picked_up() {
    let lab = Lab::start().await;
    assert!(lab.names().await.is_empty() && lab.trouble().is_none());
    lab.write("environments/production.yaml", "nodes: [a]\n");
    lab.until("the new file is seen", async |lab| lab.names().await == ["production"]).await;
    lab.write("environments/production.yaml", "nodes: [a, b]\n");
    lab.until("the changed file is seen", async |lab| lab.nodes("production").await == Some(2)).await;
    lab.replace("environments/production.yaml", "nodes: [c, d, e]\n");
    lab.until("the replaced file is seen", async |lab| lab.nodes("production").await == Some(3)).await;
    fs::remove_file(lab.at("environments/production.yaml")).unwrap();
    lab.until("the removed file is seen", async |lab| lab.names().await.is_empty()).await;
}

#[tokio::test]
async fn a_broken_file_keeps_the_last_good_version_and_says_so() {
    let lab = Lab::start().await;
    lab.write("environments/production.yaml", "nodes: [a, b]\n");
    lab.until("the file is seen", async |lab| lab.nodes("production").await == Some(2)).await;
    lab.replace("environments/production.yaml", "nodes: [a, b]\napplications: [{type: shop}]\n");
    lab.until("the trouble shows", async |lab| lab.trouble().is_some()).await;
    let trouble = lab.trouble().unwrap();
    assert!(trouble.contains("production.yaml:2: applications[0].type: 'shop' is not a type"), "{trouble}");
    assert_eq!(lab.nodes("production").await, Some(2));
    lab.replace("environments/production.yaml", "nodes: [a]\n");
    lab.until("the repaired file is seen", async |lab| lab.trouble().is_none()).await;
    assert_eq!(lab.nodes("production").await, Some(1));
}

#[tokio::test]
async fn a_new_environment_is_there_when_it_is_asked_for() {
    let lab = Lab::start().await;
    // No waiting for an event: who has just written the file may use it.
    lab.write("environments/staging.yaml", "nodes: [a]\n");
    assert_eq!(lab.nodes("staging").await, Some(1));
    assert_eq!(lab.nodes("nosuch").await, None);
}

#[tokio::test]
async fn a_directory_that_is_missing_at_the_start_is_trouble_not_an_end() {
    let lab = Lab::start_in(TempDir::new().unwrap()).await;
    assert!(lab.trouble().unwrap().contains("environments"));
    assert!(matches!(lab.directory.environments().await, Err(DirectoryError::Unavailable(_))));
    assert!(matches!(lab.directory.environment(&environment("production")).await, Err(DirectoryError::Unavailable(_))));
    lab.write("environments/production.yaml", "nodes: [a]\n");
    assert_eq!(lab.nodes("production").await, Some(1));
    assert_eq!(lab.trouble(), None);
}

#[tokio::test]
async fn files_behind_links_follow_a_swap_of_the_link() {
    // As configuration is mounted into containers: the files are links through a link that is swapped as a whole.
    let lab = Lab::start().await;
    lab.write("one/production.yaml", "nodes: [a]\n");
    lab.write("two/production.yaml", "nodes: [a, b]\n");
    symlink("../one", lab.at("environments/..data")).unwrap();
    symlink("..data/production.yaml", lab.at("environments/production.yaml")).unwrap();
    lab.until("the linked file is seen", async |lab| lab.nodes("production").await == Some(1)).await;
    symlink("../two", lab.at("environments/..next")).unwrap();
    fs::rename(lab.at("environments/..next"), lab.at("environments/..data")).unwrap();
    lab.until("the swap is seen", async |lab| lab.nodes("production").await == Some(2)).await;
}

#[tokio::test]
async fn the_shipped_example_loads_without_a_warning() {
    let lab = Lab::start().await;
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/config/environments/production.yaml");
    let text = fs::read_to_string(example).unwrap();
    lab.write("environments/production.yaml", &text);
    let production = lab.directory.environment(&environment("production")).await.unwrap().unwrap();
    assert_eq!(lab.trouble(), None);
    let order: Vec<&str> = production.instances[0].components.iter().map(|part| part.title.as_str()).collect();
    assert_eq!(order, ["eu", "eu-1", "eu-2", "eu"]);

    // What is commented out is valid too.
    let all: Vec<String> = text.lines().map(uncommented).collect();
    lab.write("environments/everything.yaml", &all.join("\n"));
    let everything = lab.directory.environment(&environment("everything")).await.unwrap();
    assert_eq!(lab.trouble(), None);
    let everything = everything.unwrap();
    assert_eq!(everything.applications[0].parameters.len(), 2);
    assert_eq!(everything.settings.modulepath[0], "/etc/puppetlabs/code/environments/everything/modules");
}

/// A line of the example with its key in force: prose has one blank after the sign, keys have none or more.
fn uncommented(line: &str) -> String {
    match line.split_once('#') {
        Some((indentation, rest))
            if indentation.trim().is_empty() && (!rest.starts_with(' ') || rest.starts_with("  ")) =>
        {
            format!("{indentation}{rest}")
        }
        _ => line.to_owned(),
    }
}
