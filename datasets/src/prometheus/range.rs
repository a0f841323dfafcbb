//! A query over a span of time: what is asked, in which portions, and how the answers make one
//! series.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use forecast::{POINTS_MAX, Sample, Series, SeriesId, Step, Timestamp};

use super::answer::Answer;
use super::error::PrometheusError;
use crate::History;

/// Points a request may ask for; Prometheus refuses more (`web/api/v1`, "exceeded maximum
/// resolution of 11,000 points per timeseries").
pub const POINTS_PER_REQUEST_MAX: usize = 11_000;
/// The series listed when there are several.
const LISTED_SERIES_MAX: usize = 5;
/// Warnings kept; a query over many blocks can give thousands.
const WARNINGS_MAX: usize = 20;

/// How Prometheus is to make one series of several.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Aggregation {
    /// The sum: right for what a workload uses as a whole.
    Sum,
    /// The mean.
    Avg,
    /// The largest.
    Max,
    /// The smallest.
    Min,
}

impl Aggregation {
    /// PromQL's operator.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Avg => "avg",
            Self::Max => "max",
            Self::Min => "min",
        }
    }
}

/// What to ask, and of which time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RangeQuery {
    /// The PromQL expression; it must return one series, unless `aggregation` makes it one.
    pub promql: String,
    /// Makes one series of several; without it, several are refused.
    pub aggregation: Option<Aggregation>,
    /// The name of the series that results.
    pub id: SeriesId,
    /// The distance of the points asked for, and the step of the series.
    pub step: Step,
    /// The first point is the first on the step's grid that is not before this.
    pub from: Timestamp,
    /// The last point is the last on the step's grid that is not after this.
    pub to: Timestamp,
}

impl RangeQuery {
    /// The expression to send. The line breaks end a comment at the end of the given one.
    pub(super) fn expression(&self) -> String {
        match self.aggregation {
            Some(aggregation) => format!("{}((\n{}\n))", aggregation.as_str(), self.promql),
            None => self.promql.clone(),
        }
    }

    /// The spans to ask for one after the other, as grid indices.
    pub(super) fn portions(&self) -> Result<Vec<RangeInclusive<i64>>, PrometheusError> {
        let refused = |reason: String| Err(PrometheusError::Query { reason });
        if self.promql.trim().is_empty() {
            return refused("it is empty: expected PromQL such as sum(rate(…[5m]))".to_owned());
        }
        let first = self.step.ceil_index(self.from);
        let last = self.step.floor_index(self.to);
        let (from, to, step) = (self.from, self.to, self.step);
        if first > last {
            return refused(format!("no step of {step} lies between {from} and {to}"));
        }
        let points = last.abs_diff(first).saturating_add(1);
        if points > POINTS_MAX as u64 {
            return refused(format!(
                "{from} to {to} is {points} steps of {step}, at most {POINTS_MAX} are accepted: ask for less, or use a longer step"
            ));
        }
        let portion = POINTS_PER_REQUEST_MAX as i64;
        let end = |start: i64| last.min(start + portion - 1);
        Ok((first..=last).step_by(POINTS_PER_REQUEST_MAX).map(|s| s..=end(s)).collect())
    }
}

/// Answers put together.
#[derive(Default)]
pub(super) struct Merge {
    series: BTreeMap<String, Vec<Sample>>,
    warnings: Vec<String>,
}

impl Merge {
    /// Adds the next answer.
    pub(super) fn add(&mut self, answer: Answer) -> Result<(), PrometheusError> {
        for warning in answer.warnings {
            if self.warnings.len() < WARNINGS_MAX && !self.warnings.contains(&warning) {
                self.warnings.push(warning);
            }
        }
        for (labels, samples) in answer.series {
            self.series.entry(labels).or_default().extend(samples);
        }
        if self.series.len() > 1 {
            let labels: Vec<&str> =
                self.series.keys().take(LISTED_SERIES_MAX).map(String::as_str).collect();
            let more = if self.series.len() > LISTED_SERIES_MAX { ", …" } else { "" };
            return Err(PrometheusError::SeveralSeries {
                count: self.series.len(),
                labels: labels.join(", ") + more,
            });
        }
        Ok(())
    }

    /// The history that the answers make.
    pub(super) fn into_history(self, query: &RangeQuery) -> Result<History, PrometheusError> {
        let promql = || crate::shorten(&query.expression(), super::answer::MESSAGE_CHARS_MAX);
        let samples = self.series.into_values().next().unwrap_or_default();
        if samples.is_empty() {
            return Err(PrometheusError::NoData {
                promql: promql(),
                from: query.from,
                to: query.to,
            });
        }
        let (series, report) = Series::from_samples(query.id.clone(), query.step, &samples)
            .map_err(|source| PrometheusError::Series { promql: promql(), source })?;
        Ok(History { series, report, warnings: self.warnings })
    }
}
