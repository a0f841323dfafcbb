//! A method to which the history before a level shift is told at its new level.

use std::sync::Arc;

use crate::forecast::Forecast;
use crate::forecaster::{ForecastFailure, Forecaster, forecast_alone};
use crate::level_shift::LevelShift;
use crate::series::SeriesView;

/// A method that sees its history rescaled. What it forecasts from before the shift is put back to the
/// old level, so that it can be replayed and judged there like any other.
#[derive(Clone)]
pub struct Rescaled {
    name: &'static str,
    inner: Arc<dyn Forecaster>,
    shift: LevelShift,
}

impl std::fmt::Debug for Rescaled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rescaled").field("name", &self.name).field("shift", &self.shift).finish()
    }
}

impl Rescaled {
    /// `inner`, which was fitted on a history that [`LevelShift::rescale`] made, under a name of its own.
    #[must_use]
    pub fn new(name: &'static str, inner: Arc<dyn Forecaster>, shift: LevelShift) -> Self {
        Self { name, inner, shift }
    }
}

impl Forecaster for Rescaled {
    fn name(&self) -> &'static str {
        self.name
    }

    fn forecast(
        &self,
        history: SeriesView<'_>,
        horizon: usize,
    ) -> Result<Forecast, ForecastFailure> {
        forecast_alone(self, history, horizon)
    }

    fn forecasts(
        &self,
        series: SeriesView<'_>,
        origins: &[usize],
        horizon: usize,
    ) -> Result<Vec<Forecast>, ForecastFailure> {
        let rescaled = self.shift.rescaled(series);
        let forecasts = self.inner.forecasts(series.with_values(&rescaled), origins, horizon)?;
        let at_its_level = |forecast: Forecast| {
            let before = forecast.origin() < self.shift.at();
            let back = vec![1.0 / self.shift.factor(); horizon];
            Ok(if before { forecast.multiplied(&back)? } else { forecast })
        };
        forecasts.into_iter().map(at_its_level).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::SeasonalNaive;
    use crate::testing::{daily_cycle, series_of};

    #[test]
    fn the_day_before_is_told_at_the_new_level_and_the_past_at_the_old_one() {
        let series = daily_cycle(5);
        let (at, factor) = (4 * 288 + 100, 1.8);
        let values: Vec<_> = series.view().values().to_vec();
        let jumped: Vec<_> = (0..values.len())
            .map(|i| values[i].map(|v| if i >= at { factor * v } else { v }))
            .collect();
        let series = series_of(&jumped);
        let shift = LevelShift::new(series.view().time_at(at), factor).unwrap();
        let fitted_on = shift.rescale(series.view().prefix(at)).unwrap();
        let inner = Arc::new(SeasonalNaive::fit(fitted_on.view(), 288, 12).unwrap());
        let method = Rescaled::new("rescaled", inner, shift);
        for origin in [at - 50, at + 80] {
            let forecast = method.forecast(series.view().prefix(origin), 12).unwrap();
            for (k, point) in forecast.points().iter().enumerate() {
                let actual = jumped[origin + k].unwrap();
                assert!((point - actual).abs() < 1e-9 * actual, "{origin} + {k}: {point} {actual}");
            }
        }
    }
}
