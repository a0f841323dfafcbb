//! From a configuration to a client.

use std::time::Duration;

use k8s::{Cluster, ClusterConfig, ConnectError, Workload};
use serde_json::json;

use crate::stub::Stub;

#[tokio::test]
async fn a_kubeconfig_and_its_context_are_used() {
    let stub = Stub::start().await;
    stub.add_deployment("shop", "web", 2);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let kubeconfig = Some(stub.kubeconfig(folder.path()));
    let config = ClusterConfig { kubeconfig, ..ClusterConfig::default() };
    let named = ClusterConfig { context: Some("stub".to_owned()), ..config.clone() };
    for config in [config.clone(), named] {
        let cluster = Cluster::connect(config).await.expect("it is complete");
        assert_eq!(cluster.address(), stub.url());
        let web = Workload::deployment("shop", "web").expect("a workload");
        assert_eq!(cluster.scale(&web).await.expect("the token is right").replicas, 2);
    }
    let absent = ClusterConfig { context: Some("prod".to_owned()), ..config };
    let error = Cluster::connect(absent).await.expect_err("there is no such context");
    assert_eq!(error.to_string(), "the kubeconfig has no context \"prod\": it has stub");
}

#[tokio::test]
async fn credentials_that_are_not_accepted_are_final() {
    let stub = Stub::start().await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let kubeconfig = stub.kubeconfig(folder.path());
    let written = std::fs::read_to_string(&kubeconfig).expect("it was just written");
    std::fs::write(&kubeconfig, written.replace("the-token", "an-old-token")).expect("written");
    let config = ClusterConfig { kubeconfig: Some(kubeconfig), ..ClusterConfig::default() };
    let cluster = Cluster::connect(config).await.expect("it is complete");
    let web = Workload::deployment("shop", "web").expect("a workload");
    let error = cluster.scale(&web).await.expect_err("the token is wrong");
    assert_eq!((error.label(), error.is_retryable()), ("unauthorized", false));
    assert_eq!(stub.methods(), ["GET"]);
    for text in [format!("{error} {error:?}"), format!("{cluster:?}")] {
        assert!(!text.contains("an-old-token"), "{text}");
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = |kubeconfig: &str| {
        let kubeconfig = Some(folder.path().join(kubeconfig));
        ClusterConfig { kubeconfig, ..ClusterConfig::default() }
    };
    let error = Cluster::connect(config("absent")).await.expect_err("there is none");
    assert!(matches!(error, ConnectError::Kubeconfig { .. }), "{error}");
    assert!(error.to_string().contains("absent"), "{error}");

    std::fs::write(folder.path().join("no-context"), json!({ "kind": "Config" }).to_string())
        .expect("written");
    let error = Cluster::connect(config("no-context")).await.expect_err("no context");
    assert!(error.to_string().contains("current context"), "{error}");

    for server in ["10.0.0.1:6443", "ftp://host", "https://", "not an address"] {
        let server = Some(server.to_owned());
        let config = ClusterConfig { server, ..ClusterConfig::default() };
        let error = Cluster::connect(config).await.expect_err("it is no address");
        assert!(matches!(error, ConnectError::Server { .. }), "{error}");
    }
    let config = ClusterConfig { deadline: Duration::ZERO, ..ClusterConfig::default() };
    let error = Cluster::connect(config).await.expect_err("no time");
    assert!(matches!(error, ConnectError::NoTime("the deadline")), "{error}");
}

#[tokio::test]
async fn a_server_with_tls_gets_a_client_with_tls() {
    // The handshake fails, since nobody speaks TLS there: that it is tried at all shows that a
    // provider of cryptography is installed.
    let stub = Stub::start().await;
    let server = Some(stub.url().replace("http:", "https:"));
    let config =
        ClusterConfig { server, deadline: Duration::from_secs(2), ..ClusterConfig::default() };
    let cluster = Cluster::connect(config).await.expect("a provider is installed");
    let web = Workload::deployment("shop", "web").expect("a workload");
    let error = cluster.scale(&web).await.expect_err("the stub speaks no TLS");
    assert_eq!(error.label(), "unavailable");
    assert_eq!(stub.methods(), Vec::<String>::new());
}
