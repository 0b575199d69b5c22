//! What must hold of the requests' parsers for any input. Property tests and fuzz targets call the same functions.
//!
//! Each takes whatever comes from a network and panics when a promise is broken; none returns anything.

use bunraku_actors::model::{JobId, Owner};
use chrono::DateTime;

use super::path::MAX_ID;
use super::{
    Object, Query, deploy_command, environment_plan_run, job_id, login_request, new_schedule, new_user, node_list,
    older_schedule, plan_finish, plan_run, plan_start, plan_task, stop_request, task_command, task_name, task_target,
    token_request, user_change,
};
use crate::api::error::ApiError;
use crate::api::records::ScheduleKind;
use crate::api::rights::Rules;

/// Errors are for people and programs: they do not repeat whole requests.
const LONGEST_ERROR: usize = 4_096;

/// A body is a command, or a documented error of bounded length.
///
/// # Panics
/// When that does not hold.
pub fn body(bytes: &[u8]) {
    match super::body::parse(bytes) {
        Ok(object) => commands(&object),
        Err(error) => documented(&error),
    }
}

fn commands(body: &Object) {
    let owner = || Owner { id: "1".into(), login: "ops".into(), display_name: "Ops".into(), role: "operator".into() };
    match deploy_command(body, owner()) {
        Ok(command) => assert!(command.common.options.is_object(), "what was asked for is shown as an object"),
        Err(error) => documented(&error),
    }
    match task_command(body, owner()) {
        Ok(command) => assert!(command.common.options.is_object(), "what was asked for is shown as an object"),
        Err(error) => documented(&error),
    }
    match stop_request(body) {
        Ok(stop) => assert!((1..=MAX_ID).contains(&stop.job.0), "only numbers that can have been given are jobs"),
        Err(error) => documented(&error),
    }
    let now = DateTime::UNIX_EPOCH;
    let results = [
        token_request(body, &Rules::default(), now).map(drop),
        node_list(body, "nodes").map(drop),
        plan_start(body, owner(), now).map(drop),
        plan_task(body, owner()).map(drop),
        plan_finish(body).map(drop),
        plan_run(body).map(drop),
        environment_plan_run(body).map(drop),
        task_target(body).map(drop),
        new_schedule(body, owner(), now).map(drop),
        older_schedule(ScheduleKind::Task, body, owner(), now).map(drop),
        older_schedule(ScheduleKind::Deploy, body, owner(), now).map(drop),
        login_request(body).map(drop),
        new_user(body).map(drop),
        user_change(body).map(drop),
    ];
    results.iter().filter_map(|result| result.as_ref().err()).for_each(documented);
}

/// A query, and parts of a path, are read or refused with a documented error of bounded length.
///
/// # Panics
/// When that does not hold.
pub fn query(text: &str) {
    let query = Query::parse(text);
    let results = [
        query.paging(&[("name", ())]).map(drop),
        query.time("min_finish_timestamp").map(drop),
        query.environment().map(drop),
        query.choice("state", &[("failed", ())]).map(drop),
        task_name(text, "init").map(drop),
    ];
    results.iter().filter_map(|result| result.as_ref().err()).for_each(documented);
    match job_id(text) {
        Ok(JobId(number)) => assert_eq!(text.trim_start_matches('0'), number.to_string(), "a number is what it says"),
        Err(error) => documented(&error),
    }
}

fn documented(error: &ApiError) {
    assert!([400, 404].contains(&error.status().as_u16()), "{error:?}");
    assert!(error.details().is_object(), "{error:?}");
    let length = error.to_string().len() + error.details().to_string().len();
    assert!(length <= LONGEST_ERROR, "{length} bytes of error");
}
