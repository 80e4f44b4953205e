//! Live fan-out: who waits for a log to grow, and who looks for work.
//!
//! Everything here is a hint. Readers go to the log for what they deliver, runners go to the database for
//! what they claim; a hint that is lost costs latency only.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use tokio::sync::{mpsc, watch};

/// The head that a deleted session is said to have.
pub const DELETED: i64 = i64::MAX;

/// Who is told of what.
#[derive(Default)]
pub struct Feed {
    heads: Mutex<HashMap<i64, watch::Sender<i64>>>,
    work: Mutex<Option<mpsc::UnboundedSender<i64>>>,
}

impl Feed {
    /// Watches a session's head: the seq of its newest record, or [`DELETED`]. The first value seen is 0 when
    /// nobody has written since the first watcher came; read the head from the log.
    pub fn watch(&self, session_key: i64) -> watch::Receiver<i64> {
        let mut heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.entry(session_key).or_insert_with(|| watch::channel(0).0).subscribe()
    }

    /// Hears of every session whose log grows, its own key being the message. One listener; a new one replaces
    /// the last.
    pub fn listen(&self) -> mpsc::UnboundedReceiver<i64> {
        let (sender, receiver) = mpsc::unbounded_channel();
        *self.work.lock().unwrap_or_else(PoisonError::into_inner) = Some(sender);
        receiver
    }

    /// Forgets sessions that nobody watches any more: an idle session costs no memory.
    pub fn prune(&self) {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner).retain(|_, sender| !sender.is_closed());
    }

    pub(crate) fn publish(&self, session_key: i64, head: i64) {
        let heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = heads.get(&session_key) {
            sender.send_if_modified(|known| {
                let grown = head > *known;
                *known = head.max(*known);
                grown
            });
        }
        drop(heads);
        if let Some(work) = &*self.work.lock().unwrap_or_else(PoisonError::into_inner) {
            let _nobody_listens = work.send(session_key);
        }
    }
}
