//! A server on port 0 with its own CA, a store on disk, and a token for every role.

use std::sync::Arc;

use bunraku::api::accounts::{Accounts, NewToken, Role, TokenHash};
use bunraku::api::{Options, Server, State};
use bunraku::store::Store;
use bunraku::tls;
use bunraku_actors::handle::Ports;
use bunraku_actors::model::{JobId, JobState, NodeState};
use bunraku_actors::ports::{Directory, JobStore};
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use tempfile::TempDir;

use super::client::Client;
use super::fakes::{CONTENT, Fleet, Shelf, StoppedClock};
use super::seed::{self, at};
use crate::support::ca::TestCa;

/// A running server; it and its directory go when it is dropped.
pub(crate) struct World {
    pub(crate) ca: TestCa,
    pub(crate) store: Store,
    pub(crate) server: Server,
    /// What the server's handlers reach.
    pub(crate) state: State,
    pub(crate) clock: Arc<StoppedClock>,
    /// What the broker complains of.
    pub(crate) broker_trouble: Arc<Mutex<Option<String>>>,
    /// Holds the database and the kept file.
    pub(crate) folder: TempDir,
}

impl World {
    /// A server with an empty store.
    pub(crate) async fn empty() -> Self {
        Self::with(|_| {}).await
    }

    /// A server with the three jobs of [`seed`].
    pub(crate) async fn seeded() -> Self {
        let world = Self::empty().await;
        seed::running_deploy(&world.store).await;
        seed::finished_task(&world.store).await;
        seed::stopped_deploy(&world.store).await;
        world
    }

    /// A server with an empty store and changed options.
    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kept = folder.path().join("kept");
        std::fs::write(&kept, CONTENT).unwrap();
        Self::start(folder, Arc::new(Shelf { kept }), change).await
    }

    /// A server with an empty store and changed options that takes environments and tasks from this directory.
    pub(crate) async fn over(directory: impl Directory, change: impl FnOnce(&mut Options)) -> Self {
        Self::start(tempfile::tempdir().unwrap(), Arc::new(directory), change).await
    }

    async fn start(folder: TempDir, directory: Arc<dyn Directory>, change: impl FnOnce(&mut Options)) -> Self {
        tls::install_provider();
        let store = Store::open(folder.path().join("bunraku.db"), bunraku::store::Options::default()).unwrap();
        add_tokens(&store).await;
        let clock = Arc::new(StoppedClock::default());
        let ports = Ports {
            store: Arc::new(store.clone()),
            transport: Arc::new(Fleet),
            directory,
            clock: Arc::clone(&clock) as _,
        };
        let mut options = Options::new(vec!["localhost".to_owned()], 8143);
        options.public_url = Some("https://orch.example.com:8143".to_owned());
        options.workers = 1;
        change(&mut options);
        let ca = TestCa::new();
        let paths = ca.issue("localhost");
        let verifier = tls::ReloadableVerifier::load(&paths, false).unwrap();
        let config = tls::server_config(&paths, verifier).unwrap();
        let broker_trouble = Arc::new(Mutex::new(None));
        let mut state = State::new(super::engine::start(ports).await, Arc::new(store.clone()), options);
        let trouble = Arc::clone(&broker_trouble);
        state.broker_probe = Arc::new(move || trouble.lock().clone());
        state.verify_ledgers = super::ledger::fixed();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Server::start(listener, config, state.clone()).unwrap();
        Self { ca, store, server, state, clock, broker_trouble, folder }
    }

    /// The store as the engine sees it.
    pub(crate) fn jobs(&self) -> &dyn JobStore {
        &self.store
    }

    /// Waits until a job runs, with so many nodes.
    pub(crate) async fn until_running(&self, job: u64, nodes: u32) {
        loop {
            let record = self.store.job(JobId(job)).await.unwrap().unwrap();
            if record.state == JobState::Running && record.counts.get(NodeState::Running) == nodes {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// A client with the token of a role.
    pub(crate) fn client(&self, role: Role) -> Client {
        Client::new(self, Some(role.name()), None)
    }

    pub(crate) fn viewer(&self) -> Client {
        self.client(Role::Viewer)
    }

    pub(crate) fn operator(&self) -> Client {
        self.client(Role::Operator)
    }

    pub(crate) fn admin(&self) -> Client {
        self.client(Role::Admin)
    }

    /// A client with this token.
    pub(crate) fn holder(&self, token: &str) -> Client {
        Client::new(self, Some(token), None)
    }

    /// A client without a token.
    pub(crate) fn nobody(&self) -> Client {
        Client::new(self, None, None)
    }

    /// A client without a token, but with the certificate of a node.
    pub(crate) fn node(&self, name: &str) -> Client {
        Client::new(self, None, Some(&self.ca.issue(name)))
    }
}

/// The texts of the tokens: the names of the roles, `expired`, `revoked`, and `second` for one to be revoked later.
async fn add_tokens(store: &Store) {
    for role in Role::ALL {
        add_token(store, role.name(), role, None).await;
    }
    add_token(store, "expired", Role::Admin, Some(at(59))).await;
    add_token(store, "second", Role::Viewer, Some(at(86_400))).await;
    let revoked = add_token(store, "revoked", Role::Admin, None).await;
    assert!(store.revoke_token(revoked, at(1)).await.unwrap());
}

async fn add_token(store: &Store, text: &str, role: Role, expires_at: Option<DateTime<Utc>>) -> uuid::Uuid {
    let new = NewToken {
        login: text.to_owned(),
        display_name: text.to_uppercase(),
        role: role.into(),
        description: format!("the {text} token"),
        expires_at,
    };
    store.create_token(new, TokenHash::of(text), at(0)).await.unwrap().id
}
