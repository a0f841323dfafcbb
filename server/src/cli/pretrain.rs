//! `pretrain`: one network from the histories of many workloads.

use std::ops::ControlFlow;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use forecast::{Series, SeriesView, Step};
use indicatif::ProgressBar;
use model::{ModelCard, Pretrained, QuantileConfig};
use trainer::{PretrainingProgress, QuantileOptions};

use super::backtest::{HeldOutArgs, read_series};
use super::progress::bar;
use crate::output::print_line;

/// Gradients take some 13 KB a window.
const BATCH_MAX: usize = 65_536;
/// Where standard error is no terminal, a line is written every so many steps.
const STEPS_PER_LINE: usize = 500;

/// Arguments of `pretrain`.
#[derive(Debug, Args)]
#[command(after_help = "\
The program has a network of this kind in it. Whether one that was trained on your own workloads
knows them better, backtest tells. The end of each history is left out, as backtest has it, so
that its scores stay honest; --test-fraction 0 trains on everything.

Examples:
  predictive-scaler pretrain --history loads/*.csv --out fleet.safetensors
  predictive-scaler backtest --history loads/*.csv --pretrained fleet.safetensors")]
pub(crate) struct PretrainArgs {
    /// CSV files with the columns timestamp and value; each is a series of its own.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    history: Vec<PathBuf>,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    held_out: HeldOutArgs,
    /// Steps of training; a thousand take some 40 s on one core.
    #[arg(long, default_value_t = QuantileOptions::default().steps, value_name = "N")]
    steps: usize,
    /// Windows of a step.
    #[arg(long, default_value_t = QuantileOptions::default().batch, value_name = "N")]
    batch: usize,
    /// Seed of weights, windows and dropout.
    #[arg(long, default_value_t = QuantileOptions::default().seed, value_name = "N")]
    seed: u64,
    /// Sampling interval of the histories.
    #[arg(long, default_value = "5m", value_name = "STEP")]
    step: Step,
    /// Threads [default: one a core].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

pub(super) fn run(args: &PretrainArgs) -> anyhow::Result<()> {
    anyhow::ensure!(args.steps > 0, "--steps is 0, expected at least 1");
    anyhow::ensure!(
        (1..=BATCH_MAX).contains(&args.batch),
        "--batch is {}, expected 1 to {BATCH_MAX}",
        args.batch
    );
    anyhow::ensure!(args.threads != Some(0), "--threads is 0, expected at least 1");
    // Found out before minutes of training, not after.
    let folder = args.out.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("--out: the folder {} cannot be made", folder.display()))?;
    }
    let step = args.step;
    let test = args.held_out.test_part(step, forecast::HORIZON)?;
    let series: Vec<Series> =
        args.history.iter().map(|path| read_series(path, step)).collect::<anyhow::Result<_>>()?;
    let known = |series: &'_ Series| test.of(series.view().len()).start;
    let corpus: Vec<SeriesView<'_>> =
        series.iter().map(|series| series.view().prefix(known(series))).collect();
    let network = QuantileConfig::STANDARD;
    let options = QuantileOptions {
        steps: args.steps,
        batch: args.batch,
        seed: args.seed,
        threads: args
            .threads
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from)),
        ..Default::default()
    };
    let mut loss = f64::NAN;
    let bar = bar(options.steps, "training {bar:32} {percent:>3} %  {msg}  ({eta} left)");
    let weights = trainer::pretrain(&corpus, network, &options, &mut |progress| {
        loss = progress.loss;
        observe(&bar, progress)
    })?;
    bar.finish_and_clear();
    let card = ModelCard {
        kind: Pretrained::KIND.to_owned(),
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        hidden: network.hidden,
        dense: network.dense,
        dropout: network.dropout,
        step_seconds: step.seconds(),
        series: series.iter().map(|series| series.id().to_string()).collect(),
        held_out: args.held_out.to_string(),
        steps: options.steps,
        batch: options.batch,
        seed: options.seed,
        loss,
    };
    Pretrained::new(card, weights)
        .save(&args.out)
        .with_context(|| format!("cannot write {}", args.out.display()))?;
    print_line(format_args!(
        "trained on {} series, loss {loss:.4}; saved {}",
        series.len(),
        args.out.display()
    ))?;
    Ok(())
}

fn observe(bar: &ProgressBar, progress: PretrainingProgress) -> ControlFlow<()> {
    let PretrainingProgress { done, of, loss } = progress;
    bar.set_position(done as u64);
    bar.set_message(format!("loss {loss:.4}"));
    if bar.is_hidden() && (done % STEPS_PER_LINE == 0 || done == of) {
        eprintln!("training: step {done}/{of}, loss {loss:.4}");
    }
    ControlFlow::Continue(())
}
