//! Stretches of time that must not be learned from: outages, crash loops, load shedding.
//!
//! ```text
//!  a file of spans ─┐
//!  Mask::of_outages ┴─▶ Mask ─▶ apply ──────────────▶ what a method is fitted on
//!                        └────▶ apply_for_forecast ─▶ what a forecast is made from
//! ```
//!
//! A masked value becomes a gap, and gaps are treated in one place, [`crate::gaps`]: left out of
//! training, filled causally. The latest steps are what a forecast is about: they are real, even in an
//! outage, so [`Mask::apply_for_forecast`] leaves them as they are.

use std::sync::Arc;

use jiff::Timestamp;
use thiserror::Error;

use crate::LOOKBACK;
use crate::forecast::Forecast;
use crate::forecaster::{ForecastFailure, Forecaster};
use crate::quantile::median;
use crate::series::{Series, SeriesError, SeriesView};

/// A load of at most this share of its median is as good as none: a process that idles in a crash loop
/// still uses some CPU.
const LOW_SHARE: f64 = 0.01;
/// Low values that make an outage. Fewer are a restart, which belongs to the workload.
const LOW_STEPS_MIN: usize = 3;
/// Where this share of the values outside of an outage is low too, low is a habit.
const LOW_ELSEWHERE_MAX: f64 = 0.02;
/// An outage of a greater share of the history leaves open which of the two is normal.
const OUTAGE_SHARE_MAX: f64 = 0.1;
/// Values that may be glitches; more of them belong to the load.
const GLITCHES_MAX: usize = 3;
/// How many times the highest other value a glitch is.
const GLITCH_FACTOR_MIN: f64 = 20.0;
/// Other values that must have been seen: half a day of five-minute steps.
const GLITCH_VALUES_MIN: usize = 144;
/// Days on which the same time must have been seen, to know that it is not always low then.
const OTHER_DAYS_MIN: usize = 3;

/// A stretch of time, `from` included and `to` not, that must not be learned from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Span {
    /// The first time masked.
    pub from: Timestamp,
    /// The first time after `from` that is not.
    pub to: Timestamp,
    /// Why, for people to read; it may be empty.
    pub why: String,
}

/// Why spans are not a [`Mask`].
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum MaskError {
    /// A span has no length.
    #[error("the span from {from} to {to} is empty: expected a `to` that is later than `from`")]
    Empty {
        /// Its beginning.
        from: Timestamp,
        /// Its end, not after it.
        to: Timestamp,
    },
}

/// Spans that must not be learned from, in order of time; none overlaps another.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Mask {
    spans: Vec<Span>,
}

impl Mask {
    /// A mask of `spans` in any order; those that overlap become one, its reasons listed.
    ///
    /// # Errors
    /// When a span does not end after it begins.
    pub fn new(mut spans: Vec<Span>) -> Result<Self, MaskError> {
        if let Some(&Span { from, to, .. }) = spans.iter().find(|span| span.from >= span.to) {
            return Err(MaskError::Empty { from, to });
        }
        spans.sort_by_key(|span| (span.from, span.to));
        let mut merged: Vec<Span> = Vec::with_capacity(spans.len());
        for span in spans {
            match merged.last_mut().filter(|last| span.from < last.to) {
                Some(last) => {
                    last.to = last.to.max(span.to);
                    if !span.why.is_empty() && !last.why.split("; ").any(|why| why == span.why) {
                        last.why.push_str(if last.why.is_empty() { "" } else { "; " });
                        last.why.push_str(&span.why);
                    }
                }
                None => merged.push(span),
            }
        }
        Ok(Self { spans: merged })
    }

    /// What shows in `series` itself: its [`Self::of_outages`] and [`Self::of_glitches`].
    #[must_use]
    pub fn of_faults(series: SeriesView<'_>) -> Self {
        Self::of_outages(series).and(&Self::of_glitches(series))
    }

    /// Values that no load has: at most three in `series`, each at least
    /// twenty times the highest of all the others, as a counter that was reset leaves
    /// them.
    #[must_use]
    pub fn of_glitches(series: SeriesView<'_>) -> Self {
        let mut values: Vec<f64> = series.values().iter().flatten().copied().collect();
        values.sort_by(f64::total_cmp);
        let glitches = (1..=GLITCHES_MAX.min(values.len().saturating_sub(GLITCH_VALUES_MIN)))
            .filter(|count| {
                let [below, above] = [count + 1, *count].map(|back| values[values.len() - back]);
                above > GLITCH_FACTOR_MIN * below && below > 0.0
            })
            .max();
        let Some(glitches) = glitches else { return Self::default() };
        let least = values[values.len() - glitches];
        let is_glitch = |offset: &usize| series.values()[*offset].is_some_and(|v| v >= least);
        let span = |offset: usize| Span {
            from: series.time_at(offset),
            to: series.time_at(offset + 1),
            why: format!("glitch: {GLITCH_FACTOR_MIN} times all other values at least"),
        };
        Self { spans: (0..series.len()).filter(is_glitch).map(span).collect() }
    }

    /// The outages that show in `series` itself: at least three low values in a row, gaps between
    /// them aside, where low is at most 1 % of the median of the values above zero.
    ///
    /// A workload that is low by habit (at night, between batches, scaled to zero) has none: beside the
    /// outage less than 2 % of the values may be low, no three of them within an hour of the same time of
    /// another day, and that time must have been seen on three other days. A stretch that begins or ends
    /// the series is none either: it has yet to be seen what is normal there. A habit that shows once in
    /// the series, such as a quiet night a week in a week of history, is taken for an outage; a crash
    /// loop that is busy is not seen.
    #[must_use]
    pub fn of_outages(series: SeriesView<'_>) -> Self {
        let mut positive: Vec<f64> =
            series.values().iter().flatten().copied().filter(|value| *value > 0.0).collect();
        let Some(median) = median(&mut positive) else { return Self::default() };
        let low = Low { series, level_max: LOW_SHARE * median };
        let all = series.values().iter().flatten().filter(|value| low.is(value)).count();
        let spans = low.runs().into_iter().filter(|run| low.is_outage(run, all)).map(|run| Span {
            from: series.time_at(run.first),
            to: series.time_at(run.last + 1),
            why: format!(
                "outage: {} values in a row of at most 1 % of the median, {median:.3}",
                run.values
            ),
        });
        Self { spans: spans.collect() }
    }

    /// The spans of both masks.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let spans = self.spans.iter().chain(&other.spans).cloned().collect();
        Self::new(spans).expect("the spans of a mask are not empty")
    }

    /// The spans, in order of time.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// The span that holds `time`.
    #[must_use]
    pub fn span_at(&self, time: Timestamp) -> Option<&Span> {
        let begun = self.spans.partition_point(|span| span.from <= time);
        self.spans[..begun].last().filter(|span| time < span.to)
    }

    /// The number of values of `series` that are masked.
    #[must_use]
    pub fn masked(&self, series: SeriesView<'_>) -> usize {
        let times = (0..series.len()).filter(|&offset| series.values()[offset].is_some());
        times.filter(|&offset| self.span_at(series.time_at(offset)).is_some()).count()
    }

    /// `series` with gaps where it is masked, to fit a method on. It may end earlier than `series`, so
    /// it is no history to forecast from: that is [`Self::apply_for_forecast`].
    ///
    /// # Errors
    /// [`SeriesError::NoValues`] when all of it is masked.
    pub fn apply(&self, series: SeriesView<'_>) -> Result<Series, SeriesError> {
        self.apply_to(series, series.len())
    }

    /// `series` with gaps where it is masked, but for its last [`LOOKBACK`] steps, to forecast from: an
    /// outage yesterday is then not expected again today, while one that goes on is seen, and the origin
    /// stays where it is.
    ///
    /// # Errors
    /// [`SeriesError::NoValues`] when nothing is left.
    pub fn apply_for_forecast(&self, series: SeriesView<'_>) -> Result<Series, SeriesError> {
        self.apply_to(series, series.len().saturating_sub(LOOKBACK))
    }

    /// Masks the first `count` steps.
    fn apply_to(&self, series: SeriesView<'_>, count: usize) -> Result<Series, SeriesError> {
        let end = series.time_at(count);
        let kept = |time, value| (time >= end || self.span_at(time).is_none()).then_some(value);
        series.with_values(&series.map(kept)).to_series()
    }
}

/// A method to which what is masked in its history is a gap.
#[derive(Clone)]
pub struct WithMask {
    inner: Arc<dyn Forecaster>,
    mask: Arc<Mask>,
}

impl std::fmt::Debug for WithMask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let inner = self.inner.name();
        f.debug_struct("WithMask").field("inner", &inner).field("mask", &self.mask).finish()
    }
}

impl WithMask {
    /// `inner`, which was fitted on a history that [`Mask::apply`] made, with `mask`.
    #[must_use]
    pub fn new(inner: Arc<dyn Forecaster>, mask: Arc<Mask>) -> Self {
        Self { inner, mask }
    }
}

impl Forecaster for WithMask {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    /// Many origins are forecast one by one, since each sees its own latest steps unmasked.
    fn forecast(
        &self,
        history: SeriesView<'_>,
        horizon: usize,
    ) -> Result<Forecast, ForecastFailure> {
        match self.mask.apply_for_forecast(history) {
            Ok(masked) => self.inner.forecast(masked.view(), horizon),
            // All but gaps is masked: there is nothing to forecast from.
            Err(_) => Err(ForecastFailure::TooShort { needed: LOOKBACK / 2, got: 0 }),
        }
    }
}

/// The low values of a series.
struct Low<'a> {
    series: SeriesView<'a>,
    /// In the unit of the load.
    level_max: f64,
}

/// Low values in a row, by offset; gaps may lie between them.
struct Run {
    first: usize,
    last: usize,
    values: usize,
}

impl Low<'_> {
    fn is(&self, value: &f64) -> bool {
        *value <= self.level_max
    }

    /// The stretches of low values that lie between others.
    fn runs(&self) -> Vec<Run> {
        let mut runs = Vec::new();
        let mut open: Option<Run> = None;
        let mut others = false;
        for (offset, value) in self.series.values().iter().enumerate() {
            match (value, &mut open) {
                (None, _) => {}
                (Some(value), Some(run)) if self.is(value) => {
                    run.last = offset;
                    run.values += 1;
                }
                (Some(value), None) if self.is(value) => {
                    // What begins the series has no value before it.
                    open = others.then_some(Run { first: offset, last: offset, values: 1 });
                }
                (Some(_), _) => {
                    others = true;
                    runs.extend(open.take());
                }
            }
        }
        runs.retain(|run| run.values >= LOW_STEPS_MIN);
        runs
    }

    /// Whether `run`, of `all` low values, is none of the workload's habits.
    fn is_outage(&self, run: &Run, all: usize) -> bool {
        let observed = self.series.values().iter().flatten().count() as f64;
        if (all - run.values) as f64 >= LOW_ELSEWHERE_MAX * observed
            || run.values as f64 > OUTAGE_SHARE_MAX * observed
        {
            return false;
        }
        let day = self.series.step().per_day();
        let days = self.series.len() / day + 1;
        let earlier = (1..=days).filter_map(|d| self.low_at_same_time(run, -((d * day) as i64)));
        let later = (1..=days).filter_map(|d| self.low_at_same_time(run, (d * day) as i64));
        let others: Vec<bool> = earlier.chain(later).collect();
        others.len() >= OTHER_DAYS_MIN && !others.contains(&true)
    }

    /// Whether as many values as make a run are low within an hour of `run` moved by `by` steps; `None`
    /// where less than half of the moved run was observed.
    fn low_at_same_time(&self, run: &Run, by: i64) -> Option<bool> {
        let hour = (self.series.step().per_day() / 24) as i64;
        let (first, last) = (run.first as i64 + by, run.last as i64 + by);
        let value = |offset: i64| {
            let offset = usize::try_from(offset).ok()?;
            let outside = !(run.first..=run.last).contains(&offset);
            outside.then(|| self.series.values().get(offset).copied().flatten()).flatten()
        };
        let observed = (first..=last).filter_map(value).count() as i64;
        let seen = observed > 0 && 2 * observed > last - first;
        let around = || (first - hour..=last + hour).filter_map(value);
        seen.then(|| around().filter(|value| self.is(value)).count() >= LOW_STEPS_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::SeasonalNaive;
    use crate::testing::{daily_cycle, series_of};
    use proptest::prelude::*;

    const DAY: usize = 288;

    fn at(step: usize) -> Timestamp {
        Timestamp::from_second(step as i64 * 300).unwrap()
    }

    fn span(from: usize, to: usize, why: &str) -> Span {
        Span { from: at(from), to: at(to), why: why.to_owned() }
    }

    /// Seven days, altered.
    fn week(alter: impl Fn(&mut [Option<f64>])) -> Series {
        let mut values = daily_cycle(7).view().values().to_vec();
        alter(&mut values);
        series_of(&values)
    }

    fn outages(alter: impl Fn(&mut [Option<f64>])) -> Vec<(usize, usize)> {
        let steps = |time: Timestamp| (time.as_second() / 300) as usize;
        let mask = Mask::of_outages(week(alter).view());
        mask.spans().iter().map(|span| (steps(span.from), steps(span.to))).collect()
    }

    #[test]
    fn spans_are_half_open_and_those_that_overlap_are_one() {
        let mask =
            Mask::new(vec![span(9, 12, "b"), span(2, 4, "a"), span(10, 11, "c"), span(4, 5, "")]);
        let mask = mask.unwrap();
        assert_eq!(mask.spans(), [span(2, 4, "a"), span(4, 5, ""), span(9, 12, "b; c")]);
        assert_eq!(mask.span_at(at(3)).unwrap().why, "a");
        assert_eq!(mask.span_at(at(5)), None);
        let text = Mask::new(vec![span(4, 4, "x")]).unwrap_err().to_string();
        assert!(text.contains("later than `from`") && text.contains("1970-01-01T00:20"), "{text}");
    }

    #[test]
    fn what_is_masked_is_a_gap() {
        let series = series_of(&[1.0, 2.0, 3.0, 4.0].map(Some));
        let mask = Mask::new(vec![span(1, 3, "")]).unwrap();
        let masked = mask.apply(series.view()).unwrap();
        assert_eq!(masked.view().values(), [Some(1.0), None, None, Some(4.0)]);
        assert_eq!(mask.masked(series.view()), 2);
        let all = Mask::new(vec![span(0, 9, "")]).unwrap().apply(series.view());
        assert_eq!(all, Err(SeriesError::NoValues { samples: 4 }));
    }

    #[test]
    fn a_forecast_sees_the_latest_steps_as_they_are() {
        let series = daily_cycle(2);
        let mask = Mask::new(vec![span(500, 999, "load shedding")]).unwrap();
        let masked = mask.apply_for_forecast(series.view()).unwrap();
        assert_eq!(masked.view().last_time(), series.view().last_time());
        assert_eq!(masked.view().suffix(LOOKBACK), series.view().suffix(LOOKBACK));
        assert_eq!(masked.view().values()[500..576 - LOOKBACK].iter().flatten().count(), 0);
    }

    #[test]
    fn an_outage_yesterday_is_not_expected_again() {
        let mut values = daily_cycle(4).view().values().to_vec();
        let expected: Vec<f64> = values[450..462].iter().flatten().copied().collect();
        values[420..480].fill(Some(0.5));
        let series = series_of(&values[..450 + 288]);
        let mask = Arc::new(Mask::new(vec![span(420, 480, "load shedding")]).unwrap());
        let learnable = mask.apply(series.view()).unwrap();
        let seasonal = Arc::new(SeasonalNaive::fit(learnable.view(), 288, 12).unwrap());
        let naive = seasonal.forecast(series.view(), 12).unwrap();
        assert!(naive.points()[0] < 1.0);
        let forecast = WithMask::new(seasonal, mask).forecast(series.view(), 12).unwrap();
        for (point, expected) in forecast.points().iter().zip(expected) {
            assert!((point - expected).abs() < 1e-9, "{point} {expected}");
        }
    }

    #[test]
    fn zeros_amid_a_load_that_is_never_zero_are_an_outage() {
        let zeros = |values: &mut [Option<f64>]| {
            values[1000..1050].fill(Some(0.001));
            values[1010] = None;
            values[1500..1502].fill(Some(0.0));
            values[1000 + DAY..1002 + DAY].fill(Some(0.0));
        };
        assert_eq!(outages(zeros), [(1000, 1050)], "and two steps are a restart");
        let mask = Mask::of_outages(week(zeros).view());
        assert!(mask.spans()[0].why.contains("49 values"), "{}", mask.spans()[0].why);
    }

    #[test]
    fn what_no_load_is_is_a_glitch() {
        let glitches = |change: fn(&mut [Option<f64>])| -> Vec<(usize, usize)> {
            let mut values = daily_cycle(3).view().values().to_vec();
            change(&mut values);
            let series = series_of(&values);
            let spans = Mask::of_glitches(series.view());
            let at = |time: Timestamp| (time.as_second() / 300) as usize;
            let start = at(series.view().first_time());
            spans.spans().iter().map(|s| (at(s.from) - start, at(s.to) - start)).collect()
        };
        assert_eq!(glitches(|_| ()), []);
        let two = |values: &mut [Option<f64>]| {
            values[100] = Some(1e9);
            values[400] = Some(2e6);
        };
        assert_eq!(glitches(two), [(100, 101), (400, 401)]);
        assert_eq!(glitches(|values| values[100] = values[100].map(|v| 10.0 * v)), []);
        assert_eq!(glitches(|values| values[100..110].fill(Some(1e9))), [], "a load of its own");
    }

    #[test]
    fn zeros_by_habit_are_none() {
        let nightly = |values: &mut [Option<f64>]| {
            for day in 0..7 {
                // Never at the same minute.
                values[day * DAY + 20 + day..][..4].fill(Some(0.0));
            }
        };
        assert_eq!(outages(nightly), []);
        let often = |values: &mut [Option<f64>]| {
            for i in 0..12 {
                values[50 + 150 * i..][..4].fill(Some(0.0));
            }
        };
        assert_eq!(outages(often), []);
        let idle = |values: &mut [Option<f64>]| values[700..1700].fill(Some(0.0));
        assert_eq!(outages(idle), [], "half of the time");
    }

    #[test]
    fn an_outage_that_may_go_on_is_none_yet() {
        let last = |values: &mut [Option<f64>]| values[7 * DAY - 20..].fill(Some(0.0));
        assert_eq!(outages(last), []);
        let first = |values: &mut [Option<f64>]| values[..20].fill(Some(0.0));
        assert_eq!(outages(first), []);
        let young = |values: &mut [Option<f64>]| {
            values[..5 * DAY].fill(None);
            values[6 * DAY..6 * DAY + 9].fill(Some(0.0));
        };
        assert_eq!(outages(young), [], "two days say nothing of habits");
    }

    proptest! {
        #[test]
        fn masks_what_it_says_and_nothing_else(
            spans in prop::collection::vec((0_usize..600, 1_usize..60), 0..12),
            length in 1_usize..600,
        ) {
            let spans: Vec<Span> =
                spans.iter().map(|(from, steps)| span(*from, from + steps, "x")).collect();
            let series = daily_cycle(3);
            let view = series.view().prefix(length);
            let mask = Mask::new(spans.clone()).unwrap();
            prop_assert!(mask.spans().windows(2).all(|pair| pair[0].to <= pair[1].from));
            let inside = |time| spans.iter().any(|span| span.from <= time && time < span.to);
            let kept = (0..length).filter(|&i| !inside(view.time_at(i))).count();
            prop_assert_eq!(mask.masked(view), length - kept);
            match mask.apply(view) {
                Ok(masked) => for i in 0..length {
                    let expected = view.values()[i].filter(|_| !inside(view.time_at(i)));
                    prop_assert_eq!(masked.view().value_at(view.time_at(i)), expected);
                },
                Err(_) => prop_assert_eq!(kept, 0),
            }
            prop_assert_eq!(mask.and(&mask), mask.clone());
        }

        #[test]
        fn an_outage_never_ends_a_series(
            values in prop::collection::vec(prop::option::of(prop::sample::select(vec![0.0, 0.0, 5.0])), 1..2000)
        ) {
            let mut values = values;
            values.push(Some(5.0));
            let mut normal: Vec<_> = vec![Some(5.0); 4 * DAY];
            normal.extend(values);
            let series = series_of(&normal);
            let mask = Mask::of_outages(series.view().prefix(normal.len() - 1));
            let last = series.view().prefix(normal.len() - 1).last_time();
            prop_assert!(mask.span_at(last).is_none());
        }
    }
}
