//! Values of sensitive parameters at rest: sealed with a key that is not in the database, gone when their job is over.
//!
//! A job that is not over still needs them after a restart. Whoever has the database alone, as in a backup, has nothing of
//! them; a job whose values cannot be opened is ended like one that cannot be read.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use bunraku_actors::model::{Action, JobId, JobSpec, Secrets};
use rusqlite::{Connection, OptionalExtension as _};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::columns::Db;
use super::fault::Fault;
use crate::files;

/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// The first byte of what is sealed: how it is.
const VERSION: u8 = 1;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{path} must hold {} hex digits", 2 * KEY_BYTES)]
    Content { path: PathBuf },
    #[error(transparent)]
    Create(#[from] files::CreateError),
}

/// The key. It is overwritten in memory when its last copy goes.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretKey(Arc<Zeroizing<[u8; KEY_BYTES]>>);

impl fmt::Debug for SecretKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretKey(..)")
    }
}

impl SecretKey {
    /// A new one, by chance.
    #[must_use]
    pub fn random() -> Self {
        Self(Arc::new(Zeroizing::new(rand::random())))
    }

    /// The key of a file, which is made, for its owner only, when it is not there.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn of_file(path: &Path) -> Result<Self, KeyError> {
        match fs::read_to_string(path).map(Zeroizing::new) {
            Ok(text) => {
                let mut key = Zeroizing::new([0; KEY_BYTES]);
                let decoded = hex::decode_to_slice(text.trim(), key.as_mut_slice());
                decoded.map_err(|_| KeyError::Content { path: path.to_owned() })?;
                Ok(Self(Arc::new(key)))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let key = Self::random();
                let text = Zeroizing::new(hex::encode(key.0.as_slice()) + "\n");
                files::create_private_whole(path, text.as_bytes())?;
                Ok(key)
            }
            Err(source) => Err(KeyError::Read { path: path.to_owned(), source }),
        }
    }

    /// A key for another purpose, from which nobody comes back to this one.
    #[must_use]
    pub fn derived(&self, purpose: &str) -> [u8; KEY_BYTES] {
        Sha256::new().chain_update(self.0.as_slice()).chain_update(purpose).finalize().into()
    }

    fn cipher(&self) -> Result<RandomizedNonceKey, Fault> {
        RandomizedNonceKey::new(&AES_256_GCM, self.0.as_slice())
            .map_err(|_| Fault::Refused("the key for sensitive parameters cannot be used".to_owned()))
    }

    /// Seals the values of a job: nonce and sealed text behind the version.
    fn seal(&self, secrets: &Map<String, Value>, spec: &JobSpec) -> Result<Vec<u8>, Fault> {
        let broken = || Fault::Refused("sensitive parameters cannot be sealed".to_owned());
        let mut text = serde_json::to_vec(secrets).map_err(|_| broken())?;
        let nonce = self.cipher()?.seal_in_place_append_tag(about(spec), &mut text).map_err(|_| broken())?;
        Ok([&[VERSION], nonce.as_ref().as_slice(), &text].concat())
    }

    /// Opens what [`SecretKey::seal`] made, for the same job only.
    fn open(&self, sealed: &[u8], spec: &JobSpec) -> Option<Secrets> {
        let (version, rest) = sealed.split_first()?;
        let (nonce, text) = rest.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok().filter(|_| *version == VERSION)?;
        let mut text = Zeroizing::new(text.to_vec());
        let plain = self.cipher().ok()?.open_in_place(nonce, about(spec), &mut text).ok()?;
        serde_json::from_slice(plain).ok().map(Secrets::new)
    }
}

/// What is sealed is good for its job alone.
fn about(spec: &JobSpec) -> Aad<[u8; 16]> {
    Aad::from(*spec.run_key.0.as_bytes())
}

/// What is kept of a job's sensitive parameters; `None` where it has none.
pub(super) fn of(spec: &JobSpec, key: Option<&SecretKey>) -> Result<Option<Vec<u8>>, Fault> {
    let Action::Task(task) = &*spec.action else { return Ok(None) };
    let Some(secrets) = task.secrets.values() else { return Ok(None) };
    let none = || Fault::Refused("there is no key to keep sensitive parameters with".to_owned());
    key.ok_or_else(none)?.seal(secrets, spec).map(Some)
}

/// The specification with its sensitive parameters, as long as the job is not over.
pub(super) fn opened(
    connection: &Connection,
    job: JobId,
    spec: Arc<JobSpec>,
    key: Option<&SecretKey>,
) -> Result<Arc<JobSpec>, Fault> {
    let Action::Task(task) = &*spec.action else { return Ok(spec) };
    if task.sensitive.is_empty() || task.secrets.values().is_some() {
        return Ok(spec);
    }
    let read = "SELECT sealed FROM job_secrets WHERE job = ?1";
    let sealed: Option<Vec<u8>> = connection.prepare_cached(read)?.query_row([Db(job)], |row| row.get(0)).optional()?;
    let Some(sealed) = sealed else { return Ok(spec) };
    let lost = || {
        let why = "its sensitive parameters were sealed with another key than the one of secrets_file";
        Fault::Inconsistent(format!("job {job}: {why}"))
    };
    let secrets = key.and_then(|key| key.open(&sealed, &spec)).ok_or_else(lost)?;
    let mut task = task.clone();
    task.secrets = secrets;
    Ok(Arc::new(JobSpec { action: Arc::new(Action::Task(task)), ..JobSpec::clone(&spec) }))
}

/// Keeps what [`of`] made.
pub(super) fn keep(connection: &Connection, job: JobId, sealed: &[u8]) -> Result<(), Fault> {
    let insert = "INSERT INTO job_secrets (job, sealed) VALUES (?1, ?2)";
    connection.prepare_cached(insert)?.execute(rusqlite::params![Db(job), sealed])?;
    Ok(())
}

/// Removes what is kept, with the end of the job; whether there was anything.
pub(super) fn wipe(connection: &Connection, job: JobId) -> Result<bool, Fault> {
    let removed = connection.prepare_cached("DELETE FROM job_secrets WHERE job = ?1")?.execute([Db(job)])?;
    Ok(removed > 0)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_key_is_made_once_for_its_owner_and_anything_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secrets.key");
        let made = SecretKey::of_file(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(SecretKey::of_file(&path).unwrap() == made);
        assert!(made.derived("a") != made.derived("b"));
        assert_eq!(format!("{made:?}"), "SecretKey(..)");
        for bad in ["", "zz", &"0".repeat(63)] {
            fs::write(&path, bad).unwrap();
            assert!(matches!(SecretKey::of_file(&path), Err(KeyError::Content { .. })), "{bad}");
        }
        assert!(matches!(SecretKey::of_file(folder.path()), Err(KeyError::Read { .. })));
    }
}
