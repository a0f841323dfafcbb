//! What holds for the stub and for a real cluster alike: each scenario runs against both.

use k8s::{Applied, ScaleError, Workload};

use crate::target::{REPLICAS, Target};

macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {
        mod on_the_stub {
            $(#[tokio::test]
            async fn $name() {
                let target = super::Target::stub().await;
                super::$name(&target).await;
            })+
        }

        mod on_a_real_cluster {
            $(#[tokio::test]
            async fn $name() {
                if let Some(target) = super::Target::real().await {
                    super::$name(&target).await;
                    target.end().await;
                }
            })+
        }
    };
}

scenarios!(
    reads_and_sets_replicas,
    scales_to_zero_and_back,
    sends_nothing_when_the_replicas_are_there,
    a_dry_run_is_checked_and_changes_nothing,
    an_unknown_workload_is_named,
    somebody_elses_scaling_is_not_overwritten,
    a_new_version_with_the_same_replicas_is_no_obstacle,
);

async fn reads_and_sets_replicas(target: &Target) {
    let (cluster, web) = (target.cluster(false).await, target.workload());
    let before = cluster.scale(&web).await.expect("it is there");
    assert_eq!(before.replicas, REPLICAS);
    assert!(!before.resource_version.is_empty());
    let applied = cluster.set_replicas(&web, &before, 5).await.expect("it may be scaled");
    assert_eq!((applied.from, applied.to, applied.dry_run), (REPLICAS, 5, false));
    assert!(applied.attempts >= 1);
    assert_eq!(target.replicas().await, 5);
    let after = cluster.scale(&web).await.expect("it is there");
    assert_eq!(after.replicas, 5);
    assert_ne!(after.resource_version, before.resource_version);
}

async fn scales_to_zero_and_back(target: &Target) {
    let (cluster, web) = (target.cluster(false).await, target.workload());
    for replicas in [0, 3] {
        let before = cluster.scale(&web).await.expect("it is there");
        let applied =
            cluster.set_replicas(&web, &before, replicas).await.expect("it may be scaled");
        assert_eq!(applied.to, replicas);
        assert_eq!(cluster.scale(&web).await.expect("it is there").replicas, replicas);
        assert_eq!(target.replicas().await, replicas);
    }
}

async fn sends_nothing_when_the_replicas_are_there(target: &Target) {
    let (cluster, web) = (target.cluster(false).await, target.workload());
    let before = cluster.scale(&web).await.expect("it is there");
    let applied = cluster.set_replicas(&web, &before, REPLICAS).await.expect("nothing to do");
    let nothing = Applied { from: REPLICAS, to: REPLICAS, dry_run: false, attempts: 0 };
    assert_eq!(applied, nothing);
    if let Target::Stub(stub, _) = target {
        assert_eq!(stub.methods(), ["GET"]);
    }
}

async fn a_dry_run_is_checked_and_changes_nothing(target: &Target) {
    let (cluster, web) = (target.cluster(true).await, target.workload());
    let before = cluster.scale(&web).await.expect("it is there");
    let applied = cluster.set_replicas(&web, &before, 7).await.expect("it may be scaled");
    assert_eq!((applied.to, applied.dry_run), (7, true));
    assert_eq!(target.replicas().await, REPLICAS);
    if let Target::Stub(stub, _) = target {
        let patch = stub.requests().pop().expect("a request");
        assert_eq!(patch.method, "PATCH");
        assert!(patch.query.split('&').any(|pair| pair == "dryRun=All"), "{patch:?}");
    }
}

async fn an_unknown_workload_is_named(target: &Target) {
    let cluster = target.cluster(false).await;
    let absent = Workload::deployment(target.namespace(), "absent").expect("a name");
    let error = cluster.scale(&absent).await.expect_err("it is not there");
    assert_eq!((error.label(), error.is_retryable()), ("not_found", false));
    let text = error.to_string();
    assert!(text.contains("Deployment \"absent\""), "{text}");
    assert!(text.contains(target.namespace()), "{text}");
}

async fn somebody_elses_scaling_is_not_overwritten(target: &Target) {
    let (cluster, web) = (target.cluster(false).await, target.workload());
    let before = cluster.scale(&web).await.expect("it is there");
    target.scale_as_somebody_else(4).await;
    let error = cluster.set_replicas(&web, &before, 6).await.expect_err("the decision is void");
    assert!(error.is_retryable(), "{error}");
    let ScaleError::Changed { expected, now, .. } = error else {
        panic!("{error}");
    };
    assert_eq!((expected, now.replicas), (REPLICAS, 4));
    assert_eq!(target.replicas().await, 4);
}

async fn a_new_version_with_the_same_replicas_is_no_obstacle(target: &Target) {
    let (cluster, web) = (target.cluster(false).await, target.workload());
    let before = cluster.scale(&web).await.expect("it is there");
    target.touch().await;
    let applied = cluster.set_replicas(&web, &before, 6).await.expect("it is tried again");
    assert_eq!(applied.to, 6);
    assert!(applied.attempts >= 3, "a conflict, a read and a write: {applied:?}");
    assert_eq!(target.replicas().await, 6);
}
