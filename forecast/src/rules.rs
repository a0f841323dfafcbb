//! Rules of thumb for the next steps, each with the intervals that its own past errors give.

use crate::baseline::refuse_longer;
use crate::forecast::{Forecast, IntervalSource};
use crate::forecaster::{ForecastFailure, Forecaster};
use crate::gaps::FilledView;
use crate::quantile::Quantiles;
use crate::residuals::{ResidualQuantiles, ResidualsError};
use crate::series::SeriesView;

/// What the next steps are expected to be, by the values before them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// On the line from the first value to the last.
    Drift,
    /// The mean of the last values.
    MovingAverage {
        /// How many.
        steps: usize,
    },
    /// The mean of the values whole seasons before.
    MeanOfSeasons {
        /// Steps of a season.
        season_length: usize,
        /// How many seasons back.
        seasons: usize,
    },
}

impl Rule {
    /// Values that it needs.
    fn needed(self) -> usize {
        match self {
            Self::Drift => 2,
            Self::MovingAverage { steps } => steps,
            Self::MeanOfSeasons { season_length, seasons } => season_length * seasons,
        }
    }

    /// The points after the first `end` of `known`, of which it needs [`Self::needed`].
    fn points(self, known: FilledView<'_>, end: usize, horizon: usize) -> Vec<f64> {
        let mean = |of: &mut dyn Iterator<Item = usize>| {
            let (sum, count) =
                of.fold((0.0, 0.0), |(sum, count), index| (sum + known.at(index), count + 1.0));
            sum / count
        };
        match self {
            Self::Drift => {
                let (first, last) = (known.at(0), known.at(end - 1));
                let slope = (last - first) / (end - 1) as f64;
                // A load is never negative.
                (1..=horizon).map(|k| (last + slope * k as f64).max(0.0)).collect()
            }
            Self::MovingAverage { steps } => vec![mean(&mut (end - steps..end)); horizon],
            Self::MeanOfSeasons { season_length, seasons } => (0..horizon)
                .map(|k| {
                    // Beyond a season the season repeats.
                    let at = end + k % season_length;
                    mean(&mut (1..=seasons).map(|back| at - back * season_length))
                })
                .collect(),
        }
    }
}

/// A rule with its intervals.
#[derive(Clone, PartialEq, Debug)]
pub struct FittedRule {
    name: &'static str,
    rule: Rule,
    residuals: ResidualQuantiles,
}

impl FittedRule {
    /// Fits the intervals of `rule` on the errors that it would have made in `history`.
    ///
    /// # Errors
    /// When the history is too short for the rule to have made one.
    pub fn fit(
        name: &'static str,
        rule: Rule,
        history: SeriesView<'_>,
        horizon: usize,
    ) -> Result<Self, ResidualsError> {
        let known = FilledView::of(history);
        let leading = history.len() - known.len();
        let mut errors = vec![Vec::new(); horizon];
        for end in rule.needed()..known.len() {
            for (k, point) in rule.points(known, end, horizon).into_iter().enumerate() {
                if let Some(Some(actual)) = history.values().get(leading + end + k) {
                    errors[k].push(actual - point);
                }
            }
        }
        let source = IntervalSource::TrainingResiduals;
        let residuals = ResidualQuantiles::fit(&errors, Quantiles::standard(), source)?;
        Ok(Self { name, rule, residuals })
    }
}

impl Forecaster for FittedRule {
    fn name(&self) -> &'static str {
        self.name
    }

    fn forecast(
        &self,
        history: SeriesView<'_>,
        horizon: usize,
    ) -> Result<Forecast, ForecastFailure> {
        refuse_longer(horizon, &self.residuals)?;
        let known = FilledView::of(history);
        let (needed, got) = (self.rule.needed(), known.len());
        if got < needed {
            return Err(ForecastFailure::TooShort { needed, got });
        }
        let points = self.rule.points(known, got, horizon);
        Ok(self.residuals.around(&points, history.last_time(), history.step())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{daily_cycle, series_of};

    fn points(rule: Rule, values: &[f64], horizon: usize) -> Vec<f64> {
        let values: Vec<Option<f64>> = values.iter().copied().map(Some).collect();
        let series = series_of(&values);
        rule.points(FilledView::of(series.view()), values.len(), horizon)
    }

    #[test]
    fn rules_worked_out_by_hand() {
        assert_eq!(points(Rule::Drift, &[1.0, 5.0, 3.0], 2), [4.0, 5.0]);
        assert_eq!(points(Rule::Drift, &[9.0, 5.0, 1.0], 2), [0.0, 0.0]);
        let average = Rule::MovingAverage { steps: 2 };
        assert_eq!(points(average, &[9.0, 1.0, 2.0], 2), [1.5, 1.5]);
        let seasons = Rule::MeanOfSeasons { season_length: 2, seasons: 2 };
        assert_eq!(points(seasons, &[9.0, 1.0, 2.0, 3.0, 4.0], 3), [2.0, 3.0, 2.0]);
    }

    #[test]
    fn intervals_are_those_of_the_rules_own_errors() {
        let series = daily_cycle(5);
        let rule = Rule::MeanOfSeasons { season_length: 288, seasons: 2 };
        let fitted = FittedRule::fit("mean-of-days", rule, series.view(), 12).unwrap();
        let forecast = fitted.forecast(series.view(), 12).unwrap();
        let width = |k| {
            use crate::Quantile;
            forecast.quantile(Quantile::P90, k) - forecast.quantile(Quantile::P10, k)
        };
        assert!((0..12).all(|k| width(k) < 1e-9), "a pure cycle leaves no error");
        let average = Rule::MovingAverage { steps: 24 };
        let fitted = FittedRule::fit("moving-average", average, series.view(), 12).unwrap();
        let forecast = fitted.forecast(series.view(), 12).unwrap();
        use crate::Quantile;
        assert!(forecast.quantile(Quantile::P90, 11) > forecast.points()[11]);
    }

    #[test]
    fn too_little_history_is_said() {
        let series = daily_cycle(2);
        let rule = Rule::MeanOfSeasons { season_length: 288, seasons: 7 };
        assert!(FittedRule::fit("mean-of-days", rule, series.view(), 12).is_err());
        let fitted = FittedRule::fit("drift", Rule::Drift, series.view(), 12).unwrap();
        let failure = fitted.forecast(series.view(), 13).unwrap_err();
        assert_eq!(failure, ForecastFailure::HorizonTooLong { longest: 12, asked: 13 });
    }
}
