//! Gaps filled from the past only, with a mask that says where.

use crate::series::SeriesView;

/// The longest gap, in steps, that is filled with the value before it. Longer gaps are kept out of
/// training; a forecast across one uses the value one day before.
pub const CARRIED_STEPS_MAX: usize = 12;

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

    proptest! {
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
