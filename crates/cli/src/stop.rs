//! Being told to stop: SIGINT and SIGTERM.

use crate::failure::{Failure, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How one was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// Ctrl-C.
    Interrupt,
    /// What a supervisor sends.
    Terminate,
}

impl Told {
    /// The exit code of a program that ended because of it: 128 and the signal's number.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

/// Hears both signals from the moment it is made; none is lost.
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Begins to listen. From now on the signals do not end the process by themselves.
    pub(crate) fn listen() -> Result<Self> {
        let deaf = |error| Failure::caused("signals cannot be received", &error);
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(deaf)?,
            terminate: signal(SignalKind::terminate()).map_err(deaf)?,
        })
    }

    /// The next signal. Nothing is lost when this is dropped before it is ready.
    pub(crate) async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.interrupt.recv() => Told::Interrupt,
            _ = self.terminate.recv() => Told::Terminate,
        }
    }

    /// From now on a signal ends the process at once, after `last_act`.
    pub(crate) fn end_at_next(mut self, last_act: impl FnOnce() + Send + 'static) {
        tokio::spawn(async move {
            let told = self.next().await;
            eprintln!("daybreak: stopping at once");
            last_act();
            std::process::exit(told.exit_code().into());
        });
    }
}
