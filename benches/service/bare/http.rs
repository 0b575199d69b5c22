//! The bare side of the API: actix-web over the same TLS, which answers every request with the same bytes.

use actix_web::http::header::ContentType;
use actix_web::{App, HttpResponse, HttpServer, web};
use bunraku::tls::{ReloadableServer, TlsPaths};

/// Where the bytes are.
pub(crate) const BODY: &str = "BENCH_BODY";

/// The process's body.
pub(super) fn serve(paths: TlsPaths) {
    let body = web::Bytes::from(std::fs::read(std::env::var_os(BODY).unwrap()).unwrap());
    actix_web::rt::System::new().block_on(async move {
        let config = ReloadableServer::load(paths, false).unwrap().config();
        let server = HttpServer::new(move || {
            let body = body.clone();
            App::new().default_service(web::to(move || {
                let body = body.clone();
                async move { HttpResponse::Ok().content_type(ContentType::json()).body(body) }
            }))
        });
        let server = server.workers(1).bind_rustls_0_23("127.0.0.1:0", config).unwrap();
        println!("{}", server.addrs()[0].port());
        server.run().await.unwrap();
    });
}
