use super::*;

const GOOD: &str = "\
prometheus: { url: 'http://prometheus:9090', headers: { X-Scope-OrgID: shop } }
modelDir: /models
workloads:
  - namespace: shop
    name: web
    mode: active
    minReplicas: 3
    maxReplicas: 40
    capacity: { perReplica: 700m, headroom: 0.1 }
    forecast: { quantile: 0.95, readinessSteps: 3 }
    behavior: { scaleDownStabilization: 15m }
  - namespace: shop
    name: queue
    kind: StatefulSet
    metric: { query: 'sum(queue_length)', step: 1m, history: 48h }
    capacity: { perReplica: 2 }
";

fn check(text: &str) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.yaml");
    std::fs::write(&path, text).unwrap();
    Config::from_file(&path)
}

#[test]
fn a_file_with_two_workloads() {
    let config = check(GOOD).unwrap();
    assert_eq!(config.model_dir, Path::new("/models"));
    let [web, queue] = &config.workloads[..] else { panic!("two workloads") };
    assert_eq!((web.series.as_str(), web.mode), ("shop/web", Mode::Active));
    assert_eq!(web.policy.spec().load_per_replica, 0.7);
    assert_eq!(web.history_steps, 4032);
    assert!(web.query.contains("container_cpu_usage_seconds_total"), "{}", web.query);
    assert_eq!((queue.mode, queue.history_steps), (Mode::Shadow, 2880));
    assert_eq!(queue.policy.spec().load_per_replica, 2.0);
}

/// The refusal of `GOOD` with `from` replaced by `to`.
fn refused(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from} is not in the example");
    check(&GOOD.replacen(from, to, 1)).unwrap_err().to_string()
}

#[test]
fn each_refusal_names_its_line_and_what_was_expected() {
    for (from, to, line, expected) in [
        ("minReplicas: 3", "minReplicas: 60", 7, "minReplicas 60 and maxReplicas 40"),
        ("700m", "700q", 9, "a quantity such as 700m"),
        ("headroom: 0.1", "headroom: -1", 9, "headroom is -1"),
        ("quantile: 0.95", "quantile: 1.5", 10, "between 0 and 1"),
        ("readinessSteps: 3", "readinessSteps: 0", 10, "1 to 12"),
        ("mode: active", "mode: on-fire", 6, "expected shadow or active"),
        ("scaleDownStabilization: 15m", "scaleDownStabilization: soon", 11, "such as 10m"),
        ("step: 1m", "step: 7m", 15, "divide a day"),
        ("history: 48h", "history: 1h", 15, "two days at least"),
        ("http://prometheus:9090", "prometheus", 1, "http://host:9090"),
        ("behavior: {", "behavior: { stalenessMax: 5m,", 11, "two steps of 5m"),
        ("name: queue", "name: web", 12, "shop/web is listed twice"),
        ("name: queue", "name: Queue!", 12, "Queue!"),
    ] {
        let text = refused(from, to);
        let place = format!("config.yaml:{line}: ");
        assert!(text.contains(&place), "{to}: expected {place} in: {text}");
        assert!(text.contains(expected), "{to}: expected {expected:?} in: {text}");
    }
}

#[test]
fn unknown_keys_and_missing_parts_are_refused() {
    let text = refused("minReplicas", "minReplica");
    assert!(text.contains("minReplica") && text.contains('7'), "{text}");
    let text = refused("workloads:", "workload:");
    assert!(text.contains("workload"), "{text}");
    let text = check("workloads: []").unwrap_err().to_string();
    assert!(text.contains("no source of history"), "{text}");
    let text = check("prometheus: { url: 'http://p:9090' }").unwrap_err().to_string();
    assert!(text.contains("no workload"), "{text}");
    let text = check("prometheus: [").unwrap_err().to_string();
    assert!(text.contains("config.yaml"), "{text}");
    let text = Config::from_file(Path::new("/nowhere.yaml")).unwrap_err().to_string();
    assert!(text.contains("cannot read the configuration /nowhere.yaml"), "{text}");
}

#[test]
fn a_recorded_history_does_not_drive_a_live_workload() {
    let raw = RawConfig {
        history: Some("load.csv".into()),
        workloads: vec![unlocated(RawWorkload {
            mode: Some(unlocated("active".to_owned())),
            ..RawWorkload::named("shop", "web")
        })],
        ..RawConfig::default()
    };
    let text = Config::from_raw(raw, Origin::CommandLine).unwrap_err().to_string();
    assert!(text.contains("command line: mode is active"), "{text}");
}

#[test]
fn the_configuration_that_is_deployed_is_accepted() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../k8s/deploy/config.yaml");
    let config = Config::from_file(&path).unwrap();
    assert_eq!(config.workloads[0].mode, Mode::Shadow);
}
