//! From a kind to its path: known for the built-in kinds, asked of the API server for others.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::Client;

use crate::error::ScaleError;
use crate::request::{Call, Refusal, send};
use crate::retry::Attempts;
use crate::workload::Workload;

/// The kinds of `apps/v1` that have a scale subresource, and their resources.
const BUILT_IN: [(&str, &str); 3] =
    [("Deployment", "deployments"), ("StatefulSet", "statefulsets"), ("ReplicaSet", "replicasets")];

/// The resources that were asked for before: kinds do not move while a process lives, so each is
/// asked for once.
#[derive(Clone, Default, Debug)]
pub(crate) struct Resources(Arc<Mutex<HashMap<(String, String), String>>>);

impl Resources {
    /// The resource of the workload's kind, such as `deployments`.
    ///
    /// # Errors
    /// When the API server does not know the kind, the kind has no scale subresource, or the server
    /// cannot be asked.
    pub(crate) async fn resource(
        &self,
        client: &Client,
        workload: &Workload,
        attempts: &mut Attempts,
    ) -> Result<String, ScaleError> {
        let built_in = BUILT_IN.iter().find(|(kind, _)| *kind == workload.kind());
        if let Some((_, resource)) = built_in.filter(|_| workload.api_version() == "apps/v1") {
            return Ok((*resource).to_owned());
        }
        let key = (workload.api_version().to_owned(), workload.kind().to_owned());
        if let Some(known) = self.lock().get(&key) {
            return Ok(known.clone());
        }
        let found = discover(client, workload, attempts).await?;
        self.lock().insert(key, found.clone());
        Ok(found)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(String, String), String>> {
        // A map of names is whole even when a thread died that held it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The root of the workload's API version: the core group has a path of its own.
pub(crate) fn api_root(workload: &Workload) -> String {
    let root = if workload.group().is_empty() { "/api" } else { "/apis" };
    format!("{root}/{}", workload.api_version())
}

async fn discover(
    client: &Client,
    workload: &Workload,
    attempts: &mut Attempts,
) -> Result<String, ScaleError> {
    let call = Call { uri: api_root(workload), patch: None, expected: "APIResourceList" };
    loop {
        let explain = |refusal| explain(workload, refusal);
        let answer = send::<APIResourceList>(client, &call, attempts.next_timeout(), explain).await;
        match answer {
            Ok(list) => return scalable(workload, &list),
            Err(failure) => attempts.pause_after(failure).await?,
        }
    }
}

fn explain(workload: &Workload, Refusal { code, message }: Refusal) -> ScaleError {
    match code {
        401 => ScaleError::Unauthorized { message },
        404 => unknown_kind(workload),
        _ => ScaleError::Refused { code, message },
    }
}

fn scalable(workload: &Workload, list: &APIResourceList) -> Result<String, ScaleError> {
    let is_kind = |name: &str, kind: &str| kind == workload.kind() && !name.contains('/');
    let resource = list.resources.iter().find(|r| r.namespaced && is_kind(&r.name, &r.kind));
    let Some(resource) = resource else {
        return Err(unknown_kind(workload));
    };
    let scale = format!("{}/scale", resource.name);
    if list.resources.iter().any(|r| r.name == scale) {
        return Ok(resource.name.clone());
    }
    Err(ScaleError::NotScalable { workload: Box::new(workload.clone()) })
}

fn unknown_kind(workload: &Workload) -> ScaleError {
    ScaleError::UnknownKind { workload: Box::new(workload.clone()) }
}
