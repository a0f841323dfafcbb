//! Rolling-origin evaluation: forecasts made from the past, scored by what followed.

use std::ops::Range;

use crate::accuracy::{Outcome, Reference, Scores};
use crate::forecaster::{ForecastFailure, Forecaster};
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
#[derive(Clone, PartialEq, Debug)]
pub struct Backtest {
    /// Every forecast value whose actual was observed.
    pub outcomes: Vec<Outcome>,
    /// The number of forecasts.
    pub origins: usize,
}

impl Plan {
    /// The origins: the first target of each forecast, kept where five in six of the targets and
    /// half of the lookback were observed.
    pub fn origins(&self, series: SeriesView<'_>) -> impl Iterator<Item = usize> {
        let values = series.values();
        let end = self.range.end.min(values.len());
        let (horizon, lookback) = (self.horizon, self.lookback);
        let observed = |stretch: &[Option<f64>]| stretch.iter().flatten().count();
        (self.range.start..end)
            .step_by(self.stride.max(1))
            .filter(move |&origin| origin + horizon <= end && origin >= lookback)
            .filter(move |&origin| {
                6 * observed(&values[origin..origin + horizon]) >= 5 * horizon
                    && 2 * observed(&values[origin - lookback..origin]) >= lookback
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
        let mut backtest = Backtest { outcomes: Vec::new(), origins: 0 };
        for origin in self.origins(series) {
            let forecast = forecaster.forecast(series.prefix(origin), self.horizon)?;
            backtest.origins += 1;
            for k in 0..self.horizon {
                if let Some(actual) = series.values()[origin + k] {
                    backtest.outcomes.push(Outcome::new(&forecast, k, actual));
                }
            }
        }
        Ok(backtest)
    }
}

impl Backtest {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::{LastValue, SeasonalNaive};
    use crate::forecast::Forecast;
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
    fn nothing_after_an_origin_reaches_its_forecast() {
        struct Recording<'a>(&'a LastValue, std::sync::Mutex<Vec<Forecast>>);
        impl Forecaster for Recording<'_> {
            fn name(&self) -> &str {
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
