//! The client: a range query in portions.

use std::sync::atomic::AtomicBool;

use tokio::time::Instant;

use super::config::{Checked, PrometheusConfig, PrometheusConfigError};
use super::error::PrometheusError;
use super::range::{Merge, RangeQuery};
use crate::History;

/// A Prometheus that can be asked. Cheap to keep, and safe to use from several tasks at a time.
#[derive(Debug)]
pub struct Prometheus {
    pub(super) config: Checked,
    /// Set once the server has refused a POST.
    pub(super) asks_by_get: AtomicBool,
}

impl Prometheus {
    /// Checks `config`; does not connect.
    ///
    /// # Errors
    /// When the URL, the credentials, the CA file, a header or a time cannot be used.
    pub fn new(config: PrometheusConfig) -> Result<Self, PrometheusConfigError> {
        Ok(Self { config: config.try_into()?, asks_by_get: AtomicBool::new(false) })
    }

    /// The history that `query` returns. A long span is asked for in several requests, one after
    /// the other; what may pass (connection errors, timeouts, 429, 5xx) is tried again until the
    /// configured deadline.
    ///
    /// # Errors
    /// When there is no answer in time, or it is not one series of a load: [`PrometheusError`].
    pub async fn range(&self, query: &RangeQuery) -> Result<History, PrometheusError> {
        let deadline = Instant::now() + self.config.deadline;
        let expression = query.expression();
        let mut merge = Merge::default();
        for portion in query.portions()? {
            let seconds = |index: i64| query.step.time_of(index).as_second().to_string();
            let form = [
                ("query", expression.clone()),
                ("start", seconds(*portion.start())),
                ("end", seconds(*portion.end())),
                ("step", query.step.seconds().to_string()),
            ];
            merge.add(self.ask(&form, deadline).await?)?;
        }
        merge.into_history(query)
    }
}
