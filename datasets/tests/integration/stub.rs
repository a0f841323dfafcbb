//! A server that answers range queries as it is told, and remembers what it was asked.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Response};
use datasets::{History, Prometheus, PrometheusConfig, PrometheusError, RangeQuery};
use forecast::{SeriesId, Step, Timestamp};

/// The first time asked for in these tests.
pub(crate) const FROM: i64 = 1_700_000_100;

/// What one request was.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) form: BTreeMap<String, String>,
    pub(crate) headers: HeaderMap,
}

type BodyOf = dyn Fn(&Asked) -> Vec<u8> + Send + Sync;

/// What one request gets.
#[derive(Clone)]
pub(crate) struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    delay: Duration,
    body: Arc<BodyOf>,
}

impl Reply {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        Self {
            status,
            headers: vec![("content-type", content_type.to_owned())],
            delay: Duration::ZERO,
            body: Arc::new(move |_| body.clone()),
        }
    }

    pub(crate) fn json(status: u16, body: &str) -> Self {
        Self::new(status, "application/json", body)
    }

    /// Four steps of one series: 1.5, a gap, 2, 3.
    pub(crate) fn good() -> Self {
        Self::json(
            200,
            &matrix(
                r#"[{"metric":{},"values":[[1700000100,"1.5"],[1700000700,"2"],[1700001000,"3"]]}]"#,
            ),
        )
    }

    /// An answer that depends on the request.
    pub(crate) fn computed(body: impl Fn(&Asked) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self { body: Arc::new(body), ..Self::json(200, "") }
    }

    pub(crate) fn with(mut self, header: &'static str, value: &str) -> Self {
        self.headers.push((header, value.to_owned()));
        self
    }

    pub(crate) fn after(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }
}

/// A success with this result of type matrix.
pub(crate) fn matrix(result: &str) -> String {
    format!(r#"{{"status":"success","data":{{"resultType":"matrix","result":{result}}}}}"#)
}

/// The server; it stops with the test's runtime.
pub(crate) struct Stub {
    pub(crate) url: String,
    state: Arc<Inner>,
}

struct Inner {
    replies: Vec<Reply>,
    asked: Mutex<Vec<Asked>>,
}

impl Stub {
    /// Answers with one reply after the other; the last is repeated.
    pub(crate) async fn start(replies: Vec<Reply>) -> Self {
        let state = Arc::new(Inner { replies, asked: Mutex::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let app = Router::new().fallback(answer).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, state }
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().expect("no test panics with it").clone()
    }

    pub(crate) fn config(&self) -> PrometheusConfig {
        PrometheusConfig {
            request_timeout: Duration::from_secs(5),
            deadline: Duration::from_secs(20),
            ..PrometheusConfig::new(&self.url)
        }
    }

    pub(crate) fn client(&self) -> Prometheus {
        Prometheus::new(self.config()).expect("a fine configuration")
    }

    /// The history of four steps, asked for once.
    pub(crate) async fn range(&self) -> Result<History, PrometheusError> {
        self.client().range(&query(4)).await
    }
}

/// A query of `steps` points from [`FROM`] on.
pub(crate) fn query(steps: i64) -> RangeQuery {
    let step = Step::FIVE_MINUTES;
    let from = Timestamp::from_second(FROM).expect("a time");
    RangeQuery {
        promql: "sum(up) # all".to_owned(),
        aggregation: None,
        id: SeriesId::new("shop/web").expect("a name"),
        step,
        from,
        to: step.offset(from, steps - 1),
    }
}

async fn answer(State(state): State<Arc<Inner>>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.expect("a short request");
    let form = match parts.method {
        Method::GET => parts.uri.query().unwrap_or_default().to_owned(),
        _ => String::from_utf8(body.to_vec()).expect("a form"),
    };
    let form = reqwest::Url::parse(&format!("http://form/?{form}")).expect("a form");
    let asked = Asked {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        form: form.query_pairs().into_owned().collect(),
        headers: parts.headers,
    };
    let reply = {
        let mut all = state.asked.lock().expect("no test panics with it");
        all.push(asked.clone());
        state.replies[(all.len() - 1).min(state.replies.len() - 1)].clone()
    };
    tokio::time::sleep(reply.delay).await;
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(*name, value);
    }
    response.body(Body::from((reply.body)(&asked))).expect("a response")
}
