//! `forecast`: one forecast from an artifact, as table, plot or JSON.

use anyhow::Context as _;
use clap::Args;
use forecast::{Forecaster as _, HORIZON};
use model::{Artifact, Device};

use super::args::{ModelArgs, SourceArgs, TrainingArgs, config};
use super::history;
use crate::board::{Issued, ModelIdentity};
use crate::clock::Clock;
use crate::config::SourceConfig;
use crate::http::ForecastAnswer;
use crate::output::{ForecastFormat, forecast_table, plot, print_line, svg};

/// Arguments of `forecast`.
#[derive(Debug, Args)]
#[command(after_help = "\
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
}

pub(super) async fn run(args: ForecastArgs) -> anyhow::Result<()> {
    let config = config(&args.source, &args.model, &TrainingArgs::default())?;
    let [workload] = &config.workloads[..] else {
        anyhow::bail!(
            "{} workloads are configured: choose one with --namespace and --deployment",
            config.workloads.len()
        );
    };
    let path = Artifact::path_in(&config.model_dir, &workload.series);
    let artifact = Artifact::load(&path).with_context(|| {
        format!(
            "no model for {}: run `predictive-scaler train` with the same options first",
            workload.series
        )
    })?;
    artifact.require(&workload.series, workload.step)?;
    let history = history::read(&config.source, workload).await?.series;
    let forecaster = artifact.forecaster(&Device::open(config.training.options().device)?);
    let forecast = forecaster.forecast(history.view(), HORIZON)?;
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
            let by = forecaster.name().to_owned();
            let model = Some(ModelIdentity::of(&artifact));
            let issued = Issued { forecast, by, model };
            let (namespace, name) = (workload.workload.namespace(), workload.workload.name());
            let answer = ForecastAnswer::new(namespace, name, &issued, now);
            print_line(serde_json::to_string_pretty(&answer)?)?;
        }
    }
    Ok(())
}
