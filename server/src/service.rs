//! The long-running process: the loops of all workloads and the HTTP server, until a signal.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use capacity::Decision;
use model::Device;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::board::{Board, WorkloadView};
use crate::clock::Clock;
use crate::compute::ComputeThread;
use crate::config::{Config, WorkloadConfig};
use crate::control::{self, Shared, WorkloadLoop};
use crate::http::{self, HttpState};
use crate::metrics::Metrics;

/// After a signal everything has ended within this time; Kubernetes kills after 30 s by default.
const END_WITHIN: Duration = Duration::from_secs(9);
/// A loop that has missed so many cycles is stuck.
const STUCK_CYCLES: i64 = 3;

/// What all loops share, made once from the configuration.
///
/// # Errors
/// When the system gives no thread or the device cannot be used.
pub(crate) fn share(config: &Config, clock: Clock) -> anyhow::Result<Arc<Shared>> {
    let views = config.workloads.iter().map(|workload| {
        let (namespace, name) = (workload.workload.namespace(), workload.workload.name());
        (workload.series.clone(), WorkloadView::new(namespace, name, workload.mode))
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
        stop: CancellationToken::new(),
    }))
}

/// Runs the loops and answers on `listener` until a signal or [`Shared::stop`]; `decided` is told
/// each decision.
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
        stuck_after: stuck_after(&loops),
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
        signal = end_signal() => signal.err(),
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

fn stuck_after(loops: &[WorkloadLoop]) -> jiff::SignedDuration {
    let longest = loops.iter().map(|l| i64::from(l.step().seconds())).max().unwrap_or(300);
    jiff::SignedDuration::from_secs(STUCK_CYCLES * longest)
}

/// Waits for SIGTERM or an interrupt.
async fn end_signal() -> anyhow::Result<()> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut terminate = signal(SignalKind::terminate()).context("cannot wait for SIGTERM")?;
        tokio::select! {
            _ = terminate.recv() => Ok(()),
            interrupt = tokio::signal::ctrl_c() => interrupt.context("cannot wait for Ctrl-C"),
        }
    }
    #[cfg(not(unix))]
    {
        tokio::signal::ctrl_c().await.context("cannot wait for Ctrl-C")
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
