//! Where a loop reads the history up to now.

use std::sync::Arc;

use datasets::{Prometheus, PrometheusError};
use forecast::{Series, SeriesError, Timestamp};
use thiserror::Error;

use crate::config::WorkloadConfig;

/// Where history comes from.
#[derive(Clone, Debug)]
pub(crate) enum Source {
    /// A Prometheus, asked at each cycle.
    Prometheus(Arc<Prometheus>),
    /// A recorded series, of which each cycle sees what lies before its now.
    Recorded(Series),
}

/// Why there is no history.
#[derive(Debug, Error)]
pub(crate) enum SourceError {
    /// Prometheus did not give it.
    #[error(transparent)]
    Prometheus(#[from] PrometheusError),
    /// The recorded series has nothing before now.
    #[error("the recorded history has nothing before {now}: {source}")]
    Recorded {
        /// The now.
        now: Timestamp,
        /// Why.
        source: SeriesError,
    },
}

impl Source {
    /// The last steps of `workload`'s history, up to `now`.
    ///
    /// # Errors
    /// When the source does not answer or has nothing.
    pub(crate) async fn history(
        &self,
        workload: &WorkloadConfig,
        now: Timestamp,
    ) -> Result<Series, SourceError> {
        match self {
            Self::Prometheus(prometheus) => {
                let history = prometheus.range(&workload.range_query(now)).await?;
                for warning in &history.warnings {
                    tracing::warn!(series = %workload.series, warning, "Prometheus warns");
                }
                Ok(history.series)
            }
            Self::Recorded(series) => {
                let known = series.view().until(now).suffix(workload.history_steps);
                known.to_series().map_err(|source| SourceError::Recorded { now, source })
            }
        }
    }
}
