//! What the services of others let us do, asked one by one: for people who set them up.

use bunraku_actors::model::EnvironmentName;
use bunraku_actors::ports::Directory as _;
use chrono::{TimeDelta, Utc};

use super::Sources;
use super::puppetdb::PuppetDb;
use super::puppetserver::Puppetserver;
use super::remote::Remote;

/// An environment that nobody has: letting its code be read again harms nobody.
const NOBODYS: &str = "nobodys_environment";
/// So many names are told.
const NAMES: usize = 10;

/// One thing that was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// `puppetserver` or `puppetdb`.
    pub source: &'static str,
    /// What was found, or what is wrong.
    pub found: Result<String, String>,
    /// The path that puppetserver's `auth.conf` must allow for it, with the method, where that is needed.
    pub rule: Option<(&'static str, &'static str)>,
}

impl Sources {
    /// Asks everything that is ever asked of the services that are configured, and how far their clocks are ahead of ours.
    pub async fn examine(&self) -> (Vec<Examined>, Vec<(&'static str, TimeDelta)>) {
        let (mut examined, mut ahead) = (Vec::new(), Vec::new());
        if let Some(server) = &self.puppetserver {
            examined.extend(puppetserver(server).await);
            ahead.extend(clock("puppetserver", server.remote()).await);
        }
        if let Some(database) = &self.puppetdb {
            examined.push(puppetdb(self, database).await);
            ahead.extend(clock("PuppetDB", database.remote()).await);
        }
        (examined, ahead)
    }
}

async fn puppetserver(server: &Puppetserver) -> Vec<Examined> {
    let ask = |found, rule| Examined { source: "puppetserver", found, rule };
    let environments = match server.environments().await {
        Ok(environments) => environments,
        // Who does not answer at all is not asked again and again.
        Err(error) => return vec![ask(Err(error.to_string()), None)],
    };
    let names: Vec<&str> = environments.keys().take(NAMES).map(EnvironmentName::as_str).collect();
    let mut examined = vec![ask(Ok(format!("environments: {}", names.join(", "))), None)];
    if let Some(name) = environments.keys().next() {
        let tasks = server.tasks(name).await.map(|tasks| format!("{} tasks in {name}", tasks.len()));
        examined.push(ask(tasks.map_err(|error| error.to_string()), None));
        let plans = server.plans(name).await.map(|plans| format!("{} plans in {name}", plans.len()));
        examined.push(ask(plans.map_err(|error| error.to_string()), Some(("get", "/puppet/v3/plans"))));
    }
    let nobodys = EnvironmentName::parse(NOBODYS).expect("it is a name");
    let flushed = server.flush(&nobodys).await.map(|()| "code can be read again".to_owned());
    let rule = Some(("delete", "/puppet-admin-api/v1/environment-cache"));
    examined.push(ask(flushed.map_err(|error| error.to_string()), rule));
    examined
}

async fn puppetdb(sources: &Sources, database: &PuppetDb) -> Examined {
    let found = match sources.query(&"nodes[certname] { }".into()).await {
        Ok(nodes) => Ok(format!("{} nodes have reported", nodes.map_or(0, |nodes| nodes.len()))),
        Err(error) => Err(database.remote().trouble().unwrap_or_else(|| error.to_string())),
    };
    Examined { source: "puppetdb", found, rule: None }
}

async fn clock(name: &'static str, remote: &Remote) -> Option<(&'static str, TimeDelta)> {
    let theirs = remote.time().await?;
    Some((name, theirs - Utc::now()))
}
