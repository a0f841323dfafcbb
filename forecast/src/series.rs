//! A recorded load: regular in time, its gaps explicit.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use jiff::Timestamp;
use thiserror::Error;

use crate::step::Step;

/// The longest series that is accepted, in grid points: ten years of five-minute steps. A corrupt
/// timestamp would otherwise ask for a grid that does not fit in memory.
pub const POINTS_MAX: usize = 1 << 20;

/// The name of one metric of one workload, such as `shop/web`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SeriesId(String);

/// Why a text is not a [`SeriesId`].
#[derive(Clone, PartialEq, Eq, Debug, Error)]
#[error("a series needs a name of 1 to 253 printable characters, got {0:?}")]
pub struct SeriesIdError(String);

impl SeriesId {
    /// A series named `name`.
    ///
    /// # Errors
    /// When `name` is empty, longer than 253 bytes or holds control characters.
    pub fn new(name: impl Into<String>) -> Result<Self, SeriesIdError> {
        let name = name.into();
        if name.is_empty() || name.len() > 253 || name.chars().any(char::is_control) {
            return Err(SeriesIdError(name.chars().take(64).collect()));
        }
        Ok(Self(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SeriesId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One raw observation; a `NaN` or infinite value says that the source had none at that time.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Sample {
    /// When it was observed.
    pub time: Timestamp,
    /// The observed load, in the series' own unit.
    pub value: f64,
}

/// What putting samples on the grid did to them.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct GridReport {
    /// Samples given.
    pub samples: usize,
    /// Samples without a finite value, which became gaps.
    pub not_finite: usize,
    /// Samples whose exact time stood earlier in the input too; the last finite one counts.
    pub duplicates: usize,
    /// Samples that shared a grid point with another and were averaged with it.
    pub merged: usize,
    /// Samples that were earlier than the one before them.
    pub out_of_order: usize,
    /// Grid points without a value.
    pub gaps: usize,
}

/// Why samples are not a [`Series`].
#[derive(Clone, PartialEq, Debug, Error)]
pub enum SeriesError {
    /// There was nothing.
    #[error("the history is empty: expected rows of timestamp and value")]
    Empty,
    /// There were only gaps.
    #[error("none of the {samples} samples has a finite value")]
    NoValues {
        /// Samples given.
        samples: usize,
    },
    /// A load (CPU, requests) cannot be negative.
    #[error("the value {value} at {time} is not a load: expected a finite number, zero or more")]
    NotALoad {
        /// When.
        time: Timestamp,
        /// The value.
        value: f64,
    },
    /// The grid would be too large.
    #[error(
        "the samples span {first} to {last}, {points} steps of {step}; at most {POINTS_MAX} are accepted: check the timestamps, or use a longer step"
    )]
    TooLong {
        /// The first sample's time.
        first: Timestamp,
        /// The last sample's time.
        last: Timestamp,
        /// Grid points asked for.
        points: u64,
        /// The step.
        step: Step,
    },
    /// The samples are further apart than the step.
    #[error(
        "the samples are mostly {spacing_seconds} s apart, but the step is {step}: pass the step that the history has"
    )]
    Coarser {
        /// The distance that nine in ten neighbouring samples have at least.
        spacing_seconds: i64,
        /// The step asked for.
        step: Step,
    },
}

/// A load on a regular grid. Not empty; the first and the last value are present; every present
/// value is finite and zero or more; an absent one is a gap.
#[derive(Clone, PartialEq, Debug)]
pub struct Series {
    id: SeriesId,
    step: Step,
    first_index: i64,
    values: Vec<Option<f64>>,
}

impl Series {
    /// Puts samples on the grid of `step`; the input may be unsorted, duplicated, irregular and
    /// gapped; gaps at either end are left out.
    ///
    /// Samples that are about a step apart belong to their nearest grid point, so that jitter below
    /// half a step makes no gap. Where they are finer, at a median spacing of at most half a step,
    /// a grid point holds the mean of the samples since the one before it, in (t − step, t]: what
    /// was known at its time, and nothing later.
    ///
    /// # Errors
    /// When there is no finite value, one is negative, the span is too long, or the samples are
    /// further apart than the step.
    pub fn from_samples(
        id: SeriesId,
        step: Step,
        samples: &[Sample],
    ) -> Result<(Self, GridReport), SeriesError> {
        let mut report = GridReport { samples: samples.len(), ..GridReport::default() };
        let by_time = sort_and_check(samples, &mut report)?;
        let present: Vec<(Timestamp, f64)> =
            by_time.into_iter().filter(|(_, value)| value.is_finite()).collect();
        let (Some(&(first, _)), Some(&(last, _))) = (present.first(), present.last()) else {
            return Err(if samples.is_empty() {
                SeriesError::Empty
            } else {
                SeriesError::NoValues { samples: samples.len() }
            });
        };
        let spacings = sorted_spacings(&present);
        refuse_coarser(&spacings, step)?;
        let index_of: fn(Step, Timestamp) -> i64 =
            if are_finer(&spacings, step) { Step::ceil_index } else { Step::nearest_index };
        let first_index = index_of(step, first);
        let points = index_of(step, last).abs_diff(first_index).saturating_add(1);
        let length = usize::try_from(points)
            .ok()
            .filter(|&n| n <= POINTS_MAX)
            .ok_or(SeriesError::TooLong { first, last, points, step })?;
        let offset = |time| {
            usize::try_from(index_of(step, time) - first_index)
                .expect("samples are sorted, so none is before the first")
        };
        let samples = present.iter().map(|&(time, value)| (offset(time), value));
        let values = average_on_grid(samples, length, &mut report);
        report.gaps = values.iter().filter(|v| v.is_none()).count();
        Ok((Self { id, step, first_index, values }, report))
    }

    /// A series of values that lie on the grid already, the first at the grid point nearest to
    /// `first`; gaps at either end are left out.
    ///
    /// # Errors
    /// When there is no value, one is negative or not finite, or there are too many.
    pub fn from_values(
        id: SeriesId,
        step: Step,
        first: Timestamp,
        values: Vec<Option<f64>>,
    ) -> Result<Self, SeriesError> {
        let first_index = step.nearest_index(first);
        let view = SeriesView { id: &id, step, first_index, values: &values };
        if values.len() > POINTS_MAX {
            let (first, last, points) = (view.first_time(), view.last_time(), values.len() as u64);
            return Err(SeriesError::TooLong { first, last, points, step });
        }
        let refused = |v: &Option<f64>| v.is_some_and(|v| v < 0.0 || !v.is_finite());
        if let Some(offset) = values.iter().position(refused) {
            let value = values[offset].unwrap_or(f64::NAN);
            return Err(SeriesError::NotALoad { time: view.time_at(offset), value });
        }
        view.to_series()
    }

    /// A borrowed view of the whole series.
    #[must_use]
    pub fn view(&self) -> SeriesView<'_> {
        SeriesView {
            id: &self.id,
            step: self.step,
            first_index: self.first_index,
            values: &self.values,
        }
    }

    /// The series' name.
    #[must_use]
    pub fn id(&self) -> &SeriesId {
        &self.id
    }

    /// The sampling interval.
    #[must_use]
    pub fn step(&self) -> Step {
        self.step
    }
}

/// The last finite value given for each time, in order of time; counts what was irregular.
fn sort_and_check(
    samples: &[Sample],
    report: &mut GridReport,
) -> Result<BTreeMap<Timestamp, f64>, SeriesError> {
    let mut by_time: BTreeMap<Timestamp, f64> = BTreeMap::new();
    let mut previous = Timestamp::MIN;
    for &Sample { time, value } in samples {
        if value.is_finite() && value < 0.0 {
            return Err(SeriesError::NotALoad { time, value });
        }
        report.not_finite += usize::from(!value.is_finite());
        report.out_of_order += usize::from(time < previous);
        match by_time.entry(time) {
            Entry::Vacant(entry) => {
                entry.insert(value);
            }
            Entry::Occupied(mut entry) => {
                report.duplicates += 1;
                if value.is_finite() {
                    entry.insert(value);
                }
            }
        }
        previous = time;
    }
    Ok(by_time)
}

/// The seconds between neighbouring samples, the least first.
fn sorted_spacings(present: &[(Timestamp, f64)]) -> Vec<i64> {
    let mut spacings: Vec<i64> =
        present.windows(2).map(|pair| pair[1].0.as_second() - pair[0].0.as_second()).collect();
    spacings.sort_unstable();
    spacings
}

/// Whether the median spacing is at most half a step.
fn are_finer(sorted_spacings: &[i64], step: Step) -> bool {
    let median = sorted_spacings.get(sorted_spacings.len() / 2);
    median.is_some_and(|&seconds| 2 * seconds <= i64::from(step.seconds()))
}

/// Refuses samples of which nine in ten are at least two steps apart: most of the grid would be
/// gaps, and a forecast of them would mean nothing.
fn refuse_coarser(sorted_spacings: &[i64], step: Step) -> Result<(), SeriesError> {
    match sorted_spacings.get(sorted_spacings.len() / 10) {
        Some(&spacing_seconds) if spacing_seconds >= 2 * i64::from(step.seconds()) => {
            Err(SeriesError::Coarser { spacing_seconds, step })
        }
        _ => Ok(()),
    }
}

/// The mean of the samples of each grid point; each sample comes with its grid point's offset.
fn average_on_grid(
    samples: impl Iterator<Item = (usize, f64)>,
    length: usize,
    report: &mut GridReport,
) -> Vec<Option<f64>> {
    let mut cells = vec![(0.0_f64, 0_u32); length];
    for (offset, value) in samples {
        let (mean, count) = &mut cells[offset];
        *count += 1;
        report.merged += usize::from(*count > 1);
        // A running mean does not overflow where a sum of large loads would.
        *mean += (value - *mean) / f64::from(*count);
    }
    cells.into_iter().map(|(mean, count)| (count > 0).then_some(mean)).collect()
}

/// A borrowed stretch of a [`Series`]; it may end in a gap, and it may be empty.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct SeriesView<'a> {
    id: &'a SeriesId,
    step: Step,
    first_index: i64,
    values: &'a [Option<f64>],
}

impl<'a> SeriesView<'a> {
    /// The series' name.
    #[must_use]
    pub fn id(&self) -> &'a SeriesId {
        self.id
    }

    /// The sampling interval.
    #[must_use]
    pub fn step(&self) -> Step {
        self.step
    }

    /// The number of grid points, gaps included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no grid point at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The values, `None` where there is a gap.
    #[must_use]
    pub fn values(&self) -> &'a [Option<f64>] {
        self.values
    }

    /// The time of the grid point `offset` of this view; `offset` may lie past its end.
    #[must_use]
    pub fn time_at(&self, offset: usize) -> Timestamp {
        let offset = i64::try_from(offset).unwrap_or(i64::MAX);
        self.step.time_of(self.first_index.saturating_add(offset))
    }

    /// The time of the first grid point.
    #[must_use]
    pub fn first_time(&self) -> Timestamp {
        self.time_at(0)
    }

    /// The time of the last grid point: the origin of a forecast made from this view.
    #[must_use]
    pub fn last_time(&self) -> Timestamp {
        let last = i64::try_from(self.len()).unwrap_or(i64::MAX) - 1;
        self.step.time_of(self.first_index.saturating_add(last))
    }

    /// The value at `time`, if `time` is a grid point of this view that has one.
    #[must_use]
    pub fn value_at(&self, time: Timestamp) -> Option<f64> {
        let index = self.step.floor_index(time);
        if self.step.time_of(index) != time {
            return None;
        }
        let offset = usize::try_from(index.checked_sub(self.first_index)?).ok()?;
        self.values.get(offset).copied().flatten()
    }

    /// The first `count` grid points (all of them when there are fewer): what was known then.
    #[must_use]
    pub fn prefix(&self, count: usize) -> Self {
        Self { values: &self.values[..count.min(self.len())], ..*self }
    }

    /// The last `count` grid points (all of them when there are fewer).
    #[must_use]
    pub fn suffix(&self, count: usize) -> Self {
        let skipped = self.len().saturating_sub(count);
        let offset = i64::try_from(skipped).unwrap_or(i64::MAX);
        Self {
            values: &self.values[skipped..],
            first_index: self.first_index.saturating_add(offset),
            ..*self
        }
    }

    /// The part up to and including `time`.
    #[must_use]
    pub fn until(&self, time: Timestamp) -> Self {
        let count = self.step.floor_index(time).saturating_sub(self.first_index).saturating_add(1);
        self.prefix(usize::try_from(count.max(0)).unwrap_or(usize::MAX))
    }

    /// What `of` makes of each value by its time; gaps stay gaps.
    pub(crate) fn map(&self, of: impl Fn(Timestamp, f64) -> Option<f64>) -> Vec<Option<f64>> {
        let value = |(offset, value): (usize, &Option<f64>)| of(self.time_at(offset), (*value)?);
        self.values.iter().enumerate().map(value).collect()
    }

    /// A view of `values`, as many as this one has, at the same times; unlike an owned series it may
    /// end in a gap, so that its origin stays.
    pub(crate) fn with_values<'b>(&self, values: &'b [Option<f64>]) -> SeriesView<'b>
    where
        'a: 'b,
    {
        debug_assert_eq!(values.len(), self.len(), "the times would not be those of the values");
        SeriesView { values, ..*self }
    }

    /// An owned copy; leading and trailing gaps are left out.
    ///
    /// # Errors
    /// [`SeriesError::NoValues`] when the view has none.
    pub fn to_series(&self) -> Result<Series, SeriesError> {
        let no_values = SeriesError::NoValues { samples: self.len() };
        let first = self.values.iter().position(Option::is_some).ok_or(no_values.clone())?;
        let last = self.values.iter().rposition(Option::is_some).ok_or(no_values)?;
        Ok(Series {
            id: self.id.clone(),
            step: self.step,
            first_index: self.first_index.saturating_add(i64::try_from(first).unwrap_or(i64::MAX)),
            values: self.values[first..=last].to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample(second: i64, value: f64) -> Sample {
        Sample { time: Timestamp::from_second(second).unwrap(), value }
    }

    fn series(samples: &[Sample]) -> Result<(Series, GridReport), SeriesError> {
        Series::from_samples(SeriesId::new("test").unwrap(), Step::FIVE_MINUTES, samples)
    }

    #[test]
    fn irregular_input_becomes_a_regular_grid_with_its_gaps() {
        let (series, report) = series(&[
            sample(1200, 4.0),
            sample(0, 1.0),
            sample(302, 2.0),
            sample(310, 4.0),
            sample(0, 9.0),
            sample(600, f64::NAN),
            sample(1200, f64::NAN),
        ])
        .unwrap();
        let values = [Some(9.0), Some(3.0), None, None, Some(4.0)];
        assert_eq!(series.view().values(), values, "a finite value is not erased");
        assert_eq!((report.duplicates, report.merged, report.gaps), (2, 1, 2));
        assert_eq!((report.not_finite, report.out_of_order), (2, 2));
    }

    #[test]
    fn samples_a_step_apart_go_to_the_nearest_grid_point() {
        let jittered = [sample(-140, 1.0), sample(149, 2.0), sample(745, 3.0), sample(890, 4.0)];
        let (series, report) = series(&jittered).unwrap();
        assert_eq!(series.view().values(), [Some(1.5), None, Some(3.0), Some(4.0)]);
        assert_eq!(series.view().first_time(), Timestamp::UNIX_EPOCH);
        assert_eq!(report.merged, 1);
    }

    #[test]
    fn finer_samples_go_to_the_first_grid_point_that_is_not_before_them() {
        let minutes: Vec<Sample> = (0..=11).map(|i| sample(i * 60, i as f64)).collect();
        let (series, report) = series(&minutes).unwrap();
        // The last grid point holds what there is of its step.
        assert_eq!(series.view().values(), [Some(0.0), Some(3.0), Some(8.0), Some(11.0)]);
        assert_eq!(series.view().last_time().as_second(), 900);
        assert_eq!(report.merged, 8);
    }

    #[test]
    fn refuses_what_is_not_a_load() {
        assert_eq!(series(&[]).unwrap_err(), SeriesError::Empty);
        let nan = [sample(0, f64::NAN), sample(300, f64::INFINITY)];
        assert_eq!(series(&nan).unwrap_err(), SeriesError::NoValues { samples: 2 });
        let negative = series(&[sample(0, -1.0)]).unwrap_err().to_string();
        assert!(negative.contains("is not a load"), "{negative}");
        let corrupt = series(&[sample(0, 1.0), sample(300, 1.0), sample(4_000_000_000, 1.0)]);
        assert!(matches!(corrupt, Err(SeriesError::TooLong { .. })), "{corrupt:?}");
        let hourly: Vec<Sample> = (0..24).map(|h| sample(h * 3600, 1.0)).collect();
        let error = series(&hourly).unwrap_err().to_string();
        assert!(error.contains("3600 s apart"), "{error}");
    }

    #[test]
    fn one_sample_is_a_series_of_one() {
        let (series, _) = series(&[sample(290, 2.0)]).unwrap();
        assert_eq!(series.view().len(), 1);
        assert_eq!(series.view().last_time().as_second(), 300);
    }

    #[test]
    fn views_cut_at_the_time_asked_for() {
        let samples: Vec<Sample> = (0..10).map(|i| sample(i * 300, f64::from(i as u8))).collect();
        let (series, _) = series(&samples).unwrap();
        let view = series.view().suffix(4);
        assert_eq!(view.first_time().as_second(), 1800);
        assert_eq!(view.until(Timestamp::from_second(2399).unwrap()).len(), 2);
        assert_eq!(view.until(Timestamp::from_second(0).unwrap()).len(), 0);
        assert_eq!(view.value_at(Timestamp::from_second(2100).unwrap()), Some(7.0));
        assert_eq!(view.value_at(Timestamp::from_second(2101).unwrap()), None);
    }

    proptest! {
        #[test]
        fn finer_samples_say_nothing_of_what_came_before_them(
            loads in prop::collection::vec(0.0..10.0_f64, 10..200), spacing in 1_i64..=150, cut in 1_usize..200
        ) {
            let samples: Vec<Sample> =
                loads.iter().enumerate().map(|(i, v)| sample(i as i64 * spacing, *v)).collect();
            let cut = cut.min(samples.len() - 1);
            let mut later = samples.clone();
            for sample in &mut later[cut..] {
                sample.value += 100.0;
            }
            let (first, second) = (series(&samples).unwrap().0, series(&later).unwrap().0);
            let known = Timestamp::from_second(cut as i64 * spacing - 1).unwrap();
            prop_assert_eq!(first.view().until(known), second.view().until(known));
        }

        #[test]
        fn every_accepted_series_keeps_its_promises(
            raw in prop::collection::vec((0_i64..40_000, prop::num::f64::ANY), 0..200)
        ) {
            let samples: Vec<Sample> = raw.iter().map(|&(s, v)| sample(s, v)).collect();
            if let Ok((series, report)) = series(&samples) {
                let values = series.view().values();
                prop_assert!(values.first().unwrap().is_some());
                prop_assert!(values.last().unwrap().is_some());
                prop_assert!(values.iter().flatten().all(|v| v.is_finite() && *v >= 0.0));
                prop_assert_eq!(report.gaps, values.iter().filter(|v| v.is_none()).count());
            }
        }
    }
}
