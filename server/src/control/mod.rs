//! The control loop: every step, for each workload, observe → forecast → decide → actuate.

mod actuator;
mod cycle;
mod model_keeper;
mod source;

use std::path::PathBuf;
use std::sync::Arc;

use capacity::Decision;
use model::Device;
use tokio_util::sync::CancellationToken;
use trainer::TrainingConfig;

use crate::board::Board;
use crate::clock::Clock;
use crate::compute::ComputeThread;
use crate::metrics::Metrics;

pub(crate) use actuator::Actuator;
pub(crate) use cycle::WorkloadLoop;
pub(crate) use source::Source;

/// What the loops of all workloads share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// What the HTTP answers are read from.
    pub(crate) board: Arc<Board>,
    /// What Prometheus scrapes.
    pub(crate) metrics: Metrics,
    /// What time it is.
    pub(crate) clock: Clock,
    /// The thread that forecasts.
    pub(crate) forecasting: ComputeThread,
    /// The thread that trains.
    pub(crate) training: ComputeThread,
    /// Where artifacts are.
    pub(crate) model_dir: PathBuf,
    /// How models are trained.
    pub(crate) training_config: TrainingConfig,
    /// Where models run.
    pub(crate) device: Device,
    /// Ends everything.
    pub(crate) stop: CancellationToken,
}

/// Cycles until stopped, at each grid point of the workload's step; `decided` is told each decision.
/// The cycle under way is finished first.
pub(crate) async fn run(mut workload: WorkloadLoop, mut decided: impl FnMut(&Decision)) {
    let (clock, stop) = (workload.shared().clock, workload.shared().stop.clone());
    let step = workload.step();
    let (mut due, mut early) = (i64::MIN, false);
    while !stop.is_cancelled() {
        let now = clock.now();
        if let Some(decision) = workload.cycle(now).await {
            decided(&decision);
        }
        // A clock that is set back a little, or a wake just before its time, is no second cycle; one for
        // a new model is one more.
        if !early || step.floor_index(now) >= due {
            due = step.floor_index(now).max(due) + 1;
        }
        let next = step.time_of(due);
        let wait = clock.wait(clock.now(), next);
        tokio::select! {
            () = stop.cancelled() => {}
            // A model that has just been trained is put to use at once rather than a step later.
            () = workload.model_changed() => early = true,
            () = tokio::time::sleep(wait) => early = false,
        }
    }
}

#[cfg(test)]
mod tests;
