//! The rules of environment files, one by one, and properties of the parser.

use std::path::{Path, PathBuf};

use bunraku_actors::model::EnvironmentName;
use proptest::prelude::*;
use serde_json::json;

use super::{DocumentError, Loaded, parse};

const FILE: &str = "/envs/production.yaml";

fn load(text: &str) -> Result<Loaded, DocumentError> {
    let name = EnvironmentName::parse("production").unwrap();
    parse(Path::new(FILE), &name, text, &[PathBuf::from("/code/$environment/modules")])
}

fn refused(text: &str) -> String {
    load(text).expect_err("the file must be refused").to_string()
}

/// Wraps components into an application, so that they start on line 6.
fn shop(components: &str) -> String {
    format!("applications:\n- type: Shop\n  instances:\n  - title: eu\n    components:\n{components}")
}

#[test]
fn a_whole_file_becomes_an_environment() {
    let text = r"
nodes: [b.example.com, a.example.com]
modulepath: [site, $basemodulepath, /opt/$environment]
manifest: manifests/site.pp
settings: {environment_timeout: 5, config_version: git}
applications:
- type: Shop
  parameters: {port: 3306, name:, tls: true, user: shop}
  instances:
  - title: eu
    components:
    - {type: 'Shop::Web', title: eu, node: web1, consumes: ['Sql[''shop-eu'']']}
    - {type: 'Shop::Db', title: eu, node: db1, produces: ['Sql[shop-eu]']}
    - {type: 'Shop::Cache', title: eu}
";
    let loaded = load(text).unwrap();
    let environment = &loaded.environment;
    let nodes: Vec<&str> = environment.nodes.iter().map(|node| node.as_str()).collect();
    assert_eq!(nodes, ["a.example.com", "b.example.com"]);
    let paths = ["/envs/site", "/code/production/modules", "/opt/production"];
    assert_eq!(loaded.module_path, paths.map(PathBuf::from));
    assert_eq!(environment.settings.modulepath, paths);
    assert_eq!(environment.settings.manifest, "manifests/site.pp");
    assert_eq!((environment.settings.environment_timeout, environment.settings.config_version.as_str()), (5, "git"));
    let shop = &environment.applications[0];
    assert_eq!((shop.file.as_str(), shop.line), (FILE, 7));
    assert_eq!(json!(shop.parameters), json!({"port": "3306", "name": null, "tls": "true", "user": "shop"}));
    let components: Vec<(&str, Option<&str>)> = environment.instances[0]
        .components
        .iter()
        .map(|part| (part.kind.as_str(), part.node.as_ref().map(|node| node.as_str())))
        .collect();
    assert_eq!(components, [("Shop::Db", Some("db1")), ("Shop::Web", Some("web1")), ("Shop::Cache", None)]);
    assert_eq!(environment.instances[0].components[1].consumes, ["Sql[shop-eu]"]);
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
}

#[test]
fn an_empty_file_is_an_environment_without_nodes() {
    for text in ["", "# nothing yet\n", "---\n", "nodes:\napplications:\n"] {
        let loaded = load(text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert!(loaded.environment.nodes.is_empty() && loaded.environment.instances.is_empty());
        assert_eq!(loaded.module_path, [PathBuf::from("/code/production/modules")], "the server's path is the default");
    }
}

#[test]
fn errors_name_file_line_and_key() {
    let cases = [
        ("nodes:\n- a\n- 'b c'\n", "/envs/production.yaml:3: nodes[1]: certname 'b c' is not valid"),
        ("nodes: [a, a]\n", "/envs/production.yaml:1: nodes[1]: 'a' stands twice"),
        ("modulepath: ['']\n", "/envs/production.yaml:1: modulepath[0]: it is not a path"),
        ("nodes: [a]\nnode: [b]\n", "/envs/production.yaml:2: node: [b]: "),
        ("nodes: 5\n", "/envs/production.yaml:1: nodes: 5: "),
        ("settings:\n  environment_timeout: soon\n", "/envs/production.yaml:2: environment_timeout: soon: "),
        ("applications:\n- type: shop\n", "/envs/production.yaml:2: applications[0].type: 'shop' is not a type"),
        ("applications:\n- type: Shop\n- type: Shop\n", ":3: applications[1].type: the application type 'Shop' stands"),
        (
            "applications:\n- type: Shop\n  parameters:\n    a: [1]\n",
            ":4: applications[0].parameters.a: a default is a text",
        ),
        (
            "applications:\n- type: Shop\n  instances:\n  - title: eu\n  - title: eu\n",
            ":5: applications[0].instances[1].title: the instance 'eu' stands twice",
        ),
        ("applications:\n- type: Shop\n  instances:\n  - title: ''\n", ":4: applications[0].instances[0].title: '' is"),
    ];
    for (text, expected) in cases {
        let message = refused(text);
        assert!(message.contains(expected), "{text:?} gave {message:?}, not {expected:?}");
        assert!(message.starts_with(FILE) && message.lines().count() == 1, "{message:?}");
    }
}

#[test]
fn a_component_stands_once_and_on_one_node() {
    let twice = |second: &str| {
        refused(&shop(&format!(
            "    - {{type: Db, title: x, node: a}}\n    - {{type: Db, title: x, node: {second}}}\n"
        )))
    };
    let message = twice("b");
    assert!(message.contains(":7: applications[0].instances[0].components[1].title: "), "{message}");
    assert!(message.contains("Db[x] is mapped to a (line 6) and to b; it can be on one node"), "{message}");
    assert!(twice("a").contains("the component Db[x] stands twice, first on line 6"));
    assert!(refused(&shop("    - {type: Db, title: x, node: [a, b]}\n")).contains(":6:"), "a list of nodes is refused");
}

#[test]
fn capabilities_are_references() {
    for bad in ["sql[x]", "Sql", "Sql[]", "Sql[x", "Sql[a[b]]", "[x]"] {
        let message = refused(&shop(&format!("    - {{type: Db, title: x, produces: ['{bad}']}}\n")));
        assert!(message.contains("components[0].produces[0]") && message.contains("Type[title]"), "{bad}: {message}");
    }
}

#[test]
fn a_capability_that_nobody_produces_is_a_warning() {
    let loaded = load(&shop("    - {type: Db, title: x, node: a, consumes: ['Sql[y]']}\n")).unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    assert!(loaded.warnings[0].contains("no component produces Sql[y]"), "{:?}", loaded.warnings);
}

#[test]
fn documents_that_would_eat_memory_are_refused() {
    let bomb = "a: &a [x, x, x, x, x, x, x, x, x, x]\nb: &b [*a, *a, *a, *a, *a, *a, *a, *a, *a, *a]\n\
                nodes: [*b, *b, *b, *b, *b, *b, *b, *b]\n";
    assert!(refused(bomb).starts_with(FILE));
    let deep = format!("nodes: {}{}\n", "[".repeat(200), "]".repeat(200));
    assert!(refused(&deep).starts_with(FILE));
    assert!(refused("nodes: [a]\n---\nnodes: [b]\n").starts_with(FILE), "one document in one file");
}

#[test]
fn a_hundred_thousand_nodes_fit() {
    let mut text = String::from("nodes:\n");
    for number in 0..100_000 {
        text.push_str(&format!("- node{number}.example.com\n"));
    }
    assert_eq!(load(&text).unwrap().environment.nodes.len(), 100_000);
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC{0,200}") {
        let _ = load(&text);
    }

    #[test]
    fn near_misses_never_panic_and_name_the_file(
        lines in proptest::collection::vec(
            prop_oneof![
                "(nodes|applications|settings|modulepath|manifest): ?(\\[[a-z, ]{0,9}\\]|[a-z]{0,5})",
                " {0,6}- (type|title|node): [A-Za-z]{0,6}",
                " {0,6}(instances|components|produces|consumes):( \\[[A-Z]?[a-z]?\\[?x\\]?\\])?",
            ],
            0..12,
        ),
    ) {
        if let Err(error) = load(&lines.join("\n")) {
            prop_assert!(error.to_string().starts_with(FILE), "{}", error);
        }
    }
}
