//! What the control loops know, for everyone who asks: the HTTP answers read from here only.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use capacity::{Decision, Mode};
use forecast::accuracy::Scores;
use forecast::drift::Verdict;
use forecast::{Forecast, SeriesId, Timestamp};

/// Decisions remembered for a workload: a day of them.
pub(crate) const JOURNAL_MAX: usize = 288;

/// The newest view of each workload. The set of workloads does not change.
#[derive(Debug)]
pub(crate) struct Board {
    slots: BTreeMap<SeriesId, RwLock<Arc<WorkloadView>>>,
}

/// What is known of one workload.
#[derive(Clone, Debug)]
pub(crate) struct WorkloadView {
    /// Its namespace.
    pub(crate) namespace: String,
    /// Its name.
    pub(crate) name: String,
    /// Whether decisions are carried out.
    pub(crate) mode: Mode,
    /// The model.
    pub(crate) model: ModelState,
    /// The newest forecast that was issued.
    pub(crate) issued: Option<Issued>,
    /// Decisions, newest last.
    pub(crate) journal: VecDeque<Decision>,
    /// How the matured forecasts turned out.
    pub(crate) accuracy: Option<AccuracyView>,
    /// Whether the model does what it promised; `None` for one that promised nothing.
    pub(crate) drift: Option<Verdict>,
    /// What is wrong with the source of metrics, if anything is.
    pub(crate) source_error: Option<String>,
    /// What is wrong with the cluster, if anything is.
    pub(crate) cluster_error: Option<String>,
    /// The now of the last cycle that ended.
    pub(crate) cycled: Option<Timestamp>,
    /// When, in the system's time, a cycle ended last, or the process began.
    pub(crate) progressed: Instant,
    /// A cycle that takes longer than this hangs.
    pub(crate) stuck_after: Duration,
    /// Whether the replicas are assumed, since there is no cluster to ask.
    pub(crate) replicas_assumed: bool,
}

/// Where a workload's model stands.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum ModelState {
    /// There is none, and the reason.
    Missing(String),
    /// There is one, but it cannot be used, and the reason.
    Refused(String),
    /// There is none, and one is being trained.
    Training {
        /// Epochs done.
        epoch: usize,
        /// Epochs at the most.
        epochs: usize,
    },
    /// One is loaded.
    Ready(ModelIdentity),
}

/// Which model it is.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct ModelIdentity {
    /// Its preset.
    pub(crate) name: String,
    /// Hash of its manifest and weights.
    pub(crate) fingerprint: String,
    /// When it was trained, RFC 3339; `None` for the network that ships with the program.
    pub(crate) created: Option<String>,
}

impl ModelIdentity {
    /// The identity of `artifact`.
    pub(crate) fn of(artifact: &model::Artifact) -> Self {
        Self {
            name: artifact.network().preset().to_owned(),
            fingerprint: artifact.fingerprint(),
            created: Some(artifact.manifest().created.to_string()),
        }
    }

    /// The identity of the network that ships with the program.
    pub(crate) fn shipped() -> Self {
        Self {
            name: model::QuantileForecaster::NAME.to_owned(),
            fingerprint: model::Pretrained::embedded().fingerprint(),
            created: None,
        }
    }
}

impl fmt::Display for ModelIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, fingerprint, created } = self;
        match created {
            Some(created) => write!(f, "{name} {fingerprint}, trained {created}"),
            None => write!(f, "{name} {fingerprint}, shipped with the program"),
        }
    }
}

/// A forecast, and who made it.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    /// The forecast.
    pub(crate) forecast: Forecast,
    /// The method's name.
    pub(crate) by: String,
    /// The model, when it was one.
    pub(crate) model: Option<ModelIdentity>,
}

/// How the forecasts of the last days turned out.
#[derive(Clone, Debug)]
pub(crate) struct AccuracyView {
    /// The model's, over all steps of the horizon.
    pub(crate) overall: Option<Scores>,
    /// The model's, by step of the horizon, nearest first.
    pub(crate) by_step: Vec<Option<Scores>>,
    /// Those of seasonal naive, over the same time.
    pub(crate) seasonal_naive: Option<Scores>,
    /// Forecasts that wait for their truth.
    pub(crate) pending: usize,
    /// Values whose truth never came.
    pub(crate) unscored: u64,
}

impl WorkloadView {
    /// A view of a workload of which nothing is known yet.
    pub(crate) fn new(namespace: &str, name: &str, mode: Mode, stuck_after: Duration) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            mode,
            model: ModelState::Missing("not looked for yet".to_owned()),
            issued: None,
            journal: VecDeque::new(),
            accuracy: None,
            drift: None,
            source_error: None,
            cluster_error: None,
            cycled: None,
            progressed: Instant::now(),
            stuck_after,
            replicas_assumed: false,
        }
    }

    /// Adds a decision to the journal; forgets the oldest beyond [`JOURNAL_MAX`].
    pub(crate) fn record(&mut self, decision: Decision) {
        self.journal.push_back(decision);
        let surplus = self.journal.len().saturating_sub(JOURNAL_MAX);
        self.journal.drain(..surplus);
    }
}

impl Board {
    /// A board of these workloads.
    pub(crate) fn new(workloads: impl IntoIterator<Item = (SeriesId, WorkloadView)>) -> Self {
        let slots = workloads.into_iter().map(|(id, view)| (id, RwLock::new(Arc::new(view))));
        Self { slots: slots.collect() }
    }

    /// Every workload's view, by name.
    pub(crate) fn views(&self) -> Vec<Arc<WorkloadView>> {
        self.slots.values().map(read).collect()
    }

    /// Changes the view of `id`; readers see the change whole or not at all.
    ///
    /// # Panics
    /// When `id` is not on the board.
    pub(crate) fn update(&self, id: &SeriesId, change: impl FnOnce(&mut WorkloadView)) {
        let slot = self.slots.get(id).expect("a loop updates the workload it was started for");
        let mut view = slot.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut view));
    }
}

fn read(slot: &RwLock<Arc<WorkloadView>>) -> Arc<WorkloadView> {
    Arc::clone(&slot.read().unwrap_or_else(PoisonError::into_inner))
}
