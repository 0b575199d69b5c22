//! The pages of the dashboard: one shell, and the assets that it loads. Everything is in the binary.
//!
//! No data passes through here: the pages are clients of the API like any other, through `/ui` (ADR 16). Assets stand under
//! the digest of them all, so a browser may keep each for ever, and a page never mixes those of two releases.

mod loopback;

use std::borrow::Cow;
use std::sync::LazyLock;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue};
use actix_web::web::{self, Bytes, ServiceConfig};
use actix_web::{HttpResponse, HttpResponseBuilder};
use rust_embed::{EmbeddedFile, RustEmbed};
use sha2::{Digest as _, Sha256};

pub use loopback::loopback;

/// The pages, by path; each is the same shell, which looks at its address.
const PAGES: [&str; 8] = ["/", "/login", "/jobs", "/jobs/{id}", "/run", "/nodes", "/nodes/{certname}", "/schedules"];
const SHELL: &str = "index.html";
/// What stands in the shell for the folder of the assets.
const PLACE: &str = "{{assets}}";
/// Nothing comes from elsewhere, nothing that stands in a page itself is run, and no other page frames ours.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Read from the source tree by debug builds, so that a change shows at the next load.
#[derive(RustEmbed)]
#[folder = "src/web/assets"]
struct Files;

/// Registers the pages and their assets.
pub fn configure(config: &mut ServiceConfig) {
    for page in PAGES {
        config.service(web::resource(page).route(web::get().to(shell)).route(web::head().to(shell)));
    }
    config.route("/assets/{digest}/{file:.*}", web::get().to(asset));
    config.route("/favicon.ico", web::get().to(icon));
}

async fn shell() -> HttpResponse {
    let Some(file) = Files::get(SHELL) else { return HttpResponse::NotFound().finish() };
    let page = String::from_utf8_lossy(&file.data).replace(PLACE, &format!("/assets/{}", digest()));
    // It names the assets of this release: nobody keeps it.
    answer("text/html; charset=utf-8", "no-store").body(page)
}

async fn asset(path: web::Path<(String, String)>) -> HttpResponse {
    let (of, file) = path.into_inner();
    match Files::get(&file).filter(|_| file != SHELL) {
        Some(found) => {
            // A page of an older release gets what there is, once.
            let kept = if of == digest() { "public, max-age=31536000, immutable" } else { "no-store" };
            send(&file, found, kept)
        }
        None => HttpResponse::NotFound().finish(),
    }
}

async fn icon() -> HttpResponse {
    const FILE: &str = "img/favicon.svg";
    match Files::get(FILE) {
        Some(found) => send(FILE, found, "public, max-age=86400"),
        None => HttpResponse::NotFound().finish(),
    }
}

fn send(name: &str, file: EmbeddedFile, kept: &'static str) -> HttpResponse {
    let body = match file.data {
        Cow::Borrowed(data) => Bytes::from_static(data),
        Cow::Owned(data) => data.into(),
    };
    answer(media_type(name), kept).body(body)
}

fn answer(media: &'static str, kept: &'static str) -> HttpResponseBuilder {
    let mut answer = HttpResponse::build(StatusCode::OK);
    answer
        .content_type(media)
        .insert_header((CACHE_CONTROL, HeaderValue::from_static(kept)))
        .insert_header((CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)));
    answer
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        Some("webmanifest" | "json") => "application/json",
        _ => "application/octet-stream",
    }
}

/// The digest of all assets, names included. What is in the binary stays as it is.
fn digest() -> Cow<'static, str> {
    static EMBEDDED: LazyLock<String> = LazyLock::new(digest_now);
    if cfg!(debug_assertions) { digest_now().into() } else { EMBEDDED.as_str().into() }
}

fn digest_now() -> String {
    let mut names: Vec<_> = Files::iter().collect();
    names.sort();
    let mut all = Sha256::new();
    for name in names {
        if let Some(file) = Files::get(&name) {
            all.update(name.as_bytes());
            all.update(file.metadata.sha256_hash());
        }
    }
    hex::encode(&all.finalize()[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_asset_has_a_type() {
        let unknown: Vec<_> =
            Files::iter().filter(|name| name != SHELL && media_type(name) == "application/octet-stream").collect();
        assert!(unknown.is_empty(), "{unknown:?}");
        assert!(Files::get(SHELL).is_some_and(|page| String::from_utf8_lossy(&page.data).contains(PLACE)));
    }

    #[test]
    fn nothing_in_the_pages_is_loaded_from_elsewhere() {
        let namespaces = ["http://www.w3.org/2000/svg", "http://www.w3.org/1999/xhtml"];
        for name in Files::iter() {
            let file = Files::get(&name).unwrap();
            let mut text = String::from_utf8_lossy(&file.data).into_owned();
            for namespace in namespaces {
                text = text.replace(namespace, "");
            }
            for elsewhere in
                ["src=\"http", "href=\"http", "url(http", "import(\"http", "from \"http", "@import url(\"http"]
            {
                assert!(!text.contains(elsewhere), "{name}: {elsewhere}");
            }
        }
    }
}
