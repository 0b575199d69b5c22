//! Absolute URLs of resources: every link inside an answer, built on one base per request.
//!
//! A request's `Host` is used only when it is one of our own names: links must not lead where a caller wishes.
//! Forwarding headers are ignored for the same reason; behind a proxy `public_url` is set.

use actix_web::HttpRequest;
use actix_web::http::header::HOST;
use bunraku_actors::model::{EnvironmentName, EventSeq, JobId, PlanId, ScheduleId, TaskName};

use super::state::Options;
use super::types::Link;

/// Builds the links of one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Links {
    base: String,
}

impl Links {
    /// The links of an answer to `req`.
    #[must_use]
    pub(crate) fn of(req: &HttpRequest, options: &Options) -> Self {
        let host = req.headers().get(HOST).and_then(|host| host.to_str().ok());
        // HTTP/2 has no Host header but an authority.
        let host = host.or_else(|| req.uri().authority().map(|authority| authority.as_str()));
        Self::on(origin(host, options))
    }

    /// The links on an origin such as `https://orch.example.com:8143`.
    #[must_use]
    pub(crate) fn on(origin: impl Into<String>) -> Self {
        let mut base: String = origin.into();
        base.truncate(base.trim_end_matches('/').len());
        base.push_str("/orchestrator/v1");
        Self { base }
    }

    /// A resource below the API's root, such as `jobs`.
    #[must_use]
    pub(crate) fn at(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    /// A job.
    #[must_use]
    pub(crate) fn job(&self, job: JobId) -> String {
        self.at(&format!("jobs/{job}"))
    }

    /// Something below a job: `nodes`, `report`, `events`.
    #[must_use]
    pub(crate) fn of_job(&self, job: JobId, part: &str) -> Link {
        Link::new(self.at(&format!("jobs/{job}/{part}")))
    }

    /// A job's events from `start` on.
    #[must_use]
    pub(crate) fn events(&self, job: JobId, start: EventSeq) -> String {
        self.at(&format!("jobs/{job}/events?start={start}"))
    }

    /// A plan, addressed as tasks are; more segments stay together.
    #[must_use]
    pub(crate) fn plan(&self, name: &str) -> String {
        let (module, rest) = name.split_once("::").unwrap_or((name, "init"));
        self.at(&format!("plans/{module}/{rest}"))
    }

    /// A plan job.
    #[must_use]
    pub(crate) fn plan_job(&self, plan: PlanId) -> String {
        self.at(&format!("plan_jobs/{plan}"))
    }

    /// A scheduled job.
    #[must_use]
    pub(crate) fn schedule(&self, id: ScheduleId) -> String {
        self.at(&format!("scheduled_jobs/environment_jobs/{id}"))
    }

    /// An environment.
    #[must_use]
    pub(crate) fn environment(&self, name: &EnvironmentName) -> String {
        self.at(&format!("environments/{name}"))
    }

    /// A task; a module's own task is addressed as `init`.
    #[must_use]
    pub(crate) fn task(&self, name: &TaskName) -> String {
        let (module, task) = name.parts();
        self.at(&format!("tasks/{module}/{task}"))
    }
}

fn origin(host: Option<&str>, options: &Options) -> String {
    if let Some(url) = &options.public_url {
        return url.clone();
    }
    match host.filter(|host| options.names.iter().any(|name| name.eq_ignore_ascii_case(without_port(host)))) {
        Some(host) => format!("https://{host}"),
        None => format!("https://{}:{}", options.names.first().map_or("localhost", String::as_str), options.port),
    }
}

/// The name in a `Host` header, which may be an IPv6 address in brackets.
fn without_port(host: &str) -> &str {
    if let Some(address) = host.strip_prefix('[') {
        return address.split(']').next().unwrap_or(address);
    }
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_get_into_links() {
        let options = Options::new(vec!["orch.example.com".into(), "::1".into()], 8143);
        let cases = [
            (Some("orch.example.com:9000"), "https://orch.example.com:9000"),
            (Some("ORCH.example.com"), "https://ORCH.example.com"),
            (Some("[::1]:8143"), "https://[::1]:8143"),
            (Some("evil.example.com"), "https://orch.example.com:8143"),
            (Some("orch.example.com@evil"), "https://orch.example.com:8143"),
            (Some("orch.example.com:80@evil"), "https://orch.example.com:8143"),
            (None, "https://orch.example.com:8143"),
        ];
        for (host, expected) in cases {
            assert_eq!(origin(host, &options), expected, "{host:?}");
        }
        let fixed = Options { public_url: Some("https://x/".into()), ..options };
        assert_eq!(Links::on(origin(Some("evil"), &fixed)).job(JobId(7)), "https://x/orchestrator/v1/jobs/7");
    }
}
