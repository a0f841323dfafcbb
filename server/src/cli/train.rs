//! `train`: history → artifact, for one workload or all of a configuration.

use anyhow::Context as _;
use clap::Args;
use forecast::Series;
use model::{Artifact, DeviceKind, Isa, Manifest, Peak};
use serde_json::json;

use super::args::{ModelArgs, SourceArgs, TrainingArgs, config};
use super::history;
use super::progress::TrainingProgress;
use crate::clock::Clock;
use crate::compute::ComputeThread;
use crate::output::{Format, causes, print_line, scores_table};

/// Arguments of `train`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  predictive-scaler train --history load.csv --model-dir models
  predictive-scaler train --prometheus-url http://localhost:9090 --namespace shop --deployment web
  predictive-scaler train --config config.yaml            every workload of the file")]
pub(crate) struct TrainArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    model: ModelArgs,
    #[command(flatten)]
    training: TrainingArgs,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) async fn run(args: TrainArgs) -> anyhow::Result<()> {
    let config = config(&args.source, &args.model, &args.training)?;
    let compute = ComputeThread::start("train")?;
    let mut failed = Vec::new();
    for workload in &config.workloads {
        let series = &workload.series;
        let trained = async {
            let history = history::read(&config.source, workload).await?;
            let artifact = fit(&compute, history.series, &config.training).await?;
            let path = Artifact::path_in(&config.model_dir, series);
            artifact.save(&path)?;
            anyhow::Ok((artifact, path))
        };
        // One workload without a history must not keep the others from their models.
        match trained.await.with_context(|| format!("{series} was not trained")) {
            Ok((artifact, path)) => report(&artifact, &path, args.format)?,
            Err(error) if config.workloads.len() == 1 => return Err(error),
            Err(error) => {
                eprintln!("error: {}", causes(&error));
                failed.push(series.to_string());
            }
        }
    }
    anyhow::ensure!(failed.is_empty(), "not trained: {}", failed.join(", "));
    Ok(())
}

/// Trains on `series` with a progress bar.
pub(super) async fn fit(
    compute: &ComputeThread,
    series: Series,
    training: &trainer::TrainingConfig,
) -> anyhow::Result<Artifact> {
    let training = training.clone();
    let created = Clock::System.now();
    let trained = compute
        .run(move || {
            let mut progress = TrainingProgress::new(training.options().epochs);
            let mut observe = |event: trainer::TrainingEvent| progress.observe(&event);
            trainer::train(series.view(), &training, created, &mut observe)
        })
        .await??;
    Ok(trained.artifact)
}

fn report(artifact: &Artifact, path: &std::path::Path, format: Format) -> anyhow::Result<()> {
    let manifest = artifact.manifest();
    let share = peak_share(manifest);
    if format == Format::Json {
        let manifest: serde_json::Value = serde_json::from_str(artifact.manifest_json())?;
        print_line(json!({ "path": path, "peak_share": share, "manifest": manifest }))?;
        return Ok(());
    }
    let training = &manifest.training;
    let share = share
        .map_or_else(String::new, |share| format!(", {:.0} % of its threads' peak", 100.0 * share));
    print_line(format_args!(
        "{}: {} epochs in {:.1} s ({:.0} windows/s{share}), best validation loss in epoch {}",
        manifest.series,
        training.epochs_run,
        training.seconds,
        training.windows_per_second,
        training.best_epoch
    ))?;
    print_line(scores(artifact))?;
    print_line(format_args!("saved {}", path.display()))?;
    Ok(())
}

/// Which share of its threads' peak, measured now, a training made use of, validation not counted;
/// `None` on devices that our kernels do not run on.
fn peak_share(manifest: &Manifest) -> Option<f64> {
    let training = &manifest.training;
    let computed = training.windows_per_second * manifest.network.training_operations();
    let fused = training.device.parse().is_ok_and(DeviceKind::is_fused);
    fused.then(|| computed / (Peak::measure(Isa::best()) * training.threads as f64))
}

/// The scores on the test part beside those of seasonal naive, and what to make of them.
pub(super) fn scores(artifact: &Artifact) -> String {
    let scores = &artifact.manifest().scores;
    let rows = [("reference", scores.model), ("seasonal-naive", scores.seasonal_naive)];
    let mut text = scores_table(&rows);
    if let (Some(model), Some(naive)) = (scores.model, scores.seasonal_naive)
        && model.mae > naive.mae
    {
        text += "\nThe model is worse than the day before: train longer, or leave mode shadow on.";
    }
    text
}
