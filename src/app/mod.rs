//! The application: wires everything together. Nothing depends on it but the command line.

pub mod init;
