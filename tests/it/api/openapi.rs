//! The description of the API against the routes and against every recorded answer.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bunraku::api::openapi::{document, slug, undescribed};
use bunraku::api::{ENDPOINTS, Endpoint};
use serde_json::{Map, Value, json};

use super::client::Answer;
use super::world::World;

/// A recorded answer: its case, status and body, if that is JSON.
struct Recorded {
    case: String,
    status: String,
    body: Option<Value>,
}

/// All recorded answers, by endpoint.
fn recorded() -> BTreeMap<String, Vec<Recorded>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/api/snapshots");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut found: BTreeMap<String, Vec<Recorded>> = BTreeMap::new();
    for file in files {
        let stem = file.file_stem().unwrap().to_str().unwrap();
        let Some((endpoint, case)) = stem.split_once('@') else { continue };
        let text = std::fs::read_to_string(&file).unwrap();
        let (_, shown) = text.trim_start_matches("---\n").split_once("\n---\n").unwrap();
        let (status, rest) = shown.split_once('\n').unwrap();
        // The head ends where the body begins: with a brace, or not in JSON at all.
        let body = rest.find("\n{").and_then(|at| serde_json::from_str(&rest[at..]).ok());
        let recorded = Recorded { case: case.to_owned(), status: status.to_owned(), body };
        found.entry(endpoint.to_owned()).or_default().push(recorded);
    }
    found
}

fn name_of(endpoint: &Endpoint) -> String {
    slug(&format!("{} {}", endpoint.method, endpoint.path))
}

fn operation<'a>(document: &'a Value, endpoint: &Endpoint) -> &'a Value {
    &document["paths"][endpoint.path.replace(":.*}", "}")][endpoint.method.to_lowercase()]
}

#[test]
fn every_route_is_described_and_nothing_else() {
    assert_eq!(undescribed(), Vec::<String>::new());
    for endpoint in ENDPOINTS {
        assert!(operation(&document(), endpoint).is_object(), "{}", name_of(endpoint));
    }
}

#[test]
fn the_examples_are_recorded_answers() {
    let mut examples: Map<String, Value> = Map::new();
    for (endpoint, answers) in recorded().into_iter().filter(|(endpoint, _)| endpoint != "any") {
        let mut by_status: Map<String, Value> = Map::new();
        for answer in answers {
            if let Some(body) = answer.body {
                by_status.entry(answer.status).or_insert(body);
            }
        }
        examples.insert(endpoint, Value::Object(by_status));
    }
    let rendered = format!("{}\n", serde_json::to_string_pretty(&examples).unwrap());
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/api/openapi/examples.json");
    if std::env::var_os("BUNRAKU_RENDER").is_some() {
        std::fs::write(&file, &rendered).unwrap();
    }
    assert!(std::fs::read_to_string(&file).unwrap() == rendered, "the examples are old: `make render`");
}

#[test]
fn every_recorded_answer_is_as_described() {
    let document = document();
    let answers = recorded();
    let mut wrong = Vec::new();
    for endpoint in ENDPOINTS {
        for answer in answers.get(&name_of(endpoint)).into_iter().flatten() {
            let name = format!("{}@{}", name_of(endpoint), answer.case);
            let response = &operation(&document, endpoint)["responses"][&answer.status];
            if !response.is_object() {
                wrong.push(format!("{name}: {} is not described", answer.status));
                continue;
            }
            let (Some(body), schema) = (&answer.body, &response["content"]["application/json"]["schema"]) else {
                continue;
            };
            if !schema.is_object() {
                wrong.push(format!("{name}: {} has a body that is not described", answer.status));
                continue;
            }
            let mut schema = schema.clone();
            schema["components"] = document["components"].clone();
            let validator = jsonschema::draft202012::new(&schema).unwrap();
            wrong
                .extend(validator.iter_errors(body).map(|error| format!("{name}: {}: {error}", error.instance_path())));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[actix_web::test]
async fn the_description_and_its_page_need_no_token_and_nothing_from_elsewhere() {
    let world = World::empty().await;
    let nobody = world.nobody();
    let served = nobody.get("/orchestrator/v1/openapi.json").await;
    assert_eq!((served.status, served.json()["openapi"].clone()), (200, json!("3.1.0")));
    assert_eq!(served.json(), document());
    let page = nobody.get("/bunraku/v1/docs/index.html").await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html"));
    for part in
        page.text.split('"').filter(|part| part.starts_with("./") || part.ends_with(".css") || part.ends_with(".js"))
    {
        let answer = nobody.get(&format!("/bunraku/v1/docs/{}", part.trim_start_matches("./"))).await;
        assert_eq!(answer.status, 200, "{part}");
    }
    assert!(!page.text.contains("http://") && !page.text.contains("https://"), "{}", page.text);
    let initializer = nobody.get("/bunraku/v1/docs/swagger-initializer.js").await;
    assert!(initializer.text.contains("/orchestrator/v1/openapi.json"));
    nobody.get("/bunraku/v1/docs/nothing.js").await.record("GET /bunraku/v1/docs/{file:.*}", "no-such-part");
    // The head is enough: the rest is compared with the routes and the recorded answers.
    let mut info = served.json()["info"].clone();
    info.as_object_mut().unwrap().remove("version");
    let head = Answer { text: json!({ "openapi": "3.1.0", "info": info }).to_string(), ..served };
    head.record("GET /orchestrator/v1/openapi.json", "head");
}
