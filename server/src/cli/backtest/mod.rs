//! `backtest`: what forecasts of any method would have been worth on a recorded history.

mod evaluation;
mod method;
mod report;

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use forecast::backtest::TestPart;
use forecast::{HORIZON, Series, SeriesId, Step};
use jiff::{Span, SpanRelativeTo};
use model::Pretrained;
use trainer::LstmNetworks;

use evaluation::{Evaluation, Refit};
use method::Method;

use super::progress::bar;

/// Arguments of `backtest`.
#[derive(Debug, Args)]
#[command(after_help = "\
Forecasts are made at each stride through the last part of every history, from what was known
then, and compared with what followed. A method is fitted on what lies before that part.

Examples:
  predictive-scaler backtest --history load.csv
  predictive-scaler backtest --history a.csv b.csv --model reference,naive --format json
  predictive-scaler backtest --history load.csv --model naive --forecasts-out forecasts.csv")]
pub(crate) struct BacktestArgs {
    /// CSV files with the columns timestamp and value; each is a series of its own.
    #[arg(long, value_name = "FILE", required = true, num_args = 1..)]
    history: Vec<PathBuf>,
    /// The methods that are compared.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        value_name = "NAME",
        default_value = "lstm,seasonal-naive,naive"
    )]
    model: Vec<Method>,
    /// A network of pretrain's, instead of the one that ships with the program.
    #[arg(long, value_name = "FILE")]
    pretrained: Option<PathBuf>,
    #[command(flatten)]
    test: HeldOutArgs,
    /// Steps from one forecast to the next.
    #[arg(long, default_value_t = HORIZON, value_name = "STEPS")]
    stride: usize,
    /// Steps of a forecast.
    #[arg(long, default_value_t = HORIZON, value_name = "STEPS")]
    horizon: usize,
    /// Sampling interval of the histories.
    #[arg(long, default_value = "5m", value_name = "STEP")]
    step: Step,
    /// Whether methods are fitted anew as the days pass.
    #[arg(long, value_enum, default_value_t)]
    refit: Refit,
    /// Series and methods that are worked on at once [default: one a core].
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
    /// How the scores are printed.
    #[arg(long, value_enum, default_value_t)]
    format: BacktestFormat,
    /// Writes every forecast to this file: series, model, origin, step, value and deciles.
    #[arg(long, value_name = "FILE.csv")]
    forecasts_out: Option<PathBuf>,
}

/// The end of a history that forecasts are compared with, and that no method is fitted on.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct HeldOutArgs {
    /// The share of a history that is forecast, its end.
    #[arg(long, default_value_t = 0.3, value_name = "SHARE")]
    test_fraction: f64,
    /// The most of it that is forecast, such as 5d or 12h.
    #[arg(long, default_value = "5d", value_name = "DURATION")]
    test_max: Span,
}

impl std::fmt::Display for HeldOutArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the last {} of each history, at most {}", self.test_fraction, self.test_max)
    }
}

impl HeldOutArgs {
    /// Checked, for histories of `step`.
    pub(super) fn test_part(self, step: Step, horizon: usize) -> anyhow::Result<TestPart> {
        let share = self.test_fraction;
        anyhow::ensure!(
            (0.0..1.0).contains(&share),
            "--test-fraction is {share}, expected a number from 0 to less than 1, such as 0.3"
        );
        let seconds = self
            .test_max
            .to_duration(SpanRelativeTo::days_are_24_hours())
            .context("--test-max, expected a duration such as 5d or 12h")?
            .as_secs();
        let steps_max = usize::try_from(seconds / i64::from(step.seconds())).unwrap_or(0);
        anyhow::ensure!(
            steps_max >= horizon,
            "--test-max is shorter than one forecast of {horizon} steps"
        );
        Ok(TestPart { share, steps_max })
    }
}

/// How scores are printed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
enum BacktestFormat {
    /// Tables for people.
    #[default]
    Table,
    /// One JSON document.
    Json,
    /// A line a series and method.
    Csv,
}

pub(super) fn run(args: &BacktestArgs) -> anyhow::Result<()> {
    let step = args.step;
    let evaluation = evaluation(args, step)?;
    let series: Vec<Series> =
        args.history.iter().map(|path| read_series(path, step)).collect::<anyhow::Result<_>>()?;
    let threads = match args.threads {
        Some(0) => anyhow::bail!("--threads is 0, expected at least 1"),
        Some(threads) => threads,
        None => std::thread::available_parallelism().map_or(1, usize::from),
    };
    let jobs = series.len() * args.model.len();
    let bar = bar(jobs, "{bar:32} {pos}/{len}  {msg}  ({eta} left)");
    let results = evaluation.run(&series, &args.model, threads, &|name| {
        bar.set_message(name.to_owned());
        bar.inc(1);
    })?;
    bar.finish_and_clear();
    if let (Some(failure), true) =
        (&results[0].failure, results.iter().all(|result| result.failure.is_some()))
    {
        anyhow::bail!("no method could forecast: {failure}");
    }
    if let Some(path) = &args.forecasts_out {
        report::write_forecasts(path, &results)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    crate::output::print_line(match args.format {
        BacktestFormat::Table => report::table(&results),
        BacktestFormat::Json => report::json(&results)?,
        BacktestFormat::Csv => report::csv(&results),
    })?;
    Ok(())
}

fn evaluation(args: &BacktestArgs, step: Step) -> anyhow::Result<Evaluation> {
    anyhow::ensure!(args.stride > 0, "--stride is 0, expected at least 1");
    anyhow::ensure!(args.horizon > 0, "--horizon is 0, expected at least 1");
    let test = args.test.test_part(step, args.horizon)?;
    anyhow::ensure!(test.share > 0.0, "--test-fraction is 0, so there is nothing to forecast");
    let networks = match &args.pretrained {
        Some(path) => {
            let loaded = Pretrained::load(path);
            let loaded = loaded.with_context(|| format!("--pretrained {}", path.display()))?;
            let trained = loaded.card().step_seconds;
            anyhow::ensure!(
                trained == step.seconds(),
                "--pretrained {} was trained on steps of {trained} s, not of {} s",
                path.display(),
                step.seconds()
            );
            let (trained_without, scored) = (&loaded.card().held_out, args.test.to_string());
            if *trained_without != scored {
                eprintln!(
                    "note: {} was trained without {trained_without}; scored here is {scored}: on \
                     series that it was trained on, it may know the answers",
                    path.display()
                );
            }
            LstmNetworks::new(loaded.weights())
        }
        None => LstmNetworks::shipped(),
    };
    Ok(Evaluation {
        networks,
        test,
        stride: args.stride,
        horizon: args.horizon,
        refit: args.refit,
        keep_forecasts: args.forecasts_out.is_some(),
    })
}

/// The series in a CSV file, named after it.
pub(super) fn read_series(path: &std::path::Path, step: Step) -> anyhow::Result<Series> {
    let name = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into());
    let id = SeriesId::new(name).with_context(|| format!("{}: no name", path.display()))?;
    Ok(datasets::read_csv(path, id, step)?.series)
}
