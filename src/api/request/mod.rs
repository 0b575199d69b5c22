//! Requests as users write them, turned into checked values: bodies, queries, path parts, commands.
//!
//! Everything is parsed here, once; what comes out has no illegal state left. Nothing here reaches the engine.

mod body;
mod common;
mod deploy;
pub mod invariants;
mod object;
mod path;
mod query;
mod scope;
mod stop;
mod task;
mod token;

pub(crate) use body::{Body, read as read_body};
pub(crate) use deploy::deploy_command;
pub(crate) use object::Object;
pub(crate) use path::{job_id, task_name};
pub(crate) use query::Query;
pub(crate) use scope::node_list;
pub(crate) use stop::{StopRequest, stop_request};
pub(crate) use task::task_command;
pub(crate) use token::token_request;

#[cfg(test)]
mod tests;
