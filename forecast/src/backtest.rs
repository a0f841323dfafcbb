//! Rolling-origin evaluation: forecasts made from the past, scored by what followed.

use std::ops::Range;

use crate::HORIZON;
use crate::accuracy::{Outcome, Peak, PeakScores, Reference, Scores};
use crate::forecast::Forecast;
use crate::forecaster::{ForecastFailure, Forecaster};
use crate::gaps::require_observed;
use crate::quantile::Quantile;
use crate::series::SeriesView;

/// Which forecasts are made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Offsets of the series in which all targets lie.
    pub range: Range<usize>,
    /// Steps of each forecast.
    pub horizon: usize,
    /// Distance of two origins.
    pub stride: usize,
    /// Steps before the origin of which half must have been observed.
    pub lookback: usize,
}

/// What came out.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct Backtest {
    /// Every forecast value whose actual was observed.
    pub outcomes: Vec<Outcome>,
    /// The peak of every forecast that had an actual.
    pub peaks: Vec<Peak>,
    /// The number of forecasts.
    pub origins: usize,
}

/// The last part of a series, in which forecasts are scored; what lies before it, a method may be
/// fitted on.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct TestPart {
    /// Its share of the series.
    pub share: f64,
    /// Most steps of it.
    pub steps_max: usize,
}

impl TestPart {
    /// Its offsets in a series of `points`; it begins at a multiple of [`HORIZON`], whatever is done
    /// with it.
    #[must_use]
    pub fn of(self, points: usize) -> Range<usize> {
        let steps = (self.share * points as f64).min(self.steps_max as f64) as usize;
        let start = points.saturating_sub(steps);
        start - start % HORIZON..points
    }
}

/// Forecasts that are made at once: enough to keep any device busy, few enough that one who wants
/// to stop does not wait.
const PORTION: usize = 512;

impl Plan {
    /// The origins: the first target of each forecast, kept where five in six of the targets and
    /// half of the lookback were observed.
    pub fn origins(&self, series: SeriesView<'_>) -> impl Iterator<Item = usize> {
        let values = series.values();
        let end = self.range.end.min(values.len());
        let (horizon, lookback) = (self.horizon, self.lookback);
        (self.range.start..end)
            .step_by(self.stride.max(1))
            .filter(move |&origin| origin + horizon <= end && origin >= lookback)
            .filter(move |&origin| {
                6 * values[origin..origin + horizon].iter().flatten().count() >= 5 * horizon
                    && require_observed(&values[origin - lookback..origin]).is_ok()
            })
    }

    /// Forecasts at every origin from what was known then.
    ///
    /// # Errors
    /// The first failure of the forecaster.
    pub fn run(
        &self,
        forecaster: &dyn Forecaster,
        series: SeriesView<'_>,
    ) -> Result<Backtest, ForecastFailure> {
        self.run_watched(forecaster, series, &mut |_, _| Ok(()))
    }

    /// As [`Self::run`], telling `watch` now and then how many forecasts are done, and of how many;
    /// an error of it ends the run.
    ///
    /// # Errors
    /// The first failure of the forecaster, or the error of `watch`.
    pub fn run_watched<E: From<ForecastFailure>>(
        &self,
        forecaster: &dyn Forecaster,
        series: SeriesView<'_>,
        watch: &mut dyn FnMut(usize, usize) -> Result<(), E>,
    ) -> Result<Backtest, E> {
        let origins: Vec<usize> = self.origins(series).collect();
        let mut backtest = Backtest::default();
        for portion in origins.chunks(PORTION) {
            for forecast in forecaster.forecasts(series, portion, self.horizon)? {
                backtest.add(&forecast, series);
            }
            watch(backtest.origins, origins.len())?;
        }
        Ok(backtest)
    }
}

impl Backtest {
    /// Adds what came true of a forecast.
    pub fn add(&mut self, forecast: &Forecast, series: SeriesView<'_>) {
        self.origins += 1;
        self.peaks.extend(peak(forecast, series));
        for k in 0..forecast.horizon() {
            if let Some(actual) = series.value_at(forecast.time_at(k)) {
                self.outcomes.push(Outcome::new(forecast, k, actual));
            }
        }
    }

    /// The scores of the peaks; `None` when there was none to be scored.
    #[must_use]
    pub fn peak_scores(&self, reference: &Reference) -> Option<PeakScores> {
        PeakScores::of(&self.peaks, reference)
    }

    /// The scores over all outcomes; `None` when there was no origin.
    #[must_use]
    pub fn scores(&self, reference: &Reference) -> Option<Scores> {
        Scores::of(&self.outcomes, reference)
    }

    /// The residuals (actual − forecast) by horizon step: `[horizon][…]`.
    #[must_use]
    pub fn residuals(&self, horizon: usize) -> Vec<Vec<f64>> {
        let mut by_step = vec![Vec::new(); horizon];
        for outcome in self.outcomes.iter().filter(|outcome| outcome.k < horizon) {
            by_step[outcome.k].push(outcome.actual - outcome.point);
        }
        by_step
    }
}

fn peak(forecast: &Forecast, series: SeriesView<'_>) -> Option<Peak> {
    let steps = 0..forecast.horizon();
    let highest = |values: &mut dyn Iterator<Item = f64>| values.reduce(f64::max);
    Some(Peak {
        actual: highest(&mut steps.clone().filter_map(|k| series.value_at(forecast.time_at(k))))?,
        point: highest(&mut forecast.points().iter().copied())?,
        upper: forecast.peak(Quantile::P90, steps)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::{LastValue, SeasonalNaive};
    use crate::testing::{daily_cycle, series_of};

    fn plan() -> Plan {
        Plan { range: 576..864, horizon: 12, stride: 12, lookback: 24 }
    }

    #[test]
    fn seasonal_naive_is_exact_on_a_pure_cycle() {
        let series = daily_cycle(3);
        let fitted = SeasonalNaive::fit(series.view().prefix(576), 288, 12).unwrap();
        let backtest = plan().run(&fitted, series.view()).unwrap();
        assert_eq!((backtest.origins, backtest.outcomes.len()), (24, 288));
        let reference = Reference { mape_floor: 0.0, seasonal_mae: Some(1.0) };
        assert!(backtest.scores(&reference).unwrap().mae < 1e-9);
        assert_eq!(backtest.residuals(12)[11].len(), 24);
    }

    #[test]
    fn the_test_part_is_a_share_or_some_days_and_begins_at_an_hour() {
        let part = TestPart { share: 0.3, steps_max: 5 * 288 };
        assert_eq!(part.of(4032), 2820..4032, "2822.4 rounded down");
        assert_eq!(part.of(8000), 6552..8000, "five days, rounded down");
        assert_eq!(part.of(0), 0..0);
    }

    #[test]
    fn origins_without_enough_observations_are_left_out() {
        let mut values: Vec<Option<f64>> = vec![Some(1.0); 864];
        values[600..603].fill(None);
        values[700..713].fill(None);
        let series = series_of(&values);
        let origins: Vec<usize> = plan().origins(series.view()).collect();
        assert!(!origins.contains(&600), "three of twelve targets are missing");
        assert!(!origins.contains(&696) && !origins.contains(&708));
        assert!(!origins.contains(&720), "thirteen of its lookback are missing");
        assert!(origins.contains(&732));
    }

    #[test]
    fn a_watcher_is_told_of_every_portion_and_ends_the_run() {
        let series = daily_cycle(5);
        let fitted = SeasonalNaive::fit(series.view(), 288, 12).unwrap();
        let plan = Plan { range: 288..1440, stride: 1, ..plan() };
        let mut told = Vec::new();
        let mut watch = |done, of| {
            told.push((done, of));
            if done < 1024 { Ok(()) } else { Err(ForecastFailure::Model("enough".to_owned())) }
        };
        let failure = plan.run_watched(&fitted, series.view(), &mut watch).unwrap_err();
        assert_eq!(failure, ForecastFailure::Model("enough".to_owned()));
        assert_eq!(told, [(512, 1141), (1024, 1141)]);
        assert_eq!(plan.run(&fitted, series.view()).unwrap().origins, 1141);
    }

    #[test]
    fn nothing_after_an_origin_reaches_its_forecast() {
        struct Recording<'a>(&'a LastValue, std::sync::Mutex<Vec<Forecast>>);
        impl Forecaster for Recording<'_> {
            fn name(&self) -> &'static str {
                "recording"
            }
            fn forecast(
                &self,
                history: SeriesView<'_>,
                horizon: usize,
            ) -> Result<Forecast, ForecastFailure> {
                let forecast = self.0.forecast(history, horizon)?;
                self.1.lock().unwrap().push(forecast.clone());
                Ok(forecast)
            }
        }
        let series = daily_cycle(3);
        let mut shifted: Vec<Option<f64>> = series.view().values().to_vec();
        for value in &mut shifted[600..] {
            *value = value.map(|v| v + 1000.0);
        }
        let fitted = LastValue::fit(series.view().prefix(576), 12).unwrap();
        let made = |series: &crate::Series| {
            let recording = Recording(&fitted, std::sync::Mutex::default());
            let plan = Plan { range: 576..612, ..plan() };
            plan.run(&recording, series.view()).unwrap();
            recording.1.into_inner().unwrap()
        };
        assert_eq!(made(&series), made(&series_of(&shifted)));
    }
}
