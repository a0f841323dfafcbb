//! `predictive-scaler`: learns a workload's load, forecasts the next hour, scales before it comes.
//!
//! This crate is the composition root; the rooms are:
//!
//! ```text
//! cli ──▶ config ──▶ service ──▶ control (observe → forecast → decide → actuate)
//!                       │            │ writes
//!                       └──▶ http ◀──┴ board, metrics
//! ```

mod board;
mod cli;
mod clock;
mod compute;
mod config;
mod control;
mod http;
mod logging;
mod metrics;
mod output;
mod service;

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    match cli::parse().run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if output::reader_went_away(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", output::causes(&error));
            ExitCode::FAILURE
        }
    }
}
