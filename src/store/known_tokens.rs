//! Tokens that were read lately: every request shows one, and they change hardly ever.
//!
//! Only this process writes them, so what is remembered is what is committed: whoever changes a token forgets all of them
//! before the change is acknowledged, and what was read before that is not remembered any more.

use std::collections::HashMap;
use std::fmt;

use parking_lot::Mutex;

use crate::api::accounts::{TokenHash, TokenRecord};

/// With one more, all are forgotten.
const MOST: usize = 1_024;

#[derive(Default)]
struct Known {
    /// Increases whenever all are forgotten.
    era: u64,
    tokens: HashMap<TokenHash, TokenRecord>,
}

/// The tokens. Those that there are not are never remembered.
#[derive(Default)]
pub(super) struct KnownTokens(Mutex<Known>);

impl fmt::Debug for KnownTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KnownTokens")
    }
}

/// From when a token was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Era(u64);

impl KnownTokens {
    /// The token, or since when what is read of it may be remembered.
    pub(super) fn get(&self, hash: &TokenHash) -> Result<TokenRecord, Era> {
        let known = self.0.lock();
        known.tokens.get(hash).cloned().ok_or(Era(known.era))
    }

    /// Remembers what was read, unless something has changed since.
    pub(super) fn insert(&self, hash: TokenHash, token: TokenRecord, read: Era) {
        let mut known = self.0.lock();
        if known.era != read.0 {
            return;
        }
        if known.tokens.len() >= MOST {
            known.tokens.clear();
        }
        known.tokens.insert(hash, token);
    }

    /// Forgets all.
    pub(super) fn forget(&self) {
        let mut known = self.0.lock();
        known.era += 1;
        known.tokens.clear();
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::api::accounts::Role;

    fn token(text: &str) -> (TokenHash, TokenRecord) {
        let record = TokenRecord {
            id: Uuid::nil(),
            owner_id: Uuid::nil(),
            login: text.to_owned(),
            display_name: String::new(),
            role: Role::Viewer.into(),
            description: String::new(),
            created_at: DateTime::UNIX_EPOCH,
            expires_at: None,
            last_used_at: None,
            revoked_at: None,
            user_revoked: false,
        };
        (TokenHash::of(text), record)
    }

    #[test]
    fn what_was_read_before_a_change_is_not_remembered_after_it() {
        let known = KnownTokens::default();
        let (hash, record) = token("a");
        let before = known.get(&hash).unwrap_err();
        known.forget();
        known.insert(hash, record.clone(), before);
        let since = known.get(&hash).unwrap_err();
        known.insert(hash, record.clone(), since);
        assert_eq!(known.get(&hash).unwrap(), record);
        known.forget();
        assert!(known.get(&hash).is_err());
    }

    #[test]
    fn no_number_of_tokens_fills_the_memory() {
        let known = KnownTokens::default();
        for number in 0..3 * MOST {
            let (hash, record) = token(&number.to_string());
            let since = known.get(&hash).unwrap_err();
            known.insert(hash, record, since);
        }
        assert!(known.0.lock().tokens.len() <= MOST);
    }
}
