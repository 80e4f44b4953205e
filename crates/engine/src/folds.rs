//! Folds that are kept from one turn to the next, so that a long log is not read again for every message.
//!
//! A kept fold is only ever a shortcut: it is used when the new lease's epoch follows the one it was made under, which
//! proves that nobody else has moved the session since. They are few and small, the one used longest ago goes first, and
//! losing one costs a read of the log.

use daybreak_domain::state::State;
use daybreak_store::log::Lease;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tokio::time::Instant;

/// Folds kept.
const FOLDS_MAX: usize = 256;
/// The largest conversation that is kept, in bytes.
const CONVERSATION_BYTES_MAX: usize = 256 * 1024;

/// A state and the seq up to which it holds the log.
pub(crate) struct Fold {
    pub(crate) state: State,
    pub(crate) seen: i64,
}

struct Kept {
    fold: Fold,
    epoch: i64,
    used: Instant,
}

/// The kept folds.
#[derive(Default)]
pub(crate) struct Folds(Mutex<HashMap<i64, Kept>>);

impl Folds {
    /// The fold to go on from under a new lease, if there is one.
    pub(crate) fn take(&self, lease: &Lease) -> Option<Fold> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&lease.session_key)?;
        (kept.epoch + 1 == lease.epoch).then_some(kept.fold)
    }

    /// Keeps the fold that a runner ends with.
    pub(crate) fn keep(&self, lease: &Lease, fold: Fold) {
        if fold.state.transcript.size_bytes() > CONVERSATION_BYTES_MAX {
            return;
        }
        let mut folds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        folds.insert(lease.session_key, Kept { fold, epoch: lease.epoch, used: Instant::now() });
        if folds.len() > FOLDS_MAX {
            let oldest = folds.iter().min_by_key(|(_, kept)| kept.used).map(|(key, _)| *key);
            oldest.and_then(|key| folds.remove(&key));
        }
    }
}
