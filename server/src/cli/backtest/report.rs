//! What a backtest found, for people and for machines.

use std::fmt::Write as _;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use forecast::Quantile;
use serde::Serialize;

use super::evaluation::Evaluated;
use super::method::Method;
use crate::output::{ratio, share};

/// One method on one series.
#[derive(Serialize)]
struct Row<'a> {
    series: &'a str,
    model: &'static str,
    origins: usize,
    mae: Option<f64>,
    rmse: Option<f64>,
    mape: Option<f64>,
    smape: Option<f64>,
    wape: Option<f64>,
    mase: Option<f64>,
    wql: Option<f64>,
    coverage_80: Option<f64>,
    peak_under: Option<f64>,
    peak_over: Option<f64>,
    q90_peak_under: Option<f64>,
    q90_peak_over: Option<f64>,
    q90_peak_exceeded: Option<f64>,
    fit_seconds: f64,
    forecast_seconds: f64,
    failure: Option<&'a str>,
}

/// One method over all series.
#[derive(Serialize)]
struct Summary {
    model: &'static str,
    /// Series with a score.
    series: usize,
    /// The share of the series on which no other method has a lower MAE.
    won: f64,
    mean_coverage_80: Option<f64>,
    mean_q90_peak_exceeded: Option<f64>,
    against: Vec<Ratio>,
}

/// Geometric means, over the series, of a method's scores over those of a baseline.
#[derive(Serialize)]
struct Ratio {
    baseline: &'static str,
    mae: Option<f64>,
    wql: Option<f64>,
}

impl<'a> Row<'a> {
    fn of(evaluated: &'a Evaluated) -> Self {
        let (scores, peaks) = (evaluated.scores.as_ref(), evaluated.peaks.as_ref());
        Self {
            series: evaluated.series.as_str(),
            model: evaluated.method.name(),
            origins: evaluated.origins,
            mae: scores.map(|s| s.mae),
            rmse: scores.map(|s| s.rmse),
            mape: scores.and_then(|s| s.mape),
            smape: scores.map(|s| s.smape),
            wape: scores.and_then(|s| s.wape),
            mase: scores.and_then(|s| s.mase),
            wql: scores.and_then(|s| s.wql),
            coverage_80: scores.map(|s| s.coverage_80),
            peak_under: peaks.map(|p| p.under),
            peak_over: peaks.map(|p| p.over),
            q90_peak_under: peaks.map(|p| p.upper_under),
            q90_peak_over: peaks.map(|p| p.upper_over),
            q90_peak_exceeded: peaks.map(|p| p.upper_exceeded),
            fit_seconds: evaluated.fit_seconds,
            forecast_seconds: evaluated.forecast_seconds,
            failure: evaluated.failure.as_deref(),
        }
    }
}

fn summaries(results: &[Evaluated]) -> Vec<Summary> {
    let mut methods: Vec<Method> = Vec::new();
    for result in results {
        if !methods.contains(&result.method) {
            methods.push(result.method);
        }
    }
    let rows = |method: Method| -> Vec<Row<'_>> {
        results.iter().filter(|r| r.method == method).map(Row::of).collect()
    };
    let all: Vec<Vec<Row<'_>>> = methods.iter().map(|method| rows(*method)).collect();
    let summary = |(at, method): (usize, &Method)| {
        let ours = &all[at];
        let best = |i: usize| all.iter().filter_map(|rows| rows[i].mae).reduce(f64::min);
        let wins = (0..ours.len()).filter(|&i| ours[i].mae.is_some() && ours[i].mae == best(i));
        let against = methods
            .iter()
            .zip(&all)
            .filter(|(baseline, _)| Method::BASELINES.contains(baseline) && *baseline != method);
        Summary {
            model: method.name(),
            series: ours.iter().filter(|row| row.mae.is_some()).count(),
            won: wins.count() as f64 / ours.len() as f64,
            mean_coverage_80: mean(ours.iter().map(|row| row.coverage_80)),
            mean_q90_peak_exceeded: mean(ours.iter().map(|row| row.q90_peak_exceeded)),
            against: against
                .map(|(baseline, theirs)| Ratio {
                    baseline: baseline.name(),
                    mae: geometric_mean(ours.iter().zip(theirs).map(|(a, b)| (a.mae, b.mae))),
                    wql: geometric_mean(ours.iter().zip(theirs).map(|(a, b)| (a.wql, b.wql))),
                })
                .collect(),
        }
    };
    methods.iter().enumerate().map(summary).collect()
}

fn mean(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let values: Vec<f64> = values.flatten().collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Of the ratios of those pairs that have one: both there and above zero.
fn geometric_mean(pairs: impl Iterator<Item = (Option<f64>, Option<f64>)>) -> Option<f64> {
    let logarithm = |(a, b): (Option<f64>, Option<f64>)| {
        let ratio = a? / b?;
        (ratio.is_finite() && ratio > 0.0).then(|| ratio.ln())
    };
    mean(pairs.map(logarithm)).map(f64::exp)
}

/// The results and their summary, as one document.
pub(super) fn json(results: &[Evaluated]) -> serde_json::Result<String> {
    let rows: Vec<Row<'_>> = results.iter().map(Row::of).collect();
    let document = serde_json::json!({ "results": rows, "summary": summaries(results) });
    serde_json::to_string_pretty(&document)
}

/// The results, a line each, with the names of [`Row`].
pub(super) fn csv(results: &[Evaluated]) -> String {
    let mut text = String::new();
    for row in results.iter().map(Row::of) {
        let Ok(serde_json::Value::Object(fields)) = serde_json::to_value(row) else { continue };
        let line = |cells: &mut dyn Iterator<Item = String>| cells.collect::<Vec<_>>().join(",");
        if text.is_empty() {
            text = line(&mut fields.keys().cloned());
        }
        let cell = |value: &serde_json::Value| match value {
            serde_json::Value::String(text) => text.replace(',', ";"),
            serde_json::Value::Null => String::new(),
            number => number.to_string(),
        };
        text.push('\n');
        text += &line(&mut fields.values().map(cell));
    }
    text
}

/// The results, a line each, and below them the summary where there are several series.
pub(super) fn table(results: &[Evaluated]) -> String {
    let width = results.iter().map(|r| r.series.as_str().len()).max().unwrap_or(0).max(6);
    let mut text = format!(
        "{:<width$}  {:<20} {:>9} {:>7} {:>7} {:>7} {:>9} {:>9}\n",
        "series", "method", "MAE", "WAPE", "MASE", "WQL", "80 % has", "peak > q90"
    );
    for row in results.iter().map(Row::of) {
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "{:<width$}  {:<20} {:>9} {:>7} {:>7} {:>7} {:>9} {:>9}",
            row.series,
            row.model,
            row.mae.map_or("-".into(), |v| format!("{v:.4}")),
            share(row.wape),
            ratio(row.mase),
            ratio(row.wql),
            share(row.coverage_80),
            share(row.q90_peak_exceeded),
        );
    }
    for result in results {
        if let Some(failure) = &result.failure {
            let _ = write!(text, "\n{} on {}: {failure}", result.method.name(), result.series);
        }
    }
    let several = results.iter().any(|r| r.series != results[0].series);
    for summary in summaries(results).iter().filter(|_| several) {
        let _ = write!(
            text,
            "\n{:<20} best on {} of {} series; 80 % interval has {}",
            summary.model,
            share(Some(summary.won)),
            summary.series,
            share(summary.mean_coverage_80)
        );
        for against in &summary.against {
            let _ = write!(
                text,
                "; MAE {} and WQL {} of {}'s",
                ratio(against.mae),
                ratio(against.wql),
                against.baseline
            );
        }
    }
    text.truncate(text.trim_end().len());
    text
}

/// Writes every forecast, a line a step.
pub(super) fn write_forecasts(path: &Path, results: &[Evaluated]) -> anyhow::Result<()> {
    let mut out = BufWriter::new(std::fs::File::create(path)?);
    let deciles: Vec<Quantile> =
        (1..=9).map(|d| Quantile::new(f64::from(d) / 10.0)).collect::<Result<_, _>>()?;
    write!(out, "series,model,origin,step,value")?;
    for decile in &deciles {
        write!(out, ",q{decile}")?;
    }
    writeln!(out)?;
    for result in results {
        let (series, model) = (&result.series, result.method.name());
        for forecast in &result.forecasts {
            for (k, point) in forecast.points().iter().enumerate() {
                let origin = forecast.origin().as_second();
                write!(out, "{series},{model},{origin},{},{point}", k + 1)?;
                for decile in &deciles {
                    write!(out, ",{}", forecast.quantile(*decile, k))?;
                }
                writeln!(out)?;
            }
        }
    }
    out.flush()?;
    Ok(())
}
