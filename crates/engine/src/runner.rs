//! One session's runner: fold, decide, perform, append, again.
//!
//! What an act has brought forth and the intent of the next act go into one append, so a turn costs as few syncs as
//! its acts allow. Invariant: everything noted is appended before the next act begins.

use crate::Shared;
use crate::content;
use crate::dispatch::fold;
use crate::folds::Fold;
use crate::prompt;
use crate::workbench::Bench;
use daybreak_api::content::ContentBlock;
use daybreak_api::event::{EvaluatedPermission, Evaluation};
use daybreak_api::id::{Id, Kind};
use daybreak_api::time::Timestamp;
use daybreak_domain::model::{ModelError, ModelErrorKind, ModelReply, ModelRequest};
use daybreak_domain::record::{Draft, Private};
use daybreak_domain::state::{Call, Phase, State};
use daybreak_domain::step::{self, Act, ThreadName};
use daybreak_outbound::Route;
use daybreak_store::log::{Cache, Lease};
use daybreak_store::sessions::SessionRow;
use daybreak_store::{Result, StoreError};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};

pub(crate) struct Runner<'e> {
    shared: &'e Shared,
    lease: Lease,
    session: Arc<SessionRow>,
    thread: ThreadName,
    state: State,
    /// The seq up to which the state holds everything that others have written.
    seen: i64,
    /// Noted and not yet appended, all at one time.
    pending: Vec<Draft>,
    pending_at: Option<Timestamp>,
    head: watch::Receiver<i64>,
    bench: Option<Bench>,
    /// The outputs folder could not be read; this turn does not try again.
    cannot_collect: bool,
    stopping: &'e AtomicBool,
    stop: &'e Notify,
}

impl<'e> Runner<'e> {
    /// Loads and folds the log of a session that has just been claimed.
    pub(crate) async fn load(
        shared: &'e Shared,
        lease: Lease,
        stopping: &'e AtomicBool,
        stop: &'e Notify,
    ) -> Result<Self> {
        let session = Arc::new(shared.log.session(&lease).await?.ok_or(StoreError::StaleEpoch)?);
        let head = shared.log.watch(lease.session_key);
        let Fold { mut state, seen } =
            shared.folds.take(&lease).unwrap_or_else(|| Fold { state: State::default(), seen: 0 });
        let seen = fold(&mut state, shared.log.records(lease.session_key, seen).await?).unwrap_or(seen);
        let thread = ThreadName { id: session.thread_id.clone(), agent: session.agent.name.clone() };
        Ok(Self {
            shared,
            lease,
            session,
            thread,
            state,
            seen,
            pending: Vec::new(),
            pending_at: None,
            head,
            bench: None,
            cannot_collect: false,
            stopping,
            stop,
        })
    }

    /// Runs until there is nothing to do, or the engine stops.
    pub(crate) async fn run(mut self) -> Result<()> {
        let outcome = self.turn().await;
        if let Some(bench) = self.bench.take() {
            self.shared.workbench.put_back(self.lease.session_key, bench, outcome.is_ok());
        }
        if outcome.is_ok() {
            self.shared.folds.keep(&self.lease, Fold { state: self.state, seen: self.seen });
        }
        outcome
    }

    async fn turn(&mut self) -> Result<()> {
        let recovered = step::recovery(&self.state, &mut || self.shared.world.id(Kind::Event));
        if !recovered.is_empty() {
            let (session, closed) = (&self.lease.session_id, recovered.len());
            tracing::info!(%session, closed, "a session goes on whose calls or requests were cut short");
        }
        self.note(recovered);
        loop {
            if matches!(self.state.phase, Phase::Done { .. }) && !self.state.is_interrupted() {
                self.collect_outputs().await?;
            }
            let now = self.now();
            let limits = &self.shared.limits.turn;
            let (drafts, act) =
                step::decide(&self.state, &self.thread, limits, now, &mut || self.shared.world.id(Kind::Event));
            if self.must_stop(&act) {
                return self.flush().await;
            }
            self.note(drafts);
            match act {
                Act::Again => {}
                Act::Ask { request } => self.ask(&request).await?,
                Act::Run(call) => self.run_tool(&call).await?,
                Act::Wait { until } => self.wait(until).await?,
                Act::Rest => {
                    self.flush().await?;
                    // After an interrupt: its client is told first.
                    self.collect_outputs().await?;
                    self.flush().await?;
                    if self.state.queue.is_empty() || self.state.phase == Phase::Terminated {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Between acts a stopping engine lets go; calls that were announced are still run, since a new runner could
    /// only report them as interrupted.
    fn must_stop(&self, act: &Act) -> bool {
        self.stopping.load(Ordering::SeqCst) && matches!(act, Act::Ask { .. } | Act::Wait { .. })
    }

    /// The time at which everything now pending happens.
    fn now(&self) -> Timestamp {
        self.pending_at.unwrap_or_else(|| self.shared.world.now())
    }

    fn note(&mut self, drafts: Vec<Draft>) {
        if drafts.is_empty() {
            return;
        }
        let at = self.now();
        self.pending_at = Some(at);
        for draft in &drafts {
            self.state.apply(None, at, draft.body(at));
        }
        self.pending.extend(drafts);
    }

    /// Makes everything noted durable, and learns what clients have appended meanwhile.
    async fn flush(&mut self) -> Result<()> {
        if !self.pending.is_empty() {
            let at = self.now();
            let drafts = std::mem::take(&mut self.pending);
            self.pending_at = None;
            let cache =
                Cache { status: self.state.status(), usage: self.state.usage, running_since: self.state.running_since };
            let (head, missed) = self.shared.log.append(&self.lease, self.seen, drafts, cache, at).await?;
            fold(&mut self.state, missed);
            self.seen = head;
        }
        self.catch_up().await
    }

    /// Reads what clients have appended since we last looked, if the feed says that there is something.
    async fn catch_up(&mut self) -> Result<()> {
        if *self.head.borrow_and_update() > self.seen {
            let records = self.shared.log.records(self.lease.session_key, self.seen).await?;
            self.seen = fold(&mut self.state, records).unwrap_or(self.seen);
        }
        Ok(())
    }

    /// Performs `act` unless an interrupt arrives first; `None` when one did.
    async fn unless_interrupted<T>(&mut self, act: impl Future<Output = T>) -> Result<Option<T>> {
        let mut act = std::pin::pin!(act);
        loop {
            if self.state.is_interrupted() {
                return Ok(None);
            }
            tokio::select! {
                biased;
                done = &mut act => return Ok(Some(done)),
                changed = self.head.changed() => {
                    if changed.is_err() {
                        return Ok(Some(act.await));
                    }
                    // Clients may be sending a lot; an interrupt can wait this long to be seen.
                    tokio::select! {
                        done = &mut act => return Ok(Some(done)),
                        () = tokio::time::sleep(LOOK_EVERY) => {}
                    }
                    self.catch_up().await?;
                }
            }
        }
    }

    async fn ask(&mut self, request: &Id) -> Result<()> {
        self.flush().await?;
        if self.state.is_interrupted() {
            return Ok(());
        }
        let route = match self.shared.models.resolve(&self.session.agent.model.id) {
            Ok(route) => route,
            Err(unknown) => {
                let kind = ModelErrorKind::RequestFailed;
                let message = unknown.to_string();
                self.note_failure(request, &ModelError { kind, message, retryable: false, retry_after_ms: None });
                return Ok(());
            }
        };
        let mut asked = self.request(&route);
        let files = content::resolve_files(self.shared, self.lease.workspace, &mut asked.messages);
        match self.unless_interrupted(files).await? {
            Some(resolved) => resolved?,
            None => return Ok(()),
        }
        let Some(answer) = self.unless_interrupted(route.provider.call(&asked)).await? else { return Ok(()) };
        match answer {
            Ok(reply) => {
                let drafts = self.replied(request, &route, reply);
                self.note(drafts);
            }
            Err(error) => {
                tracing::info!(session = %self.lease.session_id, %error, retryable = error.retryable, "a model request failed");
                self.note_failure(request, &error);
            }
        }
        Ok(())
    }

    fn replied(&self, request: &Id, route: &Route, reply: ModelReply) -> Vec<Draft> {
        let agent = &self.session.agent;
        let permission = |name: &str| {
            if prompt::offers(agent, name) {
                (EvaluatedPermission::Allow, Some(Evaluation::AlwaysAllow))
            } else {
                (EvaluatedPermission::Deny, None)
            }
        };
        step::replied(request, &route.provider_name, reply, permission, &mut || self.shared.world.id(Kind::Event))
    }

    fn note_failure(&mut self, request: &Id, error: &ModelError) {
        let now = self.now();
        let limits = &self.shared.limits.turn;
        let drafts = step::failed(&self.state, &self.thread, limits, request, error, now, &mut || {
            self.shared.world.id(Kind::Event)
        });
        self.note(drafts);
    }

    /// The next request. The files in it are still named by their ids.
    fn request(&self, route: &Route) -> ModelRequest {
        let agent = &self.session.agent;
        ModelRequest {
            model: route.upstream.clone(),
            agent: agent.name.clone(),
            system: prompt::system(agent, &self.shared.workbench.paths(&self.session.id)),
            messages: self.state.transcript.messages(&route.provider_name),
            tools: prompt::tools(agent),
            max_tokens: route.max_output_tokens,
            effort: agent.model.effort.asked_for().map(str::to_owned),
        }
    }

    async fn run_tool(&mut self, call: &Call) -> Result<()> {
        self.flush().await?;
        if self.state.is_interrupted() {
            return Ok(());
        }
        let (content, is_error) = match self.refusal(call) {
            Some(text) => (vec![ContentBlock::text(text)], true),
            None => match self.perform(call).await? {
                Some(output) => output,
                None => return Ok(()),
            },
        };
        let drafts = step::ran(call, content, is_error, &mut || self.shared.world.id(Kind::Event));
        self.note(drafts);
        Ok(())
    }

    /// Why a call is not run at all.
    fn refusal(&self, call: &Call) -> Option<String> {
        if call.permission == EvaluatedPermission::Deny {
            let offered: Vec<String> = prompt::tools(&self.session.agent).into_iter().map(|tool| tool.name).collect();
            return Some(format!(
                "Permission to use {} has been denied: it is not among the tools of this agent ({}).",
                call.name,
                offered.join(", ")
            ));
        }
        let problem = call.input.as_ref().err()?;
        Some(format!("{}: the input could not be read: {problem}", call.name))
    }

    /// Runs a call in the sandbox; `None` when an interrupt ended it.
    async fn perform(&mut self, call: &Call) -> Result<Option<(Vec<ContentBlock>, bool)>> {
        let Ok(input) = &call.input else { return Ok(None) };
        let mut bench = match self.bench.take() {
            Some(bench) => bench,
            None => {
                let (shared, session) = (self.shared, Arc::clone(&self.session));
                match self.unless_interrupted(shared.workbench.take(shared, &session)).await? {
                    None => return Ok(None),
                    Some(Ok(bench)) => bench,
                    Some(Err(error)) => {
                        tracing::error!(session = %self.lease.session_id, ?error, "a session's files are not ready");
                        return Ok(Some((vec![ContentBlock::text(NOT_READY)], true)));
                    }
                }
            }
        };
        let knows_shell = self.state.shell_used;
        let output = self.unless_interrupted(bench.call(&call.name, input, knows_shell, SHELL_LOST)).await;
        if !matches!(output, Ok(Some(_))) {
            // Dropping the sandbox kills everything in it; files stay.
            bench.discard_sandbox();
        }
        self.bench = Some(bench);
        output
    }

    async fn wait(&mut self, until: Timestamp) -> Result<()> {
        self.flush().await?;
        let now = self.shared.world.now();
        let micros = u64::try_from(until.micros() - now.micros()).unwrap_or(0);
        let pause = async {
            tokio::select! {
                () = tokio::time::sleep(Duration::from_micros(micros)) => {}
                () = self.stop.notified() => {}
            }
        };
        self.unless_interrupted(pause).await?;
        Ok(())
    }

    /// What the agent has left for its client becomes files, before the client is told that it is done.
    async fn collect_outputs(&mut self) -> Result<()> {
        if !self.state.outputs_pending || self.cannot_collect {
            return Ok(());
        }
        self.flush().await?;
        let (shared, lease) = (self.shared, self.lease.clone());
        let known = self.bench.as_mut().map(|bench| std::mem::take(&mut bench.stamps)).unwrap_or_default();
        match self.unless_interrupted(shared.workbench.collect(shared, &lease, known)).await? {
            None => {}
            Some(Ok(stamps)) => {
                if let Some(bench) = &mut self.bench {
                    bench.stamps = stamps;
                }
                self.note(vec![Draft::Private(Private::OutputsCollected)]);
            }
            Some(Err(StoreError::StaleEpoch)) => return Err(StoreError::StaleEpoch),
            Some(Err(error)) => {
                tracing::error!(session = %lease.session_id, ?error, "outputs could not be collected; the next turn tries again");
                self.cannot_collect = true;
            }
        }
        Ok(())
    }
}

/// How often a runner that waits for an act looks at what clients have sent.
const LOOK_EVERY: Duration = Duration::from_millis(20);

const NOT_READY: &str = "The session's files could not be made ready on the server; its log says why. Nothing was run.";

const SHELL_LOST: &str = "[The shell was restarted since your last command: its working directory, variables and \
     background jobs are gone. Files are still there.]\n";
