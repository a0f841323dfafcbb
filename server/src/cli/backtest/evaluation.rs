//! Every method on every series, some at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use anyhow::Context as _;
use clap::ValueEnum;
use forecast::accuracy::{PeakScores, Reference, Scores};
use forecast::backtest::{Backtest, Plan, TestPart};
use forecast::{Forecast, LOOKBACK, Series, SeriesId, SeriesView};
use trainer::LstmNetworks;

use super::method::Method;
use crate::output::causes;

/// When methods are fitted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub(super) enum Refit {
    /// Once, on what lies before the part that is forecast.
    #[default]
    Never,
    /// Anew each day, on all that lies before it.
    Daily,
}

/// How methods are evaluated.
#[derive(Clone, Debug)]
pub(super) struct Evaluation {
    /// The network that was trained on many workloads.
    pub(super) networks: LstmNetworks,
    pub(super) test: TestPart,
    pub(super) stride: usize,
    pub(super) horizon: usize,
    pub(super) refit: Refit,
    pub(super) keep_forecasts: bool,
}

/// One method on one series.
#[derive(Debug)]
pub(super) struct Evaluated {
    pub(super) series: SeriesId,
    pub(super) method: Method,
    pub(super) origins: usize,
    pub(super) scores: Option<Scores>,
    pub(super) peaks: Option<PeakScores>,
    pub(super) fit_seconds: f64,
    /// A forecast.
    pub(super) forecast_seconds: f64,
    /// Why the method could not be fitted on the series, or not forecast it; then there is no score.
    pub(super) failure: Option<String>,
    /// Empty unless they are to be kept.
    pub(super) forecasts: Vec<Forecast>,
}

impl Evaluation {
    /// Each of `methods` on each of `series`, in that order; `done` is told the name of each pair.
    ///
    /// # Errors
    /// When a series has no origin to forecast from. A method that fails on a series is no error: it
    /// has no scores there, and says why.
    pub(super) fn run(
        &self,
        series: &[Series],
        methods: &[Method],
        threads: usize,
        done: &(dyn Fn(&str) + Sync),
    ) -> anyhow::Result<Vec<Evaluated>> {
        let jobs: Vec<(&Series, Method)> =
            series.iter().flat_map(|series| methods.iter().map(move |m| (series, *m))).collect();
        let results: Vec<Mutex<Option<anyhow::Result<Evaluated>>>> =
            jobs.iter().map(|_| Mutex::new(None)).collect();
        let next = AtomicUsize::new(0);
        let work = || {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                let Some((series, method)) = jobs.get(at) else { return };
                let name = format!("{} on {}", method.name(), series.id());
                let result = self.evaluate(series.view(), *method).with_context(|| name.clone());
                done(&name);
                // Nobody else has this slot; a poisoned lock holds it all the same.
                *results[at].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
            }
        };
        thread::scope(|scope| {
            for _ in 0..threads.min(jobs.len()) {
                scope.spawn(work);
            }
        });
        let result = |slot: Mutex<Option<_>>| {
            slot.into_inner().ok().flatten().context("a thread of the backtest failed")?
        };
        results.into_iter().map(result).collect()
    }

    fn evaluate(&self, series: SeriesView<'_>, method: Method) -> anyhow::Result<Evaluated> {
        let range = self.test.of(series.len());
        let training = series.prefix(range.start);
        let plan = Plan { range, horizon: self.horizon, stride: self.stride, lookback: LOOKBACK };
        let origins: Vec<usize> = plan.origins(series).collect();
        anyhow::ensure!(
            !origins.is_empty(),
            "there is nothing to forecast: of its last {} steps none has {} before it and {} after \
             it that were observed",
            plan.range.len(),
            LOOKBACK,
            self.horizon
        );
        let day = |origin: &usize| (origin - plan.range.start) / series.step().per_day();
        let same_fit = |a: &usize, b: &usize| self.refit == Refit::Never || day(a) == day(b);
        let mut evaluated = Evaluated {
            series: series.id().clone(),
            method,
            origins: origins.len(),
            scores: None,
            peaks: None,
            fit_seconds: 0.0,
            forecast_seconds: 0.0,
            failure: None,
            forecasts: Vec::new(),
        };
        let mut backtest = Backtest::default();
        for origins in origins.chunk_by(same_fit) {
            let known = match self.refit {
                Refit::Never => training,
                Refit::Daily => series.prefix(origins[0]),
            };
            let started = Instant::now();
            let fitted = method.fit(known, self.horizon, &self.networks);
            evaluated.fit_seconds += started.elapsed().as_secs_f64();
            let started = Instant::now();
            let forecasts = fitted.and_then(|f| Ok(f.forecasts(series, origins, self.horizon)?));
            evaluated.forecast_seconds += started.elapsed().as_secs_f64();
            match forecasts {
                Ok(forecasts) => {
                    forecasts.iter().for_each(|forecast| backtest.add(forecast, series));
                    if self.keep_forecasts {
                        evaluated.forecasts.extend(forecasts);
                    }
                }
                // A part of a series would be scored beside the whole of it.
                Err(error) => {
                    evaluated.failure = Some(causes(&error));
                    evaluated.forecasts.clear();
                    return Ok(evaluated);
                }
            }
        }
        evaluated.forecast_seconds /= backtest.origins as f64;
        let reference = Reference::from_training(training);
        evaluated.scores = backtest.scores(&reference);
        evaluated.peaks = backtest.peak_scores(&reference);
        Ok(evaluated)
    }
}
