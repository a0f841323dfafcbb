//! Prophet (Taylor and Letham, 2018), as augurs has it: a trend that bends, a day and a week, added
//! up; the optimum is Stan's, run as WebAssembly.

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
use optimizer::Stan;
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
    model: augurs_prophet::Prophet<Stan>,
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
    /// The history never changes, so there is no most likely noise.
    #[error("the history is constant")]
    Constant,
    /// Stan found no optimum.
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
    /// When less than two days of values were observed, they are all the same, or Stan fails.
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
        if values.iter().all(|value| *value == values[0]) {
            return Err(ProphetError::Constant);
        }
        let scale = values.iter().copied().fold(0.0, f64::max);
        let failed = |error: augurs_prophet::Error| ProphetError::Optimization(error.to_string());
        let stan = Stan::default();
        let mut model = augurs_prophet::Prophet::new(options(), stan.clone());
        let seconds = times.iter().map(|time| time.as_second()).collect();
        let data = TrainingData::new(seconds, values).map_err(failed)?;
        model.fit(data, OptimizeOpts::default()).map_err(failed)?;
        let optimum = stan
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
        let Predictions { trend, mut seasonalities, .. } = self.predict(times)?;
        let mut season = |name: &str| {
            let season = seasonalities.remove(name).map(|season| season.point);
            season.ok_or_else(|| ForecastFailure::Model(format!("there is no {name} season")))
        };
        Ok(Components { trend: trend.point, daily: season("daily")?, weekly: season("weekly")? })
    }

    fn predict(&self, times: &[Timestamp]) -> Result<Predictions, ForecastFailure> {
        let seconds = times.iter().map(|time| time.as_second()).collect();
        let predictions = self.model.predict(PredictionData::new(seconds));
        predictions.map_err(|error| ForecastFailure::Model(error.to_string()))
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
    fn name(&self) -> &str {
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
        let points = self.predict(&times)?.yhat.point;
        let deviations = self.paths.deviations(&times, PATHS);
        // The noise is as wide as the errors on what was fitted.
        let source = IntervalSource::TrainingResiduals;
        let intervals = ResidualQuantiles::fit(&deviations, Quantiles::standard(), source)
            .map_err(|error| ForecastFailure::Model(error.to_string()))?;
        Ok(intervals.around(&points, history.last_time(), history.step())?)
    }
}
