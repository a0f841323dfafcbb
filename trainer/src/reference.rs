//! The preset `reference`: the tutorial's network, from random weights.

use std::sync::Arc;
use std::time::Instant;

use forecast::gaps::Filled;
use forecast::scale::MinMaxScaler;
use forecast::windows::Windows;
use forecast::{HORIZON, IntervalSource, Quantile, Quantiles, ResidualQuantiles};
use model::{Device, Network, PointForecaster, ReferenceForecaster, TrainingSummary};
use tracing::debug;

use crate::batches::Examples;
use crate::config::TrainingOptions;
use crate::contender::Contender;
use crate::error::TrainingError;
use crate::evaluation::Evaluation;
use crate::event::TrainingEvent;
use crate::fit::{Fitted, Observer, fit as fit_network, tell};
use crate::train::Challenger;

/// Fits scaler and network on the training part and the intervals on the validation part.
pub(crate) fn fit(
    evaluation: &Evaluation<'_>,
    options: &TrainingOptions,
    device: &Device,
    observer: &mut Observer<'_>,
) -> Result<Challenger, TrainingError> {
    let (view, split) = (evaluation.view, evaluation.split);
    let observed: Vec<f64> =
        view.prefix(split.train.end).values().iter().flatten().copied().collect();
    let scaler = MinMaxScaler::fit(&observed)?;
    let (training, validation) = examples(evaluation, &scaler)?;
    let windows = training.len();
    evaluation.require_origins()?;
    tell(observer, TrainingEvent::Started { windows, epochs: options.epochs })?;
    let fitting = Instant::now();
    let fitted = fit_network(&training, &validation, options, device, observer)?;
    let seconds = fitting.elapsed().as_secs_f64();
    debug!(seconds, epochs = fitted.train_loss.len(), best = fitted.best_epoch, "fitted");
    let points = PointForecaster::new(&fitted.weights, scaler, device);
    let plain = ReferenceForecaster::from_parts(points.clone(), without_width()?, view.step());
    let residuals = evaluation.residuals(&plain, observer)?;
    let forecaster = ReferenceForecaster::from_parts(points, residuals.clone(), view.step());
    let training = summary(&fitted, options, windows, seconds);
    Ok(Challenger {
        network: Network::Reference { weights: fitted.weights, scaler },
        contender: Contender::Reference(Arc::new(forecaster)),
        residuals,
        training,
    })
}

/// Intervals for a network whose residuals are still asked for.
fn without_width() -> Result<ResidualQuantiles, TrainingError> {
    let median = Quantiles::new(vec![Quantile::MEDIAN]).expect("one quantile is enough");
    let source = IntervalSource::ValidationResiduals;
    Ok(ResidualQuantiles::from_offsets(median, vec![vec![0.0; HORIZON]], source)?)
}

/// The windows of the training and of the validation part, scaled.
fn examples(
    evaluation: &Evaluation<'_>,
    scaler: &MinMaxScaler,
) -> Result<(Examples, Examples), TrainingError> {
    let Evaluation { view, split, lookback } = *evaluation;
    let filled = Filled::from_view(view);
    let part = |part, range| {
        let windows = Windows::over(&filled, range, lookback, 1);
        if windows.is_empty() {
            return Err(TrainingError::NoWindows { part, needed: lookback + 1 });
        }
        Ok(Examples::scale(&windows, lookback, scaler))
    };
    Ok((part("training", split.train.clone())?, part("validation", split.validation.clone())?))
}

fn summary(
    fitted: &Fitted,
    options: &TrainingOptions,
    windows: usize,
    seconds: f64,
) -> TrainingSummary {
    let epochs_run = fitted.train_loss.len();
    TrainingSummary {
        epochs_max: options.epochs,
        epochs_run,
        best_epoch: fitted.best_epoch,
        stopped_early: fitted.stopped_early,
        train_loss: fitted.train_loss.clone(),
        validation_loss: fitted.validation_loss.clone(),
        seconds,
        windows,
        windows_per_second: (windows * epochs_run) as f64 / seconds.max(f64::MIN_POSITIVE),
        device: options.device.to_string(),
        threads: fitted.threads,
    }
}
