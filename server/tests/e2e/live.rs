//! The main job on real input: a real Prometheus with two weeks of history, an API server at HTTP
//! level, and the binary between them.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use datasets::Synthetic;
use forecast::{SeriesId, Step, Timestamp};
use serde_json::Value;

use crate::binary::{Server, json};
use crate::prometheus::PrometheusServer;
use crate::stub::{Fault, Stub};

/// Two weeks of CPU of the Deployment `shop/web` up to now, as a counter scraped each minute.
fn two_weeks() -> String {
    #[expect(clippy::disallowed_methods, reason = "a real Prometheus lives in real time")]
    let now = Timestamp::now();
    let load = Synthetic::ending_at(5, Step::FIVE_MINUTES, 14, now);
    let series = load.generate(SeriesId::new("web").unwrap()).unwrap();
    let mut text = "# TYPE container_cpu_usage_seconds counter\n".to_owned();
    let pod = "namespace=\"shop\",pod=\"web-7d4b9c6f5-x2k4z\",container=\"app\"";
    let mut total = 0.0;
    let view = series.view();
    for (i, cores) in view.values().iter().enumerate() {
        let start = view.time_at(i).as_second() - 300;
        for minute in 0..5 {
            let at = start + 60 * minute;
            // Where the synthetic source was down the counter is not scraped.
            if cores.is_some() {
                let _ = writeln!(text, "container_cpu_usage_seconds_total{{{pod}}} {total} {at}");
            }
            total += cores.unwrap_or(5.0) * 60.0;
        }
    }
    text + "# EOF\n"
}

fn metric(text: &str, name: &str) -> Option<f64> {
    let labelled = format!("{name}{{namespace=\"shop\",workload=\"web\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&labelled)?.parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn learns_from_prometheus_forecasts_and_scales_the_deployment() {
    let prometheus = PrometheusServer::start(&two_weeks(), "").unwrap();
    let cluster = Stub::start().await;
    cluster.add_deployment("shop", "web", 3);
    // What a cluster does to a client on any day: one failed answer, one refusal to write.
    cluster.next(1, Some(axum::http::Method::GET), Fault::Refuse(503));
    cluster.next(1, Some(axum::http::Method::PATCH), Fault::Touched);
    let dir = tempfile::tempdir().unwrap();
    let models = dir.path().join("models");
    let kubeconfig = cluster.kubeconfig(dir.path());
    let url = prometheus.url();

    let trained = json(&[
        "train",
        "--prometheus-url",
        &url,
        "--namespace",
        "shop",
        "--deployment",
        "web",
        "--model-dir",
        models.to_str().unwrap(),
        "--epochs",
        "2",
        "--format",
        "json",
    ]);
    assert_eq!(trained["manifest"]["series"], "shop/web");
    assert!(trained["manifest"]["data"]["gaps"].as_u64().unwrap() > 0, "{trained}");

    let args: [&OsStr; 8] = [
        "--model-dir".as_ref(),
        models.as_os_str(),
        "--kubeconfig".as_ref(),
        kubeconfig.as_os_str(),
        "--mode".as_ref(),
        "active".as_ref(),
        "--per-replica".as_ref(),
        "500m".as_ref(),
    ];
    let variables = [("PROMETHEUS_URL", &*url), ("NAMESPACE", "shop"), ("DEPLOYMENT", "web")];
    let mut server = Server::start(&args, &variables);
    server.wait_for_log("\"decision\"");
    let plan = server.first_decision("/plan?namespace=shop&workload=web");
    assert_eq!(plan["current_replicas"], 3);
    let planned = plan["predicted_replicas"].as_i64().unwrap();
    assert!(planned > 3, "two to fourteen cores at half a core a replica need more: {plan}");
    assert_eq!(plan["reasons"][0]["code"], "LoadNow");
    assert_eq!(plan["reasons"][1]["code"], "ForecastPeak");
    wait_until(|| cluster.replicas("shop", "web") >= planned);
    assert!(
        cluster.requests().iter().all(|r| r.path.ends_with("/deployments/web/scale")),
        "only the scale subresource is touched"
    );
    let forecast = server.json("/forecast");
    assert_eq!(forecast["model"]["name"], "lstm");
    assert!(forecast["model"]["created"].is_string(), "{forecast}");
    assert_eq!(forecast["forecast"].as_array().unwrap().len(), 12);

    let (_, metrics) = server.get("/metrics");
    assert!(metric(&metrics, "predictive_scaler_current_replicas").unwrap() >= 3.0);
    assert!(metric(&metrics, "predictive_scaler_predicted_replicas").unwrap() > 3.0);
    assert_eq!(metric(&metrics, "predictive_scaler_fallback_active"), Some(0.0));
    promtool_accepts(&metrics);
    let (ended, took) = server.terminate();
    assert!(ended && took < Duration::from_secs(10), "{ended} after {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn shadow_mode_reads_and_never_writes() {
    let prometheus = PrometheusServer::start(&two_weeks(), "").unwrap();
    let cluster = Stub::start().await;
    cluster.add_deployment("shop", "web", 3);
    let dir = tempfile::tempdir().unwrap();
    let kubeconfig = cluster.kubeconfig(dir.path());
    let config = dir.path().join("config.yaml");
    let text = format!(
        "prometheus: {{ url: '{}' }}\nmodelDir: '{}'\nkubernetes: {{ kubeconfig: '{}' }}\n\
         training: {{ epochs: 1 }}\nworkloads:\n  - {{ namespace: shop, name: web }}\n  \
         - {{ namespace: shop, name: gone, metric: {{ query: 'vector(1)' }} }}\n",
        prometheus.url(),
        dir.path().join("models").display(),
        kubeconfig.display()
    );
    std::fs::write(&config, text).unwrap();
    let mut server = Server::start(&["--config".as_ref(), config.as_os_str()], &[]);
    server.wait_for_log("\"decision\"");
    let plan = server.first_decision("/plan?workload=web");
    assert_eq!(plan["mode"], "shadow");
    assert_eq!(plan["reasons"][1]["code"], "ForecastPeak", "by the network that ships: {plan}");
    assert!(cluster.methods().iter().all(|method| method == "GET"), "{:?}", cluster.methods());

    wait_until(|| server.get("/readyz").1.contains("there is no Deployment"));
    let (_, ready) = server.get("/readyz");
    let ready: Value = serde_json::from_str(&ready).unwrap();
    let gone = &ready["workloads"][0];
    assert!(gone["cluster_error"].as_str().unwrap().contains("\"gone\""), "{gone}");
    assert!(ready["workloads"][1]["cluster_error"].is_null(), "one broken object stops no other");
    assert!(server.terminate().0);
}

#[tokio::test(flavor = "multi_thread")]
async fn its_own_metrics_are_scraped_by_a_real_prometheus() {
    let dir = tempfile::tempdir().unwrap();
    let history = crate::binary::history_file(dir.path(), 7);
    let models = dir.path().join("models");
    let args: [&OsStr; 6] = [
        "--history".as_ref(),
        history.as_os_str(),
        "--model-dir".as_ref(),
        models.as_os_str(),
        "--epochs".as_ref(),
        "1".as_ref(),
    ];
    let server = Server::start(&args, &[]);
    server.json("/plan");
    let scrape = format!(
        "global: {{ scrape_interval: 1s }}\nscrape_configs:\n  - job_name: predictive-scaler\n    \
         static_configs: [ {{ targets: ['{}'] }} ]\n",
        server.address()
    );
    let prometheus = PrometheusServer::start("", &scrape).unwrap();
    let host = prometheus.url().trim_start_matches("http://").to_owned();
    let query = |promql: &str| {
        let (_, body) = crate::binary::get(&host, &format!("/api/v1/query?query={promql}"));
        let body: Value = serde_json::from_str(&body).unwrap();
        body["data"]["result"].as_array().unwrap().clone()
    };
    wait_until(|| !query("predictive_scaler_predicted_replicas").is_empty());
    assert_eq!(query("up")[0]["value"][1], "1");
    let scraped = query("scrape_samples_scraped")[0]["value"][1].clone();
    let (_, text) = server.get("/metrics");
    let lines = text.lines().filter(|line| !line.starts_with('#')).count();
    assert_eq!(scraped.as_str().unwrap().parse::<usize>().unwrap(), lines, "every line parses");
    promtool_accepts(&text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_prometheus_that_is_down_is_said_and_survived() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.yaml");
    let text = format!(
        "prometheus: {{ url: '{url}', deadline: 1s }}\nmodelDir: '{}'\n\
         workloads: [ {{ namespace: shop, name: web }} ]\n",
        dir.path().display()
    );
    std::fs::write(&config, text).unwrap();
    let mut server = Server::start(&["--config".as_ref(), config.as_os_str()], &[]);
    server.wait_for_log("\"decision\"");
    let plan = server.first_decision("/plan");
    let codes: Vec<&str> = plan["reasons"]
        .as_array()
        .unwrap()
        .iter()
        .map(|reason| reason["code"].as_str().unwrap())
        .collect();
    assert_eq!(codes, ["LoadUnknown", "NoForecast", "Hold"]);
    assert_eq!(plan["current_replicas"], plan["predicted_replicas"]);
    let (status, body) = server.get("/forecast");
    assert!(status == 503 && body.contains("no forecast has been made yet"), "{status} {body}");
    assert_eq!(server.get("/livez").0, 200);
    assert!(server.terminate().0);
}

/// A Prometheus that accepts and never answers does not hold up the end.
#[test]
fn a_source_that_hangs_does_not_hold_up_the_end() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let variables = [("PROMETHEUS_URL", &*url), ("NAMESPACE", "shop"), ("DEPLOYMENT", "web")];
    let server = Server::start(&[], &variables);
    let _asked = silent.accept().unwrap();
    let (ended, took) = server.terminate();
    assert!(ended && took < Duration::from_secs(5), "{ended} after {took:?}");
}

fn wait_until(condition: impl Fn() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(std::time::Instant::now() < deadline, "it did not come true within a minute");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// `promtool check metrics` says nothing about these metrics.
fn promtool_accepts(metrics: &str) {
    use std::io::Write as _;
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    promtool.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    let said = [output.stderr, output.stdout].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.is_empty(), "{said}");
}
