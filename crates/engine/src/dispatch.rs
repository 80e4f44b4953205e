//! Who runs what: hears of work, claims it, and keeps the claims alive.
//!
//! Hints come from the store after every commit; a look through the database every second finds whatever a hint
//! missed, a session whose runner died among it.

use crate::Shared;
use crate::runner::Runner;
use daybreak_api::time::Timestamp;
use daybreak_domain::record::Record;
use daybreak_store::leases::Released;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
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
    /// Sessions that have a runner here, and whether one was hinted at meanwhile.
    running: Mutex<HashMap<i64, bool>>,
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
    fn running(&self) -> std::sync::MutexGuard<'_, HashMap<i64, bool>> {
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
            self.shared.store.feed().prune();
        }
    }

    fn lease_end(&self, now: Timestamp) -> Timestamp {
        let micros = i64::try_from(self.shared.limits.lease_ms.saturating_mul(1000)).unwrap_or(i64::MAX);
        Timestamp::from_micros(now.micros().saturating_add(micros))
    }

    fn dispatch(self: &Arc<Self>, session_key: i64) {
        if self.stopping.load(Ordering::SeqCst) {
            return;
        }
        match self.running().entry(session_key) {
            Entry::Occupied(mut hinted) => {
                *hinted.get_mut() = true;
                return;
            }
            Entry::Vacant(place) => place.insert(false),
        };
        let inner = Arc::clone(self);
        tokio::spawn(async move {
            let mut place = Place { inner: Arc::clone(&inner), session_key, is_taken: true };
            while !inner.stopping.load(Ordering::SeqCst) {
                let Ok(permit) = inner.permits.acquire().await else { return };
                let more = inner.run(session_key).await;
                drop(permit);
                if place.leave_unless(more) {
                    return;
                }
            }
        });
    }

    /// Claims, runs and releases a session. True when there is more to do.
    async fn run(&self, session_key: i64) -> bool {
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
        // What was hinted at until here, the release sees by itself.
        self.running().insert(session_key, false);
        match self.shared.log.release(&lease).await {
            Ok(Released::AtRest) => false,
            Ok(Released::MoreWork) => true,
            Ok(Released::Lost) => {
                // Archived or deleted while its last turn ended: nothing of it stays warm.
                self.shared.workbench.close(session_key);
                false
            }
            Err(error) => {
                tracing::warn!(session = %lease.session_id, %error, "a lease could not be given back; it will run out");
                false
            }
        }
    }
}

/// A session's place among the running ones. A panic in a runner gives it back too.
struct Place {
    inner: Arc<Inner>,
    session_key: i64,
    is_taken: bool,
}

impl Place {
    /// Gives the place back, unless there is more to do or has been hinted at.
    fn leave_unless(&mut self, more: bool) -> bool {
        let mut running = self.inner.running();
        let hinted = running.insert(self.session_key, false).unwrap_or(false);
        if more || hinted {
            return false;
        }
        running.remove(&self.session_key);
        self.is_taken = false;
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.is_taken {
            self.inner.running().remove(&self.session_key);
        }
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
