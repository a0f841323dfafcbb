//! A stand-in for the API server, over HTTP: the scale subresource of Deployments and of Rollouts
//! with the semantics of the real one (versions, conflicts, merge patches, dry runs, `Status`
//! objects), which can also be told to misbehave.
//!
//! Other crates include this file by its path; it needs axum, `serde_json` and tokio. Who does not
//! use all of it says so where it is included, with `#[expect(dead_code, reason = "…")]`.

mod line;
mod objects;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use line::{Line, Lines};
use objects::{Asked, Objects, status};

/// The token that the generated kubeconfig holds; a request with another one is refused.
const TOKEN: &str = "the-token-of-the-stub";
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// A running server; it ends when this is dropped.
pub(crate) struct Stub {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

/// A request as it came.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Recorded {
    /// GET, PATCH, …
    pub(crate) method: String,
    /// The path.
    pub(crate) path: String,
    /// The query, without its question mark; empty without one.
    pub(crate) query: String,
    /// The content type; empty without one.
    pub(crate) content_type: String,
    /// The JSON body; null without one.
    pub(crate) body: Value,
}

/// What a request meets instead of a good server.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// It is answered by a `Status` of this code and not looked at.
    Refuse(u16),
    /// It is answered by 429 with so many seconds in `Retry-After`, and not looked at.
    Throttle(u64),
    /// It is answered by a page of a proxy, with this code, and not looked at.
    Html(u16),
    /// It is done, and answered this much later.
    Late(Duration),
    /// The connection breaks before it is looked at.
    Dropped,
    /// It is done, and the connection breaks before the answer.
    DoneButDropped,
    /// Just before it, somebody else scales the object it is about to so many replicas.
    Overtaken(i64),
    /// Just before it, the object it is about gets a new version and keeps its replicas.
    Touched,
}

#[derive(Default)]
struct Shared {
    objects: Mutex<Objects>,
    faults: Mutex<VecDeque<(Option<Method>, Fault)>>,
    requests: Mutex<Vec<Recorded>>,
}

impl Stub {
    /// Starts a server without objects on a free port of the loopback interface.
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let app = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        let service = app.into_make_service_with_connect_info::<Line>();
        let server = tokio::spawn(async move {
            axum::serve(Lines(listener), service).await.expect("it serves until it is aborted");
        });
        Self { address, shared, server }
    }

    /// The address: `http://127.0.0.1:port`.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Writes a kubeconfig for this server into `folder`; its one context is `stub`.
    pub(crate) fn kubeconfig(&self, folder: &Path) -> PathBuf {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "stub",
            "clusters": [{ "name": "stub", "cluster": { "server": self.url() } }],
            "users": [{ "name": "stub", "user": { "token": TOKEN } }],
            "contexts": [{ "name": "stub", "context": { "cluster": "stub", "user": "stub" } }],
        });
        let path = folder.join("kubeconfig");
        std::fs::write(&path, config.to_string()).expect("the folder can be written");
        path
    }

    /// Adds a Deployment with so many replicas and pods.
    pub(crate) fn add_deployment(&self, namespace: &str, name: &str, replicas: i64) {
        self.objects().add("deployments", namespace, name, replicas);
    }

    /// Adds a Rollout (`argoproj.io/v1alpha1`) with so many replicas and pods.
    pub(crate) fn add_rollout(&self, namespace: &str, name: &str, replicas: i64) {
        self.objects().add("rollouts", namespace, name, replicas);
    }

    /// The replicas of the object of this name, which somebody else sets now.
    pub(crate) fn scale_as_somebody_else(&self, namespace: &str, name: &str, replicas: i64) {
        self.objects().by_name(namespace, name).set_replicas(replicas);
    }

    /// So many pods of the object exist now, which changes its version.
    pub(crate) fn set_pods(&self, namespace: &str, name: &str, pods: i64) {
        self.objects().by_name(namespace, name).set_pods(pods);
    }

    /// The replicas that the object of this name shall have.
    pub(crate) fn replicas(&self, namespace: &str, name: &str) -> i64 {
        self.objects().by_name(namespace, name).replicas()
    }

    /// The next `times` requests with `method` (or any) meet `fault`.
    pub(crate) fn next(&self, times: usize, method: Option<Method>, fault: Fault) {
        let mut faults = self.shared.faults.lock().expect("no test panics while it holds it");
        faults.extend(std::iter::repeat_n((method, fault), times));
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.shared.requests.lock().expect("no test panics while it holds it").clone()
    }

    /// The methods of the requests so far.
    pub(crate) fn methods(&self) -> Vec<String> {
        self.requests().into_iter().map(|request| request.method).collect()
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.shared.objects()
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Shared {
    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().expect("no request panics while it holds the objects")
    }

    fn take_fault(&self, wanted: &Method) -> Option<Fault> {
        let mut faults = self.faults.lock().expect("no test panics while it holds it");
        let meets = |(method, _): &(Option<Method>, Fault)| {
            method.as_ref().is_none_or(|method| method == wanted)
        };
        let index = faults.iter().position(meets)?;
        faults.remove(index).map(|(_, fault)| fault)
    }

    fn perform(&self, asked: &Asked) -> Response {
        let (code, body) = self.objects().perform(asked);
        json_response(code, &body)
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    ConnectInfo(line): ConnectInfo<Line>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, BODY_BYTES_MAX).await.unwrap_or_else(|_| Bytes::new());
    let text = |name| {
        let value = parts.headers.get(name).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().to_owned()
    };
    let recorded = Recorded {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        content_type: text(header::CONTENT_TYPE),
        body: serde_json::from_slice(&body).unwrap_or(Value::Null),
    };
    let asked = Asked::new(&recorded);
    shared.requests.lock().expect("no test panics while it holds it").push(recorded);
    let credentials = text(header::AUTHORIZATION);
    if !credentials.is_empty() && credentials != format!("Bearer {TOKEN}") {
        return json_response(401, &status(401, "Unauthorized", "Unauthorized"));
    }
    match shared.take_fault(&parts.method) {
        None => shared.perform(&asked),
        Some(fault) => misbehave(&shared, &line, &asked, fault).await,
    }
}

async fn misbehave(shared: &Shared, line: &Line, asked: &Asked, fault: Fault) -> Response {
    match fault {
        Fault::Refuse(code) => {
            let reason = StatusCode::from_u16(code).expect("a status code of HTTP");
            let reason = reason.canonical_reason().unwrap_or_default().replace(' ', "");
            json_response(code, &status(code, &reason, "the stub was told to refuse this"))
        }
        Fault::Throttle(seconds) => {
            let mut body = status(429, "TooManyRequests", "too many requests, please try again");
            body["details"] = json!({ "retryAfterSeconds": seconds });
            let retry_after = [(header::RETRY_AFTER, seconds.to_string())];
            (retry_after, json_response(429, &body)).into_response()
        }
        Fault::Html(code) => {
            let code = StatusCode::from_u16(code).expect("a status code of HTTP");
            (code, Html("<!doctype html><title>A proxy</title>")).into_response()
        }
        Fault::Late(wait) => {
            let response = shared.perform(asked);
            tokio::time::sleep(wait).await;
            response
        }
        Fault::Dropped => line.cut(StatusCode::NO_CONTENT.into_response()),
        Fault::DoneButDropped => line.cut(shared.perform(asked)),
        Fault::Overtaken(replicas) => {
            shared.objects().asked_for(asked).set_replicas(replicas);
            shared.perform(asked)
        }
        Fault::Touched => {
            shared.objects().asked_for(asked).touch();
            shared.perform(asked)
        }
    }
}

fn json_response(code: u16, body: &Value) -> Response {
    let code = StatusCode::from_u16(code).expect("a status code of HTTP");
    // The real server answers an unknown path in plain text.
    match body {
        Value::String(text) => (code, text.clone()).into_response(),
        body => (code, axum::Json(body)).into_response(),
    }
}
