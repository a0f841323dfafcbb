//! The history that a command works on, read once.

use anyhow::Context as _;
use datasets::{History, Prometheus, RangeQuery, read_csv};

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
        SourceConfig::Prometheus(config) => {
            let prometheus = Prometheus::new(config.clone())?;
            let now = Clock::System.now();
            let steps = i64::try_from(workload.history_steps).unwrap_or(i64::MAX);
            let query = RangeQuery {
                promql: workload.query.clone(),
                aggregation: workload.aggregation,
                id: workload.series.clone(),
                step: workload.step,
                from: workload.step.offset(now, -steps),
                to: now,
            };
            prometheus
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
    if report.gaps + report.duplicates + report.out_of_order + report.not_finite > 0 {
        eprintln!(
            "{series}: {} samples; {} without a value, {} duplicated, {} out of order; \
             {} of {} steps are gaps",
            report.samples,
            report.not_finite,
            report.duplicates,
            report.out_of_order,
            report.gaps,
            history.series.view().len()
        );
    }
    for warning in &history.warnings {
        eprintln!("{series}: warning: {warning}");
    }
}
