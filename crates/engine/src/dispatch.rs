//! Who runs what: hears of work, claims it, and keeps the claims alive.
//!
//! Hints come from the store after every commit; a look through the database every second finds whatever a hint
//! missed, a session whose runner died among it.

use crate::Shared;
use crate::runner::Runner;
use daybreak_api::time::Timestamp;
use daybreak_domain::record::Record;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, mpsc};

/// How often the database is searched for work that no hint announced.
const SEARCH_EVERY: Duration = Duration::from_secs(1);
/// Sessions found by one search.
const SEARCH_MAX: i64 = 1_000;
/// How long after a failed append or load a runner lets go before the session is found again.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// Starts and stops runners.
#[derive(Clone)]
pub struct Dispatcher {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    /// Names this process in leases.
    owner: String,
    running: Mutex<HashSet<i64>>,
    permits: Arc<Semaphore>,
    stopping: Arc<AtomicBool>,
    /// Wakes runners that wait, when the engine stops.
    stop: Arc<Notify>,
    /// A runner ended.
    ended: Notify,
}

impl Dispatcher {
    pub(crate) fn start(shared: Arc<Shared>) -> Self {
        let hints = shared.store.feed().listen();
        let inner = Arc::new(Inner {
            owner: shared.world.unique().to_string(),
            running: Mutex::default(),
            permits: Arc::new(Semaphore::new(shared.limits.sessions_running_max)),
            stopping: Arc::default(),
            stop: Arc::default(),
            ended: Notify::new(),
            shared,
        });
        tokio::spawn(Arc::clone(&inner).hear(hints));
        tokio::spawn(Arc::clone(&inner).keep());
        Self { inner }
    }

    pub(crate) async fn stop(&self, grace: Duration) {
        let inner = &self.inner;
        inner.stopping.store(true, Ordering::SeqCst);
        inner.stop.notify_waiters();
        let all_ended = async {
            loop {
                let ended = inner.ended.notified();
                if inner.running().is_empty() {
                    return;
                }
                // A runner may begin to wait just after the call above; it is called again.
                inner.stop.notify_waiters();
                let _again = tokio::time::timeout(Duration::from_millis(50), ended).await;
            }
        };
        if tokio::time::timeout(grace, all_ended).await.is_err() {
            let left = inner.running().len();
            tracing::warn!(sessions = left, "stopping while sessions run; they go on at the next start");
        }
        inner.shared.workbench.close_all();
    }
}

impl Inner {
    fn running(&self) -> std::sync::MutexGuard<'_, HashSet<i64>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn hear(self: Arc<Self>, mut hints: mpsc::UnboundedReceiver<i64>) {
        while let Some(session_key) = hints.recv().await {
            self.dispatch(session_key);
        }
    }

    /// Searches for work, renews leases, and closes sandboxes that nobody has used for long.
    async fn keep(self: Arc<Self>) {
        let mut tick = tokio::time::interval(SEARCH_EVERY);
        let lease = Duration::from_millis(self.shared.limits.lease_ms);
        let mut since_renewal = Duration::ZERO;
        while !self.stopping.load(Ordering::SeqCst) || !self.running().is_empty() {
            tick.tick().await;
            let now = self.shared.world.now();
            match self.shared.log.with_work(now, SEARCH_MAX).await {
                Ok(found) => found.into_iter().for_each(|session_key| self.dispatch(session_key)),
                Err(error) => tracing::error!(%error, "the search for work failed"),
            }
            since_renewal += SEARCH_EVERY;
            if since_renewal >= lease / 4 && !self.running().is_empty() {
                since_renewal = Duration::ZERO;
                if let Err(error) = self.shared.log.renew(&self.owner, self.lease_end(now)).await {
                    tracing::error!(%error, "leases could not be renewed");
                }
            }
            self.shared.workbench.close_stale();
        }
    }

    fn lease_end(&self, now: Timestamp) -> Timestamp {
        let micros = i64::try_from(self.shared.limits.lease_ms.saturating_mul(1000)).unwrap_or(i64::MAX);
        Timestamp::from_micros(now.micros().saturating_add(micros))
    }

    fn dispatch(self: &Arc<Self>, session_key: i64) {
        if self.stopping.load(Ordering::SeqCst) || !self.running().insert(session_key) {
            return;
        }
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            // A panic in a runner must not leave the session marked as running.
            let guard = Running { inner: Arc::clone(&inner), session_key };
            let Ok(_permit) = inner.permits.acquire().await else { return };
            let more = inner.run(session_key, guard).await;
            if more {
                inner.dispatch(session_key);
            }
        });
    }

    /// Claims and runs a session. True when there is more to do.
    async fn run(&self, session_key: i64, guard: Running) -> bool {
        let now = self.shared.world.now();
        let lease = match self.shared.log.claim(session_key, &self.owner, now, self.lease_end(now)).await {
            Ok(Some(lease)) => lease,
            Ok(None) => return false,
            Err(error) => {
                tracing::error!(%error, "a session could not be claimed");
                return false;
            }
        };
        let outcome = match Runner::load(&self.shared, lease.clone(), &self.stopping, &self.stop).await {
            Ok(runner) => runner.run().await,
            Err(error) => Err(error),
        };
        if let Err(error) = &outcome {
            tracing::warn!(session = %lease.session_id, %error, "a session was let go; it will be found again");
            tokio::time::sleep(RETRY_AFTER).await;
        }
        // Before the lease: a hint that arrives between the two finds the lease taken, and the release sees its event.
        drop(guard);
        match self.shared.log.release(&lease).await {
            Ok(more) => more && outcome.is_ok(),
            Err(error) => {
                tracing::warn!(session = %lease.session_id, %error, "a lease could not be given back; it will run out");
                false
            }
        }
    }
}

struct Running {
    inner: Arc<Inner>,
    session_key: i64,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.inner.running().remove(&self.session_key);
        self.inner.ended.notify_waiters();
    }
}

/// Adds records of the log to a state.
pub(crate) fn fold(state: &mut daybreak_domain::state::State, records: Vec<Record>) -> Option<i64> {
    let mut last = None;
    for record in records {
        last = Some(record.seq);
        state.apply(Some(record.seq), record.at, record.body);
    }
    last
}
