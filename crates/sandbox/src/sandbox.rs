//! One running sandbox, as the server holds it.
//!
//! Invariant: between two calls the socket carries nothing. A call that does not run to its end, for whatever reason,
//! takes the sandbox with it, because what the toolbox would still send could be taken for the next answer.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::life::Life;
use crate::output::ToolOutput;
use crate::protocol::{self, Ready, RequestLine, Response, Setup, TOOLS};
use crate::wire::Wire;

/// The kernel ends the processes after the socket is closed; the reason is known a moment later.
const END_WAIT: Duration = Duration::from_secs(2);

/// A running sandbox. Dropping it ends all of its processes; the files stay.
#[derive(Debug)]
pub struct Sandbox {
    life: Arc<Life>,
    wire: Wire,
    call_time_max: Duration,
    last_id: u64,
}

impl Sandbox {
    pub(crate) fn new(life: Arc<Life>, wire: Wire, call_time_max: Duration) -> Self {
        Self { life, wire, call_time_max, last_id: 0 }
    }

    /// Tells the toolbox where it is and waits until it serves.
    pub(crate) async fn greet(&mut self, setup: &Setup) -> io::Result<Ready> {
        self.wire.send(setup).await?;
        self.wire.receive().await
    }

    /// Runs one tool. Failures of every kind are outputs; ask [`Sandbox::is_alive`] whether another call is possible.
    ///
    /// Dropping the returned future interrupts the tool: every process of the sandbox is killed at once, and the
    /// caller opens a new one.
    pub async fn call(&mut self, name: &str, input: &Map<String, Value>) -> ToolOutput {
        if !TOOLS.contains(&name) {
            return ToolOutput::error(format!("unknown tool '{name}'"));
        }
        if !self.is_alive() {
            return self.lost(name).await;
        }
        let call = Call::begin(Arc::clone(&self.life));
        match tokio::time::timeout(self.call_time_max, self.exchange(name, input)).await {
            Ok(Ok(output)) => {
                call.finish();
                output
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidInput => {
                // Nothing has been sent, so the sandbox is as it was.
                call.finish();
                ToolOutput::error(format!("{name}: {error}"))
            }
            Ok(Err(error)) => {
                if error.kind() == io::ErrorKind::InvalidData {
                    self.life.kill("it gave an answer that cannot be true");
                }
                self.lost(name).await
            }
            Err(_) => {
                self.life.kill("a tool call took too long");
                ToolOutput::error(format!("tool '{name}' timed out"))
            }
        }
    }

    /// Whether another call is possible. Once false it stays so, and the caller opens a new sandbox.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.life.is_alive()
    }

    /// Ends all processes and waits until they are gone.
    pub async fn close(self) {
        self.life.kill("it was closed");
        self.life.ended().await;
    }

    async fn exchange(&mut self, name: &str, input: &Map<String, Value>) -> io::Result<ToolOutput> {
        self.last_id += 1;
        self.wire.send(&RequestLine { id: self.last_id, tool: name, input }).await?;
        let response: Response = self.wire.receive().await?;
        if response.id != self.last_id || !protocol::is_plausible(&response.output) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        Ok(response.output)
    }

    async fn lost(&self, name: &str) -> ToolOutput {
        if self.life.reason().is_none() {
            // The socket closes before the kernel is done with the processes.
            let _ = tokio::time::timeout(END_WAIT, self.life.ended()).await;
            self.life.kill("its processes ended, perhaps for want of memory");
        }
        let reason = self.life.reason().unwrap_or_default();
        ToolOutput::error(format!(
            "tool '{name}' did not finish: the sandbox was lost ({reason}); files are kept, the shell's state is gone"
        ))
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.life.kill("it was dropped");
    }
}

/// A call under way; ends the sandbox if it is dropped before it is finished.
struct Call {
    life: Arc<Life>,
    finished: bool,
}

impl Call {
    fn begin(life: Arc<Life>) -> Self {
        life.set_busy(true);
        Self { life, finished: false }
    }

    fn finish(mut self) {
        self.finished = true;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.life.set_busy(false);
        if !self.finished && self.life.reason().is_none() {
            self.life.kill("it was interrupted");
        }
    }
}
