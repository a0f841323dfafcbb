//! The preset `lstm`: the network that was trained on many workloads, and what it is combined with.

use std::sync::Arc;

use forecast::baseline::SeasonalNaive;
use forecast::mixture::Mixture;
use forecast::ridge::Ridge;
use forecast::{Forecaster, SeriesView};
use model::QuantileForecaster;

/// The network together with ridge and seasonal naive, fitted on `history`, each as it has proved
/// itself lately. A history that is too short for one of them is forecast without it.
pub(crate) fn lstm(
    network: &QuantileForecaster,
    history: SeriesView<'_>,
    horizon: usize,
) -> Mixture {
    // What they are weighed by must not be what they were fitted on.
    let fitted_on = history.prefix(history.len().saturating_sub(Mixture::replayed_steps(horizon)));
    let mut others: Vec<Arc<dyn Forecaster>> = Vec::new();
    if let Ok(ridge) = Ridge::fit(fitted_on, horizon) {
        others.push(Arc::new(ridge));
    }
    if let Ok(seasonal) = SeasonalNaive::fit(fitted_on, history.step().per_day(), horizon) {
        others.push(Arc::new(seasonal));
    }
    Mixture::new(QuantileForecaster::NAME, Arc::new(network.clone()), others)
}
