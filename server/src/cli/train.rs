//! `train`: history → artifact, for one workload or all of a configuration.

use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use forecast::Series;
use model::{Artifact, DeviceKind, Isa, LoadError, Network, Peak, Replaced};
use serde_json::json;
use trainer::{InService, Promotion, Trained};

use super::args::{ModelArgs, SourceArgs, TrainingArgs, config};
use super::history;
use super::progress::TrainingProgress;
use crate::clock::Clock;
use crate::compute::ComputeThread;
use crate::config::WorkloadConfig;
use crate::output::{Format, causes, print_line, scores_table};

/// An 80 % interval that covers less deserves a warning.
const COVERED_MIN: f64 = 0.7;

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
    /// Put the model into service although it does worse than the one that is, or than seasonal naive;
    /// the artifact says so.
    #[arg(long)]
    force: bool,
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
            let path = Artifact::path_in(&config.model_dir, series);
            let (champion, overwrite) = champion(&path, workload, args.force)?;
            let history = history::read(&config.source, workload).await?;
            let learnable = workload.learnable(history.series.view())?;
            if !workload.mask.spans().is_empty() {
                let masked = workload.mask.masked(history.series.view());
                eprintln!("note: {masked} values of {series} are masked and not learned from");
            }
            let rules = Rules { champion: champion.clone(), force: args.force };
            let trained = fit(&compute, learnable, &config.training, rules).await?;
            if !matches!(trained.promotion, Promotion::Refused(_)) {
                put_in_service(&trained.artifact, champion.as_ref(), &path, overwrite)?;
            }
            anyhow::Ok((trained, path))
        };
        // One workload without a history must not keep the others from their models.
        match trained.await.with_context(|| format!("{series} was not trained")) {
            Ok((trained, path)) => report(&trained, &path, args.format)?,
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

/// What a new model is measured against, and whether that matters.
#[derive(Default)]
pub(super) struct Rules {
    champion: Option<Artifact>,
    force: bool,
}

/// The artifact that is in service, and whether what lies in its place may be written over unseen: a file
/// that no program can use any more, or anything where that is forced.
fn champion(
    path: &Path,
    workload: &WorkloadConfig,
    force: bool,
) -> anyhow::Result<(Option<Artifact>, bool)> {
    let loaded = Artifact::load(path).and_then(|artifact| {
        artifact.require(&workload.series, workload.step)?;
        Ok(artifact)
    });
    match loaded {
        Ok(artifact) => Ok((Some(artifact), force)),
        Err(LoadError::Missing { .. }) => Ok((None, force)),
        Err(
            error @ (LoadError::Damaged { .. }
            | LoadError::OtherStep { .. }
            | LoadError::OtherHorizon { .. }),
        ) => {
            eprintln!("note: {error}; it is replaced");
            Ok((None, true))
        }
        Err(_) if force => Ok((None, true)),
        Err(error) => Err(error).context("--force replaces the model that is there"),
    }
}

/// Saves the artifact, unless another one than `champion` has been put there meanwhile: against that it
/// was not measured.
fn put_in_service(
    artifact: &Artifact,
    champion: Option<&Artifact>,
    path: &Path,
    overwrite: bool,
) -> anyhow::Result<()> {
    if overwrite {
        artifact.save(path)?;
    } else if artifact.replace(champion, path)? == Replaced::Changed {
        anyhow::bail!("{} has changed during the training: train again", path.display());
    }
    Ok(())
}

/// Trains on `series` with a progress bar.
pub(super) async fn fit(
    compute: &ComputeThread,
    series: Series,
    training: &trainer::TrainingConfig,
    rules: Rules,
) -> anyhow::Result<Trained> {
    let training = training.clone();
    let created = Clock::System.now();
    let trained = compute
        .run(move || {
            let mut progress = TrainingProgress::new(training.options().epochs);
            let mut observe = |event: trainer::TrainingEvent| progress.observe(&event);
            let in_service = InService { champion: rules.champion.as_ref(), force: rules.force };
            trainer::train(series.view(), &training, in_service, created, &mut observe)
        })
        .await??;
    Ok(trained)
}

fn report(trained: &Trained, path: &Path, format: Format) -> anyhow::Result<()> {
    let Trained { artifact, promotion, .. } = trained;
    let manifest = artifact.manifest();
    let share = peak_share(artifact);
    if format == Format::Json {
        let manifest: serde_json::Value = serde_json::from_str(artifact.manifest_json())?;
        let (promoted, why_not) = match promotion {
            Promotion::Earned => (true, None),
            Promotion::Forced(defeat) => (true, Some(defeat.to_string())),
            Promotion::Refused(defeat) => (false, Some(defeat.to_string())),
        };
        print_line(json!({
            "path": path,
            "promoted": promoted,
            "worse_because": why_not,
            "peak_share": share,
            "manifest": manifest,
        }))?;
        return Ok(());
    }
    let training = &manifest.training;
    let share = share
        .map_or_else(String::new, |share| format!(", {:.0} % of its threads' peak", 100.0 * share));
    let best = match training.best_epoch {
        0 => "no better than before it: the weights are those that it started from".to_owned(),
        epoch => format!("best validation loss in epoch {epoch}"),
    };
    print_line(format_args!(
        "{}: {} epochs in {:.1} s ({:.0} windows/s{share}), {best}",
        manifest.series, training.epochs_run, training.seconds, training.windows_per_second,
    ))?;
    print_line(scores(artifact))?;
    match promotion {
        Promotion::Earned => print_line(format_args!("saved {}", path.display()))?,
        Promotion::Forced(defeat) => {
            print_line(format_args!("saved {}, as it was forced: {defeat}", path.display()))?;
        }
        Promotion::Refused(defeat) => print_line(format_args!(
            "not promoted: {defeat}; {} is left as it was, --force overrides",
            path.display()
        ))?,
    }
    Ok(())
}

/// Which share of its threads' peak, measured now, a training made use of, validation not counted;
/// `None` for the quantile network, whose operations are not counted, and on devices that our kernels
/// do not run on.
fn peak_share(artifact: &Artifact) -> Option<f64> {
    let training = &artifact.manifest().training;
    let Network::Reference { weights, .. } = artifact.network() else { return None };
    let computed = training.windows_per_second * weights.config().training_operations();
    let fused = training.device.parse().is_ok_and(DeviceKind::is_fused);
    fused.then(|| computed / (Peak::measure(Isa::best()) * training.threads as f64))
}

/// The scores on the test part beside those of what was in service and of seasonal naive.
pub(super) fn scores(artifact: &Artifact) -> String {
    let scores = &artifact.manifest().scores;
    let mut text = scores_table(&[
        (artifact.network().preset(), scores.model),
        ("in service before", scores.champion),
        ("seasonal-naive", scores.seasonal_naive),
    ]);
    let covered = scores.model.map(|scores| scores.coverage_80);
    if let Some(covered) = covered.filter(|covered| *covered < COVERED_MIN) {
        text += &format!(
            "\nThe 80 % interval covers only {:.0} %: plan for a higher quantile, or leave mode shadow on.",
            100.0 * covered
        );
    }
    text
}
