//! Tools as the engine sees them: a place that can be opened, and calls that it answers.

use async_trait::async_trait;
use daybreak_api::content::{ContentBlock, Source};
use daybreak_sandbox::{Launcher, Mounts, OutputBlock, Sandbox, SandboxPaths, ToolOutput};
use serde_json::{Map, Value};
use std::sync::Arc;
use tokio::sync::watch;

/// Opens sandboxes.
#[async_trait]
pub trait Sandboxes: Send + Sync {
    /// Opens one. The error is for the model and the operator.
    async fn open(&self, mounts: &Mounts) -> Result<Box<dyn Tools>, String>;

    /// Where tools will find the mounted directories.
    fn paths(&self, mounts: &Mounts) -> SandboxPaths;
}

/// One open sandbox. Dropping it, or a call under way, kills everything in it.
#[async_trait]
pub trait Tools: Send + Sync {
    /// Runs a tool. Every failure is an output.
    async fn call(&mut self, name: &str, input: &Map<String, Value>) -> ToolOutput;

    /// Whether another call is possible.
    fn is_alive(&self) -> bool;
}

#[async_trait]
impl Sandboxes for Launcher {
    async fn open(&self, mounts: &Mounts) -> Result<Box<dyn Tools>, String> {
        match self.open(mounts).await {
            Ok(sandbox) => Ok(Box::new(sandbox)),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
                Err(format!("{error}{cause}"))
            }
        }
    }

    fn paths(&self, mounts: &Mounts) -> SandboxPaths {
        self.paths(mounts)
    }
}

#[async_trait]
impl Tools for Sandbox {
    async fn call(&mut self, name: &str, input: &Map<String, Value>) -> ToolOutput {
        self.call(name, input).await
    }

    fn is_alive(&self) -> bool {
        self.is_alive()
    }
}

type Found = Option<Result<Arc<dyn Sandboxes>, String>>;

/// Where tools run; why they cannot; or that it is still being found out.
#[derive(Clone)]
pub struct Availability(watch::Receiver<Found>);

impl Availability {
    /// Tools run here.
    pub fn ready(sandboxes: Arc<dyn Sandboxes>) -> Self {
        Self(watch::channel(Some(Ok(sandboxes))).1)
    }

    /// Finds out in the background, so that a server answers before its self-test has ended. Tool calls wait.
    pub fn probing<F>(probe: F) -> Self
    where
        F: Future<Output = Result<Arc<dyn Sandboxes>, String>> + Send + 'static,
    {
        let (sender, receiver) = watch::channel(None);
        tokio::spawn(async move {
            let _nobody_asks = sender.send(Some(probe.await));
        });
        Self(receiver)
    }

    pub(crate) async fn get(&self) -> Result<Arc<dyn Sandboxes>, String> {
        let mut receiver = self.0.clone();
        match receiver.wait_for(Option::is_some).await {
            Ok(found) => found.clone().unwrap_or_else(|| Err("the self-test of the sandbox was lost".to_owned())),
            Err(_) => Err("the self-test of the sandbox did not end".to_owned()),
        }
    }

    pub(crate) fn known(&self) -> Option<Result<Arc<dyn Sandboxes>, String>> {
        self.0.borrow().clone()
    }
}

/// A tool's output in the wire's blocks.
pub(crate) fn to_content(output: ToolOutput) -> (Vec<ContentBlock>, bool) {
    let block = |block| match block {
        OutputBlock::Text(text) => ContentBlock::Text { text },
        OutputBlock::Image { media_type, base64 } => {
            ContentBlock::Image { source: Source::Base64 { media_type, data: base64 } }
        }
        OutputBlock::Document { media_type, base64 } => {
            ContentBlock::Document { source: Source::Base64 { media_type, data: base64 }, title: None, context: None }
        }
    };
    (output.content.into_iter().map(block).collect(), output.is_error)
}
