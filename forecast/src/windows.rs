//! Which stretches of a series a network is trained on.

use std::ops::Range;

use crate::gaps::{Filled, Provenance};

/// The windows of a filled series: each is `lookback` past values and the `targets` that follow.
///
/// A window is used when its targets lie in the asked range, all of them were observed, and no
/// value of its lookback lies in a long gap. The lookback may reach back before the range: what is
/// known at the origin is known, whichever part it belongs to.
#[derive(Clone, Debug)]
pub struct Windows<'a> {
    filled: &'a Filled,
    origins: Vec<usize>,
    lookback: usize,
    targets: usize,
}

/// One window.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Window<'a> {
    /// The past, oldest first: `[lookback]`.
    pub lookback: &'a [f64],
    /// The future, nearest first: `[targets]`.
    pub targets: &'a [f64],
}

impl<'a> Windows<'a> {
    /// The windows whose targets lie in `range`.
    #[must_use]
    pub fn over(filled: &'a Filled, range: Range<usize>, lookback: usize, targets: usize) -> Self {
        let provenance = filled.provenance();
        let end = range.end.min(filled.len());
        let usable = |origin: usize| {
            provenance[origin - lookback..origin].iter().all(|p| *p != Provenance::LongGap)
                && provenance[origin..origin + targets].iter().all(|p| *p == Provenance::Observed)
        };
        let last = (end + 1).saturating_sub(targets);
        let origins = (range.start.max(lookback)..last).filter(|&origin| usable(origin)).collect();
        Self { filled, origins, lookback, targets }
    }

    /// The number of windows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.origins.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.origins.is_empty()
    }

    /// The window `index`, oldest first.
    ///
    /// # Panics
    /// When `index` is not below [`Self::len`].
    #[must_use]
    pub fn get(&self, index: usize) -> Window<'a> {
        let origin = self.origins[index];
        let values = self.filled.values();
        Window {
            lookback: &values[origin - self.lookback..origin],
            targets: &values[origin..origin + self.targets],
        }
    }

    /// All windows, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Window<'a>> + '_ {
        (0..self.len()).map(|index| self.get(index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::series_of;
    use proptest::prelude::*;

    fn ramp(n: usize) -> Vec<Option<f64>> {
        (0..n).map(|i| Some(i as f64)).collect()
    }

    #[test]
    fn the_recipe_has_4008_windows() {
        let series = series_of(&ramp(4032));
        let filled = Filled::from_view(series.view());
        let windows = Windows::over(&filled, 0..4032, 24, 1);
        assert_eq!(windows.len(), 4008);
        assert_eq!(windows.get(0).targets, [24.0]);
        assert_eq!(windows.get(4007).targets, [4031.0]);
    }

    #[test]
    fn long_gaps_are_left_out_and_short_ones_are_not_targets() {
        let mut values = ramp(200);
        values[50..52].fill(None);
        values[100..120].fill(None);
        let series = series_of(&values);
        let filled = Filled::from_view(series.view());
        let windows = Windows::over(&filled, 0..200, 24, 1);
        let targets: Vec<usize> = windows.iter().map(|w| w.targets[0] as usize).collect();
        assert!(!targets.contains(&50) && targets.contains(&52));
        assert!(targets.contains(&99) && !(100..144).any(|t| targets.contains(&t)));
        assert!(targets.contains(&144));
    }

    proptest! {
        #[test]
        fn targets_stay_in_the_range_and_follow_their_lookback(
            start in 0_usize..300, length in 0_usize..300, lookback in 1_usize..40, targets in 1_usize..20
        ) {
            let series = series_of(&ramp(300));
            let filled = Filled::from_view(series.view());
            for window in Windows::over(&filled, start..start + length, lookback, targets).iter() {
                prop_assert_eq!(window.lookback.len(), lookback);
                prop_assert_eq!(window.lookback[lookback - 1] + 1.0, window.targets[0]);
                prop_assert!(window.targets[0] as usize >= start);
                prop_assert!((window.targets[targets - 1] as usize) < start + length);
            }
        }
    }
}
