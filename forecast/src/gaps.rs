//! Gaps filled from the past only, with a mask that says where.

use crate::forecaster::ForecastFailure;
use crate::series::SeriesView;

/// The longest gap, in steps, that is filled with the value before it. Longer gaps are kept out of
/// training; a forecast across one uses the value one day before.
pub const CARRIED_STEPS_MAX: usize = 12;

/// Refuses a lookback of which less than half was observed: a forecast from it would say more about
/// the filling than about the load. Serving, calibration and scoring obey this one rule.
///
/// # Errors
/// [`ForecastFailure::TooGapped`].
pub fn require_observed(lookback: &[Option<f64>]) -> Result<(), ForecastFailure> {
    let observed = lookback.iter().flatten().count();
    let needed = lookback.len().div_ceil(2);
    if observed < needed {
        return Err(ForecastFailure::TooGapped { observed, needed });
    }
    Ok(())
}

/// Where a filled value comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Provenance {
    /// It was observed.
    Observed,
    /// It lies in a gap of at most [`CARRIED_STEPS_MAX`] steps.
    ShortGap,
    /// It lies in a longer gap.
    LongGap,
}

/// A series without holes, and which of its values were observed. Both have the view's length.
#[derive(Clone, PartialEq, Debug)]
pub struct Filled {
    values: Vec<f64>,
    provenance: Vec<Provenance>,
}

impl Filled {
    /// Fills the gaps of `view` causally: the value at a grid point depends on nothing later. The
    /// first [`CARRIED_STEPS_MAX`] steps of a gap repeat the value before it; beyond that the value
    /// one day before is taken, or the last one known where there is no day before. Leading gaps
    /// are left out, so the result is as long as the view from its first observed value on.
    #[must_use]
    pub fn from_view(view: SeriesView<'_>) -> Self {
        let season = view.step().per_day();
        let observed = view.values();
        let first = observed.iter().position(Option::is_some).unwrap_or(observed.len());
        let observed = &observed[first..];
        let mut values: Vec<f64> = Vec::with_capacity(observed.len());
        let mut since_observed = 0;
        for (i, value) in observed.iter().enumerate() {
            since_observed = if value.is_some() { 0 } else { since_observed + 1 };
            let filled = value.unwrap_or_else(|| {
                if since_observed > CARRIED_STEPS_MAX && i >= season {
                    values[i - season]
                } else {
                    values[i - since_observed.min(i)]
                }
            });
            values.push(filled);
        }
        Self { values, provenance: provenance(observed) }
    }

    /// The values, in the series' unit.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Where each value comes from.
    #[must_use]
    pub fn provenance(&self) -> &[Provenance] {
        &self.provenance
    }

    /// The number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether nothing was observed at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// What [`Filled`] holds, computed only where it is asked for: a forecast needs the end of a history
/// that may span years.
#[derive(Clone, Copy, Debug)]
pub struct FilledView<'a> {
    /// From the first observed value on.
    observed: &'a [Option<f64>],
    season: usize,
}

impl<'a> FilledView<'a> {
    /// The filling of `view`, by the rules of [`Filled::from_view`].
    #[must_use]
    pub fn of(view: SeriesView<'a>) -> Self {
        let values = view.values();
        let first = values.iter().position(Option::is_some).unwrap_or(values.len());
        Self { observed: &values[first..], season: view.step().per_day() }
    }

    /// The number of values.
    #[must_use]
    pub fn len(self) -> usize {
        self.observed.len()
    }

    /// Whether nothing was observed at all.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.observed.is_empty()
    }

    /// The value at `index`, in the series' unit; it depends on nothing later.
    ///
    /// # Panics
    /// When `index` is not below [`Self::len`].
    #[must_use]
    pub fn at(self, mut index: usize) -> f64 {
        loop {
            let within_a_day = index < self.season;
            let carried = if within_a_day { index } else { index.min(CARRIED_STEPS_MAX) };
            let recent = &self.observed[index - carried..=index];
            if let Some(value) = recent.iter().rev().find_map(|value| *value) {
                return value;
            }
            // The first value was observed, so within a day of it one is always found.
            index -= self.season;
        }
    }
}

fn provenance(observed: &[Option<f64>]) -> Vec<Provenance> {
    observed
        .chunk_by(|a, b| a.is_some() == b.is_some())
        .flat_map(|run| {
            let kind = match (run[0], run.len()) {
                (Some(_), _) => Provenance::Observed,
                (None, 0..=CARRIED_STEPS_MAX) => Provenance::ShortGap,
                (None, _) => Provenance::LongGap,
            };
            std::iter::repeat_n(kind, run.len())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::series_of;
    use proptest::prelude::*;

    #[test]
    fn a_short_gap_repeats_the_value_before_it() {
        let series = series_of(&[Some(1.0), None, None, Some(4.0)]);
        let filled = Filled::from_view(series.view());
        assert_eq!(filled.values(), [1.0, 1.0, 1.0, 4.0]);
        assert_eq!(filled.provenance()[1], Provenance::ShortGap);
    }

    #[test]
    fn a_long_gap_takes_the_value_one_day_before() {
        let mut values: Vec<Option<f64>> = (0..600).map(|i| Some(f64::from(i))).collect();
        values[400..450].fill(None);
        let filled = Filled::from_view(series_of(&values).view());
        assert_eq!(filled.values()[411], 399.0);
        assert_eq!(filled.values()[412], 412.0 - 288.0);
        assert!(filled.provenance()[400..450].iter().all(|p| *p == Provenance::LongGap));
    }

    #[test]
    fn half_of_a_lookback_must_be_observed() {
        let lookback = [None, Some(1.0), None, Some(1.0), None];
        let failure = require_observed(&lookback).unwrap_err();
        assert_eq!(failure, ForecastFailure::TooGapped { observed: 2, needed: 3 });
        let text = failure.to_string();
        assert!(text.contains("2 of the latest") && text.contains("at least 3"), "{text}");
        assert!(require_observed(&lookback[..4]).is_ok());
    }

    /// Runs of observed values and of gaps, up to three days of steps, which begin with either.
    fn gapped() -> impl Strategy<Value = (u32, Vec<Option<f64>>)> {
        let run = (any::<bool>(), 1_usize..40, 0.0..10.0_f64);
        let runs = prop::collection::vec(run, 1..25);
        let flat = |runs: Vec<(bool, usize, f64)>| {
            let run = |(present, length, value): (bool, usize, f64)| {
                (0..length).map(move |i| present.then_some(value + i as f64))
            };
            runs.into_iter().flat_map(run).collect()
        };
        let step_hours = prop::sample::select(vec![1_u32, 2, 6, 24]);
        (step_hours, runs.prop_map(flat))
    }

    proptest! {
        #[test]
        fn filling_on_demand_is_filling_all((hours, values) in gapped(), cut in 0_usize..1000) {
            let mut values: Vec<Option<f64>> = values;
            values.push(Some(1.0));
            let id = crate::SeriesId::new("test").unwrap();
            let step = crate::Step::from_seconds(hours * 3600).unwrap();
            let start = crate::Timestamp::UNIX_EPOCH;
            let series = crate::Series::from_values(id, step, start, values).unwrap();
            let view = series.view().prefix(cut);
            // A gap at either end of the view, too.
            let view = view.suffix(view.len().saturating_sub(cut / 7));
            let (all, on_demand) = (Filled::from_view(view), FilledView::of(view));
            let got: Vec<f64> = (0..on_demand.len()).map(|i| on_demand.at(i)).collect();
            prop_assert_eq!(all.values(), got);
        }

        #[test]
        fn no_value_depends_on_a_later_one(
            values in prop::collection::vec(prop::option::of(0.0..10.0_f64), 1..700),
            cut in 1_usize..700,
        ) {
            let mut values = values;
            values[0] = Some(1.0);
            let last = values.len() - 1;
            values[last] = Some(2.0);
            let series = series_of(&values);
            let cut = cut.min(values.len());
            let whole = Filled::from_view(series.view());
            let part = Filled::from_view(series.view().prefix(cut));
            prop_assert_eq!(&whole.values()[..cut], part.values());
        }
    }
}
