//! The node agent against a broker of the test's own: real TLS, real processes, shell scripts as tasks and as Puppet.

#![expect(clippy::unwrap_used, reason = "a helper that cannot do its work fails the test")]

mod broker;
mod cancel;
mod lab;
mod ledger;
mod puppet;
mod requests;
mod restart;
mod tasks;
