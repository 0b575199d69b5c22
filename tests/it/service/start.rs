//! A service that cannot start says why, and leaves no thread behind that panics.

use std::process::Stdio;

use bunraku::app::Service;
use rustix::process::Signal;

use crate::support::process::Served;
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

#[tokio::test]
async fn a_signal_ends_a_service_that_would_also_end_with_its_standard_input() {
    let site = Site::new();
    let mut served = Served::prepare(&site, &[]).await;
    let (input, _held) = std::io::pipe().unwrap();
    served.start_with(|command| {
        command.arg("--end-with-stdin").stdin(Stdio::from(input));
    });
    served.ready().await;
    served.signal(Signal::TERM);
    assert!(served.ended().await.success());
}
