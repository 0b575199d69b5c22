//! Tokens: found by hash alone, revoked once, touched lazily.

use bunraku::api::accounts::{Accounts, NewToken, Role, TokenHash};
use uuid::Uuid;

use super::builders::*;

fn token(login: &str) -> NewToken {
    NewToken {
        login: login.into(),
        display_name: "Ops".into(),
        role: Role::Operator.into(),
        description: "for CI".into(),
        expires_at: Some(at(1_000)),
    }
}

#[tokio::test]
async fn a_token_is_found_by_its_hash_and_a_login_keeps_its_owner() {
    let fixture = Fixture::new();
    let one = fixture.store.create_token(token("ops"), TokenHash::of("one"), at(1)).await.unwrap();
    let two = fixture.store.create_token(token("ops"), TokenHash::of("two"), at(2)).await.unwrap();
    let other = fixture.store.create_token(token("ann"), TokenHash::of("three"), at(3)).await.unwrap();
    assert_eq!(one.owner_id, two.owner_id);
    assert_ne!(one.owner_id, other.owner_id);
    let fixture = fixture.reopen().await;
    assert_eq!(fixture.store.token(TokenHash::of("two")).await.unwrap(), Some(two.clone()));
    assert_eq!(fixture.store.token(TokenHash::of("four")).await.unwrap(), None);
    assert_eq!(fixture.store.tokens().await.unwrap(), [one, two, other]);
    assert!(fixture.store.create_token(token("ops"), TokenHash::of("one"), at(9)).await.is_err(), "a hash is unique");
}

#[tokio::test]
async fn the_text_of_a_token_is_nowhere_in_the_file() {
    let fixture = Fixture::new();
    let secret = "a-very-secret-token-text";
    fixture.store.create_token(token("ops"), TokenHash::of(secret), at(1)).await.unwrap();
    fixture.store.close().await;
    for entry in std::fs::read_dir(fixture.folder.path()).unwrap() {
        let bytes = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
}

#[tokio::test]
async fn revoking_is_idempotent_and_keeps_the_first_time() {
    let fixture = Fixture::new();
    let record = fixture.store.create_token(token("ops"), TokenHash::of("one"), at(1)).await.unwrap();
    assert!(fixture.store.revoke_token(record.id, at(5)).await.unwrap());
    assert!(fixture.store.revoke_token(record.id, at(6)).await.unwrap());
    assert!(!fixture.store.revoke_token(Uuid::nil(), at(6)).await.unwrap());
    let found = fixture.store.token(TokenHash::of("one")).await.unwrap().unwrap();
    assert_eq!(found.revoked_at, Some(at(5)));
}

#[tokio::test]
async fn a_use_is_remembered_at_most_once_a_minute() {
    let fixture = Fixture::new();
    let record = fixture.store.create_token(token("ops"), TokenHash::of("one"), at(1)).await.unwrap();
    for (seconds, remembered) in [(10, 10), (40, 10), (71, 71)] {
        fixture.store.touch_token(record.id, at(seconds));
        // Requests are served in order, so an answered one means that the touch is in.
        fixture.store.revoke_token(Uuid::nil(), at(0)).await.unwrap();
        let found = fixture.store.token(TokenHash::of("one")).await.unwrap().unwrap();
        assert_eq!(found.last_used_at, Some(at(remembered)));
    }
}
