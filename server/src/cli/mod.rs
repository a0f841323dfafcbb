//! The command line: one file a command, each a function from arguments to a result.

mod args;
mod backtest;
mod config;
mod demo;
mod forecast;
mod history;
mod model;
mod pretrain;
mod progress;
mod serve;
mod train;

use clap::{Parser, Subcommand};

use crate::logging::{self, LogFormat};

/// Scales Kubernetes workloads before the load arrives: learns CPU history from Prometheus,
/// forecasts the next hour with a stacked LSTM, and raises replicas ahead of time.
#[derive(Debug, Parser)]
#[command(name = "predictive-scaler", version, max_term_width = 100, after_help = EXAMPLES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
    /// How log lines look; they go to standard error. RUST_LOG chooses which.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    log_format: LogFormat,
}

const EXAMPLES: &str = "\
Examples:
  predictive-scaler demo                                  see it work, without a cluster
  predictive-scaler train --history load.csv              fit a model to a recorded load
  predictive-scaler forecast --history load.csv --format plot
  predictive-scaler backtest --history load.csv           compare it with simple methods
  predictive-scaler serve --config config.yaml            run the scaling loop
  PROMETHEUS_URL=http://prometheus:9090 NAMESPACE=shop DEPLOYMENT=web predictive-scaler serve";

#[derive(Debug, Subcommand)]
enum Command {
    /// See it work: train on synthetic load, then scale a simulated Deployment in fast time.
    Demo(demo::DemoArgs),
    /// Fit a model to a history and store it as an artifact.
    Train(train::TrainArgs),
    /// Run the scaling loop and answer over HTTP.
    Serve(serve::ServeArgs),
    /// Make one forecast and print it.
    Forecast(forecast::ForecastArgs),
    /// Compare methods on recorded histories: what their forecasts would have been worth.
    Backtest(backtest::BacktestArgs),
    /// Train one network on the histories of many workloads, instead of the one that ships.
    Pretrain(pretrain::PretrainArgs),
    /// Look at artifacts.
    #[command(subcommand)]
    Model(model::ModelCommand),
    /// Look at configuration files.
    #[command(subcommand)]
    Config(config::ConfigCommand),
}

/// Reads the command line; prints help or usage errors and exits where that is what was asked for.
pub(crate) fn parse() -> Cli {
    Cli::parse()
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// Whatever went wrong, in words for the user.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let quiet = !matches!(self.command, Command::Serve(_));
        logging::start(self.log_format, if quiet { "warn" } else { "info" });
        match self.command {
            Command::Demo(args) => demo::run(args).await,
            Command::Train(args) => train::run(args).await,
            Command::Serve(args) => serve::run(args).await,
            Command::Forecast(args) => forecast::run(args).await,
            Command::Backtest(args) => {
                tokio::task::spawn_blocking(move || backtest::run(&args)).await?
            }
            Command::Pretrain(args) => {
                tokio::task::spawn_blocking(move || pretrain::run(&args)).await?
            }
            Command::Model(command) => model::run(&command),
            Command::Config(command) => config::run(&command),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }
}
