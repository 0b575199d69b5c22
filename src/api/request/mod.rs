//! Requests as users write them, turned into checked values: bodies, queries, path parts, commands.
//!
//! Everything is parsed here, once; what comes out has no illegal state left. Nothing here reaches the engine.

mod body;
mod common;
mod deploy;
pub mod invariants;
mod object;
mod path;
mod plan;
mod query;
mod schedule;
mod scope;
mod stop;
mod strict;
mod task;
mod task_target;
pub(super) mod time;
mod token;
mod user;

pub(crate) use body::{Body, read as read_body};
pub(crate) use deploy::deploy_command;
pub(crate) use object::Object;
pub(crate) use path::{job_id, number, task_name};
pub(crate) use plan::{
    environment_plan_run, plan_finish, plan_id, plan_name, plan_of, plan_run, plan_start, plan_task,
};
pub(crate) use query::Query;
pub(crate) use schedule::{changed_schedule, new_schedule, older_schedule};
pub(crate) use scope::{node_list, order};
pub(crate) use stop::{StopRequest, stop_request};
pub(crate) use task::task_command;
pub(crate) use task_target::task_target;
pub(crate) use token::token_request;
pub(crate) use user::{LoginRequest, login_request, new_user, password, user_change};

#[cfg(test)]
mod tests;
