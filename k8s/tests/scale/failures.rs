//! A server that misbehaves: what is tried again, what is final, and what the error says.

use std::time::{Duration, Instant};

use axum::http::Method;
use k8s::{Cluster, ClusterConfig, ScaleError, ScaleState, Workload};

use crate::stub::{Fault, Stub};

struct Bench {
    stub: Stub,
    cluster: Cluster,
    web: Workload,
    before: ScaleState,
}

/// A Deployment of two replicas that was read once; requests end after two seconds, which a good
/// answer does not take on a busy machine either, and calls after `deadline`.
async fn bench(deadline: Duration) -> Bench {
    let stub = Stub::start().await;
    stub.add_deployment("shop", "web", 2);
    let config = ClusterConfig {
        server: Some(stub.url()),
        request_timeout: Duration::from_secs(2),
        deadline,
        ..ClusterConfig::default()
    };
    let cluster = Cluster::connect(config).await.expect("an address is enough");
    let web = Workload::deployment("shop", "web").expect("a workload");
    let before = cluster.scale(&web).await.expect("the stub is good until told otherwise");
    Bench { stub, cluster, web, before }
}

impl Bench {
    async fn set(&self, replicas: u32) -> Result<k8s::Applied, ScaleError> {
        self.cluster.set_replicas(&self.web, &self.before, replicas).await
    }

    /// The methods after the first read.
    fn sent(&self) -> Vec<String> {
        self.stub.methods().split_off(1)
    }
}

const AMPLE: Duration = Duration::from_secs(60);
/// Longer than any request waits.
const LATE: Duration = Duration::from_secs(120);
/// A call that took less did not wait for what it should not wait for.
const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn the_patch_carries_the_version_and_nothing_else() {
    let bench = bench(AMPLE).await;
    bench.set(9).await.expect("a good server");
    let patch = bench.stub.requests().pop().expect("a request");
    assert_eq!(patch.path, "/apis/apps/v1/namespaces/shop/deployments/web/scale");
    assert_eq!(patch.query, "fieldManager=predictive-scaler");
    assert_eq!(patch.content_type, "application/merge-patch+json");
    let expected = serde_json::json!({
        "metadata": { "resourceVersion": bench.before.resource_version },
        "spec": { "replicas": 9 },
    });
    assert_eq!(patch.body, expected);
}

#[tokio::test]
async fn what_passes_is_tried_again() {
    for fault in [
        Fault::Refuse(500),
        Fault::Refuse(503),
        Fault::Html(502),
        Fault::Dropped,
        Fault::Late(LATE),
        Fault::Throttle(0),
    ] {
        let bench = bench(AMPLE).await;
        bench.stub.next(2, Some(Method::GET), fault);
        let read = bench.cluster.scale(&bench.web).await;
        assert_eq!(read.as_ref(), Ok(&bench.before), "{fault:?}");
        assert_eq!(bench.sent(), ["GET", "GET", "GET"], "{fault:?}");
    }
}

#[tokio::test]
async fn a_failed_write_is_read_before_it_is_repeated() {
    for fault in [Fault::Refuse(500), Fault::Refuse(503), Fault::Html(502), Fault::Dropped] {
        let bench = bench(AMPLE).await;
        bench.stub.next(1, Some(Method::PATCH), fault);
        let applied = bench.set(9).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!((applied.from, applied.to, applied.attempts), (2, 9, 3), "{fault:?}");
        assert_eq!(bench.sent(), ["PATCH", "GET", "PATCH"], "{fault:?}");
        assert_eq!(bench.stub.replicas("shop", "web"), 9);
    }
}

#[tokio::test]
async fn a_write_that_was_done_without_an_answer_is_not_repeated() {
    for fault in [Fault::DoneButDropped, Fault::Late(LATE)] {
        let bench = bench(AMPLE).await;
        bench.stub.next(1, Some(Method::PATCH), fault);
        let applied = bench.set(9).await.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert_eq!((applied.from, applied.to), (2, 9), "{fault:?}");
        assert_eq!(bench.sent(), ["PATCH", "GET"], "{fault:?}");
    }
}

#[tokio::test]
async fn a_write_that_was_done_and_then_undone_by_somebody_is_left_to_them() {
    let bench = bench(AMPLE).await;
    bench.stub.next(1, Some(Method::PATCH), Fault::DoneButDropped);
    bench.stub.next(1, Some(Method::GET), Fault::Overtaken(4));
    let error = bench.set(9).await.expect_err("somebody else scaled");
    assert!(matches!(error, ScaleError::Changed { expected: 2, .. }), "{error}");
    assert_eq!(bench.stub.replicas("shop", "web"), 4);
}

#[tokio::test]
async fn a_version_that_keeps_moving_is_followed() {
    let bench = bench(AMPLE).await;
    bench.stub.next(3, Some(Method::PATCH), Fault::Touched);
    assert_eq!(bench.set(9).await.expect("the replicas stayed").attempts, 7);
    assert_eq!(bench.stub.replicas("shop", "web"), 9);
}

#[tokio::test]
async fn who_is_overtaken_to_the_same_number_has_what_they_wanted() {
    let bench = bench(AMPLE).await;
    bench.stub.next(1, Some(Method::PATCH), Fault::Overtaken(9));
    assert_eq!(bench.set(9).await.expect("it is there").to, 9);
    assert_eq!(bench.sent(), ["PATCH", "GET"]);
}

#[tokio::test]
async fn a_throttled_write_waits_as_long_as_it_is_asked_to() {
    let bench = bench(AMPLE).await;
    bench.stub.next(1, Some(Method::PATCH), Fault::Throttle(1));
    let started = Instant::now();
    bench.set(9).await.expect("the server was only busy");
    assert!(started.elapsed() >= Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(bench.sent(), ["PATCH", "PATCH"], "it was not looked at, so nothing is unclear");
}

#[tokio::test]
async fn a_wait_beyond_the_deadline_is_not_begun() {
    let bench = bench(Duration::from_secs(2)).await;
    bench.stub.next(1, Some(Method::PATCH), Fault::Throttle(60));
    let started = Instant::now();
    let error = bench.set(9).await.expect_err("a minute is too long");
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    assert!(matches!(error, ScaleError::Unavailable { attempts: 1, .. }), "{error}");
}

#[tokio::test]
async fn a_server_that_stays_away_is_given_up_at_the_deadline() {
    let bench = bench(Duration::from_secs(2)).await;
    bench.stub.next(1000, None, Fault::Refuse(503));
    let started = Instant::now();
    let error = bench.set(9).await.expect_err("the server stays away");
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    assert_eq!((error.label(), error.is_retryable()), ("unavailable", true));
    assert!(error.to_string().contains("told to refuse"), "{error}");
    assert!((2..20).contains(&bench.sent().len()), "it backs off: {:?}", bench.sent());
    assert_eq!(bench.stub.replicas("shop", "web"), 2);
}

#[tokio::test]
async fn a_slow_server_is_given_up_at_the_deadline() {
    let bench = bench(Duration::from_secs(2)).await;
    bench.stub.next(1000, None, Fault::Late(LATE));
    let started = Instant::now();
    let error = bench.cluster.scale(&bench.web).await.expect_err("no answer comes");
    assert!(started.elapsed() < SOON, "{:?}", started.elapsed());
    assert!(error.to_string().contains("no answer within"), "{error}");
}

#[tokio::test]
async fn a_port_without_a_server_is_unavailable() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let config = ClusterConfig {
        server: Some(format!("http://{address}")),
        deadline: Duration::from_secs(2),
        ..ClusterConfig::default()
    };
    let cluster = Cluster::connect(config).await.expect("no request is sent yet");
    let web = Workload::deployment("shop", "web").expect("a workload");
    let error = cluster.scale(&web).await.expect_err("nobody is there");
    assert_eq!(error.label(), "unavailable");
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_missing_right_is_named() {
    for (method, verb) in [(Method::GET, "get"), (Method::PATCH, "patch")] {
        let bench = bench(AMPLE).await;
        bench.stub.next(1, Some(method), Fault::Refuse(403));
        let error = if verb == "get" {
            bench.cluster.scale(&bench.web).await.expect_err("it is forbidden")
        } else {
            bench.set(9).await.expect_err("it is forbidden")
        };
        assert_eq!((error.label(), error.is_retryable()), ("forbidden", false));
        let text = error.to_string();
        let rule =
            format!("apiGroups [\"apps\"], resources [\"deployments/scale\"], verbs [\"{verb}\"]");
        assert!(text.contains(&rule) && text.contains("namespace \"shop\""), "{text}");
        assert_eq!(bench.sent().len(), 1, "it is final");
    }
}

#[tokio::test]
async fn other_refusals_are_final_and_in_the_servers_words() {
    for (fault, label) in [
        (Fault::Refuse(400), "refused"),
        (Fault::Refuse(401), "unauthorized"),
        (Fault::Refuse(404), "not_found"),
        (Fault::Refuse(422), "refused"),
        (Fault::Html(403), "unreadable"),
        (Fault::Html(200), "unreadable"),
    ] {
        let bench = bench(AMPLE).await;
        bench.stub.next(1, Some(Method::PATCH), fault);
        let error = bench.set(9).await.expect_err("it is refused");
        assert_eq!((error.label(), error.is_retryable()), (label, false), "{fault:?}");
        let text = error.to_string();
        assert!(text.contains("told to refuse") || text.contains("A proxy"), "{text}");
        assert_eq!(bench.sent(), ["PATCH"], "{fault:?}");
        assert_eq!(bench.stub.replicas("shop", "web"), 2);
    }
}

#[tokio::test]
async fn too_many_replicas_are_refused_by_the_server() {
    let bench = bench(AMPLE).await;
    let error = bench.set(u32::MAX).await.expect_err("it is beyond 31 bits");
    assert!(matches!(error, ScaleError::Refused { code: 422, .. }), "{error}");
}
