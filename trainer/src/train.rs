//! From a history to an artifact, in order.

use std::ops::Range;
use std::time::Instant;

use forecast::accuracy::Reference;
use forecast::backtest::{Backtest, Plan};
use forecast::baseline::SeasonalNaive;
use forecast::gaps::Filled;
use forecast::scale::MinMaxScaler;
use forecast::split::{Shares, Split};
use forecast::windows::Windows;
use forecast::{
    Forecaster, HORIZON, IntervalSource, Quantile, Quantiles, ResidualQuantiles, SeriesView,
    Timestamp,
};
use model::{
    Artifact, DataSummary, Device, LstmForecaster, Manifest, PointForecaster, ScoresSummary,
    TrainingSummary,
};
use tracing::debug;

use crate::batches::Examples;
use crate::config::TrainingConfig;
use crate::error::TrainingError;
use crate::event::TrainingEvent;
use crate::fit::{Fitted, Observer, fit, tell};

/// What a training yields.
#[derive(Clone, PartialEq, Debug)]
pub struct Trained {
    /// The network, its intervals and its scores; not yet saved.
    pub artifact: Artifact,
    /// Which part of the history served what, by offset from its first value.
    pub split: Split,
}

/// Trains the reference network on `history`.
///
/// Scaler and weights come from the first eight tenths; the ninth stops the training and gives the
/// intervals; the last is only scored on. The same history, configuration and device yield the same
/// weights.
///
/// # Errors
/// When the history is too short, constant or too gapped, the loss diverges, the device fails, or
/// the observer breaks, which is noticed within one batch of training or portion of evaluation.
pub fn train(
    history: SeriesView<'_>,
    config: &TrainingConfig,
    created: Timestamp,
    observer: &mut Observer<'_>,
) -> Result<Trained, TrainingError> {
    let started = Instant::now();
    let options = config.options();
    let device = Device::open(options.device)?;
    // Without the gaps at either end, offsets of the series and of the filled series are the same.
    let series = history.to_series()?;
    let view = series.view();
    let lookback = options.network.lookback;
    let split = Split::chronological(view.len(), Shares::TENTHS, lookback + HORIZON)?;
    let observed: Vec<f64> =
        view.prefix(split.train.end).values().iter().flatten().copied().collect();
    let scaler = MinMaxScaler::fit(&observed)?;
    let (training, validation) = examples(view, &split, lookback, &scaler)?;
    let windows = training.len();
    let evaluation = Evaluation { view, split: &split, lookback };
    evaluation.require_origins()?;
    tell(observer, TrainingEvent::Started { windows, epochs: options.epochs })?;
    let fitting = Instant::now();
    let fitted = fit(&training, &validation, config, &device, observer)?;
    let seconds = fitting.elapsed().as_secs_f64();
    debug!(seconds, epochs = fitted.train_loss.len(), best = fitted.best_epoch, "fitted");

    let points = PointForecaster::new(&fitted.weights, scaler, &device);
    let residuals = evaluation.calibrate(points.clone(), observer)?;
    let forecaster = LstmForecaster::from_parts(points, residuals.clone(), view.step());
    let manifest = Manifest {
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        created,
        series: view.id().clone(),
        step: view.step(),
        horizon: HORIZON,
        network: options.network,
        scaler,
        data: DataSummary::of(view, &config.fingerprint_text()),
        seed: options.seed,
        training: summary(&fitted, config, windows, seconds),
        scores: evaluation.score(&forecaster, observer)?,
        residuals,
    };
    let (epochs, best_epoch) = (fitted.train_loss.len(), fitted.best_epoch);
    let artifact = Artifact::new(&manifest, fitted.weights)?;
    let seconds = started.elapsed().as_secs_f64();
    tell(observer, TrainingEvent::Finished { epochs, best_epoch, seconds })?;
    Ok(Trained { artifact, split })
}

/// The windows of the training and of the validation part, scaled.
fn examples(
    view: SeriesView<'_>,
    split: &Split,
    lookback: usize,
    scaler: &MinMaxScaler,
) -> Result<(Examples, Examples), TrainingError> {
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

/// Forecasts on the parts that the weights do not come from.
struct Evaluation<'a> {
    view: SeriesView<'a>,
    split: &'a Split,
    lookback: usize,
}

impl Evaluation<'_> {
    /// Refuses a history whose intervals could not be fitted, before it is trained on.
    fn require_origins(&self) -> Result<(), TrainingError> {
        match self.plan(&self.split.validation).origins(self.view).next() {
            Some(_) => Ok(()),
            None => Err(TrainingError::NoOrigins { horizon: HORIZON, lookback: self.lookback }),
        }
    }

    /// Forecasts at every origin of a part.
    fn plan(&self, part: &Range<usize>) -> Plan {
        Plan { range: part.clone(), horizon: HORIZON, stride: 1, lookback: self.lookback }
    }

    /// Intervals from the errors on the validation part.
    fn calibrate(
        &self,
        points: PointForecaster,
        observer: &mut Observer<'_>,
    ) -> Result<ResidualQuantiles, TrainingError> {
        let source = IntervalSource::ValidationResiduals;
        // Without width, since the widths are what is asked for.
        let median = Quantiles::new(vec![Quantile::MEDIAN]);
        let median = median.expect("one quantile is enough");
        let none = ResidualQuantiles::from_offsets(median, vec![vec![0.0; HORIZON]], source)?;
        let forecaster = LstmForecaster::from_parts(points, none, self.view.step());
        let backtest = self.run(&forecaster, &self.split.validation, observer)?;
        let residuals = backtest.residuals(HORIZON);
        Ok(ResidualQuantiles::fit(&residuals, Quantiles::standard(), source)?)
    }

    /// Scores on the test part: the network's, and those of the value one day before.
    fn score(
        &self,
        forecaster: &LstmForecaster,
        observer: &mut Observer<'_>,
    ) -> Result<ScoresSummary, TrainingError> {
        let reference = Reference::from_training(self.view.prefix(self.split.train.end));
        let test = &self.split.test;
        let model = self.run(forecaster, test, observer)?.scores(&reference);
        let known = self.view.prefix(test.start);
        // With under a day of history there is no day before; its scores are absent then.
        let seasonal_naive = match SeasonalNaive::fit(known, known.step().per_day(), HORIZON) {
            Ok(seasonal) => self.run(&seasonal, test, observer)?.scores(&reference),
            Err(_) => None,
        };
        Ok(ScoresSummary { model, seasonal_naive })
    }

    /// Forecasts at every origin of a part, telling of each portion.
    fn run(
        &self,
        forecaster: &dyn Forecaster,
        part: &Range<usize>,
        observer: &mut Observer<'_>,
    ) -> Result<Backtest, TrainingError> {
        let mut watch = |done, of| tell(observer, TrainingEvent::Evaluated { done, of });
        self.plan(part).run_watched(forecaster, self.view, &mut watch)
    }
}

fn summary(
    fitted: &Fitted,
    config: &TrainingConfig,
    windows: usize,
    seconds: f64,
) -> TrainingSummary {
    let options = config.options();
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
