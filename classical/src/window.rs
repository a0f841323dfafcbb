//! The stretch of a history that a model is estimated on.

use forecast::SeriesView;
use forecast::gaps::FilledView;

/// The last `steps` values of `history`, oldest first, gaps filled causally; all from the first
/// observed one on where there are fewer.
pub(crate) fn recent(history: SeriesView<'_>, steps: usize) -> Vec<f64> {
    let known = FilledView::of(history);
    (known.len().saturating_sub(steps)..known.len()).map(|i| known.at(i)).collect()
}
