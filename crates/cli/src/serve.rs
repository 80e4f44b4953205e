//! `daybreak serve`.

use crate::Env;
use crate::Hooks;
use crate::args::ServeArgs;
use crate::failure::Result;
use crate::greeting::Greeting;
use crate::instance::Instance;
use crate::settings;
use crate::stop::Signals;
use std::process::ExitCode;
use std::time::Duration;

/// Serves until it is told to stop.
pub(crate) async fn serve(args: ServeArgs, hooks: Hooks, env: Env<'_>) -> Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let config = settings::for_serve(&args, env)?;
    let mut instance = Instance::start(&config, hooks, env).await?;
    Greeting {
        address: instance.address,
        data_dir: &config.data_dir,
        key: &instance.key,
        models: instance.models(),
        backend: config.sandbox.backend,
    }
    .say(args.place.log_format);

    let told = tokio::select! {
        told = signals.next() => told,
        failure = instance.failed() => return Err(failure),
    };
    let grace = Duration::from_secs(config.server.shutdown_grace_s);
    tracing::info!(signal = ?told, grace_s = grace.as_secs(), "stopping; a second signal ends this at once");
    signals.end_at_next(|| {});
    instance.stop(grace).await?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}
