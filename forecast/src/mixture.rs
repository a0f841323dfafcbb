//! Several methods as one: weighed by how well each has forecast the last day and a half, and moved
//! by the errors that were left.
//!
//! ```text
//!  origin − 36 h … origin − 1 h: each method's forecasts, replayed, beside what followed
//!        │                                          │
//!        ▼                                          ▼
//!  weights exp(−η (loss / least − 1))     errors of the mixture at each level and step
//!        └──────────▶ quantiles averaged ◀──────────┘ moved half way to where they would have held
//! ```
//!
//! Nothing is kept between two forecasts: what was forecast before is computed again from the
//! history, so that a restart forgets nothing, and a forecast depends on the history alone.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::Timestamp;

use crate::LOOKBACK;
use crate::accuracy;
use crate::forecast::{Forecast, ForecastError, ForecastParts, IntervalSource, Share};
use crate::forecaster::{ForecastFailure, Forecaster, forecast_alone};
use crate::gaps::require_observed;
use crate::quantile::{Quantile, Quantiles};
use crate::series::SeriesView;

/// Forecasts that are replayed, one horizon apart: a day and a half where that is an hour.
const REPLAYED: usize = 36;
/// A method with fewer is not weighed.
const REPLAYED_MIN: usize = 3;
/// How sharply a method loses weight: one that is a tenth worse than the best has a third of its.
const SHARPNESS: f64 = 10.0;
/// A method that is so many times worse than one that makes no error is as bad as any.
const RELATIVE_LOSS_MAX: f64 = 1e6;
/// What a replayed forecast counts beside the one after it.
const DECAY: f64 = 0.97;
/// How far a quantile moves to where it would have held.
const GAIN: f64 = 0.5;
/// Replayed forecasts that count as if nothing had had to be moved.
const STILL: f64 = 8.0;

/// Several methods as one.
#[derive(Clone)]
pub struct Mixture {
    name: &'static str,
    methods: Vec<Arc<dyn Forecaster>>,
    /// `[methods]`: the time before which a method is not replayed.
    since: Vec<Option<Timestamp>>,
}

impl std::fmt::Debug for Mixture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let methods: Vec<&str> = self.methods.iter().map(|method| method.name()).collect();
        f.debug_struct("Mixture").field("name", &self.name).field("methods", &methods).finish()
    }
}

/// What each method said at some origin, and what followed.
struct Moment {
    /// `[methods]`; a method that needs more history than there was has none.
    forecasts: Vec<Option<Forecast>>,
    /// `[horizon]`, fewer where they lie ahead.
    actuals: Vec<Option<f64>>,
}

impl Mixture {
    /// A mixture of `first`, which must forecast wherever the mixture does, with `others`, which may
    /// fail. Peaks are weighed among the methods that forecast them.
    #[must_use]
    pub fn new(
        name: &'static str,
        first: Arc<dyn Forecaster>,
        others: Vec<Arc<dyn Forecaster>>,
    ) -> Self {
        let methods: Vec<_> = std::iter::once(first).chain(others).collect();
        Self { name, since: vec![None; methods.len()], methods }
    }

    /// With one more method, which was fitted on what lies before `since` and is replayed from there on
    /// only: what it was fitted on, it knows too well.
    #[must_use]
    pub fn and_since(mut self, method: Arc<dyn Forecaster>, since: Option<Timestamp>) -> Self {
        self.methods.push(method);
        self.since.push(since);
        self
    }

    /// The steps before an origin over which methods are replayed. What a method was fitted on, it
    /// forecasts too well: fit on what lies before them.
    #[must_use]
    pub fn replayed_steps(horizon: usize) -> usize {
        REPLAYED * horizon
    }

    /// The moments at `offsets`, in their order.
    fn moments(&self, series: SeriesView<'_>, offsets: &[usize], horizon: usize) -> Vec<Moment> {
        let mut moments: Vec<Moment> = offsets
            .iter()
            .map(|&offset| {
                let actuals = series.values()[offset..].iter().take(horizon);
                Moment { forecasts: Vec::new(), actuals: actuals.copied().collect() }
            })
            .collect();
        for (method, since) in self.methods.iter().zip(&self.since) {
            let known = |offset: &usize| {
                since.is_none_or(|since| series.prefix(*offset).last_time() >= since)
            };
            let first = offsets.iter().position(known).unwrap_or(offsets.len());
            let replayed = &offsets[first..];
            let mut forecasts = vec![None; first];
            match method.forecasts(series, replayed, horizon) {
                Ok(made) => forecasts.extend(made.into_iter().map(Some)),
                // It fails at one of them at least, and must not be missed at the others.
                Err(_) => forecasts.extend(
                    replayed.iter().map(|&at| method.forecast(series.prefix(at), horizon).ok()),
                ),
            }
            let pairs = moments.iter_mut().zip(forecasts);
            pairs.for_each(|(moment, forecast)| moment.forecasts.push(forecast));
        }
        moments
    }
}

impl Forecaster for Mixture {
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
        if horizon == 0 {
            return Err(ForecastError::Empty.into());
        }
        let before = |origin: usize| {
            let offsets = (1..=REPLAYED).map_while(move |j| origin.checked_sub(j * horizon));
            offsets.filter(move |&offset| can_be_replayed(series, offset))
        };
        let offsets: BTreeSet<usize> =
            origins.iter().flat_map(|&origin| before(origin).chain([origin])).collect();
        let offsets: Vec<usize> = offsets.into_iter().collect();
        let moments = self.moments(series, &offsets, horizon);
        let moment = |offset: &usize| offsets.binary_search(offset).ok().map(|i| &moments[i]);
        let mixed = |origin: &usize| {
            let now = moment(origin).ok_or(ForecastError::Empty)?;
            if now.forecasts[0].is_none() {
                // Its failure is the mixture's.
                return self.methods[0].forecast(series.prefix(*origin), horizon);
            }
            let past: Vec<&Moment> = before(*origin).filter_map(|o| moment(&o)).collect();
            Ok(Replay::of(&self.methods, now, &past).mix()?)
        };
        origins.iter().map(mixed).collect()
    }
}

/// Whether a forecast could have been made at `offset`.
fn can_be_replayed(series: SeriesView<'_>, offset: usize) -> bool {
    offset >= LOOKBACK && require_observed(&series.values()[offset - LOOKBACK..offset]).is_ok()
}

/// What the methods that can be weighed say now, and said before.
struct Replay<'a> {
    /// `[methods]`
    names: Vec<&'static str>,
    /// `[methods]`, the first of the mixture's among them; all of them are there.
    now: Said<'a>,
    /// What followed, latest first, and what each method had forecast, the first in any case:
    /// `[methods]`.
    past: Vec<(&'a [Option<f64>], Said<'a>)>,
}

/// What each method forecast at some origin, if it did: `[methods]`.
type Said<'a> = Vec<Option<&'a Forecast>>;

impl<'a> Replay<'a> {
    fn of(all: &[Arc<dyn Forecaster>], now: &'a Moment, past: &[&'a Moment]) -> Self {
        let known = |i: usize| past.iter().filter(|m| m.forecasts[i].is_some()).count();
        let weighed = |i: &usize| *i == 0 || known(*i) >= REPLAYED_MIN;
        let methods: Vec<usize> = (0..now.forecasts.len())
            .filter(|&i| now.forecasts[i].is_some())
            .filter(weighed)
            .collect();
        let said = |moment: &'a Moment| -> Said<'a> {
            methods.iter().map(|&i| moment.forecasts[i].as_ref()).collect()
        };
        Self {
            names: methods.iter().map(|&i| all[i].name()).collect(),
            now: said(now),
            past: past
                .iter()
                .filter(|moment| moment.forecasts[0].is_some())
                .map(|moment| (moment.actuals.as_slice(), said(moment)))
                .collect(),
        }
    }

    /// One forecast of all methods'.
    fn mix(&self) -> Result<Forecast, ForecastError> {
        let first = self.now.first().copied().flatten().ok_or(ForecastError::Empty)?;
        let (levels, horizon) = (first.quantiles(), first.horizon());
        let shares = self.shares();
        let weights: Vec<f64> = shares.iter().map(|share| share.weight).collect();
        let mut paths: Vec<Vec<f64>> = (0..levels.len())
            .map(|i| (0..horizon).map(|k| average(&self.now, &weights, i, k)).collect())
            .collect();
        let mut peaks: Option<Vec<Vec<f64>>> = (0..levels.len())
            .map(|i| (0..horizon).map(|k| average_peak(&self.now, &weights, i, k)).collect())
            .collect();
        for k in 0..horizon {
            let shifts = self.shifts(levels, |actuals, forecasts, i| {
                Some((*actuals.get(k)?)? - average(forecasts, &weights, i, k))
            });
            shift(&mut paths, k, &shifts);
            if let Some(peaks) = &mut peaks {
                let shifts = self.shifts(levels, |actuals, forecasts, i| {
                    let highest = actuals.iter().take(k + 1).flatten().copied().reduce(f64::max);
                    Some(highest? - average_peak(forecasts, &weights, i, k)?)
                });
                shift(peaks, k, &shifts);
            }
        }
        if let Some(peaks) = &mut peaks {
            Forecast::cohere(&paths, peaks);
        }
        let points =
            (0..horizon).map(|k| levels.interpolate(Quantile::MEDIAN, |i| paths[i][k])).collect();
        let moved = !self.past.is_empty();
        let forecast = Forecast::new(ForecastParts {
            origin: first.origin(),
            step: first.step(),
            points,
            quantiles: levels.clone(),
            paths,
            peaks,
            interval: if moved { IntervalSource::Recent } else { first.interval() },
        })?;
        Ok(forecast.shared_by(shares))
    }

    /// The share of each method, by its loss beside that of the first over the moments that it knows.
    fn shares(&self) -> Vec<Share> {
        let mut losses = vec![(0.0, 0.0); self.now.len()];
        let mut share = 1.0;
        for (actuals, forecasts) in &self.past {
            let of = |forecast: &Forecast| share * loss(forecast, actuals);
            let first = forecasts[0].map_or(0.0, of);
            for ((own, beside), forecast) in losses.iter_mut().zip(forecasts) {
                let Some(forecast) = forecast else { continue };
                *own += of(forecast);
                *beside += first;
            }
            share *= DECAY;
        }
        // Without a loss there is nothing to divide by, and nothing better.
        let ratio = |(own, beside): (f64, f64)| match own == beside {
            true => 1.0,
            false => (own / beside).clamp(1.0 / RELATIVE_LOSS_MAX, RELATIVE_LOSS_MAX),
        };
        let ratios: Vec<f64> = losses.into_iter().map(ratio).collect();
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let raw = |ratio: f64| (-SHARPNESS * (ratio / least - 1.0)).exp();
        let sum: f64 = ratios.iter().copied().map(raw).sum();
        let share = |(&method, ratio): (&&'static str, f64)| Share {
            method,
            weight: raw(ratio) / sum,
            loss: ratio / least,
        };
        self.names.iter().zip(ratios).map(share).collect()
    }

    /// How far each level has to move, by the `error` of that level in each replayed forecast.
    /// Levels beyond the outer deciles move as those: so few errors say nothing about them.
    fn shifts(
        &self,
        levels: &Quantiles,
        error: impl Fn(&[Option<f64>], &[Option<&Forecast>], usize) -> Option<f64>,
    ) -> Vec<f64> {
        let shift = |(i, quantile): (usize, &Quantile)| {
            if !(Quantile::P10.level()..=Quantile::P90.level()).contains(&quantile.level()) {
                return None;
            }
            let past = self.past.iter();
            let errors = past.filter_map(|(actuals, forecasts)| error(actuals, forecasts, i));
            correction(errors.collect(), quantile.level())
        };
        let known: Vec<Option<f64>> = levels.as_slice().iter().enumerate().map(shift).collect();
        let lowest = known.iter().flatten().next().copied().unwrap_or(0.0);
        let highest = known.iter().flatten().last().copied().unwrap_or(0.0);
        let at = |(quantile, shift): (&Quantile, &Option<f64>)| {
            shift.unwrap_or(if quantile.level() < 0.5 { lowest } else { highest })
        };
        levels.as_slice().iter().zip(&known).map(at).collect()
    }
}

/// How far a quantile of `level` moves whose errors (actual − quantile) were these.
fn correction(mut errors: Vec<f64>, level: f64) -> Option<f64> {
    errors.sort_by(f64::total_cmp);
    let (count, last) = (errors.len() as f64, errors.len().checked_sub(1)?);
    // The level's order statistic among one more than were seen (Vovk et al., 2005).
    let at = (level * (count + 1.0) - 1.0).clamp(0.0, last as f64);
    let (below, above) = (at.floor() as usize, at.ceil() as usize);
    let error = errors[below] + at.fract() * (errors[above] - errors[below]);
    Some(GAIN * error * count / (count + STILL))
}

/// Moves the levels of step `k`, and puts in order those that have moved past each other. A load is
/// never negative.
fn shift(paths: &mut [Vec<f64>], k: usize, shifts: &[f64]) {
    let moved = paths.iter().zip(shifts).map(|(path, shift)| (path[k] + shift).max(0.0));
    let mut column: Vec<f64> = moved.collect();
    column.sort_by(f64::total_cmp);
    paths.iter_mut().zip(column).for_each(|(path, value)| path[k] = value);
}

/// The weighted mean of the methods' level `i` at step `k`.
fn average(forecasts: &[Option<&Forecast>], weights: &[f64], i: usize, k: usize) -> f64 {
    let value = |forecast: &Forecast| Some(forecast.paths()[i][k]);
    weighted(forecasts, weights, value).unwrap_or(0.0)
}

/// The weighted mean of the peaks' level `i` up to step `k`, over the methods that forecast peaks; `None`
/// where none does.
fn average_peak(
    forecasts: &[Option<&Forecast>],
    weights: &[f64],
    i: usize,
    k: usize,
) -> Option<f64> {
    weighted(forecasts, weights, |forecast| Some(forecast.peaks()?[i][k]))
}

/// The weighted mean of what those say that say anything.
fn weighted(
    forecasts: &[Option<&Forecast>],
    weights: &[f64],
    value: impl Fn(&Forecast) -> Option<f64>,
) -> Option<f64> {
    let (mut sum, mut all) = (0.0, 0.0);
    for (forecast, weight) in forecasts.iter().zip(weights) {
        let Some(value) = forecast.and_then(&value) else { continue };
        // However little they weigh beside the others, somebody has to say.
        let weight = weight.max(f64::MIN_POSITIVE);
        sum += weight * value;
        all += weight;
    }
    (all > 0.0).then(|| sum / all)
}

/// The pinball loss of a forecast, summed up over its levels and the observed steps.
fn loss(forecast: &Forecast, actuals: &[Option<f64>]) -> f64 {
    let mut sum = 0.0;
    for (path, quantile) in forecast.paths().iter().zip(forecast.quantiles().as_slice()) {
        for (value, actual) in path.iter().zip(actuals) {
            let Some(actual) = actual else { continue };
            sum += accuracy::pinball(*quantile, actual - value);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::{LastValue, SeasonalNaive};
    use crate::testing::{daily_cycle, series_of};

    fn mixture(series: SeriesView<'_>) -> Mixture {
        let known = series.prefix(3 * 288);
        let last = Arc::new(LastValue::fit(known, 12).unwrap());
        Mixture::new("mixture", last, vec![Arc::new(SeasonalNaive::fit(known, 288, 12).unwrap())])
    }

    #[test]
    fn the_method_that_does_better_is_believed() {
        let series = daily_cycle(5);
        let forecast = mixture(series.view()).forecast(series.view().prefix(1200), 12).unwrap();
        for (k, point) in forecast.points().iter().enumerate() {
            let actual = series.view().values()[1200 + k].unwrap();
            assert!((point - actual).abs() < 0.02 * actual, "step {k}: {point} {actual}");
        }
        assert_eq!(forecast.interval(), IntervalSource::Recent);
    }

    #[test]
    fn a_method_is_not_judged_on_what_it_was_fitted_on() {
        let series = daily_cycle(5);
        let known = series.view().prefix(3 * 288);
        let last = || Arc::new(LastValue::fit(known, 12).unwrap());
        let seasonal = || Arc::new(SeasonalNaive::fit(known, 288, 12).unwrap());
        let weight = |since: usize| {
            let mixture = Mixture::new("mixture", last(), Vec::new());
            let mixture = mixture.and_since(seasonal(), Some(series.view().time_at(since)));
            let forecast = mixture.forecast(series.view().prefix(1200), 12).unwrap();
            forecast.shares().iter().filter(|share| share.method != "naive").count()
        };
        assert_eq!(weight(1000), 1);
        assert_eq!(weight(1180), 0, "two replays are too few");
        assert_eq!(weight(5 * 288 - 1), 0, "it knows the origin itself");
    }

    #[test]
    fn with_little_to_replay_the_first_method_is_believed() {
        let values: Vec<_> = (0..40).map(|i| Some(10.0 + f64::from(i % 5))).collect();
        let young = series_of(&values);
        let first = Arc::new(LastValue::fit(young.view(), 12).unwrap());
        let alone = first.forecast(young.view(), 12).unwrap();
        let seasonal = SeasonalNaive::fit(daily_cycle(4).view(), 288, 12).unwrap();
        let mixture = Mixture::new("mixture", first, vec![Arc::new(seasonal)]);
        let forecast = mixture.forecast(young.view(), 12).unwrap();
        for (k, point) in forecast.points().iter().enumerate() {
            let median = alone.quantile(Quantile::MEDIAN, k);
            assert!((point - median).abs() < 0.5, "step {k}: {point} {median}");
        }
    }

    #[test]
    fn a_forecast_depends_on_its_past_alone_and_on_no_other_forecast() {
        let noise = |i: usize| Some(20.0 + (i * 7919 % 101) as f64 / 10.0);
        let values: Vec<_> = (0..1500).map(noise).collect();
        let mut altered = values.clone();
        altered[1200..].iter_mut().for_each(|value| *value = value.map(|v| 50.0 - v));
        let (series, altered) = (series_of(&values), series_of(&altered));
        let mixture = mixture(series.view());
        let together = mixture.forecasts(series.view(), &[1100, 1160, 1200], 12).unwrap();
        let alone = mixture.forecast(series.view().prefix(1200), 12).unwrap();
        let otherwise = mixture.forecasts(altered.view(), &[1200], 12).unwrap();
        assert_eq!(together[2], alone);
        assert_eq!(otherwise[0], alone);
    }

    #[test]
    fn intervals_that_were_too_narrow_widen() {
        // Calm until the methods were fitted, wild since.
        let value = |i: usize| {
            let wild = if i < 864 { 0.1 } else { 8.0 };
            Some(20.0 + wild * ((i * 7919 % 101) as f64 / 101.0 - 0.5))
        };
        let series = series_of(&(0..1500).map(value).collect::<Vec<_>>());
        let mixture = mixture(series.view());
        let width = |forecast: &Forecast| {
            forecast.quantile(Quantile::P90, 0) - forecast.quantile(Quantile::P10, 0)
        };
        let fitted = LastValue::fit(series.view().prefix(864), 12).unwrap();
        let before = fitted.forecast(series.view().prefix(1500), 12).unwrap();
        let after = mixture.forecast(series.view().prefix(1500), 12).unwrap();
        assert!(width(&after) > 5.0 * width(&before), "{} {}", width(&after), width(&before));
    }
}
