//! The test CA issues what the TLS layer accepts, and revokes what it then refuses.

use bunraku::tls;

use crate::support::ca::TestCa;

#[test]
fn issued_certificates_are_accepted_until_revoked() {
    tls::install_provider();
    let (ca, stranger) = (TestCa::new(), TestCa::new());
    let (server, web1, web2) = (ca.issue("server"), ca.issue("web1"), ca.issue("web2"));
    let verifier = tls::ReloadableVerifier::load(&server, true).unwrap();
    let chain = |paths: &tls::TlsPaths| tls::read_certificates(&paths.cert).unwrap();
    assert!(verifier.accepts(&chain(&web1)) && verifier.accepts(&chain(&web2)));
    assert!(!verifier.accepts(&chain(&stranger.issue("web1"))));
    assert_eq!(tls::common_name(&chain(&web1)[0]).unwrap().as_str(), "web1");

    ca.revoke("web1");
    verifier.reload(&server).unwrap();
    assert!(!verifier.accepts(&chain(&web1)) && verifier.accepts(&chain(&web2)));
    std::fs::write(ca.ca(), "no PEM").unwrap();
    assert!(verifier.reload(&server).is_err() && verifier.accepts(&chain(&web2)), "the old material stays");
    assert!(ca.dir().join("crl.pem").is_file());
}

#[test]
fn of_several_crls_the_newest_counts_wherever_it_stands() {
    tls::install_provider();
    let ca = TestCa::new();
    let (server, web1) = (ca.issue("server"), ca.issue("web1"));
    let list = ca.dir().join("crl.pem");
    let outdated = std::fs::read_to_string(&list).unwrap();
    ca.revoke("web1");
    let present = std::fs::read_to_string(&list).unwrap();
    let chain = tls::read_certificates(&web1.cert).unwrap();
    for bundle in [format!("{outdated}{present}"), format!("{present}{outdated}")] {
        std::fs::write(&list, bundle).unwrap();
        assert_eq!(tls::read_crls(&list).unwrap().len(), 1);
        assert!(!tls::ReloadableVerifier::load(&server, true).unwrap().accepts(&chain));
    }
}

#[test]
fn a_file_without_the_issuers_list_never_turns_revocation_off() {
    tls::install_provider();
    let (ca, stranger) = (TestCa::new(), TestCa::new());
    let (server, web1, web2) = (ca.issue("server"), ca.issue("web1"), ca.issue("web2"));
    let chain = |paths: &tls::TlsPaths| tls::read_certificates(&paths.cert).unwrap();
    ca.revoke("web1");
    let verifier = tls::ReloadableVerifier::load(&server, true).unwrap();
    let list = ca.dir().join("crl.pem");
    for content in [String::new(), "garbage".to_owned(), std::fs::read_to_string(ca.ca()).unwrap()] {
        std::fs::write(&list, content).unwrap();
        assert!(tls::ReloadableVerifier::load(&server, true).is_err());
        assert!(verifier.reload(&server).is_err());
        assert!(!verifier.accepts(&chain(&web1)) && verifier.accepts(&chain(&web2)), "the old list stays");
    }
    std::fs::copy(stranger.dir().join("crl.pem"), &list).unwrap();
    let foreign = tls::ReloadableVerifier::load(&server, true).unwrap();
    assert!(!foreign.accepts(&chain(&web2)), "no list of the issuer: nobody can be told to be good");
}
