//! The methods that can be compared, behind one trait.

use std::ops::ControlFlow;
use std::sync::Arc;

use clap::ValueEnum;
use classical::{Ets, Mstl, Prophet};
use forecast::baseline::{LastValue, SeasonalNaive};
use forecast::ridge::Ridge;
use forecast::rules::{FittedRule, Rule};
use forecast::{Forecaster, SeriesView, Timestamp};
use model::{Device, DeviceKind, QuantileForecaster, ReferenceForecaster};
use trainer::{Contender, InService, LstmNetworks, TrainingConfig, TrainingOptions};

/// Days of the mean of days.
const DAYS: usize = 7;
/// Steps of the moving average.
const AVERAGE: usize = 24;

/// A way to forecast.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Method {
    /// The network that was trained on many workloads and the same trained on, on each series, together
    /// with ridge and seasonal-naive, as they have proved themselves lately.
    Lstm,
    /// The same without training on.
    LstmZeroShot,
    /// That network alone.
    Network,
    /// Linear in the last hours and the days before, fitted on each series.
    Ridge,
    /// The tutorial's LSTM, trained on each series.
    Reference,
    /// Exponential smoothing, its form and parameters estimated anew at each origin.
    Ets,
    /// A daily season and a trend by exponential smoothing, estimated anew at each origin.
    Mstl,
    /// Trend with changepoints, a daily and a weekly season; fitted on two weeks, and knows nothing
    /// later until it is fitted anew: see --refit.
    Prophet,
    /// The value one day before.
    SeasonalNaive,
    /// The value one week before.
    SeasonalNaiveWeek,
    /// The last value.
    Naive,
    /// On the line from the first value to the last.
    Drift,
    /// The mean of the last 24 values.
    MovingAverage,
    /// The mean of the values of the last seven days at that time.
    MeanOfDays,
}

impl Method {
    /// Those that others are measured against.
    pub(super) const BASELINES: [Self; 2] = [Self::SeasonalNaive, Self::Naive];

    /// The name on the command line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Lstm => QuantileForecaster::NAME,
            Self::LstmZeroShot => "lstm-zero-shot",
            Self::Network => "network",
            Self::Ridge => Ridge::NAME,
            Self::Reference => ReferenceForecaster::NAME,
            Self::Ets => Ets::NAME,
            Self::Mstl => Mstl::NAME,
            Self::Prophet => Prophet::NAME,
            Self::SeasonalNaive => SeasonalNaive::NAME,
            Self::SeasonalNaiveWeek => "seasonal-naive-week",
            Self::Naive => "naive",
            Self::Drift => "drift",
            Self::MovingAverage => "moving-average",
            Self::MeanOfDays => "mean-of-days",
        }
    }

    /// Fits the method on `training`; `networks` has the one that was trained on many workloads.
    pub(super) fn fit(
        self,
        training: SeriesView<'_>,
        horizon: usize,
        networks: &LstmNetworks,
    ) -> anyhow::Result<Arc<dyn Forecaster>> {
        let day = training.step().per_day();
        let rule = |rule| FittedRule::fit(self.name(), rule, training, horizon);
        Ok(match self {
            Self::Lstm => {
                // A history that is too short to learn from is forecast by the network as it is.
                let options = TrainingOptions::lstm();
                let tuned = networks.tuned_on(training, &options);
                Arc::new(tuned.as_ref().unwrap_or(networks).fit(training, horizon))
            }
            Self::LstmZeroShot => Arc::new(networks.fit(training, horizon)),
            Self::Network => Arc::new(networks.network().clone()),
            Self::Ridge => Arc::new(Ridge::fit(training, horizon)?),
            Self::Reference => {
                let config = TrainingConfig::try_from(TrainingOptions::reference())?;
                let mut observer = |_| ControlFlow::Continue(());
                let created = Timestamp::UNIX_EPOCH;
                let trained = trainer::train(
                    training,
                    &config,
                    InService::default(),
                    created,
                    &mut observer,
                )?;
                let device = Device::open(DeviceKind::Cpu)?;
                Contender::of(&trained.artifact, &device).fit(training, horizon)
            }
            Self::Ets => Arc::new(Ets::fit(training, horizon)?),
            Self::Mstl => Arc::new(Mstl::fit(training, horizon)?),
            Self::Prophet => Arc::new(Prophet::fit(training, horizon)?),
            Self::SeasonalNaive => Arc::new(SeasonalNaive::fit(training, day, horizon)?),
            Self::SeasonalNaiveWeek => Arc::new(SeasonalNaive::fit(training, 7 * day, horizon)?),
            Self::Naive => Arc::new(LastValue::fit(training, horizon)?),
            Self::Drift => Arc::new(rule(Rule::Drift)?),
            Self::MovingAverage => Arc::new(rule(Rule::MovingAverage { steps: AVERAGE })?),
            Self::MeanOfDays => {
                Arc::new(rule(Rule::MeanOfSeasons { season_length: day, seasons: DAYS })?)
            }
        })
    }
}
