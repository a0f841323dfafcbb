//! What a network is told of a history at an origin, in units that suit any load.
//!
//! ```text
//!              history (two weeks at most)                 │ origin
//! day − 2 … ±2 │ day − 1 … ±3 │ lag 24 │ lag 12 │ 24 steps │ 12 steps ahead
//! ```
//!
//! Loads are measured from the level of the last hour, in units of how much they vary, so that one
//! network serves workloads of a tenth of a core and of a thousand. Each step, past and ahead, has
//! what was seen at that time of earlier days: all of it is known at the origin.

use std::array::from_fn;

use crate::gaps::{Filled, Provenance};
use crate::{HORIZON, LOOKBACK};

/// Steps that a network runs over.
pub const STEPS: usize = LOOKBACK + HORIZON;
/// Numbers of each step.
pub const STEP_COVARIATES: usize = 15;
/// Numbers of the whole window: the hours before the last, five levels, six shapes, the spreads and the
/// length of the history.
pub const STATIC_COVARIATES: usize = (HOURS_BEFORE - 1) + 5 + 6 + SPREADS + 1;
/// Simple forecasts of each step ahead.
pub const BASES: usize = 8;
/// Simple measures of how much the load varies.
pub const SPREADS: usize = 7;

/// Days of a history that are looked at.
pub const DAYS_MAX: usize = 14;

/// An hour of five-minute steps: what the level is the mean of.
const HOUR: usize = 12;
/// Hours whose means the shape of the last day is made of, the last one included.
const HOURS_BEFORE: usize = 24;
/// Days that the typical day is made of.
const WEEK: usize = 7;
/// Bound of a number in units of the scale.
const BOUND: f64 = 30.0;
/// The smallest spread, relative to the scale.
const SPREAD_MIN: f64 = 1e-3;

/// What was known at an origin, and the units that it is told in.
#[derive(Clone, PartialEq, Debug)]
pub struct Covariates {
    /// The mean of the last hour, in the series' unit.
    pub level: f64,
    /// One unit of what follows, in the series' unit.
    pub scale: f64,
    /// By step: the value, whether it was observed, and what earlier days had at that time. Steps
    /// ahead have zero for the first two.
    pub steps: [[f32; STEP_COVARIATES]; STEPS],
    /// The shape of the last day, and how the load varies.
    pub statics: [f32; STATIC_COVARIATES],
    /// Simple forecasts, linear in the load: `(base − level) / scale`.
    pub bases: [[f32; BASES]; HORIZON],
    /// Logarithms of simple spreads, in units of the scale.
    pub log_spreads: [f32; SPREADS],
}

/// A history without holes, up to the origin.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    values: &'a [f64],
    provenance: &'a [Provenance],
    day: usize,
}

impl<'a> Past<'a> {
    /// The first `end` values of `filled`, of which the last `steps_max` count, and at most
    /// [`DAYS_MAX`] days; `day` is the number of steps in one. `None` without any value.
    #[must_use]
    pub fn before(filled: &'a Filled, end: usize, steps_max: usize, day: usize) -> Option<Self> {
        let end = end.min(filled.len());
        let range = end - end.min(steps_max).min(DAYS_MAX * day)..end;
        let (values, provenance) = (&filled.values()[range.clone()], &filled.provenance()[range]);
        (!values.is_empty()).then_some(Self { values, provenance, day })
    }

    /// The value at `offset` from the origin, the first step ahead being 0.
    fn at(&self, offset: isize) -> Option<f64> {
        let index = self.values.len().checked_add_signed(offset)?;
        self.values.get(index).copied()
    }

    fn observed(&self, offset: isize) -> bool {
        let index = self.provenance.len().checked_add_signed(offset);
        index.and_then(|i| self.provenance.get(i)) == Some(&Provenance::Observed)
    }

    fn last(&self, count: usize) -> &'a [f64] {
        &self.values[self.values.len().saturating_sub(count)..]
    }

    fn lag(&self, steps: usize, offset: isize) -> Option<f64> {
        self.at(offset - steps as isize)
    }

    /// Mean and maximum of the known values within `radius` steps of `offset`.
    fn around(&self, offset: isize, radius: isize) -> Option<(f64, f64)> {
        let mut sum = Sum::default();
        (-radius..=radius).filter_map(|d| self.at(offset + d)).for_each(|v| sum.add(v));
        sum.mean().map(|mean| (mean, sum.max))
    }

    /// What the last seven days had at `offset`.
    fn typical(&self, offset: isize) -> Option<Sum> {
        let mut sum = Sum::default();
        (1..=WEEK).filter_map(|d| self.lag(d * self.day, offset)).for_each(|v| sum.add(v));
        (sum.count > 0).then_some(sum)
    }
}

#[derive(Clone, Copy)]
struct Sum {
    count: usize,
    sum: f64,
    min: f64,
    max: f64,
}

impl Default for Sum {
    fn default() -> Self {
        Self { count: 0, sum: 0.0, min: f64::INFINITY, max: f64::NEG_INFINITY }
    }
}

impl Sum {
    fn of(values: &[f64]) -> Self {
        let mut sum = Self::default();
        values.iter().for_each(|v| sum.add(*v));
        sum
    }

    fn add(&mut self, value: f64) {
        self.count += 1;
        self.sum += value;
        self.min = self.min.min(value);
        self.max = self.max.max(value);
    }

    fn mean(&self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / self.count as f64)
    }
}

/// What earlier days had at the time of one step, in the series' unit.
struct Earlier {
    day: Option<f64>,
    day_mean: f64,
    day_max: f64,
    two_days_mean: f64,
    week: Option<f64>,
    typical: f64,
    typical_max: f64,
    typical_min: f64,
    lag_hour: f64,
    lag_two_hours: f64,
}

impl Earlier {
    fn at(past: &Past<'_>, offset: isize, level: f64) -> Self {
        let day = past.day as isize;
        let (day_mean, _) = past.around(offset - day, 2).unwrap_or((level, level));
        let (_, day_max) = past.around(offset - day, 3).unwrap_or((level, level));
        let (two_days_mean, _) = past.around(offset - 2 * day, 2).unwrap_or((day_mean, day_mean));
        let typical = past.typical(offset);
        let or_level = |value: Option<f64>| value.unwrap_or(level);
        Self {
            day: past.lag(past.day, offset),
            day_mean,
            day_max,
            two_days_mean,
            week: past.lag(WEEK * past.day, offset),
            typical: or_level(typical.and_then(|t| t.mean())),
            typical_max: typical.map_or(level, |t| t.max),
            typical_min: typical.map_or(level, |t| t.min),
            lag_hour: or_level(past.lag(HOUR, offset)),
            lag_two_hours: or_level(past.lag(2 * HOUR, offset)),
        }
    }
}

impl Covariates {
    /// What `past` says at its end.
    #[must_use]
    pub fn of(past: &Past<'_>) -> Self {
        let hour = Sum::of(past.last(HOUR));
        let level = hour.sum / hour.count as f64;
        let (day_std, long_std) = (std(past.last(past.day)), std(past.values));
        let long_mean = mean(past.values);
        let scale = (0.5 * day_std + 0.5 * long_std).max(1e-3 * long_mean.abs()).max(1e-9);
        let units = Units { level, scale };
        let earlier: [Earlier; STEPS] = from_fn(|t| Earlier::at(past, offset(t), level));
        let log_spreads = spreads(past, &earlier, day_std)
            .map(|spread| (spread / scale).max(SPREAD_MIN).ln() as f32);
        let variation = (long_std / long_mean.abs().max(1e-9)).ln_1p().min(5.0) as f32;
        Self {
            level,
            scale,
            steps: from_fn(|t| step(past, units, t, &earlier[t])),
            statics: statics(past, units, day_std, variation, &log_spreads),
            bases: bases(past, units, &earlier),
            log_spreads,
        }
    }

    /// From units of the scale to the series' unit.
    #[must_use]
    pub fn load(&self, x: f64) -> f64 {
        self.level + self.scale * x
    }

    /// From the series' unit to units of the scale.
    #[must_use]
    pub fn unit(&self, load: f64) -> f64 {
        (load - self.level) / self.scale
    }
}

/// The units that a window is told in.
#[derive(Clone, Copy)]
struct Units {
    level: f64,
    scale: f64,
}

impl Units {
    fn linear(self, load: f64) -> f64 {
        ((load - self.level) / self.scale).clamp(-BOUND, BOUND)
    }

    fn squashed(self, load: f64) -> f32 {
        self.linear(load).asinh() as f32
    }
}

/// Steps from the origin to step `t` of a window.
fn offset(t: usize) -> isize {
    t as isize - LOOKBACK as isize
}

/// The numbers of step `t`.
fn step(past: &Past<'_>, units: Units, t: usize, earlier: &Earlier) -> [f32; STEP_COVARIATES] {
    let squashed = |load: f64| units.squashed(load);
    let flag = |set: bool| if set { 1.0 } else { 0.0 };
    // Ahead of the origin there is none.
    let value = past.at(offset(t));
    [
        value.map_or(0.0, squashed),
        flag(value.is_some() && past.observed(offset(t))),
        earlier.day.map_or(0.0, squashed),
        flag(earlier.day.is_none()),
        squashed(earlier.day_mean),
        squashed(earlier.day_max),
        squashed(earlier.two_days_mean),
        squashed(earlier.week.unwrap_or(earlier.typical)),
        flag(earlier.week.is_none()),
        squashed(earlier.typical),
        squashed(earlier.typical_max),
        squashed(earlier.typical_min),
        squashed(earlier.lag_hour),
        squashed(earlier.lag_two_hours),
        offset(t) as f32 / HORIZON as f32,
    ]
}

/// The simple forecasts of each step ahead.
fn bases(past: &Past<'_>, units: Units, earlier: &[Earlier; STEPS]) -> [[f32; BASES]; HORIZON] {
    // How far the last hour lay above what the days before had at that time.
    let shift = |base: fn(&Earlier) -> f64| {
        let mut sum = Sum::default();
        for (t, earlier) in earlier.iter().enumerate().take(LOOKBACK).skip(LOOKBACK - HOUR) {
            if let Some(value) = past.at(offset(t)) {
                sum.add(value - base(earlier));
            }
        }
        sum.mean().unwrap_or(0.0)
    };
    let (typical_shift, day_shift) = (shift(|e| e.typical), shift(|e| e.day_mean));
    let last = past.at(-1).unwrap_or(units.level);
    from_fn(|k| {
        let e = &earlier[LOOKBACK + k];
        [
            last,
            units.level,
            e.day_mean,
            e.typical,
            e.week.unwrap_or(e.typical),
            e.lag_hour,
            e.typical + typical_shift,
            e.day_mean + day_shift,
        ]
        .map(|base| units.linear(base) as f32)
    })
}

/// The shape of the last day, and how the load varies.
fn statics(
    past: &Past<'_>,
    units: Units,
    day_std: f64,
    variation: f32,
    log_spreads: &[f32; SPREADS],
) -> [f32; STATIC_COVARIATES] {
    let day = past.last(past.day);
    let in_day = Sum::of(day);
    let hour_before = |h: usize| {
        let end = past.values.len().saturating_sub(h * HOUR);
        let hour = &past.values[end.saturating_sub(HOUR)..end];
        Sum::of(hour).mean().map_or(0.0, |mean| units.squashed(mean))
    };
    let levels = [
        Sum::of(past.last(HOUR)).max,
        Sum::of(past.last(3 * HOUR)).max,
        in_day.max,
        in_day.min,
        in_day.mean().unwrap_or(units.level),
    ];
    let shapes = [
        (std(past.last(HOUR)) / units.scale) as f32,
        (day_std / units.scale) as f32,
        (units.level.abs() / units.scale).ln_1p() as f32,
        autocorrelation(day, day.len(), 1) as f32,
        autocorrelation(past.values, past.day, past.day) as f32,
        variation,
    ];
    let days = (past.values.len() as f64 / past.day as f64).ln_1p() as f32;
    let all = (1..HOURS_BEFORE)
        .map(hour_before)
        .chain(levels.map(|level| units.squashed(level)))
        .chain(shapes)
        .chain(*log_spreads)
        .chain([days]);
    let mut statics = [0.0; STATIC_COVARIATES];
    statics.iter_mut().zip(all).for_each(|(to, from)| *to = from);
    statics
}

/// A forecast in units of the scale, as it is fed back.
#[must_use]
pub fn squash(x: f32) -> f32 {
    x.clamp(-BOUND as f32, BOUND as f32).asinh()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

fn std(values: &[f64]) -> f64 {
    let mean = mean(values);
    let squares = values.iter().map(|v| (v - mean) * (v - mean)).sum::<f64>();
    (squares / values.len().max(1) as f64).sqrt()
}

fn median(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let middle = values.len() / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}

/// Correlation of the last `count` values with those `lag` steps before; 0 where there are too few.
fn autocorrelation(values: &[f64], count: usize, lag: usize) -> f64 {
    let count = count.min(values.len().saturating_sub(lag));
    if count < 2 {
        return 0.0;
    }
    let later = &values[values.len() - count..];
    let earlier = &values[values.len() - count - lag..values.len() - lag];
    let (later_mean, earlier_mean) = (mean(later), mean(earlier));
    let (mut product, mut later_square, mut earlier_square) = (0.0, 0.0, 0.0);
    for (a, b) in later.iter().zip(earlier) {
        let (a, b) = (a - later_mean, b - earlier_mean);
        product += a * b;
        later_square += a * a;
        earlier_square += b * b;
    }
    product / (later_square * earlier_square).sqrt().max(1e-12)
}

/// Simple measures of how much the load varies, in the series' unit.
fn spreads(past: &Past<'_>, earlier: &[Earlier; STEPS], day_std: f64) -> [f64; SPREADS] {
    let recent = past.last(LOOKBACK);
    let mut changes: Vec<f64> =
        past.last(LOOKBACK + 1).windows(2).map(|w| (w[1] - w[0]).abs()).collect();
    let mean_change = mean(&changes);
    let median_change = median(&mut changes);
    let mut deviations = recent.to_vec();
    let middle = median(&mut deviations);
    deviations.iter_mut().for_each(|v| *v = (*v - middle).abs());
    let deviation = median(&mut deviations);
    let from = |base: fn(&Earlier) -> f64| {
        let skipped = LOOKBACK - recent.len();
        let errors = recent.iter().zip(&earlier[skipped..LOOKBACK]);
        errors.map(|(v, e)| (v - base(e)).abs()).sum::<f64>() / recent.len() as f64
    };
    [
        mean_change,
        median_change,
        std(past.last(HOUR)),
        deviation,
        from(|e| e.day.unwrap_or(e.day_mean)),
        from(|e| e.typical),
        day_std,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::series_of;

    const DAY: usize = 288;

    fn covariates(values: &[Option<f64>], end: usize) -> Covariates {
        let filled = Filled::from_view(series_of(values).view());
        Covariates::of(&Past::before(&filled, end, end, DAY).unwrap())
    }

    fn load(i: usize) -> f64 {
        50.0 + ((i % DAY) as f64 / 9.0).sin() * 20.0 + (i * 7919 % 101) as f64 / 10.0
    }

    #[test]
    fn nothing_after_the_origin_is_seen() {
        let known: Vec<_> = (0..3 * DAY).map(|i| Some(load(i))).collect();
        let mut more = known.clone();
        more.extend((0..50).map(|i| Some(1e6 + f64::from(i))));
        assert_eq!(covariates(&known, 3 * DAY), covariates(&more, 3 * DAY));
    }

    #[test]
    fn they_are_the_same_for_a_load_of_any_size() {
        let of = |factor: f64| {
            let values: Vec<_> = (0..3 * DAY).map(|i| Some(factor * load(i))).collect();
            covariates(&values, 3 * DAY)
        };
        let (small, large) = (of(1.0), of(1024.0));
        assert_eq!(small.steps, large.steps);
        assert_eq!(small.statics, large.statics);
        assert_eq!(1024.0 * small.load(0.5), large.load(0.5));
    }

    #[test]
    fn earlier_days_are_those_of_the_same_time() {
        let values: Vec<_> =
            (0..9 * DAY).map(|i| Some((i / DAY * 1000 + i % DAY) as f64)).collect();
        let got = covariates(&values, 8 * DAY + 100);
        let unit = |load: f64| (got.unit(load).clamp(-BOUND, BOUND)).asinh() as f32;
        let third = got.steps[LOOKBACK + 2];
        assert_eq!(third[2], unit(7_102.0), "a day before");
        assert_eq!(third[7], unit(1_102.0), "a week before");
        assert_eq!(third[9], unit(4_102.0), "the mean of seven days");
        assert_eq!(third[12], unit(8_090.0), "an hour before");
        assert_eq!(got.bases[2][0], got.unit(8_099.0) as f32, "the last value");
        assert_eq!(got.steps[LOOKBACK - 1][..2], [unit(8_099.0), 1.0]);
    }

    #[test]
    fn an_hour_of_history_and_a_constant_one_yield_finite_numbers() {
        for values in [(0..12).map(|i| Some(load(i))).collect::<Vec<_>>(), vec![Some(0.0); 500]] {
            let got = covariates(&values, values.len());
            let numbers = got.steps.iter().flatten().chain(&got.statics).chain(&got.log_spreads);
            assert!(numbers.chain(got.bases.iter().flatten()).all(|x| x.is_finite()));
        }
        let mut gap: Vec<_> = (0..2 * DAY).map(|i| Some(load(i))).collect();
        gap[2 * DAY - 3] = None;
        assert_eq!(covariates(&gap, 2 * DAY).steps[LOOKBACK - 3][1], 0.0, "filled, not observed");
    }
}
