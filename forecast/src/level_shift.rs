//! A load whose level has jumped for good: after a rollout that changes the CPU of a request, or with
//! another share of the traffic.
//!
//! ```text
//!  ln(load / same time of the days before)
//!                     ┌──────────  ln factor, whatever the time of day
//!  ~~~~~~~~~~~~~~~~~~~┘
//!  the day before    at       …    the end of the history
//! ```
//!
//! A method that looks at the days before needs days to learn of it. Multiplied by the factor, the
//! history before the jump has the new level at once: it is rescaled rather than learned again.

use jiff::Timestamp;
use thiserror::Error;

use crate::quantile::median;
use crate::series::{Series, SeriesError, SeriesView};

/// Hours since the shift that must have been seen.
const HOURS_AFTER_MIN: usize = 6;
/// Hours before it that must have been seen.
const HOURS_BEFORE: usize = 22;
/// Days before that a load is compared with.
const DAYS_COMPARED: usize = 7;
/// The least change of the level, up or down, as a logarithm: ln 1.25.
const LOG_FACTOR_MIN: f64 = 0.223_143_551_314_209_76;
/// The greatest, ln 5. What lies beyond is an outage, or a workload of another kind.
const LOG_FACTOR_MAX: f64 = 1.609_437_912_434_100_3;
/// How many deviations the change must be.
const DEVIATIONS_MIN: f64 = 3.0;
/// Makes the median absolute deviation a standard one, were the values normal.
const NORMAL: f64 = 1.4826;
/// The share of the change that must happen at once.
const ABRUPT_SHARE: f64 = 0.7;
/// How far an hour may be from the rest since, as a share of the change.
const TOLERANCE: f64 = 0.35;
/// The share of the hours since that may be further away.
const UNSTABLE_MAX: f64 = 0.1;
/// The share of the hours before that may have been half the change away from what was expected.
const RESTLESS_MAX: f64 = 0.1;
/// A load below this share of its median counts as this share.
const FLOOR_SHARE: f64 = 0.01;

/// A jump of the level.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct LevelShift {
    at: Timestamp,
    factor: f64,
}

/// Why a number is not the factor of a [`LevelShift`].
#[derive(Clone, PartialEq, Debug, Error)]
#[error("a level shift by a factor of {0} is not possible: expected a finite number above zero")]
pub struct LevelShiftError(f64);

impl LevelShift {
    /// A jump that is known: from `at` on the load is `factor` times what it would have been.
    ///
    /// # Errors
    /// When `factor` is not a finite number above zero.
    pub fn new(at: Timestamp, factor: f64) -> Result<Self, LevelShiftError> {
        if factor.is_finite() && factor > 0.0 {
            Ok(Self { at, factor })
        } else {
            Err(LevelShiftError(factor))
        }
    }

    /// The latest jump that `series` shows and that lasts to its end; two weeks of history are best. It
    /// depends on what is in `series` alone, so a view up to an origin has nothing of the future.
    ///
    /// The load is compared, as logarithms, with the median of the seven days before at the same time.
    /// A jump is where it rises or falls within half an hour and stays: six hours at least have been
    /// seen since, nine in ten of them within a third of the same change, at any time of day; the change
    /// is a factor of 1.25 to 5, up or down, three times what hours deviate by, and there from the day
    /// before and from the week before alone. Of the week before it, nine in ten hours were as
    /// expected. So the first of two jumps hides the second for more than a week, and a load that is not
    /// alike from day to day shows none.
    ///
    /// What begins at once and is steady for six hours cannot be told from a jump until it ends: rescale
    /// for as long as it is detected, and no longer.
    #[must_use]
    pub fn detect(series: SeriesView<'_>) -> Option<Self> {
        let levels = Levels::of(series)?;
        levels.candidates().into_iter().find_map(|candidate| {
            let (at, jump) = candidate;
            let log_factor = levels.log_factor(at, jump)?;
            Some(Self { at: series.time_at(at), factor: log_factor.exp() })
        })
    }

    /// The first time of the new level.
    #[must_use]
    pub fn at(&self) -> Timestamp {
        self.at
    }

    /// The new level over the old one.
    #[must_use]
    pub fn factor(&self) -> f64 {
        self.factor
    }

    /// `series` with what lies before the jump multiplied by the factor.
    ///
    /// # Errors
    /// [`SeriesError::NoValues`] when `series` has none, [`SeriesError::NotALoad`] when a product is
    /// not finite.
    pub fn rescale(&self, series: SeriesView<'_>) -> Result<Series, SeriesError> {
        let values = self.rescaled(series);
        Series::from_values(series.id().clone(), series.step(), series.first_time(), values)
    }

    /// The values of `series`, those before the jump multiplied by the factor.
    pub(crate) fn rescaled(&self, series: SeriesView<'_>) -> Vec<Option<f64>> {
        series.map(|time, value| Some(if time < self.at { value * self.factor } else { value }))
    }
}

/// The load as logarithms, and how it compares with the days before.
struct Levels {
    /// `None` in a gap.
    logs: Vec<Option<f64>>,
    /// Over the median of the days before.
    ratios: Vec<Option<f64>>,
    day: usize,
    /// Steps.
    hour: usize,
}

impl Levels {
    /// `None` where steps are longer than a quarter of an hour, so that what is abrupt cannot be seen, or
    /// the history is shorter than two days and the least time after a shift.
    fn of(series: SeriesView<'_>) -> Option<Self> {
        let day = series.step().per_day();
        let hour = day / 24;
        if hour < 4 || series.len() < 2 * day + HOURS_AFTER_MIN * hour {
            return None;
        }
        let mut observed: Vec<f64> = series.values().iter().flatten().copied().collect();
        let floor = FLOOR_SHARE * median(&mut observed)?;
        if floor <= 0.0 {
            return None;
        }
        let log = |value: &Option<f64>| Some((*value)?.max(floor).ln());
        let logs: Vec<Option<f64>> = series.values().iter().map(log).collect();
        let mut levels = Self { logs, ratios: Vec::new(), day, hour };
        levels.ratios = (0..series.len()).map(|t| levels.ratio(t, t)).collect();
        Some(levels)
    }

    /// The load at `t` over the median of the days before `end` at that time of day.
    fn ratio(&self, t: usize, end: usize) -> Option<f64> {
        let log = self.logs[t]?;
        let newest = (t + 1).saturating_sub(end).div_ceil(self.day).max(1);
        let mut before = [0.0; DAYS_COMPARED];
        let mut count = 0;
        for days in newest..newest + DAYS_COMPARED {
            let Some(earlier) = t.checked_sub(days * self.day) else { break };
            if let Some(log) = self.logs[earlier] {
                before[count] = log;
                count += 1;
            }
        }
        Some(log - median(&mut before[..count])?)
    }

    /// Steps within which a change is abrupt.
    fn abrupt(&self) -> usize {
        self.hour / 2
    }

    /// Where the level jumps, and by how much; the latest first.
    fn candidates(&self) -> Vec<(usize, f64)> {
        let (first, end) = (2 * self.day, self.ratios.len() - HOURS_AFTER_MIN * self.hour);
        let near = |from: usize| observed_median(&self.ratios[from..from + self.abrupt()]);
        let levels: Vec<Option<f64>> = (first - self.abrupt()..=end).map(near).collect();
        let jump = |pair: (&Option<f64>, &Option<f64>)| Some((*pair.1)? - (*pair.0)?);
        let later = levels.iter().skip(self.abrupt());
        let jumps: Vec<f64> = levels.iter().zip(later).map(|p| jump(p).unwrap_or(0.0)).collect();
        let greatest = |&i: &usize| {
            let around = i.saturating_sub(self.abrupt())..(i + self.abrupt() + 1).min(jumps.len());
            // Of equal ones the first: from there on the level is the new one.
            let before = jumps[around.start..i].iter().all(|jump| jump.abs() < jumps[i].abs());
            before && jumps[i..around.end].iter().all(|jump| jump.abs() <= jumps[i].abs())
        };
        let is_abrupt = |i: &usize| jumps[*i].abs() >= ABRUPT_SHARE * LOG_FACTOR_MIN;
        let found = (0..jumps.len()).rev().filter(is_abrupt).filter(greatest);
        found.map(|i| (first + i, jumps[i])).collect()
    }

    /// By how much the level has changed at `at` for good, where it jumps by `jump` at first.
    fn log_factor(&self, at: usize, jump: f64) -> Option<f64> {
        let after: Vec<Option<f64>> = (at..self.logs.len()).map(|t| self.ratio(t, at)).collect();
        let log_factor = observed_median(&after)?;
        let (size, sign) = (log_factor.abs(), log_factor.signum());
        if !(LOG_FACTOR_MIN..=LOG_FACTOR_MAX).contains(&size) || jump * sign < ABRUPT_SHARE * size {
            return None;
        }
        let since: Vec<f64> = after.chunks(self.hour).filter_map(observed_median).collect();
        let week = self.day.max(at.saturating_sub(DAYS_COMPARED * self.day))..at;
        let before = self.ratios[week].rchunks(self.hour);
        let before: Vec<f64> = before.filter_map(observed_median).collect();
        let is_shift = is_stable(&since, log_factor)
            && was_calm(&before, size)
            && [1, 7].into_iter().all(|days| self.holds_beside(days, at, log_factor));
        is_shift.then_some(log_factor)
    }

    /// Whether the load has changed from that of `days` days before alone, too: a weekend has not from
    /// the week before, nor a busy afternoon from the day before. `true` where nothing was seen then.
    fn holds_beside(&self, days: usize, at: usize, log_factor: f64) -> bool {
        let back = days * self.day;
        // What lies that far back must lie before the shift.
        let times = at..self.logs.len().min(at + back);
        let change = |t: usize| Some(self.logs[t]? - self.logs[t.checked_sub(back)?]?);
        let changes: Vec<Option<f64>> = times.map(change).collect();
        let least = (1.0 - TOLERANCE) * log_factor.abs();
        observed_median(&changes).is_none_or(|change| change * log_factor.signum() >= least)
    }
}

/// Whether each hour since, but for few, has the same level.
fn is_stable(since: &[f64], log_factor: f64) -> bool {
    let away = |level: &&f64| (**level - log_factor).abs() > TOLERANCE * log_factor.abs();
    since.len() >= HOURS_AFTER_MIN
        && since.iter().filter(away).count() as f64 <= UNSTABLE_MAX * since.len() as f64
        && deviation(since, log_factor) <= log_factor.abs() / DEVIATIONS_MIN
}

/// Whether the hours before, the latest first, were as expected, and rarely half of the change away from
/// it.
fn was_calm(before: &[f64], size: f64) -> bool {
    let Some(day) = before.get(..HOURS_BEFORE) else { return false };
    let level = median(&mut day.to_vec()).unwrap_or(f64::INFINITY);
    let restless = before.iter().filter(|level| level.abs() > size / 2.0).count();
    level.abs() <= TOLERANCE * size
        && deviation(day, level) <= size / DEVIATIONS_MIN
        && restless as f64 <= RESTLESS_MAX * before.len() as f64
}

/// The median of `values`, where half of them were observed.
fn observed_median(values: &[Option<f64>]) -> Option<f64> {
    let mut observed: Vec<f64> = values.iter().flatten().copied().collect();
    (2 * observed.len() >= values.len()).then(|| median(&mut observed)).flatten()
}

/// The spread of `values` about `middle`: the median absolute deviation, scaled so as to be the
/// standard one were they normal.
fn deviation(values: &[f64], middle: f64) -> f64 {
    let mut away: Vec<f64> = values.iter().map(|value| (value - middle).abs()).collect();
    median(&mut away).map_or(f64::INFINITY, |deviation| NORMAL * deviation)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::series_of;
    use crate::{SeriesId, Step};
    use proptest::prelude::*;

    const DAY: usize = 288;

    /// A daily cycle with noise of a few per cent.
    fn load(i: usize) -> f64 {
        let phase = (i % DAY) as f64 / DAY as f64 * std::f64::consts::TAU;
        (10.0 + 5.0 * phase.sin()) * (1.0 + ((i * 7919 % 101) as f64 / 50.0 - 1.0) * 0.05)
    }

    /// Days of the load, altered by a factor of each step.
    fn days(count: usize, factor: impl Fn(usize) -> f64) -> Series {
        series_of(&(0..count * DAY).map(|i| Some(load(i) * factor(i))).collect::<Vec<_>>())
    }

    /// The step that the shift is at, and its factor.
    fn detected(view: SeriesView<'_>) -> Option<(i64, f64)> {
        let shift = LevelShift::detect(view)?;
        Some((shift.at().as_second() / 300, shift.factor()))
    }

    #[test]
    fn a_jump_is_seen_hours_later_and_for_days() {
        let at = 5 * DAY + 130;
        for factor in [0.4, 0.7, 1.5, 3.0] {
            let series = days(12, |i| if i >= at { factor } else { 1.0 });
            let before = series.view().prefix(at + HOURS_AFTER_MIN * 12 - 7);
            assert_eq!(LevelShift::detect(before), None, "{factor}");
            for end in [at + HOURS_AFTER_MIN * 12 + 6, at + 2 * DAY, at + 6 * DAY] {
                let (found, got) = detected(series.view().prefix(end)).unwrap();
                assert!((found - at as i64).abs() <= 1, "{factor}: {found}");
                assert!((got / factor).ln().abs() < 0.03, "{factor}: {got}");
            }
        }
    }

    #[test]
    fn the_latest_of_two_is_found() {
        let level = |i| [1.0, 2.0, 1.2][usize::from(i >= 1000) + usize::from(i >= 5000)];
        let (at, factor) = detected(days(20, level).view()).unwrap();
        assert!((at - 5000).abs() <= 1 && (factor / 0.6).ln().abs() < 0.03, "{at} {factor}");
    }

    #[test]
    fn what_is_no_jump_for_good_is_none() {
        let none = |name: &str, series: &Series, ends: std::ops::Range<usize>| {
            for end in ends.step_by(6) {
                let found = detected(series.view().prefix(end));
                assert_eq!(found, None, "{name} at {end}");
            }
        };
        none("nothing", &days(9, |_| 1.0), 800..9 * DAY);
        let at = 5 * DAY + 130;
        let back = days(9, |i| if (at..at + 50).contains(&i) { 2.0 } else { 1.0 });
        none("a campaign of four hours", &back, at..9 * DAY);
        let small = days(9, |i| if i >= at { 1.15 } else { 1.0 });
        none("a seventh more", &small, at..9 * DAY);
        let outage = days(9, |i| if i >= at { 0.0 } else { 1.0 });
        none("an outage", &outage, at..9 * DAY);
        let ramp = |i: usize| 1.0 + (i.saturating_sub(at) as f64 / 48.0).min(1.0);
        none("a ramp of four hours", &days(9, ramp), at..9 * DAY);
        let afternoon = |i: usize| {
            let busy = i >= at && (120..200).contains(&(i % DAY));
            if busy { 2.0 } else { 1.0 }
        };
        none("busy afternoons", &days(9, afternoon), at..9 * DAY);
    }

    #[test]
    fn weekends_are_none_once_one_was_seen() {
        let weekend = |i: usize| if matches!(i / DAY % 7, 5 | 6) { 0.4 } else { 1.0 };
        let series = days(15, weekend);
        for end in (8 * DAY..15 * DAY).step_by(6) {
            assert_eq!(detected(series.view().prefix(end)), None, "{end}");
        }
    }

    #[test]
    fn too_little_history_and_long_steps_show_nothing() {
        let series = days(3, |i| if i >= 600 { 2.0 } else { 1.0 });
        assert_eq!(LevelShift::detect(series.view().suffix(500)), None);
        assert_eq!(LevelShift::detect(series.view().prefix(0)), None);
        let values: Vec<_> = (0..500).map(|i| Some(if i < 400 { 1.0 } else { 2.0 })).collect();
        let (id, step) = (SeriesId::new("hourly").unwrap(), Step::from_seconds(3600).unwrap());
        let hourly = Series::from_values(id, step, Timestamp::UNIX_EPOCH, values).unwrap();
        assert_eq!(LevelShift::detect(hourly.view()), None);
        assert_eq!(LevelShift::detect(series_of(&vec![Some(0.0); 2000]).view()), None);
    }

    #[test]
    fn gaps_are_no_hindrance() {
        let at = 5 * DAY + 130;
        let series = days(7, |i| if i >= at { 0.5 } else { 1.0 });
        let holes = |(i, value): (usize, &Option<f64>)| value.filter(|_| i % 7 != 0);
        let mut values: Vec<_> = series.view().values().iter().enumerate().map(holes).collect();
        values[0] = Some(load(0));
        values[3 * DAY..3 * DAY + 40].fill(None);
        let (found, factor) = detected(series_of(&values).view()).unwrap();
        assert!((found - at as i64).abs() <= 1 && (factor / 0.5).ln().abs() < 0.03);
    }

    #[test]
    fn the_past_takes_the_new_level() {
        let series = series_of(&[Some(1.0), None, Some(3.0), Some(8.0)]);
        let at = |step: i64| Timestamp::from_second(step * 300).unwrap();
        let rescaled = LevelShift::new(at(3), 2.0).unwrap().rescale(series.view()).unwrap();
        assert_eq!(rescaled.view().values(), [Some(2.0), None, Some(6.0), Some(8.0)]);
        let unmoved = LevelShift::new(at(-1), 2.0).unwrap().rescale(series.view()).unwrap();
        assert_eq!(unmoved, series);
        for factor in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let text = LevelShift::new(at(0), factor).unwrap_err().to_string();
            assert!(text.contains("above zero"), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn rescaling_leaves_no_shift(
            at in 3 * DAY..6 * DAY, factor in prop_oneof![0.3..0.7_f64, 1.4..4.0_f64]
        ) {
            let series = days(7, |i| if i >= at { factor } else { 1.0 });
            let shift = LevelShift::detect(series.view()).unwrap();
            let rescaled = shift.rescale(series.view()).unwrap();
            prop_assert_eq!(LevelShift::detect(rescaled.view()), None);
        }

        #[test]
        fn it_is_the_same_for_a_load_of_any_unit(unit in 1e-6..1e6_f64, factor in 0.3..3.0_f64) {
            let of = |unit: f64| {
                let series = days(7, |i| unit * if i >= 1500 { factor } else { 1.0 });
                detected(series.view())
            };
            match (of(1.0), of(unit)) {
                (Some(a), Some(b)) => prop_assert!(a.0 == b.0 && (a.1 / b.1 - 1.0).abs() < 1e-9),
                (a, b) => prop_assert_eq!(a, b),
            }
        }

        #[test]
        fn any_series_is_survived(
            values in prop::collection::vec(prop::option::of(0.0..10.0_f64), 1..1200)
        ) {
            let mut values = values;
            values[0] = Some(1.0);
            if let Some(shift) = LevelShift::detect(series_of(&values).view()) {
                prop_assert!(shift.factor() > 0.0 && shift.factor().is_finite());
            }
        }
    }
}
