//! What a workload is forecast by: the networks, which are trained seldom, and what is fitted beside
//! them on the newest history.

use std::sync::{Arc, OnceLock};

use forecast::baseline::SeasonalNaive;
use forecast::level_shift::LevelShift;
use forecast::mask::Mask;
use forecast::mixture::Mixture;
use forecast::rescaled::Rescaled;
use forecast::ridge::Ridge;
use forecast::{Forecaster, Series, SeriesView, Timestamp};
use model::{
    Artifact, Device, Network, Pretrained, QuantileConfig, QuantileForecaster, ReferenceForecaster,
    Weights,
};

/// The networks of a preset: a champion, which is in service, or its challenger.
#[derive(Clone, Debug)]
pub enum Contender {
    /// The preset `reference`.
    Reference(Arc<ReferenceForecaster>),
    /// The preset `lstm`.
    Lstm(LstmNetworks),
}

/// The network, told of the history before a level shift at its new level.
pub const LSTM_RESCALED: &str = "lstm-rescaled";
/// Ridge, likewise.
pub const RIDGE_RESCALED: &str = "ridge-rescaled";

/// The networks of the preset `lstm`.
#[derive(Clone, Debug)]
pub struct LstmNetworks {
    /// The weights of the one that knows many workloads.
    known: Arc<Weights<QuantileConfig>>,
    /// That one.
    shipped: QuantileForecaster,
    /// The one that was trained on, on the history of this one, and the last time that it learned from.
    tuned: Option<(QuantileForecaster, Option<Timestamp>)>,
}

impl Contender {
    /// What forecasts a workload that nothing was trained for: the network that ships.
    #[must_use]
    pub fn shipped() -> Self {
        Self::Lstm(LstmNetworks::shipped())
    }

    /// The networks of `artifact`; a reference network is put on `device`.
    #[must_use]
    pub fn of(artifact: &Artifact, device: &Device) -> Self {
        match (artifact.network(), artifact.reference(device)) {
            (Network::Lstm { weights }, _) => {
                let until = artifact.manifest().trained_until;
                Self::Lstm(LstmNetworks::shipped().with_tuned(weights, until))
            }
            (Network::Reference { .. }, reference) => {
                Self::Reference(Arc::new(reference.expect("an artifact has a network of its kind")))
            }
        }
    }

    /// The preset's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Reference(_) => ReferenceForecaster::NAME,
            Self::Lstm(_) => QuantileForecaster::NAME,
        }
    }

    /// Fits what stands beside the networks on `history`, for forecasts of `horizon` steps.
    #[must_use]
    pub fn fit(&self, history: SeriesView<'_>, horizon: usize) -> Arc<dyn Forecaster> {
        match self {
            Self::Reference(network) => Arc::clone(network) as Arc<dyn Forecaster>,
            Self::Lstm(networks) => Arc::new(networks.fit(history, horizon)),
        }
    }
}

impl LstmNetworks {
    /// The network that ships with the program, alone. All workloads share the one in memory.
    #[must_use]
    pub fn shipped() -> Self {
        static SHIPPED: OnceLock<LstmNetworks> = OnceLock::new();
        SHIPPED.get_or_init(|| Self::new(Pretrained::embedded().weights())).clone()
    }

    /// A network that knows many workloads, alone.
    #[must_use]
    pub fn new(known: &Weights<QuantileConfig>) -> Self {
        let shipped = QuantileForecaster::new(known);
        Self { known: Arc::new(known.clone()), shipped, tuned: None }
    }

    /// The weights of the network that knows many workloads.
    pub(crate) fn known(&self) -> &Weights<QuantileConfig> {
        &self.known
    }

    /// The network that knows many workloads.
    #[must_use]
    pub fn network(&self) -> &QuantileForecaster {
        &self.shipped
    }

    /// With one that was trained on, on the workload's history up to `until`. Where nothing was learned,
    /// there is no second network.
    #[must_use]
    pub fn with_tuned(self, weights: &Weights<QuantileConfig>, until: Option<Timestamp>) -> Self {
        if *weights == *self.known {
            return Self { tuned: None, ..self };
        }
        let tuned = QuantileForecaster::new(weights).named(QuantileForecaster::FINE_TUNED);
        Self { tuned: Some((tuned, until)), ..self }
    }

    /// The networks together with ridge and seasonal naive, fitted on `history`, each as it has proved
    /// itself lately. A history that is too short for one of them is forecast without it.
    #[must_use]
    pub fn fit(&self, history: SeriesView<'_>, horizon: usize) -> Mixture {
        // What they are weighed by must not be what they were fitted on.
        let replayed = Mixture::replayed_steps(horizon);
        let fitted_on = history.prefix(history.len().saturating_sub(replayed));
        let faults = Mask::of_faults(fitted_on);
        let masked = faults.apply(fitted_on).ok();
        let fitted_on = masked.as_ref().map_or(fitted_on, Series::view);
        let mut others: Vec<Arc<dyn Forecaster>> = Vec::new();
        if let Ok(ridge) = Ridge::fit(fitted_on, horizon) {
            others.push(Arc::new(ridge));
        }
        // Beside the same methods on the history as it is: what looked like a shift may be none.
        if let Some(shift) = LevelShift::detect(history) {
            others.extend(self.rescaled(shift, fitted_on, horizon));
        }
        if let Ok(seasonal) = SeasonalNaive::fit(fitted_on, history.step().per_day(), horizon) {
            others.push(Arc::new(seasonal));
        }
        let shipped = Arc::new(self.shipped.clone());
        let mixture = Mixture::new(QuantileForecaster::NAME, shipped, others);
        match &self.tuned {
            Some((tuned, until)) => mixture.and_since(Arc::new(tuned.clone()), *until),
            None => mixture,
        }
    }

    /// The methods that know of a level shift; `fitted_on` is what they may be fitted on.
    fn rescaled(
        &self,
        shift: LevelShift,
        fitted_on: SeriesView<'_>,
        horizon: usize,
    ) -> Vec<Arc<dyn Forecaster>> {
        let network = Arc::new(self.shipped.clone());
        let mut methods: Vec<Arc<dyn Forecaster>> =
            vec![Arc::new(Rescaled::new(LSTM_RESCALED, network, shift))];
        let rescaled = shift.rescale(fitted_on).ok();
        if let Some(Ok(ridge)) = rescaled.map(|series| Ridge::fit(series.view(), horizon)) {
            methods.push(Arc::new(Rescaled::new(RIDGE_RESCALED, Arc::new(ridge), shift)));
        }
        methods
    }
}
