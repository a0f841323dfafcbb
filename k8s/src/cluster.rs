//! The scale of a workload, read and written.

use std::fmt;
use std::time::Duration;

use k8s_openapi::api::autoscaling::v1::Scale;
use kube::Client;
use serde_json::json;

use crate::error::ScaleError;
use crate::request::{Call, Failure, Refusal, send};
use crate::resource::{Resources, api_root};
use crate::retry::Attempts;
use crate::workload::Workload;

/// The name under which the API server records who set the replicas.
const FIELD_MANAGER: &str = "predictive-scaler";

/// A connection to one cluster; clones share it. Made by [`Cluster::connect`].
#[derive(Clone)]
pub struct Cluster {
    pub(crate) client: Client,
    pub(crate) address: String,
    pub(crate) limits: Limits,
    pub(crate) dry_run: bool,
    pub(crate) resources: Resources,
}

/// How long things may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) request_timeout: Duration,
    pub(crate) deadline: Duration,
}

/// What the cluster says of a workload's replicas.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScaleState {
    /// The replicas that are wanted: `spec.replicas`.
    pub replicas: u32,
    /// The pods that exist, ready or not: `status.replicas`.
    pub current: u32,
    /// The version of the object that says so.
    pub resource_version: String,
}

/// What became of [`Cluster::set_replicas`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Applied {
    /// The replicas before.
    pub from: u32,
    /// The replicas that the API server answered; an admission webhook may have its own idea.
    pub to: u32,
    /// Whether the API server was asked to check everything and store nothing.
    pub dry_run: bool,
    /// The requests it took; none when the replicas were there already.
    pub attempts: u32,
}

impl Cluster {
    /// The replicas of `workload`. Retries what may pass until the deadline.
    ///
    /// # Errors
    /// When there is no such workload, it cannot be scaled, it must not be read, or the API server
    /// gives no answer in time.
    pub async fn scale(&self, workload: &Workload) -> Result<ScaleState, ScaleError> {
        let mut attempts = self.attempts();
        let place = self.place(workload, &mut attempts).await?;
        self.read(&place, &mut attempts).await
    }

    /// Sets the replicas of `workload`, which were `from` when this was decided. Retries what may
    /// pass until the deadline, and never writes over somebody else's change.
    ///
    /// # Errors
    /// [`ScaleError::Changed`] when somebody else scaled; otherwise as [`Self::scale`].
    pub async fn set_replicas(
        &self,
        workload: &Workload,
        from: &ScaleState,
        replicas: u32,
    ) -> Result<Applied, ScaleError> {
        let mut attempts = self.attempts();
        let applied = |to: u32, attempts: &Attempts| Applied {
            from: from.replicas,
            to,
            dry_run: self.dry_run,
            attempts: attempts.made(),
        };
        if from.replicas == replicas {
            return Ok(applied(replicas, &attempts));
        }
        let place = self.place(workload, &mut attempts).await?;
        let mut seen = from.clone();
        loop {
            let failure = match self.write(&place, &seen, replicas, &mut attempts).await {
                Ok(written) => return Ok(applied(written.replicas, &attempts)),
                Err(failure) => failure,
            };
            let untouched = matches!(failure, Failure::Throttled { .. });
            attempts.pause_after(failure).await?;
            if untouched {
                continue;
            }
            // The write may have been done without our knowing, or the version has moved on.
            seen = self.read(&place, &mut attempts).await?;
            if seen.replicas == replicas {
                return Ok(applied(replicas, &attempts));
            }
            if seen.replicas != from.replicas {
                let (workload, expected) = (Box::new(workload.clone()), from.replicas);
                return Err(ScaleError::Changed { workload, expected, now: seen });
            }
        }
    }

    /// The API server's address, without credentials.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    fn attempts(&self) -> Attempts {
        Attempts::start(self.limits.deadline, self.limits.request_timeout)
    }

    async fn place<'a>(
        &self,
        workload: &'a Workload,
        attempts: &mut Attempts,
    ) -> Result<Place<'a>, ScaleError> {
        let resource = self.resources.resource(&self.client, workload, attempts).await?;
        Ok(Place { workload, resource })
    }

    async fn read(
        &self,
        place: &Place<'_>,
        attempts: &mut Attempts,
    ) -> Result<ScaleState, ScaleError> {
        let call = Call { uri: place.path(), patch: None, expected: "Scale" };
        loop {
            let timeout = attempts.next_timeout();
            let explain = |refusal| place.explain("get", refusal);
            match send::<Scale>(&self.client, &call, timeout, explain).await {
                Ok(scale) => return ScaleState::try_from(scale),
                Err(failure) => attempts.pause_after(failure).await?,
            }
        }
    }

    async fn write(
        &self,
        place: &Place<'_>,
        seen: &ScaleState,
        replicas: u32,
        attempts: &mut Attempts,
    ) -> Result<ScaleState, Failure> {
        let dry_run = if self.dry_run { "&dryRun=All" } else { "" };
        let patch = json!({
            "metadata": { "resourceVersion": seen.resource_version },
            "spec": { "replicas": replicas },
        });
        let call = Call {
            uri: format!("{}?fieldManager={FIELD_MANAGER}{dry_run}", place.path()),
            patch: Some(patch.to_string().into_bytes()),
            expected: "Scale",
        };
        let explain = |refusal| place.explain("patch", refusal);
        let scale = send::<Scale>(&self.client, &call, attempts.next_timeout(), explain).await?;
        ScaleState::try_from(scale).map_err(Failure::Final)
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { address, limits, dry_run, .. } = self;
        f.debug_struct("Cluster")
            .field("address", address)
            .field("limits", limits)
            .field("dry_run", dry_run)
            .finish_non_exhaustive()
    }
}

/// A workload whose resource is known.
struct Place<'a> {
    workload: &'a Workload,
    resource: String,
}

impl Place<'_> {
    fn path(&self) -> String {
        let (root, resource) = (api_root(self.workload), &self.resource);
        let (namespace, name) = (self.workload.namespace(), self.workload.name());
        format!("{root}/namespaces/{namespace}/{resource}/{name}/scale")
    }

    fn explain(&self, verb: &'static str, Refusal { code, message }: Refusal) -> ScaleError {
        let workload = Box::new(self.workload.clone());
        match code {
            401 => ScaleError::Unauthorized { message },
            403 => {
                let resource = format!("{}/scale", self.resource);
                ScaleError::Forbidden { workload, verb, resource, message }
            }
            404 => ScaleError::NotFound { workload, message },
            _ => ScaleError::Refused { code, message },
        }
    }
}

impl TryFrom<Scale> for ScaleState {
    type Error = ScaleError;

    /// A count that is zero is left out of the JSON of a `Scale`, so a missing one is zero.
    fn try_from(scale: Scale) -> Result<Self, ScaleError> {
        let unreadable = |got: String| ScaleError::Unreadable { expected: "Scale", got };
        let count = |name: &str, value: i32| {
            u32::try_from(value).map_err(|_| unreadable(format!("one with {name} of {value}")))
        };
        let replicas = scale.spec.and_then(|spec| spec.replicas).unwrap_or(0);
        let current = scale.status.map_or(0, |status| status.replicas);
        let version = scale.metadata.resource_version;
        Ok(Self {
            replicas: count("spec.replicas", replicas)?,
            current: count("status.replicas", current)?,
            resource_version: version
                .ok_or_else(|| unreadable("one without metadata.resourceVersion".to_owned()))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(json: serde_json::Value) -> Result<ScaleState, ScaleError> {
        ScaleState::try_from(serde_json::from_value::<Scale>(json).unwrap())
    }

    #[test]
    fn a_workload_scaled_to_zero_has_no_count_in_its_scale() {
        let scaled_to_zero = json!({ "metadata": { "resourceVersion": "7" }, "spec": {} });
        let expected = ScaleState { replicas: 0, current: 0, resource_version: "7".to_owned() };
        assert_eq!(state(scaled_to_zero), Ok(expected));
    }

    #[test]
    fn refuses_a_scale_that_cannot_be() {
        let versionless = state(json!({ "spec": { "replicas": 2 } }));
        assert_eq!(versionless.unwrap_err().label(), "unreadable");
        let negative =
            json!({ "metadata": { "resourceVersion": "7" }, "spec": { "replicas": -1 } });
        assert_eq!(state(negative).unwrap_err().label(), "unreadable");
    }
}
