//! What can go wrong between a decision and the cluster, and what to do about it.

use std::time::Duration;

use thiserror::Error;

use crate::cluster::ScaleState;
use crate::workload::Workload;

/// Why a workload was not read or not scaled.
#[derive(Clone, PartialEq, Eq, Debug, Error)]
pub enum ScaleError {
    /// Somebody else scaled since the decision was made, so it is void.
    #[error(
        "{workload} has {} replicas now, not the {expected} that the decision was made on: \
         somebody else scaled it and nothing was written",
        now.replicas
    )]
    Changed {
        /// The workload.
        workload: Box<Workload>,
        /// The replicas that the decision was made on.
        expected: u32,
        /// What the cluster holds now.
        now: ScaleState,
    },
    /// The service account lacks a right.
    #[error(
        "not allowed to {verb} {resource} {:?} in namespace {:?}: give the service account a Role \
         in that namespace with apiGroups [{:?}], resources [{resource:?}], verbs [{verb:?}]. \
         The API server says: {message}",
        workload.name(), workload.namespace(), workload.group()
    )]
    Forbidden {
        /// The workload.
        workload: Box<Workload>,
        /// The verb that is missing.
        verb: &'static str,
        /// The resource, with its subresource.
        resource: String,
        /// The API server's own message.
        message: String,
    },
    /// The credentials are not accepted.
    #[error(
        "the API server does not accept the credentials: renew the kubeconfig's user or check that \
         the service account's token is mounted. It says: {message}"
    )]
    Unauthorized {
        /// The API server's own message.
        message: String,
    },
    /// There is no such object.
    #[error(
        "there is no {} {:?} in namespace {:?}: create it, or correct the namespace and name in \
         the configuration. The API server says: {message}",
        workload.kind(), workload.name(), workload.namespace()
    )]
    NotFound {
        /// The workload.
        workload: Box<Workload>,
        /// The API server's own message.
        message: String,
    },
    /// The API server knows no such kind.
    #[error(
        "the API server has no kind {:?} in {:?}: install its custom resource definition, or \
         correct apiVersion and kind in the configuration",
        workload.kind(), workload.api_version()
    )]
    UnknownKind {
        /// The workload.
        workload: Box<Workload>,
    },
    /// The kind has no `scale` subresource.
    #[error(
        "{} of {} has no scale subresource, so its replicas cannot be set: name a Deployment, a \
         StatefulSet, or a custom resource that declares `subresources.scale`",
        workload.kind(), workload.api_version()
    )]
    NotScalable {
        /// The workload.
        workload: Box<Workload>,
    },
    /// The API server refused the request as such.
    #[error("the API server refused the request ({code}): {message}")]
    Refused {
        /// The HTTP status.
        code: u16,
        /// The API server's own message.
        message: String,
    },
    /// The answer is not one of the Kubernetes API.
    #[error("expected a {expected} from the API server and got {got}: check the server's address")]
    Unreadable {
        /// What was asked for.
        expected: &'static str,
        /// What came.
        got: String,
    },
    /// It could not be done in time, after all retries.
    #[error("gave up after {attempts} attempts in {:.1} s: {last}", elapsed.as_secs_f64())]
    Unavailable {
        /// The number of requests.
        attempts: u32,
        /// The time spent.
        elapsed: Duration,
        /// What was wrong the last time.
        last: String,
    },
}

impl ScaleError {
    /// A short name of the variant for a metric.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Changed { .. } => "changed",
            Self::Forbidden { .. } => "forbidden",
            Self::Unauthorized { .. } => "unauthorized",
            Self::NotFound { .. } => "not_found",
            Self::UnknownKind { .. } => "unknown_kind",
            Self::NotScalable { .. } => "not_scalable",
            Self::Refused { .. } => "refused",
            Self::Unreadable { .. } => "unreadable",
            Self::Unavailable { .. } => "unavailable",
        }
    }

    /// Whether the next decision may succeed without anybody changing the configuration, the
    /// rights or the cluster's objects.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(self, Self::Changed { .. } | Self::Unavailable { .. })
    }
}
