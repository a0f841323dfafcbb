//! From a history to an artifact, in order.

use std::time::Instant;

use forecast::drift::Promise;
use forecast::mask::Mask;
use forecast::split::{Shares, Split};
use forecast::{HORIZON, LOOKBACK, ResidualQuantiles, SeriesView, Timestamp};
use model::{
    Artifact, DataSummary, Device, Manifest, Network, Pretrained, ScoresSummary, TrainingSummary,
};

use crate::config::{Preset, TrainingConfig};
use crate::contender::Contender;
use crate::error::TrainingError;
use crate::evaluation::Evaluation;
use crate::event::TrainingEvent;
use crate::fit::{Observer, tell};
use crate::promotion::{Promotion, loss};
use crate::{lstm, reference};

/// What a training yields.
#[derive(Clone, PartialEq, Debug)]
pub struct Trained {
    /// The network, its residuals and its scores; not yet saved.
    pub artifact: Artifact,
    /// Which part of the history served what, by offset from its first value.
    pub split: Split,
    /// Whether it may go into service.
    pub promotion: Promotion,
}

/// What a challenger is measured against before it goes into service.
#[derive(Clone, Copy, Debug, Default)]
pub struct InService<'a> {
    /// The artifact that is in service; `None` where the network that ships is.
    pub champion: Option<&'a Artifact>,
    /// Whether the challenger takes its place although it is worse.
    pub force: bool,
}

/// A network that was fitted on the training part, and that the validation part has stopped.
pub(crate) struct Challenger {
    pub(crate) network: Network,
    pub(crate) contender: Contender,
    pub(crate) residuals: ResidualQuantiles,
    pub(crate) training: TrainingSummary,
}

/// Trains the network of `config`'s preset on `history`, and measures it against `in_service`.
///
/// Weights and scaler come from the first eight tenths; the ninth stops the training and gives the
/// residuals; the last is only scored on, and decides whether the preset `lstm` has learned anything:
/// where it does worse there than the network that ships, the artifact holds that one. The same history,
/// configuration, champion and device yield the same weights.
///
/// # Errors
/// When the history is too short, too gapped or, for the reference network, constant, the loss
/// diverges, the device fails, or the observer breaks, which is noticed within one batch of training or
/// portion of evaluation.
pub fn train(
    history: SeriesView<'_>,
    config: &TrainingConfig,
    in_service: InService<'_>,
    created: Timestamp,
    observer: &mut Observer<'_>,
) -> Result<Trained, TrainingError> {
    let started = Instant::now();
    let options = config.options();
    let device = Device::open(options.device)?;
    // Without the gaps at either end, offsets of the series and of the filled series are the same; an
    // outage is nothing to learn from and nobody's error.
    let series = Mask::of_faults(history).apply(history)?;
    let view = series.view();
    let lookback = match options.preset {
        Preset::Lstm => LOOKBACK,
        Preset::Reference => options.network.lookback,
    };
    let split = Split::chronological(view.len(), Shares::TENTHS, lookback + HORIZON)?;
    let evaluation = Evaluation { view, split: &split, lookback };
    let mut challenger = match options.preset {
        Preset::Lstm => lstm::fit(&evaluation, options, observer)?,
        Preset::Reference => reference::fit(&evaluation, options, &device, observer)?,
    };
    let champion = champion(in_service.champion, options.preset, &device);
    let mut scores = ScoresSummary {
        model: evaluation.score(&challenger.contender, observer)?,
        champion: match &champion {
            Some(champion) => evaluation.score(champion, observer)?,
            None => None,
        },
        seasonal_naive: evaluation.score_seasonal(observer)?,
    };
    let worse =
        scores.model.zip(scores.champion).is_some_and(|(ours, theirs)| loss(&ours) > loss(&theirs));
    let kept = in_service.champion.is_none() && !in_service.force && !options.from_scratch;
    if worse && kept && options.preset == Preset::Lstm {
        // The network that ships is in service as it is: it is what the artifact holds, with its scores.
        challenger = unchanged(&evaluation, challenger, observer)?;
        scores.model = scores.champion;
    }
    let promotion = Promotion::judge(&scores, champion.is_some(), in_service.force);
    let manifest = Manifest {
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        created,
        series: view.id().clone(),
        step: view.step(),
        horizon: HORIZON,
        data: DataSummary::of(view, &config.fingerprint_text()),
        seed: options.seed,
        trained_until: Some(lstm::trained_until(view, &split)),
        training: challenger.training,
        promise: scores
            .model
            .and_then(|scores| Promise::of(view.prefix(split.test.start), &scores)),
        scores,
        forced: matches!(promotion, Promotion::Forced(_)),
        residuals: challenger.residuals,
    };
    let TrainingSummary { epochs_run: epochs, best_epoch, .. } = manifest.training;
    let artifact = Artifact::new(&manifest, challenger.network)?;
    let seconds = started.elapsed().as_secs_f64();
    tell(observer, TrainingEvent::Finished { epochs, best_epoch, seconds })?;
    Ok(Trained { artifact, split, promotion })
}

/// What is in service now. A workload without an artifact is forecast by the network that ships; who
/// asks for the reference network all the same has decided against that one.
fn champion(artifact: Option<&Artifact>, preset: Preset, device: &Device) -> Option<Contender> {
    match (artifact, preset) {
        (Some(artifact), _) => Some(Contender::of(artifact, device)),
        (None, Preset::Lstm) => Some(Contender::shipped()),
        (None, Preset::Reference) => None,
    }
}

/// The network that ships in the place of one that has learned nothing of use.
fn unchanged(
    evaluation: &Evaluation<'_>,
    challenger: Challenger,
    observer: &mut Observer<'_>,
) -> Result<Challenger, TrainingError> {
    let contender = Contender::shipped();
    let residuals = evaluation.residuals_of(&contender, observer)?;
    let weights = Pretrained::embedded().weights().clone();
    let training = TrainingSummary { best_epoch: 0, ..challenger.training };
    Ok(Challenger { network: Network::Lstm { weights }, contender, residuals, training })
}
