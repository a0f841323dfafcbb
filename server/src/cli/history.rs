//! The history that a command works on, read once.

use anyhow::Context as _;
use datasets::{History, read_csv};

use crate::clock::Clock;
use crate::config::{SourceConfig, WorkloadConfig};

/// Reads `workload`'s history: the whole file, or as much from Prometheus as is configured. Says on
/// standard error what was irregular.
pub(super) async fn read(
    source: &SourceConfig,
    workload: &WorkloadConfig,
) -> anyhow::Result<History> {
    let history = match source {
        SourceConfig::File(path) => {
            let (path, series, step) = (path.clone(), workload.series.clone(), workload.step);
            tokio::task::spawn_blocking(move || read_csv(&path, series, step)).await??
        }
        SourceConfig::Prometheus { .. } => {
            let query = workload.range_query(Clock::System.now());
            eprintln!("{}: asking Prometheus for its history", workload.series);
            source
                .prometheus()?
                .range(&query)
                .await
                .with_context(|| format!("cannot read the history of {}", workload.series))?
        }
    };
    tell_irregularities(&history);
    Ok(history)
}

fn tell_irregularities(history: &History) {
    let report = &history.report;
    let series = history.series.id();
    let irregular = report.duplicates + report.out_of_order + report.not_finite + report.merged;
    if report.gaps + irregular > 0 {
        eprintln!(
            "{series}: {} samples; {} without a value, {} duplicated, {} out of order, \
             {} averaged with others of their step; {} of {} steps are gaps",
            report.samples,
            report.not_finite,
            report.duplicates,
            report.out_of_order,
            report.merged,
            report.gaps,
            history.series.view().len()
        );
    }
    for warning in &history.warnings {
        eprintln!("{series}: warning: {warning}");
    }
}
