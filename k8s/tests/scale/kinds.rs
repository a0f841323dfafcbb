//! Kinds other than Deployments: they are asked for once.

use axum::http::Method;
use k8s::{Cluster, ClusterConfig, Workload};

use crate::stub::{Fault, Stub};

const ROLLOUTS: &str = "argoproj.io/v1alpha1";

async fn cluster(stub: &Stub) -> Cluster {
    let config = ClusterConfig { server: Some(stub.url()), ..ClusterConfig::default() };
    Cluster::connect(config).await.expect("an address is enough")
}

fn workload(api_version: &str, kind: &str) -> Workload {
    Workload::new(api_version, kind, "shop", "web").expect("a workload")
}

#[tokio::test]
async fn a_custom_kind_is_discovered_once_and_scaled() {
    let stub = Stub::start().await;
    stub.add_rollout("shop", "web", 2);
    stub.next(1, Some(Method::GET), Fault::Refuse(503));
    let (cluster, web) = (cluster(&stub).await, workload(ROLLOUTS, "Rollout"));
    let before = cluster.scale(&web).await.expect("it is there");
    assert_eq!((before.replicas, before.current), (2, 2));
    // A clone shares what was learnt.
    let applied = cluster.clone().set_replicas(&web, &before, 5).await.expect("it may be scaled");
    assert_eq!((applied.to, stub.replicas("shop", "web")), (5, 5));
    let paths: Vec<String> = stub.requests().into_iter().map(|request| request.path).collect();
    let scale = "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/web/scale";
    let kinds = "/apis/argoproj.io/v1alpha1";
    assert_eq!(paths, [kinds, kinds, scale, scale]);
}

#[tokio::test]
async fn pods_are_counted_apart_from_replicas() {
    let stub = Stub::start().await;
    stub.add_deployment("shop", "web", 4);
    stub.set_pods("shop", "web", 1);
    let scale = cluster(&stub).await.scale(&workload("apps/v1", "Deployment")).await;
    let scale = scale.expect("it is there");
    assert_eq!((scale.replicas, scale.current), (4, 1));
}

#[tokio::test]
async fn kinds_that_cannot_be_scaled_are_refused_with_the_reason() {
    let stub = Stub::start().await;
    let cluster = cluster(&stub).await;
    for (api_version, kind, label) in [
        ("apps/v1", "DaemonSet", "not_scalable"),
        (ROLLOUTS, "AnalysisRun", "not_scalable"),
        (ROLLOUTS, "Rolout", "unknown_kind"),
        ("absent.example/v1", "Rollout", "unknown_kind"),
        ("v1", "ReplicationController", "unknown_kind"),
    ] {
        let error = cluster.scale(&workload(api_version, kind)).await.expect_err("it cannot be");
        assert_eq!((error.label(), error.is_retryable()), (label, false), "{error}");
        assert!(error.to_string().contains(kind), "{error}");
    }
}
