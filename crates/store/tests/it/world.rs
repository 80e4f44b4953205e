//! A store in a folder of its own, and the ids and objects that a test needs.

use daybreak_api::agent::{Agent, CreateAgent};
use daybreak_api::content::ContentBlock;
use daybreak_api::environment::CreateEnvironment;
use daybreak_api::event::EventBody;
use daybreak_api::id::{Id, Kind};
use daybreak_api::time::Timestamp;
use daybreak_domain::record::Draft;
use daybreak_store::sessions::{Creation, SessionRow};
use daybreak_store::{Options, Store, Workspace};
use serde_json::json;
use std::sync::atomic::{AtomicI64, Ordering};

pub(crate) struct World {
    pub(crate) store: Store,
    pub(crate) ws: Workspace,
    _dir: tempfile::TempDir,
    next: AtomicI64,
}

impl World {
    pub(crate) async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Options::default()).await.unwrap();
        let world = Self { store, ws: 0, _dir: dir, next: AtomicI64::new(1) };
        let (workspace, key) = (world.id(Kind::Workspace), world.id(Kind::ApiKey));
        world.store.admit_key("key", "test", workspace, key, world.now()).await.unwrap();
        let ws = world.store.access("key").await.unwrap().unwrap().workspace;
        Self { ws, ..world }
    }

    /// Time that moves with every look at it.
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.next.fetch_add(1, Ordering::SeqCst))
    }

    pub(crate) fn id(&self, kind: Kind) -> Id {
        let number = self.next.fetch_add(1, Ordering::SeqCst);
        Id::new(kind, uuid::Uuid::from_u128(number.unsigned_abs().into()))
    }

    pub(crate) async fn agent(&self) -> Agent {
        let body: CreateAgent = serde_json::from_value(json!({"name": "a", "model": "m"})).unwrap();
        self.store.create_agent(self.ws, self.id(Kind::Agent), body.resolve().unwrap(), self.now()).await.unwrap()
    }

    pub(crate) async fn session(&self) -> SessionRow {
        let body: CreateEnvironment = serde_json::from_value(json!({"name": "e"})).unwrap();
        let id = self.id(Kind::Environment);
        let environment =
            self.store.create_environment(self.ws, id, body.resolve().unwrap(), self.now()).await.unwrap();
        let new = Creation {
            id: self.id(Kind::Session),
            thread_id: self.id(Kind::Thread),
            agent: self.agent().await,
            environment_id: environment.id,
            title: None,
            metadata: std::collections::BTreeMap::new(),
            resources: Vec::new(),
            events: Vec::new(),
            file_ids: Vec::new(),
            actor: "test".to_owned(),
        };
        self.store.create_session(self.ws, new, self.now()).await.unwrap()
    }

    pub(crate) fn message(&self, text: &str) -> Draft {
        Draft::Event(self.id(Kind::Event), EventBody::UserMessage { content: vec![ContentBlock::text(text)] })
    }

    pub(crate) async fn send(&self, session: &SessionRow, drafts: Vec<Draft>) -> daybreak_store::Result<()> {
        let actor = "test".to_owned();
        self.store.send_events(self.ws, session.id.clone(), drafts, Vec::new(), actor, self.now()).await
    }
}
