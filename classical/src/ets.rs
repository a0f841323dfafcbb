//! Exponential smoothing, its form and parameters estimated anew at each origin.

use forecast::gaps::FilledView;
use forecast::{Forecast, ForecastFailure, Forecaster, HORIZON, SeriesView};
use thiserror::Error;

use crate::calibration::{Calibrated, CalibrationError, Points};
use crate::smoothing::best_points;
use crate::window::recent;

/// Steps before the origin that it is estimated on: a day of five-minute steps. More cost more and
/// forecast no better.
const WINDOW: usize = 288;
/// Steps from which six parameters can be estimated.
const NEEDED: usize = 2 * HORIZON;

/// Exponential smoothing without a season, as statsforecast's `AutoETS` with the model `ZZN`.
///
/// Its intervals are the errors that its forecasts of the last two weeks would have had. On recorded
/// loads they hold better than those that the model implies, which take errors for independent and
/// of one size.
#[derive(Clone, Debug)]
pub struct Ets(Calibrated<Smoothing>);

#[derive(Clone, Copy, Debug)]
struct Smoothing;

/// Why there is no exponential smoothing.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum EtsError {
    /// The history is too short.
    #[error("the history has {got} steps, but exponential smoothing needs {needed}")]
    TooShort {
        /// Steps needed.
        needed: usize,
        /// Steps given, from the first observed one on.
        got: usize,
    },
    /// The intervals could not be fitted.
    #[error(transparent)]
    Intervals(#[from] CalibrationError),
}

impl Ets {
    /// The method's name.
    pub const NAME: &str = "ets";

    /// Fits the intervals on the last two weeks of `history`, for forecasts of at most `horizon`
    /// steps.
    ///
    /// # Errors
    /// When the history is too short or too gapped.
    pub fn fit(history: SeriesView<'_>, horizon: usize) -> Result<Self, EtsError> {
        let (needed, got) = (NEEDED, FilledView::of(history).len());
        if got < needed {
            return Err(EtsError::TooShort { needed, got });
        }
        Ok(Self(Calibrated::fit(Smoothing, history, horizon)?))
    }
}

impl Points for Smoothing {
    fn needed(&self) -> usize {
        NEEDED
    }

    fn points(&self, history: SeriesView<'_>, horizon: usize) -> Result<Vec<f64>, ForecastFailure> {
        best_points(&recent(history, WINDOW), horizon)
    }
}

impl Forecaster for Ets {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn forecast(
        &self,
        history: SeriesView<'_>,
        horizon: usize,
    ) -> Result<Forecast, ForecastFailure> {
        self.0.forecast(history, horizon)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check, check_causal, noise, noisy_cycle, series_of};
    use forecast::{Quantile, Series, SeriesId, Step, Timestamp};
    use proptest::prelude::*;

    #[test]
    fn a_constant_load_stays() {
        for load in [0.0, 3.0, 4e10] {
            let series = series_of(&vec![Some(load); 700]);
            let forecast = Ets::fit(series.view(), 12).unwrap().forecast(series.view(), 12);
            let forecast = forecast.unwrap();
            check(&forecast);
            for point in forecast.points() {
                assert!((point - load).abs() <= 1e-6 * load.max(1.0), "{point} {load}");
            }
        }
    }

    #[test]
    fn a_trend_goes_on() {
        let values: Vec<Option<f64>> =
            (0..800).map(|i| Some(10.0 + 0.1 * i as f64 + 0.02 * noise(i))).collect();
        let series = series_of(&values);
        let forecast = Ets::fit(series.view(), 12).unwrap().forecast(series.view(), 12).unwrap();
        for (k, point) in forecast.points().iter().enumerate() {
            let expected = 10.0 + 0.1 * (800 + k) as f64;
            assert!((point - expected).abs() < 0.1, "step {k}: {point} {expected}");
        }
    }

    #[test]
    fn a_walk_is_less_certain_with_each_step() {
        let mut load = 100.0;
        let walk = |i| {
            load += noise(i);
            Some(load)
        };
        let series = series_of(&(0..2000).map(walk).collect::<Vec<_>>());
        let forecast = Ets::fit(series.view(), 12).unwrap().forecast(series.view(), 12).unwrap();
        let width = |k| forecast.quantile(Quantile::P90, k) - forecast.quantile(Quantile::P10, k);
        assert!(width(11) > 2.0 * width(0), "{} {}", width(0), width(11));
    }

    #[test]
    fn too_little_is_said() {
        let values = noisy_cycle(800, 0.5);
        let series = series_of(&values);
        let short = Ets::fit(series.view().prefix(20), 12).unwrap_err();
        assert_eq!(short, EtsError::TooShort { needed: 24, got: 20 });
        let short = Ets::fit(series.view().prefix(50), 12).unwrap_err().to_string();
        assert!(short.contains("15 forecasts") && short.contains("need 24"), "{short}");
        let mut gapped = values.clone();
        gapped[30..780].fill(None);
        let gapped = Ets::fit(series_of(&gapped).view(), 12).unwrap_err();
        assert!(matches!(gapped, EtsError::Intervals(CalibrationError::TooFew { .. })));
        let fitted = Ets::fit(series.view(), 12).unwrap();
        let failure = fitted.forecast(series.view().prefix(10), 12).unwrap_err();
        assert_eq!(failure, ForecastFailure::TooShort { needed: 24, got: 10 });
        let failure = fitted.forecast(series.view(), 13).unwrap_err();
        assert_eq!(failure, ForecastFailure::HorizonTooLong { longest: 12, asked: 13 });
        let (id, minute) = (SeriesId::new("other").unwrap(), Step::from_seconds(60).unwrap());
        let other = Series::from_values(id, minute, Timestamp::UNIX_EPOCH, values).unwrap();
        let failure = fitted.forecast(other.view(), 12).unwrap_err();
        assert!(matches!(failure, ForecastFailure::OtherStep { .. }));
    }

    #[test]
    fn the_future_does_not_count() {
        let values = noisy_cycle(1000, 0.5);
        let fitted = Ets::fit(series_of(&values).view().prefix(900), 12).unwrap();
        for origin in [900, 907, 950] {
            check_causal(&fitted, &values, origin);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(6))]
        #[test]
        fn any_load_is_forecast_or_refused(
            runs in prop::collection::vec(
                (prop::option::weighted(0.8, 0.0..1e6_f64), 0.0..1e3_f64, 1_usize..80),
                2..16,
            )
        ) {
            let run = |(level, size, steps): (Option<f64>, f64, usize)| {
                let load = move |i| level.map(|level| (level + size * noise(i)).max(0.0));
                (0..steps).map(load)
            };
            let mut values: Vec<Option<f64>> = runs.into_iter().flat_map(run).collect();
            values.push(Some(1.0));
            let series = series_of(&values);
            if let Ok(fitted) = Ets::fit(series.view(), 12) {
                check(&fitted.forecast(series.view(), 12).unwrap());
            }
        }
    }
}
