//! The client and the default query against a real Prometheus with two weeks of history.

mod harness;

use std::fmt::Write as _;

use datasets::{
    Aggregation, History, POINTS_PER_REQUEST_MAX, Prometheus, PrometheusConfig, PrometheusError,
    RangeQuery, Synthetic, WorkloadKind, cpu_query,
};
use forecast::{SeriesId, Step, Timestamp};
use harness::PrometheusServer;

const DAYS: u32 = 14;
const STEP_SECONDS: i64 = 300;
/// Distance of the samples of a counter, as scraped.
const SCRAPE_SECONDS: i64 = 60;

/// What the workload `web` uses: cores in each five-minute step that ends at the time given.
struct Truth {
    first: i64,
    cores: Vec<f64>,
}

impl Truth {
    fn until_now() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a real Prometheus lives in real time")]
        let (step, now) = (Step::FIVE_MINUTES, Timestamp::now());
        let series = Synthetic::ending_at(11, step, DAYS, now)
            .generate(SeriesId::new("web").expect("a name"))
            .expect("a history");
        // A counter has no gaps: where the synthetic history has one, the load is 1 core.
        let cores = series.view().values().iter().map(|value| value.unwrap_or(1.0)).collect();
        Self { first: series.view().first_time().as_second(), cores }
    }

    fn end(&self) -> i64 {
        self.first + (self.cores.len() as i64 - 1) * STEP_SECONDS
    }
}

/// One counter that grows by `share` of the truth plus `extra` cores, from one time to another.
struct Counter {
    labels: &'static str,
    share: f64,
    extra: f64,
    /// The first and the last step that it exists in.
    steps: (usize, usize),
}

/// Two pods of `web`, of which the first is replaced by a third half way; a pod of `web-api`; a
/// `web` of another namespace; and the pods' own totals, which must not be counted again.
fn counters(steps: usize) -> Vec<Counter> {
    let (half, all) = (steps / 2, (0, steps - 1));
    let counter = |labels, share, extra, steps| Counter { labels, share, extra, steps };
    vec![
        counter(
            r#"namespace="shop",pod="web-7d4b9c6f5-bcdfg",container="app""#,
            0.5,
            0.0,
            (0, half),
        ),
        counter(
            r#"namespace="shop",pod="web-5f9c8d7b6f-qwrtx",container="app""#,
            0.5,
            0.0,
            (half + 1, steps - 1),
        ),
        counter(r#"namespace="shop",pod="web-7d4b9c6f5-x2k4z",container="app""#, 0.4, 0.0, all),
        counter(r#"namespace="shop",pod="web-7d4b9c6f5-x2k4z",container="proxy""#, 0.1, 0.0, all),
        counter(r#"namespace="shop",pod="web-7d4b9c6f5-x2k4z",container="""#, 0.5, 0.0, all),
        counter(r#"namespace="shop",pod="web-api-7d4b9c6f5-x2k4z",container="app""#, 0.0, 3.0, all),
        counter(r#"namespace="test",pod="web-7d4b9c6f5-x2k4z",container="app""#, 0.0, 5.0, all),
    ]
}

/// The counters as OpenMetrics text, a sample a minute.
fn openmetrics(truth: &Truth) -> String {
    let mut text = "# TYPE container_cpu_usage_seconds counter\n".to_owned();
    for Counter { labels, share, extra, steps } in counters(truth.cores.len()) {
        let mut total = 100.0;
        for step in steps.0..=steps.1 {
            let rate = share * truth.cores[step] + extra;
            let begin = truth.first + (step as i64 - 1) * STEP_SECONDS;
            // The first step of a counter begins with its first sample.
            let minutes = i64::from(step > steps.0)..=STEP_SECONDS / SCRAPE_SECONDS;
            for minute in minutes {
                let seconds = minute * SCRAPE_SECONDS;
                let value = total + rate * seconds as f64;
                writeln!(
                    text,
                    "container_cpu_usage_seconds_total{{{labels}}} {value} {}",
                    begin + seconds
                )
                .expect("a string takes everything");
            }
            total += rate * STEP_SECONDS as f64;
        }
    }
    text + "# EOF\n"
}

/// The server, and what it must say.
struct Server {
    url: String,
    truth: Truth,
    _server: PrometheusServer,
}

fn start() -> Server {
    let truth = Truth::until_now();
    let server =
        PrometheusServer::start(&openmetrics(&truth), "").unwrap_or_else(|e| panic!("{e}"));
    Server { url: server.url(), truth, _server: server }
}

impl Server {
    fn query(&self, promql: &str, step: Step) -> RangeQuery {
        let at = |second| Timestamp::from_second(second).expect("a time");
        RangeQuery {
            promql: promql.to_owned(),
            aggregation: None,
            id: SeriesId::new("shop/web").expect("a name"),
            step,
            from: at(self.truth.first),
            to: at(self.truth.end()),
        }
    }

    async fn range(&self, query: &RangeQuery) -> Result<History, PrometheusError> {
        let client = Prometheus::new(PrometheusConfig::new(&self.url)).expect("a configuration");
        client.range(query).await
    }
}

fn default_query() -> String {
    cpu_query(WorkloadKind::Deployment, "shop", "web").expect("fine names")
}

async fn the_default_query_counts_the_right_pods(server: &Server) {
    let query = server.query(&default_query(), Step::FIVE_MINUTES);
    let history = server.range(&query).await.unwrap_or_else(|error| panic!("{error}"));
    let values = history.series.view().values();
    assert_eq!(values.len(), server.truth.cores.len());
    assert_eq!(history.series.view().last_time().as_second(), server.truth.end());
    assert_eq!((history.report.gaps, history.warnings.len()), (0, 0));
    let half = values.len() / 2;
    for (step, (value, cores)) in values.iter().zip(&server.truth.cores).enumerate() {
        let value = value.expect("there is no gap");
        // Where pods are replaced and at the beginning a rate has less than five minutes to see.
        let tolerance = if step == 0 || step.abs_diff(half) <= 1 { 0.6 } else { 1e-6 };
        let error = (value - cores).abs() / cores;
        assert!(error < tolerance, "step {step}: {value} instead of {cores}");
    }
}

async fn a_split_span_gives_what_an_unsplit_one_gives(server: &Server) {
    let quarter = Step::from_seconds(15).expect("a step");
    let split = server.query(&default_query(), quarter);
    let split = server.range(&split).await.unwrap_or_else(|error| panic!("{error}"));
    let points = (server.truth.cores.len() - 1) * 20 + 1;
    assert!(points > 7 * POINTS_PER_REQUEST_MAX);
    assert_eq!(split.series.view().len(), points);
    assert_eq!((split.report.gaps, split.report.duplicates, split.report.merged), (0, 0, 0));
    // One request over the seam between the first and the second.
    let seam = split.series.view().time_at(POINTS_PER_REQUEST_MAX);
    let part = RangeQuery {
        from: quarter.offset(seam, -5_000),
        to: quarter.offset(seam, 5_000),
        ..server.query(&default_query(), quarter)
    };
    let part = server.range(&part).await.unwrap_or_else(|error| panic!("{error}"));
    let first = POINTS_PER_REQUEST_MAX - 5_000;
    assert_eq!(part.series.view().values(), &split.series.view().values()[first..=first + 10_000]);
    // And the points that both steps have.
    let coarse = server.query(&default_query(), Step::FIVE_MINUTES);
    let coarse = server.range(&coarse).await.unwrap_or_else(|error| panic!("{error}"));
    let every_20th = split.series.view().values().iter().step_by(20);
    assert!(every_20th.eq(coarse.series.view().values()));
}

async fn several_series_are_refused_or_aggregated(server: &Server) {
    let by_pod = r#"sum by (pod) (rate(container_cpu_usage_seconds_total{namespace="shop", container!=""}[5m])) # by pod"#;
    let query = server.query(by_pod, Step::FIVE_MINUTES);
    let error = server.range(&query).await.expect_err("there are four pods");
    assert!(matches!(error, PrometheusError::SeveralSeries { count: 4, .. }), "{error}");
    assert!(error.to_string().contains(r#"{pod="web-api-7d4b9c6f5-x2k4z"}"#), "{error}");
    let query = RangeQuery { aggregation: Some(Aggregation::Sum), ..query };
    let history = server.range(&query).await.unwrap_or_else(|error| panic!("{error}"));
    let last = history.series.view().value_at(history.series.view().last_time());
    let expected = server.truth.cores[server.truth.cores.len() - 1] + 3.0;
    assert!(last.is_some_and(|last| (last - expected).abs() < 1e-6), "{last:?} {expected}");
}

async fn prometheus_own_words_are_kept(server: &Server) {
    let error = server.range(&server.query("sum(rate(", Step::FIVE_MINUTES)).await;
    let error = error.expect_err("it is not PromQL");
    assert_eq!(error.label(), "bad_query", "{error}");
    assert!(error.to_string().contains("parse error"), "{error}");
    let error = server.range(&server.query("no_such_metric", Step::FIVE_MINUTES)).await;
    assert_eq!(error.expect_err("there is none").label(), "no_data");
    let undefined = server.query("vector(0) / 0", Step::FIVE_MINUTES);
    let error = server.range(&undefined).await.expect_err("all values are NaN");
    assert_eq!(error.label(), "series", "{error}");
}

/// One test, because the server and its two weeks of history take seconds to make.
#[tokio::test]
async fn a_real_prometheus_gives_the_known_history() {
    let server = start();
    the_default_query_counts_the_right_pods(&server).await;
    a_split_span_gives_what_an_unsplit_one_gives(&server).await;
    several_series_are_refused_or_aggregated(&server).await;
    prometheus_own_words_are_kept(&server).await;
}
