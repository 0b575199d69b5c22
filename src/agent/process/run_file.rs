//! The order that the agent leaves for the wrapper: what to run, and with what. It may hold secrets (the environment of
//! a task), so only the owner may read it, and the wrapper removes it as soon as it has read it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::agent::files::{PRIVATE, write_atomic};

const NAME: &str = "run.json";
const INPUT: &str = "input";

/// What to run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::agent) struct RunFile {
    pub(in crate::agent) program: PathBuf,
    pub(in crate::agent) args: Vec<String>,
    /// Set on top of the agent's own environment.
    pub(in crate::agent) env: BTreeMap<String, String>,
    /// Taken out of it: names, or beginnings of names when they end in `*`.
    pub(in crate::agent) env_remove: Vec<String>,
    /// Bytes of each output that may lie on the disk.
    pub(in crate::agent) output_limit: u64,
    /// Whether its children end with it when it is killed: Puppet waits for each of them, a task may leave some on purpose.
    #[serde(default)]
    pub(in crate::agent) ends_children: bool,
}

impl RunFile {
    /// Writes the order, and what the work reads on standard input.
    pub(in crate::agent) fn write(&self, directory: &Path, input: Option<&[u8]>) -> io::Result<()> {
        if let Some(input) = input {
            write_atomic(&directory.join(INPUT), input, PRIVATE)?;
        }
        let text = Zeroizing::new(serde_json::to_vec(self)?);
        write_atomic(&directory.join(NAME), &text, PRIVATE)
    }

    /// Reads the order and removes it; the input stays open and loses its name.
    pub(super) fn take(directory: &Path) -> io::Result<(Self, Option<fs::File>)> {
        let path = directory.join(NAME);
        let text = Zeroizing::new(fs::read(&path)?);
        fs::remove_file(&path)?;
        let input = match fs::File::open(directory.join(INPUT)) {
            Ok(file) => {
                fs::remove_file(directory.join(INPUT))?;
                Some(file)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        Ok((serde_json::from_slice(&text)?, input))
    }

    /// Removes what a run that never started left behind.
    pub(in crate::agent) fn discard(directory: &Path) {
        for name in [NAME, INPUT] {
            match fs::remove_file(directory.join(name)) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!(file = name, %error, "cannot remove the input of a run that did not start")
                }
            }
        }
    }

    /// Whether a variable of the agent's environment is withheld.
    pub(super) fn removes(&self, name: &str) -> bool {
        self.env_remove.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == pattern,
        })
    }
}
