//! A service that cannot start says why, and leaves no thread behind that panics.

use bunraku::app::Service;

use crate::support::service::Site;

#[actix_web::test]
async fn a_taken_port_is_named() {
    let mut site = Site::new();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    site.config.broker.listen = address.clone();
    let error = Service::start(&site.config, None).await.err().expect("the port is taken").to_string();
    assert!(error.contains(&address), "{error}");
    site.config.broker.listen = "127.0.0.1:0".to_owned();
    site.config.server.listen = address.clone();
    let error = Service::start(&site.config, None).await.err().expect("the port is taken").to_string();
    assert!(error.contains(&address) && error.contains("server.listen"), "{error}");
}
