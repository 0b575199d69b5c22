//! The node agent against a broker of the test's own: real TLS, real processes, shell scripts as tasks and as Puppet.

mod broker;
mod cancel;
mod lab;
mod puppet;
mod requests;
mod restart;
mod tasks;
