//! Which model a workload has: the network that ships until there is an artifact, that of the artifact
//! from then on, loaded again when it changes; an artifact is trained in the background when there is
//! none. What stands beside the networks is fitted on the newest history each hour.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use capacity::FallbackCause;
use forecast::drift::Promise;
use forecast::{Forecaster, HORIZON, Series, SeriesId, Step, Timestamp};
use jiff::SignedDuration;
use model::{Artifact, Device, LoadError, Replaced};
use tokio::sync::oneshot;
use trainer::{Contender, InService, Preset, Promotion, TrainingEvent};

use super::Shared;
use crate::board::{ModelIdentity, ModelState};
use crate::config::WorkloadConfig;
use crate::metrics::{Stage, WorkloadMetrics};
use crate::output::causes;

/// After a training that failed the next one waits for so long: an hour more of history may help.
const RETRY_AFTER: SignedDuration = SignedDuration::from_hours(1);
/// After a challenger that was not promoted the next one waits for so long: a day more of history.
const CHALLENGE_AFTER: SignedDuration = SignedDuration::from_hours(24);
/// Days of history from which on the network that ships is trained on, on a workload.
const TRAINED_FROM_DAYS: usize = 3;
/// What stands beside the networks is fitted anew after so many seconds: some 40 ms of work, for which a level
/// shift is seen within the hour.
const FIT_EVERY: i64 = 3600;

/// A model in service, fitted on the newest history.
#[derive(Clone)]
pub(super) struct Model {
    /// The fitted model.
    pub(super) forecaster: Arc<dyn Forecaster>,
    /// Which one it is.
    pub(super) identity: ModelIdentity,
    /// What it promises; the network that ships promises nothing.
    pub(super) promise: Option<Promise>,
}

/// The networks in service, and when what stands beside them was fitted.
#[derive(Clone)]
struct Served {
    contender: Contender,
    identity: ModelIdentity,
    promise: Option<Promise>,
    /// Steps of the history that it was trained on; `None` for the network that ships.
    learned_steps: Option<usize>,
    fitted: Option<(Timestamp, Arc<dyn Forecaster>)>,
}

impl Served {
    fn of(artifact: &Artifact, device: &Device) -> Self {
        let contender = Contender::of(artifact, device);
        let manifest = artifact.manifest();
        Self {
            contender,
            identity: ModelIdentity::of(artifact),
            promise: manifest.promise,
            learned_steps: Some(manifest.data.points),
            fitted: None,
        }
    }

    fn shipped() -> Self {
        let (contender, identity) = (Contender::shipped(), ModelIdentity::shipped());
        Self { contender, identity, promise: None, learned_steps: None, fitted: None }
    }

    /// At some moment of each hour, which is another for each workload, so that many are not fitted at
    /// once.
    fn must_be_fitted(&self, now: Timestamp, series: &SeriesId) -> bool {
        let mut hasher = DefaultHasher::new();
        series.as_str().hash(&mut hasher);
        let moment = i64::try_from(hasher.finish() % FIT_EVERY.unsigned_abs()).unwrap_or(0);
        let hour = |time: Timestamp| (time.as_second() + moment).div_euclid(FIT_EVERY);
        self.fitted.as_ref().is_none_or(|(time, _)| hour(now) != hour(*time))
    }
}

/// Keeps the model of one workload.
pub(super) struct ModelKeeper {
    workload: WorkloadConfig,
    series: SeriesId,
    step: Step,
    path: PathBuf,
    shared: Arc<Shared>,
    metrics: WorkloadMetrics,
    served: Option<Served>,
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
    /// Nowhere: it is worse than what is in service.
    Refused(String),
}

/// What changes when a file is replaced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct FileStamp {
    modified: SystemTime,
    length: u64,
}

impl std::fmt::Debug for ModelKeeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let served = self.served.as_ref().map(|served| &served.identity);
        f.debug_struct("ModelKeeper")
            .field("series", &self.series)
            .field("served", &served)
            .finish()
    }
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
            workload: config.clone(),
            series: config.series.clone(),
            step: config.step,
            path: Artifact::path_in(&shared.model_dir, &config.series),
            shared,
            metrics,
            served: None,
            seen: None,
            present: false,
            training: None,
            finished: None,
            not_before: None,
        }
    }

    /// The model in service at `now`. Loads the artifact when it is new; starts to train one on
    /// `history` when there is none.
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
        if self.served.is_none() && self.preset() == Preset::Lstm {
            self.serve_shipped().await;
        }
        if self.training.is_none() && self.may_train(now, history) {
            self.start_training(now, history, None, "no artifact");
        } else if history.is_some_and(|history| self.has_outgrown(history)) {
            self.retrain(now, history, "twice the history").await;
        }
        self.fitted(now, history).await
    }

    fn preset(&self) -> Preset {
        self.shared.training_config.options().preset
    }

    /// The model in service, fitted on `history` where it is time for it.
    async fn fitted(&mut self, now: Timestamp, history: Option<&Series>) -> Option<Model> {
        let served = self.served.as_mut()?;
        if let Some(history) = history
            && served.must_be_fitted(now, &self.series)
        {
            let (contender, history) = (served.contender.clone(), history.clone());
            let workload = self.workload.clone();
            let fit = move || {
                let learnable = workload.learnable(history.view())?;
                let fitted = contender.fit(learnable.view(), HORIZON);
                anyhow::Ok(workload.aware(fitted, history.view()))
            };
            let fitted = self.shared.forecasting.run(fit).await.map_err(anyhow::Error::from);
            match fitted.and_then(|fitted| fitted) {
                Ok(forecaster) => served.fitted = Some((now, forecaster)),
                // What was fitted before stays, if anything was.
                Err(error) => {
                    self.metrics.failed(Stage::Model);
                    tracing::error!(series = %self.series, %error, "the model could not be fitted");
                }
            }
        }
        let (_, forecaster) = served.fitted.as_ref()?;
        Some(Model {
            forecaster: Arc::clone(forecaster),
            identity: served.identity.clone(),
            promise: served.promise,
        })
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

    /// An artifact that is there is not trained over: it may be of a newer version. The network that
    /// ships is trained on once there are days to learn from.
    fn may_train(&self, now: Timestamp, history: Option<&Series>) -> bool {
        let days = |series: &Series| series.view().len() / series.view().step().per_day();
        let enough = match self.preset() {
            Preset::Lstm => history.is_some_and(|series| days(series) >= TRAINED_FROM_DAYS),
            Preset::Reference => self.served.is_none(),
        };
        enough && !self.present && self.not_before.is_none_or(|time| now >= time)
    }

    /// Whether there is twice the history that the model in service was trained on.
    fn has_outgrown(&self, history: &Series) -> bool {
        let learned = self.served.as_ref().and_then(|served| served.learned_steps);
        learned.is_some_and(|steps| history.view().len() >= 2 * steps)
    }

    /// Why there is no model, as a plan says it.
    pub(super) fn why_missing(&self) -> FallbackCause {
        if self.present { FallbackCause::ModelRefused } else { FallbackCause::NoModel }
    }

    async fn load_if_changed(&mut self) {
        let path = self.path.clone();
        let stamp = tokio::task::spawn_blocking(move || FileStamp::of(&path)).await;
        let stamp = stamp.unwrap_or_default();
        let was_present = std::mem::replace(&mut self.present, stamp.is_some());
        let Some(stamp) = stamp else {
            // A file that was refused and then removed makes room for a training.
            self.seen = None;
            if let (true, Some(served)) = (was_present, &self.served) {
                self.show(ModelState::Ready(served.identity.clone()));
            }
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
                Ok::<_, LoadError>(Served::of(&artifact, &device))
            })
            .await;
        match loaded {
            Ok(Ok(served)) => {
                tracing::info!(series = %self.series, path = %self.path.display(),
                    model = %served.identity, "model loaded");
                self.seen = Some(stamp);
                self.serve(served);
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

    fn serve(&mut self, served: Served) {
        self.show(ModelState::Ready(served.identity.clone()));
        self.served = Some(served);
    }

    /// The network that ships needs no artifact; one that was refused is still said to be.
    async fn serve_shipped(&mut self) {
        match self.shared.forecasting.run(Served::shipped).await {
            Ok(served) => {
                if !self.present {
                    self.show(ModelState::Ready(served.identity.clone()));
                }
                self.served = Some(served);
            }
            Err(error) => self.refuse(&error),
        }
    }

    /// Keeps the model that is in service, if there is one.
    fn refuse(&mut self, error: &dyn std::error::Error) {
        self.metrics.failed(Stage::Model);
        tracing::error!(series = %self.series, path = %self.path.display(), %error,
            "the artifact is refused; remove it to have a model trained, or run train --force");
        if self.served.is_none() {
            self.show(ModelState::Refused(format!("artifact refused: {error}")));
        }
    }

    /// Trains anew beside the artifact in service, unless that was done within a day; what comes of it
    /// takes its place where it is not worse.
    pub(super) async fn retrain(
        &mut self,
        now: Timestamp,
        history: Option<&Series>,
        why: &'static str,
    ) {
        let waiting = self.not_before.is_some_and(|time| now < time);
        if self.training.is_some() || waiting || !self.present || self.served.is_none() {
            return;
        }
        self.wait(now, CHALLENGE_AFTER);
        let (path, series, step) = (self.path.clone(), self.series.clone(), self.step);
        let loaded = tokio::task::spawn_blocking(move || {
            let champion = Artifact::load(&path)?;
            champion.require(&series, step)?;
            Ok::<_, LoadError>(champion)
        });
        // What cannot be loaded is told where it is looked for each cycle.
        if let Ok(Ok(champion)) = loaded.await {
            self.start_training(now, history, Some(champion), why);
        }
    }

    fn start_training(
        &mut self,
        now: Timestamp,
        history: Option<&Series>,
        champion: Option<Artifact>,
        why: &'static str,
    ) {
        let Some(history) = history.cloned() else {
            self.show(ModelState::Missing("no artifact, and no history to train on".to_owned()));
            return;
        };
        let epochs = self.shared.training_config.options().epochs;
        tracing::info!(series = %self.series, steps = history.view().len(), epochs, why,
            "training one in the background");
        if self.served.is_none() {
            self.show(ModelState::Training { epoch: 0, epochs });
        }
        let (reply, ended) = oneshot::channel();
        self.training = Some(ended);
        let shared = Arc::clone(&self.shared);
        let training = Training {
            workload: self.workload.clone(),
            path: self.path.clone(),
            history,
            champion,
            now,
        };
        tokio::spawn(async move {
            let job = Arc::clone(&shared);
            let work = move || training.run(&job);
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
                // There is still no file, which is no reason to train without end.
                self.wait(now, CHALLENGE_AFTER);
                let device = self.shared.device.clone();
                let made =
                    self.shared.forecasting.run(move || Served::of(&artifact, &device)).await;
                match made {
                    Ok(served) => self.serve(served),
                    Err(error) => self.refuse(&error),
                }
            }
            Ok(Trained::Refused(why)) => {
                let again = self.wait(now, CHALLENGE_AFTER);
                tracing::info!(series = %self.series, why, %again, "the trained model is not promoted");
                if self.served.is_none() {
                    self.show(ModelState::Missing(format!("trained, but not promoted: {why}")));
                }
            }
            Err(error) => {
                self.metrics.failed(Stage::Model);
                let again = self.wait(now, RETRY_AFTER);
                tracing::error!(series = %self.series, error, %again, "training failed");
                if self.served.is_none() {
                    self.show(ModelState::Missing(format!("training failed: {error}")));
                }
            }
        }
    }

    /// No training begins before this long after `now`.
    fn wait(&mut self, now: Timestamp, long: SignedDuration) -> Timestamp {
        let again = now.saturating_add(long).unwrap_or(Timestamp::MAX);
        let again = self.not_before.map_or(again, |time| time.max(again));
        self.not_before = Some(again);
        again
    }

    fn show(&self, state: ModelState) {
        self.shared.board.update(&self.series, |view| view.model = state);
    }
}

/// A training in the background.
struct Training {
    workload: WorkloadConfig,
    path: PathBuf,
    history: Series,
    /// The artifact in service; without one, the network that ships is, if any.
    champion: Option<Artifact>,
    now: Timestamp,
}

impl Training {
    /// Trains, and saves the artifact where it is promoted, unless another one has appeared meanwhile.
    fn run(&self, shared: &Shared) -> Outcome {
        let (config, series) = (&shared.training_config, &self.workload.series);
        let epochs = config.options().epochs;
        let mut observe = |event: TrainingEvent| {
            if let TrainingEvent::Epoch { epoch, .. } = event {
                shared.board.update(series, |view| {
                    if matches!(view.model, ModelState::Training { .. }) {
                        view.model = ModelState::Training { epoch, epochs };
                    }
                });
            }
            if shared.stop.is_cancelled() {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        let learnable =
            self.workload.learnable(self.history.view()).map_err(|error| causes(&error))?;
        let in_service = InService { champion: self.champion.as_ref(), force: false };
        let trained = trainer::train(learnable.view(), config, in_service, self.now, &mut observe)
            .map_err(|error| error.to_string())?;
        if let Promotion::Refused(defeat) = trained.promotion {
            return Ok(Trained::Refused(defeat.to_string()));
        }
        let path = self.path.display();
        match trained.artifact.replace(self.champion.as_ref(), &self.path) {
            Ok(Replaced::Done) => {
                tracing::info!(%series, %path, "model trained and saved");
                Ok(Trained::Saved)
            }
            Ok(Replaced::Changed) => {
                tracing::info!(%series, %path, "an artifact has appeared during the training: it stays");
                Ok(Trained::Saved)
            }
            Err(error) => {
                tracing::error!(%series, %error, "the model is in use, but it could not be saved");
                Ok(Trained::Unsaved(Box::new(trained.artifact)))
            }
        }
    }
}
