//! The long-running process: the loops of all workloads and the HTTP server, until a signal.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use capacity::Decision;
use forecast::Timestamp;
use model::Device;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::board::{Board, WorkloadView};
use crate::clock::Clock;
use crate::compute::ComputeThread;
use crate::config::{Config, SourceConfig, WorkloadConfig};
use crate::control::{self, Shared, WorkloadLoop};
use crate::http::{self, HttpState};
use crate::metrics::Metrics;

/// After a signal everything has ended within this time; Kubernetes kills after 30 s by default.
const END_WITHIN: Duration = Duration::from_secs(9);
/// A loop that has missed so many cycles is stuck.
const STUCK_CYCLES: u32 = 3;

/// What all loops share, made once from the configuration; `stop` ends them.
///
/// # Errors
/// When the system gives no thread or the device cannot be used.
pub(crate) fn share(
    config: &Config,
    clock: Clock,
    stop: CancellationToken,
) -> anyhow::Result<Arc<Shared>> {
    let views = config.workloads.iter().map(|workload| {
        let (namespace, name) = (workload.workload.namespace(), workload.workload.name());
        let stuck_after = stuck_after(config, workload, clock);
        let view = WorkloadView::new(namespace, name, workload.mode, stuck_after);
        (workload.series.clone(), view)
    });
    Ok(Arc::new(Shared {
        board: Arc::new(Board::new(views)),
        metrics: Metrics::new()?,
        clock,
        forecasting: ComputeThread::start("forecast")?,
        training: ComputeThread::start("train")?,
        model_dir: config.model_dir.clone(),
        training_config: config.training.clone(),
        device: Device::open(config.training.options().device)?,
        stop,
    }))
}

/// Cycles begin a step apart; one may take as long as its source and its cluster may.
fn stuck_after(config: &Config, workload: &WorkloadConfig, clock: Clock) -> Duration {
    let start = Timestamp::UNIX_EPOCH;
    let step = clock.wait(start, workload.step.offset(start, 1));
    let source = match &config.source {
        SourceConfig::Prometheus { config, .. } => config.deadline,
        SourceConfig::File(_) => Duration::from_secs(60),
    };
    let reads_and_writes = 4 * config.cluster.deadline;
    step.saturating_mul(STUCK_CYCLES) + source + reads_and_writes
}

/// A token that SIGTERM or an interrupt cancels, from now on: the first process of a container
/// ignores a signal that it has no handler for.
///
/// # Errors
/// When the system refuses a handler.
pub(crate) fn stop_on_signal() -> anyhow::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot wait for Ctrl-C")?;
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            cancelled.cancel();
        });
    }
    #[cfg(not(unix))]
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            cancelled.cancel();
        }
    });
    Ok(stop)
}

/// Runs the loops and answers on `listener` until [`Shared::stop`]; `decided` is told each decision.
///
/// # Errors
/// When a loop or the HTTP server fails.
pub(crate) async fn run(
    shared: Arc<Shared>,
    loops: Vec<WorkloadLoop>,
    listener: TcpListener,
    decided: impl FnMut(&Decision) + Clone + Send + 'static,
) -> anyhow::Result<()> {
    let stop = shared.stop.clone();
    let state = HttpState {
        board: Arc::clone(&shared.board),
        metrics: shared.metrics.clone(),
        clock: shared.clock,
    };
    let mut tasks = JoinSet::new();
    tasks.spawn({
        let stop = stop.clone();
        async move { http::serve(listener, state, stop).await.context("the HTTP server failed") }
    });
    for workload in loops {
        let decided = decided.clone();
        tasks.spawn(async move {
            control::run(workload, decided).await;
            Ok(())
        });
    }
    let failure = tokio::select! {
        // Once the end was asked for, what ends is no failure.
        biased;
        () = stop.cancelled() => None,
        ended = tasks.join_next() => Some(first_end(ended)),
    };
    stop.cancel();
    tracing::info!("ending: finishing what is under way");
    let rest = async { while tasks.join_next().await.is_some() {} };
    if tokio::time::timeout(END_WITHIN, rest).await.is_err() {
        tracing::warn!(seconds = END_WITHIN.as_secs(), "gave up what did not end in time");
    }
    failure.map_or(Ok(()), Err)
}

/// Nothing ends before it is told to: the first that does takes the process with it, so that a
/// supervisor starts it anew instead of a part of it being silently dead.
fn first_end(ended: Option<Result<anyhow::Result<()>, tokio::task::JoinError>>) -> anyhow::Error {
    match ended {
        Some(Ok(Err(error))) => error,
        Some(Err(panic)) => anyhow::Error::new(panic).context("a control loop failed"),
        Some(Ok(Ok(()))) | None => anyhow::anyhow!("a part of the service ended by itself"),
    }
}

/// The replicas of `workload`: in `cluster`, or assumed where there is none.
pub(crate) fn actuator(
    workload: &WorkloadConfig,
    cluster: Option<&k8s::Cluster>,
) -> control::Actuator {
    match cluster {
        Some(cluster) => control::Actuator::Cluster {
            cluster: Box::new(cluster.clone()),
            workload: workload.workload.clone(),
        },
        None => control::Actuator::Assumed { replicas: None },
    }
}
