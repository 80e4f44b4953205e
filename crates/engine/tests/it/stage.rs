//! The stage: a store in a folder, a model that says what a test tells it to, a sandbox that is a folder.

use async_trait::async_trait;
use daybreak_api::agent::CreateAgent;
use daybreak_api::content::ContentBlock;
use daybreak_api::environment::CreateEnvironment;
use daybreak_api::event::EventBody;
use daybreak_api::id::Kind;
use daybreak_api::session::Status;
use daybreak_domain::model::{
    Block, ModelError, ModelErrorKind, ModelReply, ModelRequest, ModelUsage, ReplyBlock, ReplyKind, Stop,
};
use daybreak_domain::record::Draft;
use daybreak_domain::step::TurnLimits;
use daybreak_engine::tools::{Availability, Sandboxes, Tools};
use daybreak_engine::{Engine, Limits, Parts, SystemWorld, World};
use daybreak_outbound::{Models, ModelsConfig, Provider};
use daybreak_sandbox::{Mounts, OutputBlock, SandboxPaths, ToolOutput};
use daybreak_store::events::EventFilter;
use daybreak_store::files::NewFile;
use daybreak_store::page::{Created, Cut, Order};
use daybreak_store::sessions::{Creation, SessionRow};
use daybreak_store::{Options, Store, Workspace};
use serde_json::{Map, Value, json};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the model does with one request.
#[derive(Debug, Clone)]
pub(crate) enum Line {
    Says(&'static str),
    Calls(Vec<(&'static str, Value)>),
    Fails { retryable: bool },
    Hangs,
}

#[derive(Default)]
pub(crate) struct Model {
    lines: Mutex<VecDeque<Line>>,
    pub(crate) requests: Mutex<Vec<ModelRequest>>,
}

#[async_trait]
impl Provider for Model {
    async fn call(&self, request: &ModelRequest) -> Result<ModelReply, ModelError> {
        self.requests.lock().unwrap().push(request.clone());
        let line = self.lines.lock().unwrap().pop_front().unwrap_or(Line::Says("Nothing more to say."));
        let (blocks, stop) = match line {
            Line::Says(text) => (vec![ReplyKind::Text { text: text.to_owned() }], Stop::EndTurn),
            Line::Calls(calls) => {
                let call = |(index, (name, input)): (usize, (&str, Value))| ReplyKind::ToolUse {
                    id: format!("toolu_{index}"),
                    name: name.to_owned(),
                    input: input.as_object().cloned().ok_or_else(|| "not an object".to_owned()),
                };
                (calls.into_iter().enumerate().map(call).collect(), Stop::ToolUse)
            }
            Line::Fails { retryable } => {
                let message = "played".to_owned();
                return Err(ModelError { kind: ModelErrorKind::Overloaded, message, retryable, retry_after_ms: None });
            }
            Line::Hangs => std::future::pending().await,
        };
        let raw = || serde_json::value::RawValue::from_string("{}".to_owned()).unwrap();
        let blocks = blocks.into_iter().map(|kind| ReplyBlock { kind, raw: raw() }).collect();
        Ok(ModelReply {
            blocks,
            stop,
            usage: ModelUsage { input_tokens: 10, output_tokens: 1, ..ModelUsage::default() },
        })
    }
}

/// Sandboxes without isolation that know `bash` alone: `write NAME` leaves an output, `hang` never ends.
#[derive(Default)]
pub(crate) struct FakeSandboxes {
    pub(crate) opened: Mutex<u32>,
    pub(crate) ran: Arc<Mutex<Vec<String>>>,
}

struct FakeSandbox {
    outputs: PathBuf,
    ran: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl Sandboxes for FakeSandboxes {
    async fn open(&self, mounts: &Mounts) -> Result<Box<dyn Tools>, String> {
        *self.opened.lock().unwrap() += 1;
        Ok(Box::new(FakeSandbox { outputs: mounts.outputs.clone(), ran: Arc::clone(&self.ran) }))
    }

    fn paths(&self, mounts: &Mounts) -> SandboxPaths {
        let Mounts { workspace, outputs, uploads, .. } = mounts.clone();
        SandboxPaths { workdir: workspace, outputs, uploads }
    }
}

#[async_trait]
impl Tools for FakeSandbox {
    async fn call(&mut self, _name: &str, input: &Map<String, Value>) -> ToolOutput {
        let command = input["command"].as_str().unwrap_or_default().to_owned();
        self.ran.lock().unwrap().push(command.clone());
        if command == "hang" {
            std::future::pending::<()>().await;
        }
        if let Some(name) = command.strip_prefix("write ") {
            std::fs::write(self.outputs.join(name.trim()), &command).unwrap();
        }
        ToolOutput { content: vec![OutputBlock::Text(format!("ran {command}"))], is_error: false }
    }

    fn is_alive(&self) -> bool {
        true
    }
}

pub(crate) struct Stage {
    pub(crate) engine: Engine,
    pub(crate) model: Arc<Model>,
    pub(crate) sandboxes: Arc<FakeSandboxes>,
    pub(crate) ws: Workspace,
    pub(crate) session: SessionRow,
    dir: tempfile::TempDir,
}

fn start(dir: &std::path::Path, store: Store, model: &Arc<Model>, sandboxes: &Arc<FakeSandboxes>) -> Engine {
    let mut models = Models::from_config(ModelsConfig::default(), &|_| None).unwrap();
    models.register("test", Arc::clone(model) as Arc<dyn Provider>);
    let turn = TurnLimits { model_attempts_max: 3, backoff_ms_min: 1, tool_rounds_max: 4, ..TurnLimits::default() };
    Engine::start(Parts {
        store,
        models: Arc::new(models),
        sandboxes: Availability::ready(Arc::clone(sandboxes) as Arc<dyn Sandboxes>),
        world: Arc::new(SystemWorld),
        sessions_dir: dir.join("sessions"),
        limits: Limits { turn, ..Limits::default() },
    })
}

impl Stage {
    pub(crate) async fn set(lines: impl IntoIterator<Item = Line>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Options::default()).await.unwrap();
        let world = SystemWorld;
        store.admit_key("key", "test", world.id(Kind::Workspace), world.id(Kind::ApiKey), world.now()).await.unwrap();
        let ws = store.access("key").await.unwrap().unwrap().workspace;
        let session = create_session(&store, ws).await;
        let model = Arc::new(Model { lines: Mutex::new(lines.into_iter().collect()), ..Model::default() });
        let sandboxes = Arc::new(FakeSandboxes::default());
        let engine = start(dir.path(), store, &model, &sandboxes);
        Self { engine, model, sandboxes, ws, session, dir }
    }

    /// Uploads a file; its id.
    pub(crate) async fn upload(&self, mime_type: &str, bytes: &[u8]) -> String {
        let (store, id) = (self.engine.store(), self.engine.world().id(Kind::File));
        let mut writer = store.blobs().create(id.as_str()).unwrap();
        writer.write(bytes).unwrap();
        let (filename, mime_type) = ("f".to_owned(), mime_type.to_owned());
        let new = NewFile { id: id.clone(), filename, mime_type, blob: writer.finish().unwrap(), expires_at: None };
        store.create_file(self.ws, new, self.engine.world().now()).await.unwrap();
        id.to_string()
    }

    /// The engine stops as a process does that is told to, and another takes its place.
    pub(crate) async fn restart(&mut self) {
        self.engine.stop(Duration::from_millis(200)).await;
        let store = self.engine.store().clone();
        store.void_leases().await.unwrap();
        self.engine = start(self.dir.path(), store, &self.model, &self.sandboxes);
    }

    pub(crate) async fn send(&self, body: EventBody) {
        let draft = Draft::Event(self.engine.world().id(Kind::Event), body);
        let (store, now) = (self.engine.store(), self.engine.world().now());
        store.send_events(self.ws, self.session.id.clone(), vec![draft], Vec::new(), "test".into(), now).await.unwrap();
    }

    pub(crate) async fn say(&self, text: &str) {
        self.send(EventBody::UserMessage { content: vec![ContentBlock::text(text)] }).await;
    }

    pub(crate) async fn interrupt(&self) {
        self.send(EventBody::UserInterrupt { session_thread_id: None }).await;
    }

    pub(crate) async fn until_idle(&self) {
        self.until("the session is idle", async || {
            let row = self.engine.store().session(self.ws, &self.session.id).await.unwrap().unwrap();
            row.status == Status::Idle
        })
        .await;
    }

    pub(crate) async fn until(&self, what: &str, mut holds: impl AsyncFnMut() -> bool) {
        for _ in 0..1_000 {
            if holds().await {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("never: {what}; the log: {:#?}", self.kinds().await);
    }

    pub(crate) async fn events(&self) -> Vec<Value> {
        let filter = EventFilter {
            types: Vec::new(),
            processed: Created::default(),
            order: Order::Asc,
            cursor: None,
            limit: 1_000,
        };
        let (served, _) = self.engine.store().list_events(self.session.key, i64::MAX - 1, &filter).await.unwrap();
        served.iter().map(|served| serde_json::from_str(&served.json).unwrap()).collect()
    }

    pub(crate) async fn kinds(&self) -> Vec<String> {
        self.events().await.iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) async fn of_type(&self, kind: &str) -> Vec<Value> {
        self.events().await.into_iter().filter(|event| event["type"] == kind).collect()
    }

    /// The names of the files that the session has left.
    pub(crate) async fn outputs(&self) -> Vec<String> {
        let cut = Cut { order: Order::Desc, cursor: None, limit: 10 };
        let rows = self.engine.store().files(self.ws, Some(&self.session.id), cut).await.unwrap().rows;
        rows.into_iter().filter(|row| row.file.downloadable).map(|row| row.file.filename).collect()
    }

    /// The texts of the tool results that the model saw in its last request.
    pub(crate) fn results_seen(&self) -> Vec<String> {
        let requests = self.model.requests.lock().unwrap();
        let blocks = requests.last().unwrap().messages.iter().flat_map(|message| &message.content);
        blocks
            .filter_map(|block| match block {
                Block::ToolResult { content, .. } => {
                    Some(content.iter().filter_map(ContentBlock::as_text).collect::<String>())
                }
                _ => None,
            })
            .collect()
    }
}

async fn create_session(store: &Store, ws: Workspace) -> SessionRow {
    let world = SystemWorld;
    let toolset = json!([{"type": "agent_toolset_20260401", "configs": [{"name": "write", "enabled": false}]}]);
    let agent: CreateAgent = serde_json::from_value(json!({"name": "a", "model": "test/m", "tools": toolset})).unwrap();
    let agent = store.create_agent(ws, world.id(Kind::Agent), agent.resolve().unwrap(), world.now()).await.unwrap();
    let body: CreateEnvironment = serde_json::from_value(json!({"name": "e"})).unwrap();
    let id = world.id(Kind::Environment);
    let environment = store.create_environment(ws, id, body.resolve().unwrap(), world.now()).await.unwrap();
    let new = Creation {
        id: world.id(Kind::Session),
        thread_id: world.id(Kind::Thread),
        agent,
        environment_id: environment.id,
        title: None,
        metadata: std::collections::BTreeMap::new(),
        resources: Vec::new(),
        events: Vec::new(),
        file_ids: Vec::new(),
        actor: "test".to_owned(),
    };
    store.create_session(ws, new, world.now()).await.unwrap()
}
