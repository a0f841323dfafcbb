//! Which model a workload has: loaded from its artifact, loaded again when that changes, trained in
//! the background when there is none.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use capacity::FallbackCause;
use forecast::{Series, SeriesId, Step, Timestamp};
use jiff::SignedDuration;
use model::{Artifact, Device, LoadError, LstmForecaster};
use tokio::sync::oneshot;
use trainer::TrainingEvent;

use super::Shared;
use crate::board::{ModelIdentity, ModelState};
use crate::config::WorkloadConfig;
use crate::metrics::{Stage, WorkloadMetrics};

/// After a training that failed the next one waits for so long: an hour more of history may help.
const RETRY_AFTER: SignedDuration = SignedDuration::from_hours(1);

/// A model in service.
#[derive(Clone, Debug)]
pub(super) struct Model {
    /// The fitted network.
    pub(super) forecaster: Arc<LstmForecaster>,
    /// Which one it is.
    pub(super) identity: ModelIdentity,
}

impl Model {
    fn of(artifact: &Artifact, device: &Device) -> Self {
        let forecaster = Arc::new(artifact.forecaster(device));
        Self { forecaster, identity: ModelIdentity::of(artifact) }
    }
}

/// Keeps the model of one workload.
#[derive(Debug)]
pub(super) struct ModelKeeper {
    series: SeriesId,
    step: Step,
    path: PathBuf,
    shared: Arc<Shared>,
    metrics: WorkloadMetrics,
    model: Option<Model>,
    /// The file that was looked at last, and accepted or refused for good.
    seen: Option<FileStamp>,
    /// Whether there was a file.
    present: bool,
    training: Option<oneshot::Receiver<Outcome>>,
    finished: Option<Outcome>,
    not_before: Option<Timestamp>,
}

/// How a training in the background ended.
type Outcome = Result<Trained, String>;

/// Where a trained model is.
#[derive(Debug)]
enum Trained {
    /// In the artifact's file, as it is or as somebody else wrote it meanwhile.
    Saved,
    /// Only here: it could not be saved.
    Unsaved(Box<Artifact>),
}

/// What changes when a file is replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct FileStamp {
    modified: SystemTime,
    length: u64,
}

impl FileStamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self { modified: metadata.modified().ok()?, length: metadata.len() })
    }
}

impl ModelKeeper {
    pub(super) fn new(
        config: &WorkloadConfig,
        shared: Arc<Shared>,
        metrics: WorkloadMetrics,
    ) -> Self {
        Self {
            series: config.series.clone(),
            step: config.step,
            path: Artifact::path_in(&shared.model_dir, &config.series),
            shared,
            metrics,
            model: None,
            seen: None,
            present: false,
            training: None,
            finished: None,
            not_before: None,
        }
    }

    /// The model in service at `now`. Loads the artifact when it is new; starts to train on
    /// `history` when there is neither.
    pub(super) async fn current(
        &mut self,
        now: Timestamp,
        history: Option<&Series>,
    ) -> Option<Model> {
        if let Some(training) = &mut self.training
            && let Ok(outcome) = training.try_recv()
        {
            self.finished = Some(outcome);
        }
        if let Some(outcome) = self.finished.take() {
            self.training = None;
            self.end_training(now, outcome).await;
        }
        self.load_if_changed().await;
        if self.model.is_none() && self.training.is_none() && self.may_train(now) {
            self.start_training(now, history);
        }
        self.model.clone()
    }

    /// Returns when the training under way has ended; never while none is.
    pub(super) async fn trained(&mut self) {
        match (&mut self.training, &self.finished) {
            (Some(training), None) => {
                let ended = training.await.unwrap_or_else(|_| Err("it was given up".to_owned()));
                self.finished = Some(ended);
            }
            _ => std::future::pending().await,
        }
    }

    /// An artifact that was refused is not trained over: it may be of a newer version.
    fn may_train(&self, now: Timestamp) -> bool {
        !self.present && self.not_before.is_none_or(|time| now >= time)
    }

    /// Why there is no model, as a plan says it.
    pub(super) fn why_missing(&self) -> FallbackCause {
        if self.present { FallbackCause::ModelRefused } else { FallbackCause::NoModel }
    }

    async fn load_if_changed(&mut self) {
        let path = self.path.clone();
        let stamp = tokio::task::spawn_blocking(move || FileStamp::of(&path)).await;
        let stamp = stamp.unwrap_or_default();
        self.present = stamp.is_some();
        let Some(stamp) = stamp else {
            // A file that was refused and then removed makes room for a training.
            self.seen = None;
            return;
        };
        if self.seen == Some(stamp) {
            return;
        }
        let (path, series, step) = (self.path.clone(), self.series.clone(), self.step);
        let device = self.shared.device.clone();
        let loaded = self
            .shared
            .forecasting
            .run(move || {
                let artifact = Artifact::load(&path)?;
                artifact.require(&series, step)?;
                Ok::<_, LoadError>(Model::of(&artifact, &device))
            })
            .await;
        match loaded {
            Ok(Ok(model)) => {
                tracing::info!(series = %self.series, path = %self.path.display(),
                    fingerprint = model.identity.fingerprint, "model loaded");
                self.seen = Some(stamp);
                self.serve(model);
            }
            // What is wrong with the disk or with this machine may pass: it is tried again.
            Ok(Err(error @ LoadError::Unreadable { .. })) => self.refuse(&error),
            Err(error) => self.refuse(&error),
            Ok(Err(error)) => {
                self.seen = Some(stamp);
                self.refuse(&error);
            }
        }
    }

    fn serve(&mut self, model: Model) {
        self.show(ModelState::Ready(model.identity.clone()));
        self.model = Some(model);
    }

    /// Keeps the model that is in service, if there is one.
    fn refuse(&mut self, error: &dyn std::error::Error) {
        self.metrics.failed(Stage::Model);
        tracing::error!(series = %self.series, path = %self.path.display(), %error,
            "the artifact is refused; remove it to have a model trained, or run train");
        if self.model.is_none() {
            self.show(ModelState::Refused(format!("artifact refused: {error}")));
        }
    }

    fn start_training(&mut self, now: Timestamp, history: Option<&Series>) {
        let Some(history) = history.cloned() else {
            self.show(ModelState::Missing("no artifact, and no history to train on".to_owned()));
            return;
        };
        let epochs = self.shared.training_config.options().epochs;
        tracing::info!(series = %self.series, steps = history.view().len(), epochs,
            "no artifact: training one in the background");
        self.show(ModelState::Training { epoch: 0, epochs });
        let (reply, ended) = oneshot::channel();
        self.training = Some(ended);
        let shared = Arc::clone(&self.shared);
        let (series, path) = (self.series.clone(), self.path.clone());
        tokio::spawn(async move {
            let job = Arc::clone(&shared);
            let work = move || train_and_save(&job, &history, &path, now, &series);
            let outcome = shared.training.run(work).await;
            // The loop that asked may have ended.
            let _ = reply.send(outcome.unwrap_or_else(|error| Err(error.to_string())));
        });
    }

    /// What was trained and saved is loaded like any other artifact; what could not be saved is
    /// put to use from memory.
    async fn end_training(&mut self, now: Timestamp, outcome: Outcome) {
        match outcome {
            Ok(Trained::Saved) => {}
            Ok(Trained::Unsaved(artifact)) => {
                let device = self.shared.device.clone();
                let made = self.shared.forecasting.run(move || Model::of(&artifact, &device)).await;
                match made {
                    Ok(model) => self.serve(model),
                    Err(error) => self.refuse(&error),
                }
            }
            Err(error) => {
                self.metrics.failed(Stage::Model);
                let again = now.saturating_add(RETRY_AFTER).unwrap_or(Timestamp::MAX);
                self.not_before = Some(again);
                tracing::error!(series = %self.series, error, %again, "training failed");
                self.show(ModelState::Missing(format!("training failed: {error}")));
            }
        }
    }

    fn show(&self, state: ModelState) {
        self.shared.board.update(&self.series, |view| view.model = state);
    }
}

/// Trains on `history` and saves the artifact, unless one has appeared meanwhile.
fn train_and_save(
    shared: &Shared,
    history: &Series,
    path: &Path,
    now: Timestamp,
    series: &SeriesId,
) -> Outcome {
    let epochs = shared.training_config.options().epochs;
    let mut observe = |event: TrainingEvent| {
        if let TrainingEvent::Epoch { epoch, .. } = event {
            shared.board.update(series, |view| {
                if !matches!(view.model, ModelState::Ready(_)) {
                    view.model = ModelState::Training { epoch, epochs };
                }
            });
        }
        if shared.stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let trained = trainer::train(history.view(), &shared.training_config, now, &mut observe)
        .map_err(|error| error.to_string())?;
    if path.exists() {
        tracing::info!(%series, path = %path.display(),
            "an artifact has appeared during the training: it is used");
        return Ok(Trained::Saved);
    }
    match trained.artifact.save(path) {
        Ok(()) => {
            tracing::info!(%series, path = %path.display(), "model trained and saved");
            Ok(Trained::Saved)
        }
        Err(error) => {
            tracing::error!(%series, %error, "the model is in use, but it could not be saved");
            Ok(Trained::Unsaved(Box::new(trained.artifact)))
        }
    }
}
