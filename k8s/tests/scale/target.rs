//! What a scenario runs against: the stub, or a real cluster.

use std::path::PathBuf;
use std::time::Duration;

use k8s::{Cluster, ClusterConfig, Workload};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::json;

use crate::stub::Stub;

/// The replicas that the workload of a target begins with.
pub(crate) const REPLICAS: u32 = 1;
const NAME: &str = "web";

/// A cluster with a Deployment of [`REPLICAS`] replicas.
pub(crate) enum Target {
    Stub(Stub, tempfile::TempDir),
    Real(Box<Real>),
}

/// A namespace of its own in a real cluster.
pub(crate) struct Real {
    kubeconfig: PathBuf,
    client: Client,
    namespace: String,
}

impl Target {
    pub(crate) async fn stub() -> Self {
        let stub = Stub::start().await;
        stub.add_deployment("shop", NAME, i64::from(REPLICAS));
        Self::Stub(stub, tempfile::tempdir().expect("a temporary folder"))
    }

    /// The real cluster, if `E2E_KUBECONFIG` names one.
    pub(crate) async fn real() -> Option<Self> {
        let Some(path) = std::env::var_os("E2E_KUBECONFIG") else {
            eprintln!("skipped: E2E_KUBECONFIG names no kubeconfig of a real cluster");
            return None;
        };
        Some(Self::Real(Box::new(Real::start(path.into()).await)))
    }

    pub(crate) async fn cluster(&self, dry_run: bool) -> Cluster {
        let kubeconfig = match self {
            Self::Stub(stub, folder) => stub.kubeconfig(folder.path()),
            Self::Real(real) => real.kubeconfig.clone(),
        };
        let config = ClusterConfig {
            kubeconfig: Some(kubeconfig),
            request_timeout: Duration::from_secs(10),
            dry_run,
            ..ClusterConfig::default()
        };
        Cluster::connect(config).await.expect("the kubeconfig is good")
    }

    pub(crate) fn namespace(&self) -> &str {
        match self {
            Self::Stub(..) => "shop",
            Self::Real(real) => &real.namespace,
        }
    }

    pub(crate) fn workload(&self) -> Workload {
        Workload::deployment(self.namespace(), NAME).expect("the names are possible")
    }

    pub(crate) async fn scale_as_somebody_else(&self, replicas: u32) {
        match self {
            Self::Stub(stub, _) => {
                stub.scale_as_somebody_else("shop", NAME, i64::from(replicas));
            }
            Self::Real(real) => {
                let patch = json!({ "spec": { "replicas": replicas } });
                real.patch("scale", &patch).await;
            }
        }
    }

    /// Gives the object a new version while its replicas stay.
    pub(crate) async fn touch(&self) {
        match self {
            Self::Stub(stub, _) => stub.set_pods("shop", NAME, 0),
            Self::Real(real) => {
                let patch = json!({ "metadata": { "annotations": { "touched": "yes" } } });
                real.patch("", &patch).await;
            }
        }
    }

    /// The replicas as the object itself has them.
    pub(crate) async fn replicas(&self) -> u32 {
        let replicas = match self {
            Self::Stub(stub, _) => stub.replicas("shop", NAME),
            Self::Real(real) => {
                let deployment = real.deployments().get(NAME).await.expect("it is there");
                i64::from(deployment.spec.and_then(|spec| spec.replicas).unwrap_or(1))
            }
        };
        u32::try_from(replicas).expect("not below zero")
    }

    pub(crate) async fn end(self) {
        if let Self::Real(real) = self {
            let namespaces: Api<Namespace> = Api::all(real.client.clone());
            let deleted = namespaces.delete(&real.namespace, &DeleteParams::default()).await;
            deleted.expect("the test may delete its namespace");
        }
    }
}

impl Real {
    async fn start(kubeconfig: PathBuf) -> Self {
        let read = Kubeconfig::read_from(&kubeconfig).expect("E2E_KUBECONFIG is a kubeconfig");
        let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await;
        let config = config.expect("E2E_KUBECONFIG is complete");
        let client = Client::try_from(config).expect("its certificates are good");
        let namespace = json!({ "metadata": { "generateName": "predictive-scaler-test-" } });
        let namespace = serde_json::from_value(namespace).expect("a namespace");
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let created = namespaces.create(&PostParams::default(), &namespace).await;
        let namespace = created.expect("the test may create a namespace").metadata.name;
        let real =
            Self { kubeconfig, client, namespace: namespace.expect("a created object has a name") };
        let created = real.deployments().create(&PostParams::default(), &deployment()).await;
        created.expect("the test may create a Deployment");
        real
    }

    /// Patches the Deployment or its subresource, as whoever the kubeconfig says.
    async fn patch(&self, subresource: &str, patch: &serde_json::Value) {
        let (deployments, params) = (self.deployments(), PatchParams::default());
        let patch = Patch::Merge(patch);
        match subresource {
            "scale" => drop(deployments.patch_scale(NAME, &params, &patch).await.expect("allowed")),
            _ => drop(deployments.patch(NAME, &params, &patch).await.expect("allowed")),
        }
    }

    fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

fn deployment() -> Deployment {
    let labels = json!({ "app": NAME });
    let container = json!({ "name": "pause", "image": "registry.k8s.io/pause:3.10" });
    serde_json::from_value(json!({
        "metadata": { "name": NAME },
        "spec": {
            "replicas": REPLICAS,
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": { "containers": [container] } },
        },
    }))
    .expect("a Deployment")
}
