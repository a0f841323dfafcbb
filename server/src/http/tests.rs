use super::*;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use capacity::Mode;
use forecast::{SeriesId, Timestamp};
use serde_json::Value;

use crate::board::{ModelState, WorkloadView};

fn state(names: &[&str]) -> HttpState {
    let view = |name: &&str| {
        let id = SeriesId::new(format!("shop/{name}")).unwrap();
        (id, WorkloadView::new("shop", name, Mode::Shadow, Duration::from_secs(900)))
    };
    HttpState {
        board: Arc::new(Board::new(names.iter().map(view))),
        metrics: Metrics::new().unwrap(),
        clock: Clock::Frozen(Timestamp::UNIX_EPOCH),
    }
}

async fn get(state: &HttpState, path: &str) -> (StatusCode, Value) {
    use tower_service::Service as _;
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = router(state.clone()).call(request).await.unwrap();
    let status = response.status();
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    let value = serde_json::from_slice(&body);
    (status, value.unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&body).into_owned())))
}

#[tokio::test]
async fn errors_say_what_to_do_next() {
    let two = state(&["web", "api"]);
    let (status, body) = get(&two, "/forecast").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body["detail"].as_str().unwrap().contains("shop/api, shop/web"), "{body}");
    let (status, body) = get(&two, "/plan?workload=db").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(body["detail"].as_str().unwrap().contains("no such workload"), "{body}");
    let (status, _) = get(&two, "/plan?wrkload=web").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let (status, body) = get(&two, "/forecast?workload=web").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body["detail"].as_str().unwrap().contains("no forecast"), "{body}");
    let (status, body) = get(&two, "/forecast?workload=web&quantiles=0.5,2").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(body["detail"].as_str().unwrap().contains("as in 0.5,0.95"), "{body}");
    let (status, body) = get(&two, "/forcast").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(body["detail"].as_str().unwrap().contains("/forecast"), "{body}");
}

#[tokio::test]
async fn readiness_says_where_the_model_stands() {
    let one = state(&["web"]);
    let (status, body) = get(&one, "/readyz").await;
    assert_eq!(
        (status, body["status"].as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, Some("starting"))
    );
    let id = SeriesId::new("shop/web").unwrap();
    one.board.update(&id, |view| view.model = ModelState::Training { epoch: 3, epochs: 50 });
    let (status, body) = get(&one, "/readyz").await;
    assert_eq!(
        (status, body["status"].as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, Some("training"))
    );
    assert_eq!(body["workloads"][0]["detail"], "epoch 3 of at most 50");
}

#[tokio::test]
async fn a_stuck_loop_is_not_alive() {
    let one = state(&["web"]);
    assert_eq!(get(&one, "/livez").await.0, StatusCode::OK);
    let id = SeriesId::new("shop/web").unwrap();
    one.board.update(&id, |view| view.stuck_after = Duration::ZERO);
    let (status, body) = get(&one, "/livez").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body["detail"].as_str().unwrap().contains("shop/web"), "{body}");
}
