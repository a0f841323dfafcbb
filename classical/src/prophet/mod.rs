//! Prophet (Taylor and Letham, 2018), as augurs has it: a trend that bends, a day and a week, added up.

mod optimizer;
mod paths;

use augurs_prophet::optimizer::OptimizeOpts;
use augurs_prophet::{
    FeatureMode, GrowthType, OptProphetOptions, PredictionData, Predictions, ProphetOptions,
    SeasonalityOption, TrainingData,
};
use forecast::{
    Forecast, ForecastFailure, Forecaster, IntervalSource, Quantiles, ResidualQuantiles,
    SeriesView, Step, Timestamp,
};
use thiserror::Error;

use crate::calibration::{refuse_longer, refuse_other};
use optimizer::Map;
use paths::Paths;

/// Days before the end of the history that it is fitted on.
const TRAINING_DAYS: usize = 14;
/// Days without which a daily season is a guess.
const DAYS_NEEDED: usize = 2;
/// How far a rate may change at a changepoint: the tutorial's value, and Prophet's default.
const CHANGEPOINT_PRIOR_SCALE: f64 = 0.05;
/// Paths that the intervals are taken from: Prophet's default.
const PATHS: usize = 1000;

/// A fitted Prophet. It forecasts by the calendar: what came after the history that it was fitted on
/// does not change what it says, so it is to be fitted anew as time goes by.
#[derive(Clone, Debug)]
pub struct Prophet {
    model: augurs_prophet::Prophet<Map>,
    paths: Paths,
    horizon: usize,
    step: Step,
    /// The last time that it was fitted on.
    fitted_to: Timestamp,
}

/// What a point is the sum of, each in the unit of the load: `[times]`.
#[derive(Clone, PartialEq, Debug)]
pub struct Components {
    /// The trend, which is the level too.
    pub trend: Vec<f64>,
    /// What the time of day adds.
    pub daily: Vec<f64>,
    /// What the time of the week adds.
    pub weekly: Vec<f64>,
}

impl Components {
    /// The points, in the unit of the load. augurs' own are the same but for the order in which it
    /// adds up the seasons, that of a hash map, so that they are rounded differently each time.
    #[must_use]
    pub fn sums(&self) -> Vec<f64> {
        let seasons = self.daily.iter().zip(&self.weekly);
        self.trend.iter().zip(seasons).map(|(trend, (day, week))| trend + day + week).collect()
    }
}

/// Why there is no Prophet.
#[derive(Clone, PartialEq, Debug, Error)]
pub enum ProphetError {
    /// There are too few values.
    #[error("of the last two weeks {got} values were observed, but Prophet needs {needed}")]
    TooShort {
        /// Values needed.
        needed: usize,
        /// Values observed.
        got: usize,
    },
    /// augurs found no optimum.
    #[error("Prophet could not be fitted: {0}")]
    Optimization(String),
}

impl Prophet {
    /// The method's name.
    pub const NAME: &str = "prophet";

    /// Fits on the last two weeks of `history`, gaps left out, for forecasts of at most `horizon`
    /// steps.
    ///
    /// # Errors
    /// When less than two days of values were observed, or augurs refuses them.
    pub fn fit(history: SeriesView<'_>, horizon: usize) -> Result<Self, ProphetError> {
        let day = history.step().per_day();
        let recent = history.suffix(TRAINING_DAYS * day);
        let observed = |(i, value): (usize, &Option<f64>)| Some((recent.time_at(i), (*value)?));
        let (times, values): (Vec<Timestamp>, Vec<f64>) =
            recent.values().iter().enumerate().filter_map(observed).unzip();
        let (needed, got) = (DAYS_NEEDED * day, values.len());
        let Some(&fitted_to) = times.last().filter(|_| got >= needed) else {
            return Err(ProphetError::TooShort { needed, got });
        };
        let scale = values.iter().copied().fold(0.0, f64::max);
        let failed = |error: augurs_prophet::Error| ProphetError::Optimization(error.to_string());
        let map = Map::default();
        let mut model = augurs_prophet::Prophet::new(options(), map.clone());
        let seconds = times.iter().map(|time| time.as_second()).collect();
        let data = TrainingData::new(seconds, values).map_err(failed)?;
        model.fit(data, OptimizeOpts::default()).map_err(failed)?;
        let optimum = map
            .optimum()
            .ok_or_else(|| ProphetError::Optimization("the optimizer was not asked".to_owned()))?;
        let span = (times[0], fitted_to);
        let paths = Paths::new(&optimum, scale, span);
        Ok(Self { model, paths, horizon, step: history.step(), fitted_to })
    }

    /// What the points at `times` are made of.
    ///
    /// # Errors
    /// When augurs cannot evaluate them.
    pub fn components(&self, times: &[Timestamp]) -> Result<Components, ForecastFailure> {
        let seconds = times.iter().map(|time| time.as_second()).collect();
        let predictions = self.model.predict(PredictionData::new(seconds));
        let Predictions { trend, mut seasonalities, .. } =
            predictions.map_err(|error| ForecastFailure::Model(error.to_string()))?;
        let mut season = |name: &str| {
            let season = seasonalities.remove(name).map(|season| season.point);
            season.ok_or_else(|| ForecastFailure::Model(format!("there is no {name} season")))
        };
        Ok(Components { trend: trend.point, daily: season("daily")?, weekly: season("weekly")? })
    }

    fn refuse(&self, history: SeriesView<'_>, horizon: usize) -> Result<(), ForecastFailure> {
        refuse_longer(horizon, self.horizon)?;
        refuse_other(history, self.step)?;
        if history.last_time() < self.fitted_to {
            let (origin, end) = (history.last_time(), self.fitted_to);
            let what = format!("it was fitted up to {end}, which is after the origin, {origin}");
            return Err(ForecastFailure::Model(what));
        }
        Ok(())
    }
}

/// The tutorial's settings; what is not named is Prophet's default.
fn options() -> ProphetOptions {
    OptProphetOptions {
        growth: Some(GrowthType::Linear),
        seasonality_mode: Some(FeatureMode::Additive),
        daily_seasonality: Some(SeasonalityOption::Manual(true)),
        weekly_seasonality: Some(SeasonalityOption::Manual(true)),
        yearly_seasonality: Some(SeasonalityOption::Manual(false)),
        changepoint_prior_scale: CHANGEPOINT_PRIOR_SCALE.try_into().ok(),
        // augurs draws its paths from an unseeded generator and tells one interval: see `Paths`.
        uncertainty_samples: Some(0),
        ..OptProphetOptions::default()
    }
    .into()
}

impl Forecaster for Prophet {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    fn forecast(
        &self,
        history: SeriesView<'_>,
        horizon: usize,
    ) -> Result<Forecast, ForecastFailure> {
        self.refuse(history, horizon)?;
        let times: Vec<Timestamp> =
            (0..horizon).map(|k| history.time_at(history.len() + k)).collect();
        let points = self.components(&times)?.sums();
        let deviations = self.paths.deviations(&times, PATHS);
        // The noise is as wide as the errors on what was fitted.
        let source = IntervalSource::TrainingResiduals;
        let intervals = ResidualQuantiles::fit(&deviations, Quantiles::standard(), source)
            .map_err(|error| ForecastFailure::Model(error.to_string()))?;
        Ok(intervals.around(&points, history.last_time(), history.step())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{DAY, check, check_causal, mae, noise, noisy_cycle, series_of};
    use forecast::{Quantile, Series, SeriesId};

    #[test]
    fn a_cycle_on_a_slope_is_taken_apart() {
        let slope = |i: usize| 0.002 * i as f64;
        let values: Vec<Option<f64>> = noisy_cycle(8 * DAY, 0.5)
            .into_iter()
            .enumerate()
            .map(|(i, value)| value.map(|value| value + slope(i)))
            .collect();
        let series = series_of(&values);
        let training = series.view().prefix(7 * DAY);
        let prophet = Prophet::fit(training, DAY).unwrap();
        assert!(mae(&prophet, &series, 7 * DAY, 29) < 0.4);
        let times: Vec<Timestamp> = (0..DAY).map(|i| training.time_at(6 * DAY + i)).collect();
        let parts = prophet.components(&times).unwrap();
        for i in 0..DAY {
            let daily = crate::testing::cycle(i) - 10.0;
            assert!((parts.daily[i] - daily).abs() < 0.3, "step {i}: {}", parts.daily[i]);
        }
        let risen = parts.trend[DAY - 1] - parts.trend[0];
        assert!((risen - slope(DAY - 1)).abs() < 0.2, "{risen}");
    }

    #[test]
    fn one_history_gives_one_forecast() {
        let mut values = noisy_cycle(6 * DAY, 0.5);
        values[700..900].fill(None);
        let series = series_of(&values);
        let training = series.view().prefix(5 * DAY);
        let (one, other) =
            (Prophet::fit(training, 12).unwrap(), Prophet::fit(training, 12).unwrap());
        let forecast = one.forecast(series.view(), 12).unwrap();
        check(&forecast);
        assert_eq!(forecast, other.forecast(series.view(), 12).unwrap());
        check_causal(&one, &values, 5 * DAY + 100);
    }

    #[test]
    fn the_interval_holds_what_it_says() {
        let values: Vec<Option<f64>> =
            (0..9 * DAY).map(|i| Some(20.0 + noise(i) + noise(i + 77_777))).collect();
        let series = series_of(&values);
        let training = series.view().prefix(8 * DAY);
        let forecast = Prophet::fit(training, DAY).unwrap().forecast(training, DAY).unwrap();
        let inside = (0..DAY).filter(|&k| {
            let actual = series.view().values()[8 * DAY + k].unwrap();
            let (low, high) =
                (forecast.quantile(Quantile::P10, k), forecast.quantile(Quantile::P90, k));
            (low..=high).contains(&actual)
        });
        let share = inside.count() as f64 / DAY as f64;
        assert!((0.72..0.88).contains(&share), "{share}");
    }

    #[test]
    fn a_load_that_falls_to_nothing_is_not_forecast_below_it() {
        let values: Vec<Option<f64>> =
            (0..4 * DAY).map(|i| Some((10.0 - 0.009 * i as f64).max(0.0))).collect();
        let series = series_of(&values);
        let forecast = Prophet::fit(series.view(), DAY).unwrap().forecast(series.view(), DAY);
        check(&forecast.unwrap());
    }

    #[test]
    fn a_constant_load_stays() {
        for load in [0.0, 3.0] {
            let series = series_of(&vec![Some(load); 3 * DAY]);
            let forecast = Prophet::fit(series.view(), 12).unwrap().forecast(series.view(), 12);
            let forecast = forecast.unwrap();
            check(&forecast);
            assert!(forecast.points().iter().all(|point| (point - load).abs() < 1e-3));
        }
    }

    #[test]
    fn what_cannot_be_fitted_is_said() {
        let values = noisy_cycle(3 * DAY, 0.5);
        let series = series_of(&values);
        let short = Prophet::fit(series.view().prefix(500), 12).unwrap_err();
        assert_eq!(short, ProphetError::TooShort { needed: 576, got: 500 });
        let mut gapped = values.clone();
        gapped[100..500].fill(None);
        let gapped = Prophet::fit(series_of(&gapped).view(), 12).unwrap_err();
        assert_eq!(gapped, ProphetError::TooShort { needed: 576, got: 464 });
        let fitted = Prophet::fit(series.view(), 12).unwrap();
        let failure = fitted.forecast(series.view(), 13).unwrap_err();
        assert_eq!(failure, ForecastFailure::HorizonTooLong { longest: 12, asked: 13 });
        let early = fitted.forecast(series.view().prefix(600), 12).unwrap_err().to_string();
        assert!(early.contains("after the origin"), "{early}");
        let (id, minute) = (SeriesId::new("other").unwrap(), Step::from_seconds(60).unwrap());
        let other = Series::from_values(id, minute, Timestamp::UNIX_EPOCH, values).unwrap();
        let failure = fitted.forecast(other.view(), 12).unwrap_err();
        assert!(matches!(failure, ForecastFailure::OtherStep { .. }));
    }
}
