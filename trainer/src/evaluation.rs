//! Forecasts on the parts that the weights do not come from: the residuals of the validation part and
//! the scores of the test part.

use std::ops::Range;

use forecast::accuracy::{Reference, Scores};
use forecast::backtest::{Backtest, Plan};
use forecast::baseline::SeasonalNaive;
use forecast::split::Split;
use forecast::{Forecaster, HORIZON, IntervalSource, Quantiles, ResidualQuantiles, SeriesView};

use crate::contender::Contender;
use crate::error::TrainingError;
use crate::event::TrainingEvent;
use crate::fit::{Observer, tell};

/// A history, and which part of it served what.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Evaluation<'a> {
    pub(crate) view: SeriesView<'a>,
    pub(crate) split: &'a Split,
    /// Steps before an origin of which half must have been observed.
    pub(crate) lookback: usize,
}

impl Evaluation<'_> {
    /// Refuses a history whose residuals could not be taken, before it is trained on.
    pub(crate) fn require_origins(&self) -> Result<(), TrainingError> {
        match self.plan(&self.split.validation).origins(self.view).next() {
            Some(_) => Ok(()),
            None => Err(TrainingError::NoOrigins { horizon: HORIZON, lookback: self.lookback }),
        }
    }

    /// Forecasts at every origin of a part.
    fn plan(&self, part: &Range<usize>) -> Plan {
        Plan { range: part.clone(), horizon: HORIZON, stride: 1, lookback: self.lookback }
    }

    /// The residuals of `forecaster` on the validation part.
    pub(crate) fn residuals(
        &self,
        forecaster: &dyn Forecaster,
        observer: &mut Observer<'_>,
    ) -> Result<ResidualQuantiles, TrainingError> {
        let backtest = self.run(forecaster, &self.split.validation, observer)?;
        let source = IntervalSource::ValidationResiduals;
        let residuals = backtest.residuals(HORIZON);
        Ok(ResidualQuantiles::fit(&residuals, Quantiles::standard(), source)?)
    }

    /// The residuals of `contender` on the validation part, fitted on what lies before it.
    pub(crate) fn residuals_of(
        &self,
        contender: &Contender,
        observer: &mut Observer<'_>,
    ) -> Result<ResidualQuantiles, TrainingError> {
        let known = self.view.prefix(self.split.validation.start);
        self.residuals(contender.fit(known, HORIZON).as_ref(), observer)
    }

    /// The scores of `contender` on the test part, fitted on what lies before it; `None` where nothing
    /// could be scored.
    pub(crate) fn score(
        &self,
        contender: &Contender,
        observer: &mut Observer<'_>,
    ) -> Result<Option<Scores>, TrainingError> {
        let known = self.view.prefix(self.split.test.start);
        self.score_fitted(contender.fit(known, HORIZON).as_ref(), observer)
    }

    /// The scores of the value one day before on the test part; `None` with under a day of history.
    pub(crate) fn score_seasonal(
        &self,
        observer: &mut Observer<'_>,
    ) -> Result<Option<Scores>, TrainingError> {
        let known = self.view.prefix(self.split.test.start);
        match SeasonalNaive::fit(known, known.step().per_day(), HORIZON) {
            Ok(seasonal) => self.score_fitted(&seasonal, observer),
            Err(_) => Ok(None),
        }
    }

    fn score_fitted(
        &self,
        forecaster: &dyn Forecaster,
        observer: &mut Observer<'_>,
    ) -> Result<Option<Scores>, TrainingError> {
        let reference = Reference::from_training(self.view.prefix(self.split.train.end));
        Ok(self.run(forecaster, &self.split.test, observer)?.scores(&reference))
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
