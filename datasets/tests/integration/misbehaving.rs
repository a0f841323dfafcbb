//! What becomes of each way in which a Prometheus, or what stands in for it, can misbehave.

use std::fs;
use std::time::{Duration, Instant};

use axum::http::Method;
use datasets::{
    Aggregation, POINTS_PER_REQUEST_MAX, Prometheus, PrometheusConfig, PrometheusConfigError,
    PrometheusError, RESPONSE_BYTES_MAX, RangeQuery, Secret,
};
use forecast::{Step, Timestamp};

use crate::stub::{Asked, FROM, Reply, Stub, matrix, query};

/// Asserts one request, a final error with this label, and its words.
async fn final_error(reply: Reply, label: &str, words: &[&str]) {
    let stub = Stub::start(vec![reply]).await;
    let error = stub.range().await.expect_err("it misbehaves");
    assert_eq!((error.label(), error.is_retryable()), (label, false), "{error}");
    assert_eq!(stub.asked().len(), 1, "{error}");
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "expected {word:?} in: {text}");
    }
    assert!(text.len() < 1000, "too long: {text}");
}

#[tokio::test]
async fn a_good_answer_becomes_a_history() {
    let stub = Stub::start(vec![Reply::good()]).await;
    let history = stub.range().await.unwrap();
    assert_eq!(history.series.view().values(), [Some(1.5), None, Some(2.0), Some(3.0)]);
    let asked = &stub.asked()[0];
    assert_eq!((asked.method.clone(), asked.path.as_str()), (Method::POST, "/api/v1/query_range"));
    assert_eq!(asked.form["query"], "sum(up) # all");
    assert_eq!(
        (asked.form["start"].as_str(), asked.form["end"].as_str()),
        ("1700000100", "1700001000")
    );
    assert_eq!(asked.form["step"], "300");
}

#[tokio::test]
async fn times_go_onto_the_grid_and_never_past_the_end() {
    let stub = Stub::start(vec![Reply::good()]).await;
    let at = |second| Timestamp::from_second(second).unwrap();
    let query = RangeQuery { from: at(FROM - 299), to: at(FROM + 1199), ..query(1) };
    stub.client().range(&query).await.unwrap();
    let form = &stub.asked()[0].form;
    assert_eq!((form["start"].as_str(), form["end"].as_str()), ("1700000100", "1700001000"));
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_without_a_request() {
    let stub = Stub::start(vec![Reply::good()]).await;
    let at = |second| Timestamp::from_second(second).unwrap();
    let refused = [
        RangeQuery { promql: "  ".to_owned(), ..query(1) },
        RangeQuery { from: at(FROM + 300), ..query(1) },
        RangeQuery { from: at(FROM + 1), to: at(FROM + 299), ..query(1) },
        RangeQuery { from: at(0), step: Step::from_seconds(1).unwrap(), ..query(1) },
        RangeQuery { from: Timestamp::MIN, to: Timestamp::MAX, ..query(1) },
    ];
    for query in refused {
        let error = stub.client().range(&query).await.unwrap_err();
        assert_eq!(error.label(), "query", "{error}");
    }
    assert_eq!(stub.asked().len(), 0);
}

/// Answers every point asked for with its index on the grid, as Prometheus does.
fn indices(asked: &Asked) -> Vec<u8> {
    let number = |name: &str| asked.form[name].parse::<i64>().expect("a number");
    let (start, end, step) = (number("start"), number("end"), number("step"));
    let points: Vec<String> =
        (start / step..=end / step).map(|i| format!(r#"[{},"{i}"]"#, i * step)).collect();
    matrix(&format!(r#"[{{"metric":{{}},"values":[{}]}}]"#, points.join(","))).into_bytes()
}

#[tokio::test]
async fn long_spans_are_asked_for_in_portions() {
    let stub = Stub::start(vec![Reply::computed(indices)]).await;
    let steps = 2 * POINTS_PER_REQUEST_MAX as i64 + 5;
    let history = stub.client().range(&query(steps)).await.unwrap();
    let values = history.series.view().values().to_vec();
    let first = FROM / 300;
    assert_eq!(values.len() as i64, steps);
    assert!((first..).zip(values).all(|(i, value)| value == Some(i as f64)));
    assert_eq!((history.report.duplicates, history.report.merged, stub.asked().len()), (0, 0, 3));
}

#[tokio::test]
async fn portions_may_be_empty_but_not_all_of_them() {
    let empty = || Reply::json(200, &matrix("[]"));
    let stub = Stub::start(vec![empty(), Reply::computed(indices)]).await;
    let history = stub.client().range(&query(POINTS_PER_REQUEST_MAX as i64 + 2)).await.unwrap();
    assert_eq!(history.series.view().len(), 2);
    final_error(empty(), "no_data", &["sum(up)", "scraped", "2023-11-14T22:15:00Z"]).await;
}

#[tokio::test]
async fn numbers_that_are_none_become_gaps_and_are_counted() {
    let points = r#"[1700000100,"1"],[1700000400,"NaN"],[1700000700,"+Inf"],[1700001000,"-Inf"],[1700001300,"2e0"],[1700001600,"3"]"#;
    let body = matrix(&format!(r#"[{{"metric":{{}},"values":[{points}]}}]"#));
    let stub = Stub::start(vec![Reply::json(200, &body)]).await;
    let history = stub.client().range(&query(6)).await.unwrap();
    assert_eq!(history.series.view().values(), [Some(1.0), None, None, None, Some(2.0), Some(3.0)]);
    assert_eq!((history.report.not_finite, history.report.gaps), (3, 3));
}

#[tokio::test]
async fn points_that_are_none_are_refused() {
    for points in [r#"[1700000100,"one"]"#, r#"[1e300,"1"]"#, r#"[1700000100,1]"#] {
        let body = matrix(&format!(r#"[{{"metric":{{}},"values":[{points}]}}]"#));
        final_error(Reply::json(200, &body), "bad_answer", &[]).await;
    }
    let negative = matrix(r#"[{"metric":{},"values":[[1700000100,"-1"]]}]"#);
    final_error(Reply::json(200, &negative), "series", &["is not a load"]).await;
    let histograms = matrix(r#"[{"metric":{},"histograms":[[1700000100,{"count":"1"}]]}]"#);
    final_error(Reply::json(200, &histograms), "bad_answer", &["histogram_quantile"]).await;
}

#[tokio::test]
async fn other_result_types_are_refused_by_name() {
    for (kind, result) in [("vector", "[]"), ("scalar", r#"[1,"2"]"#), ("string", r#"[1,"x"]"#)] {
        let body =
            format!(r#"{{"status":"success","data":{{"resultType":"{kind}","result":{result}}}}}"#);
        final_error(Reply::json(200, &body), "result_type", &[kind]).await;
    }
    let logs = r#"{"status":"success","data":{"resultType":"streams","result":[]}}"#;
    final_error(Reply::json(200, logs), "bad_answer", &["streams"]).await;
}

#[tokio::test]
async fn several_series_are_listed_or_aggregated_by_the_server() {
    let series = |i| format!(r#"{{"metric":{{"pod":"web-{i}"}},"values":[[1700000100,"1"]]}}"#);
    let several: Vec<String> = (0..7).map(series).collect();
    let reply = || Reply::json(200, &matrix(&format!("[{}]", several.join(","))));
    let words = ["7 series", r#"{pod="web-0"}"#, r#"{pod="web-4"}, …"#, "aggregate"];
    final_error(reply(), "several_series", &words).await;

    let stub = Stub::start(vec![Reply::good()]).await;
    let query = RangeQuery { aggregation: Some(Aggregation::Max), ..query(4) };
    stub.client().range(&query).await.unwrap();
    assert_eq!(stub.asked()[0].form["query"], "max((\nsum(up) # all\n))");
}

#[tokio::test]
async fn warnings_are_carried_along_once() {
    let body = r#"{"status":"success","warnings":["store gone","store gone"],"infos":["not a counter"],"isPartial":true,
        "data":{"resultType":"matrix","result":[{"metric":{},"values":[[1700000100,"1"]]}]}}"#;
    let stub = Stub::start(vec![Reply::json(200, body)]).await;
    let warnings = stub.range().await.unwrap().warnings;
    assert_eq!(warnings.len(), 3, "{warnings:?}");
    assert_eq!(warnings[..2], ["store gone", "not a counter"]);
    assert!(warnings[2].contains("partial"));
}

#[tokio::test]
async fn what_is_not_a_prometheus_is_recognised() {
    let page = "<!doctype html><title>Log in</title>".to_owned() + &"x".repeat(4000);
    let html = || Reply::new(200, "text/html; charset=utf-8", page.as_str());
    let words = ["not a Prometheus", "text/html", "<!doctype html>"];
    final_error(html(), "not_prometheus", &words).await;
    final_error(Reply::new(200, "text/plain", ""), "not_prometheus", &[]).await;
    final_error(Reply::json(200, r#"{"hello":1}"#), "bad_answer", &["status"]).await;
    final_error(Reply::new(404, "text/html", page.as_str()), "not_found", &["path prefix"]).await;
    let login = Reply::new(302, "text/html", "").with("location", "https://login.example/");
    final_error(login, "redirected", &["https://login.example/"]).await;
}

#[tokio::test]
async fn refusals_are_final_and_keep_the_servers_words() {
    let error = |kind: &str| {
        format!(r#"{{"status":"error","errorType":"{kind}","error":"1:5: parse error"}}"#)
    };
    for (status, kind) in
        [(400, "bad_data"), (422, "execution"), (200, "bad_data"), (404, "not_found")]
    {
        let words = [kind, "1:5: parse error", "sum(up)"];
        final_error(Reply::json(status, &error(kind)), "bad_query", &words).await;
    }
    for status in [401, 403] {
        let words = ["check the token", "go away"];
        final_error(Reply::new(status, "text/plain", "go away"), "unauthorized", &words).await;
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let broken = [
        Reply::new(500, "text/plain", "oops"),
        Reply::new(503, "text/html", "<html>no upstream"),
        Reply::json(503, r#"{"status":"error","errorType":"timeout","error":"query timed out"}"#),
        Reply::new(429, "text/plain", "slow down").with("retry-after", "0"),
        Reply::json(200, &matrix(r#"[{"metric":{},"values":[[1700000100,"1"]"#)[..90]),
    ];
    for reply in broken {
        let stub = Stub::start(vec![reply, Reply::good()]).await;
        assert_eq!(stub.range().await.unwrap().series.view().len(), 4);
        assert_eq!(stub.asked().len(), 2);
    }
}

#[tokio::test]
async fn the_server_says_when_to_come_back() {
    let busy = Reply::new(429, "text/plain", "slow down").with("retry-after", "2");
    let stub = Stub::start(vec![busy, Reply::good()]).await;
    let begun = Instant::now();
    stub.range().await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_pause_past_the_deadline_is_not_begun() {
    for later in ["3600", "Wed, 21 Oct 2099 07:28:00 GMT"] {
        let busy = Reply::new(503, "text/plain", "maintenance").with("retry-after", later);
        let stub = Stub::start(vec![busy]).await;
        let begun = Instant::now();
        let error = stub.range().await.unwrap_err();
        assert!(matches!(&error, PrometheusError::GaveUp { attempts: 1, .. }), "{error}");
        assert_eq!((error.label(), error.is_retryable()), ("unavailable", true));
        assert!(error.to_string().contains("maintenance"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_server_that_never_recovers_is_given_up_at_the_deadline() {
    let stub = Stub::start(vec![Reply::new(500, "text/plain", "oops")]).await;
    let config = PrometheusConfig { deadline: Duration::from_secs(2), ..stub.config() };
    let begun = Instant::now();
    let error = Prometheus::new(config).unwrap().range(&query(4)).await.unwrap_err();
    assert!(error.to_string().contains("gave up after"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!((2..=8).contains(&stub.asked().len()), "{} requests", stub.asked().len());
}

#[tokio::test]
async fn a_slow_server_times_out_and_is_tried_again() {
    let slow = Reply::good().after(Duration::from_secs(30));
    let stub = Stub::start(vec![slow, Reply::good()]).await;
    let config = PrometheusConfig { request_timeout: Duration::from_millis(500), ..stub.config() };
    Prometheus::new(config).unwrap().range(&query(4)).await.unwrap();
    assert_eq!(stub.asked().len(), 2);

    let slow = Reply::good().after(Duration::from_secs(30));
    let stub = Stub::start(vec![slow]).await;
    let config = PrometheusConfig { deadline: Duration::from_secs(1), ..stub.config() };
    let error = Prometheus::new(config).unwrap().range(&query(4)).await.unwrap_err();
    assert_eq!((error.label(), error.is_retryable()), ("timeout", true), "{error}");
    assert!(error.to_string().contains("within the 1.0 s"), "{error}");
}

#[tokio::test]
async fn the_deadline_is_that_of_all_portions_together() {
    let slow = Reply::good().after(Duration::from_millis(400));
    let stub = Stub::start(vec![slow]).await;
    let config = PrometheusConfig { deadline: Duration::from_secs(1), ..stub.config() };
    let error = Prometheus::new(config).unwrap().range(&query(55_000)).await.unwrap_err();
    assert!(matches!(error, PrometheusError::Deadline { .. }), "{error}");
    assert!(stub.asked().len() <= 3, "{}", stub.asked().len());
}

#[tokio::test]
async fn nobody_there_is_said_with_the_address() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    let config =
        PrometheusConfig { deadline: Duration::from_secs(1), ..PrometheusConfig::new(&url) };
    let error = Prometheus::new(config).unwrap().range(&query(4)).await.unwrap_err();
    assert_eq!((error.label(), error.is_retryable()), ("unreachable", true));
    let text = error.to_string();
    assert!(text.contains(&url) && text.contains("refused"), "{text}");
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let huge = Reply::computed(|_| vec![b' '; RESPONSE_BYTES_MAX + 1]);
    final_error(huge, "too_large", &["16 MiB", "sum("]).await;
}

#[tokio::test]
async fn a_server_that_refuses_post_is_asked_by_get_from_then_on() {
    let stub = Stub::start(vec![Reply::new(405, "text/plain", ""), Reply::good()]).await;
    let client = stub.client();
    client.range(&query(4)).await.unwrap();
    client.range(&query(4)).await.unwrap();
    let methods: Vec<Method> = stub.asked().into_iter().map(|asked| asked.method).collect();
    assert_eq!(methods, [Method::POST, Method::GET, Method::GET]);
    assert_eq!(stub.asked()[1].form, stub.asked()[0].form);
}

#[tokio::test]
async fn credentials_headers_and_prefix_are_sent() {
    let stub = Stub::start(vec![Reply::good()]).await;
    let authorization = |asked: &Asked| asked.headers["authorization"].to_str().unwrap().to_owned();
    let config = PrometheusConfig {
        url: format!("{}/tenant/", stub.url),
        bearer_token: Some(Secret::new("abc")),
        headers: vec![("X-Scope-OrgID".to_owned(), "shop".to_owned())],
        ..stub.config()
    };
    Prometheus::new(config).unwrap().range(&query(4)).await.unwrap();
    let asked = stub.asked().pop().unwrap();
    assert_eq!(asked.path, "/tenant/api/v1/query_range");
    assert_eq!(asked.headers["x-scope-orgid"], "shop");
    assert_eq!(authorization(&asked), "Bearer abc");

    let basic = Some(("me".to_owned(), Secret::new("secret")));
    let config = PrometheusConfig { basic_auth: basic, ..stub.config() };
    Prometheus::new(config).unwrap().range(&query(4)).await.unwrap();
    assert_eq!(authorization(&stub.asked()[1]), "Basic bWU6c2VjcmV0");
}

#[tokio::test]
async fn a_rotated_token_is_read_again() {
    let stub = Stub::start(vec![Reply::good()]).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "first\n").unwrap();
    let path = Some(file.path().to_owned());
    let config = PrometheusConfig { bearer_token_file: path, ..stub.config() };
    let client = Prometheus::new(config).unwrap();
    for token in ["first\n", "second"] {
        fs::write(file.path(), token).unwrap();
        client.range(&query(4)).await.unwrap();
        let asked = stub.asked().pop().unwrap();
        assert_eq!(
            asked.headers["authorization"].to_str().unwrap(),
            format!("Bearer {}", token.trim())
        );
    }
    fs::write(file.path(), "").unwrap();
    assert_eq!(client.range(&query(4)).await.unwrap_err().label(), "token");
}

#[test]
fn unusable_configurations_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let not_pem = folder.path().join("ca.pem");
    fs::write(&not_pem, "hello").unwrap();
    let base = || PrometheusConfig::new("http://prometheus:9090");
    let token = || Some(Secret::new("abc"));
    let header = |name: &str, value: &str| vec![(name.to_owned(), value.to_owned())];
    let cases = [
        (PrometheusConfig::new("prometheus:9090"), "neither http nor https"),
        (PrometheusConfig::new("prometheus"), "http://host:9090"),
        (PrometheusConfig::new(""), "http://host:9090"),
        (PrometheusConfig::new("http://me:hush@host"), "basic auth"),
        (PrometheusConfig::new("http://host/?a=b"), "fragment"),
        (PrometheusConfig::new("http://host/api/v1/query"), "before /api/v1"),
        (
            PrometheusConfig {
                bearer_token: token(),
                basic_auth: Some(("me".to_owned(), Secret::new("x"))),
                ..base()
            },
            "bearer token, basic auth",
        ),
        (
            PrometheusConfig {
                bearer_token: token(),
                headers: header("Authorization", "x"),
                ..base()
            },
            "authorization header",
        ),
        (PrometheusConfig { bearer_token: Some(Secret::new("a\n")), ..base() }, "line break"),
        (
            PrometheusConfig { bearer_token_file: Some("/none/token".into()), ..base() },
            "/none/token",
        ),
        (
            PrometheusConfig { basic_auth: Some(("a:b".to_owned(), Secret::new("x"))), ..base() },
            "user name",
        ),
        (PrometheusConfig { ca_file: Some("/none/ca.pem".into()), ..base() }, "/none/ca.pem"),
        (PrometheusConfig { ca_file: Some(not_pem), ..base() }, "no certificate"),
        (PrometheusConfig { headers: header("two words", "x"), ..base() }, "two words"),
        (PrometheusConfig { headers: header("x-a", "two\nlines"), ..base() }, "x-a"),
        (PrometheusConfig { request_timeout: Duration::ZERO, ..base() }, "request timeout is zero"),
        (PrometheusConfig { deadline: Duration::ZERO, ..base() }, "deadline is zero"),
    ];
    for (config, word) in cases {
        let error: PrometheusConfigError = Prometheus::new(config).expect_err(word);
        let text = error.to_string();
        assert!(text.contains(word), "expected {word:?} in: {text}");
        assert!(!text.contains("hush"), "a password is shown: {text}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let config = PrometheusConfig {
        url: "http://me:hush@host".to_owned(),
        bearer_token: Some(Secret::new("hush")),
        basic_auth: Some(("me".to_owned(), Secret::from("hush".to_owned()))),
        headers: vec![("x-api-key".to_owned(), "hush".to_owned())],
        ..PrometheusConfig::new("http://host")
    };
    let shown = format!("{config:?}");
    assert!(shown.contains("***") && shown.contains("x-api-key"), "{shown}");
    assert!(!shown.contains("hush"), "{shown}");
}
