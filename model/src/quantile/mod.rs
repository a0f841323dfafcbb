//! The quantile network, the preset `lstm`: forecasts of many steps with their quantiles and those of
//! the peak, for any workload.
//!
//! ```text
//! Covariates ─▶ QuantileTile ─▶ QuantileNetwork (two LSTM layers, two linear ones) ─▶ Head ─▶ quantiles
//!                                      ▲                                          │
//!                                      └────────────── the median, fed back ──────┘
//! ```

mod config;
mod forecaster;
mod head;
mod network;
mod stepper;
mod windows;

pub use config::QuantileConfig;
pub use forecaster::QuantileForecaster;
pub use head::{Head, LEVELS};
pub use network::{QuantileNetwork, QuantileWorkspace};
pub use windows::QuantileTile;

#[cfg(test)]
mod testing {
    use forecast::covariates::{Covariates, Past};
    use forecast::gaps::Filled;
    use forecast::{Series, SeriesId, Step, Timestamp};

    use super::QuantileConfig;

    /// A network that is quick to test.
    pub(super) fn small() -> QuantileConfig {
        QuantileConfig { hidden: 6, dense: 5, dropout: 0.2 }
    }

    /// Those of three days of a daily cycle with some noise.
    pub(super) fn covariates(seed: u32) -> Covariates {
        let value = |i: u32| {
            let cycle = (f64::from(i % 288) / 288.0 * std::f64::consts::TAU).sin();
            let noise = (i.wrapping_mul(2_654_435_761).wrapping_add(seed * 97) >> 7) % 1000;
            100.0 + 30.0 * cycle + f64::from(noise) / 50.0
        };
        let values: Vec<_> = (0..864 + 7 * seed).map(|i| Some(value(i))).collect();
        let count = values.len();
        let id = SeriesId::new("test").unwrap();
        let series =
            Series::from_values(id, Step::FIVE_MINUTES, Timestamp::UNIX_EPOCH, values).unwrap();
        let filled = Filled::from_view(series.view());
        Covariates::of(&Past::before(&filled, count, count, 288).expect("there are values"))
    }
}
