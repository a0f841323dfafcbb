//! `forecast`: one forecast, from an artifact or without any training, as table, plot or JSON.

use std::sync::Arc;

use clap::Args;
use forecast::{Forecaster, HORIZON, Quantile, Quantiles, SeriesView};
use model::{Artifact, Device, DeviceKind, LoadError};
use trainer::Contender;

use super::args::{ModelArgs, SourceArgs, TrainingArgs, config};
use super::history;
use crate::board::{Issued, ModelIdentity};
use crate::clock::Clock;
use crate::compute::ComputeThread;
use crate::config::{Config, SourceConfig, WorkloadConfig};
use crate::http::ForecastAnswer;
use crate::output::{ForecastFormat, forecast_table, plot, print_line, svg};

/// Arguments of `forecast`.
#[derive(Debug, Args)]
#[command(after_help = "\
A model that was trained on the workload is used where there is one; otherwise the network
that ships with the program, which needs no training.

Examples:
  predictive-scaler forecast --history load.csv --format plot
  predictive-scaler forecast --history load.csv --format svg > forecast.svg
  predictive-scaler forecast --prometheus-url http://localhost:9090 --deployment web --format json")]
pub(crate) struct ForecastArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    model: ModelArgs,
    /// How the forecast is printed.
    #[arg(long, value_enum, default_value_t)]
    format: ForecastFormat,
    /// The quantiles of the JSON format, such as 0.5,0.95 [default: the deciles].
    #[arg(long, value_delimiter = ',', value_name = "Q", value_parser = quantile)]
    quantiles: Vec<Quantile>,
}

fn quantile(text: &str) -> Result<Quantile, String> {
    let level: f64 = text.parse().map_err(|_| "expected a number, such as 0.95".to_owned())?;
    Quantile::new(level).map_err(|error| error.to_string())
}

pub(super) async fn run(args: ForecastArgs) -> anyhow::Result<()> {
    let config = config(&args.source, &args.model, &TrainingArgs::default())?;
    let [workload] = &config.workloads[..] else {
        anyhow::bail!(
            "{} workloads are configured: choose one with --namespace and --deployment",
            config.workloads.len()
        );
    };
    let quantiles = match &args.quantiles[..] {
        [] => Quantiles::deciles(),
        asked => Quantiles::new(asked.to_vec())?,
    };
    let artifact = trained(&config, workload)?;
    let history = history::read(&config.source, workload).await?.series;
    let known = workload.clone();
    let device = config.training.options().device;
    let model = artifact.as_ref().map_or_else(ModelIdentity::shipped, ModelIdentity::of);
    let (history, by, forecast) = ComputeThread::start("forecast")?
        .run(move || {
            let learnable = known.learnable(history.view())?;
            let forecaster = forecaster(artifact.as_ref(), device, learnable.view())?;
            let forecaster = known.aware(forecaster, history.view());
            let forecast = forecaster.forecast(history.view(), HORIZON)?;
            anyhow::Ok((history, forecaster.name().to_owned(), forecast))
        })
        .await??;
    match args.format {
        ForecastFormat::Table => print_line(forecast_table(&forecast))?,
        ForecastFormat::Plot => print_line(plot(history.view(), &forecast))?,
        ForecastFormat::Svg => print_line(svg(history.view(), &forecast)?)?,
        ForecastFormat::Json => {
            // A recorded history's end stands for now.
            let now = match config.source {
                SourceConfig::File(_) => forecast.origin(),
                SourceConfig::Prometheus { .. } => Clock::System.now(),
            };
            let issued = Issued { forecast, by, model: Some(model) };
            let names = [workload.workload.namespace(), workload.workload.name()];
            let answer = ForecastAnswer::new(names, &issued, &quantiles, now);
            print_line(serde_json::to_string_pretty(&answer)?)?;
        }
    }
    Ok(())
}

/// The workload's own model, where one was trained.
fn trained(config: &Config, workload: &WorkloadConfig) -> anyhow::Result<Option<Artifact>> {
    let path = Artifact::path_in(&config.model_dir, &workload.series);
    match Artifact::load(&path) {
        Ok(artifact) => {
            artifact.require(&workload.series, workload.step)?;
            Ok(Some(artifact))
        }
        Err(LoadError::Missing { .. }) => {
            eprintln!(
                "note: {} has no model of its own in {}; forecast by the network that ships",
                workload.series,
                config.model_dir.display()
            );
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// The trained model, or else the network that ships with the program.
fn forecaster(
    artifact: Option<&Artifact>,
    device: DeviceKind,
    history: SeriesView<'_>,
) -> anyhow::Result<Arc<dyn Forecaster>> {
    let contender = match artifact {
        Some(artifact) => Contender::of(artifact, &Device::open(device)?),
        None => Contender::shipped(),
    };
    Ok(contender.fit(history, HORIZON))
}
