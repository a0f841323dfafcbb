//! One function an endpoint.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use forecast::{Quantile, Quantiles};
use serde::Deserialize;

use super::HttpState;
use super::problem::Problem;
use super::wire::{AccuracyAnswer, ForecastAnswer, PlanAnswer, StatusAnswer};
use crate::board::{ModelState, WorkloadView};

const ENDPOINTS: [&str; 6] = ["/forecast", "/plan", "/accuracy", "/metrics", "/livez", "/readyz"];

/// Which workload is asked about; may be left out where there is one.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Which {
    namespace: Option<String>,
    workload: Option<String>,
}

type Asked = Result<Query<Which>, QueryRejection>;

/// Which forecast is asked for.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WhichForecast {
    namespace: Option<String>,
    workload: Option<String>,
    /// Levels between commas; the deciles where nothing is said.
    quantiles: Option<String>,
}

/// The quantiles in a text such as `0.5,0.95`.
fn quantiles(text: &str) -> Result<Quantiles, Problem> {
    let level = |level: &str| Quantile::new(level.trim().parse().unwrap_or(f64::NAN)).ok();
    let levels: Option<Vec<Quantile>> = text.split(',').map(level).collect();
    levels.and_then(|levels| Quantiles::new(levels).ok()).ok_or_else(|| {
        let detail =
            format!("quantiles is {text:?}: expected levels between 0 and 1, as in 0.5,0.95");
        Problem::new(StatusCode::BAD_REQUEST, detail)
    })
}

impl HttpState {
    /// The one workload that was asked about.
    fn find(&self, asked: Asked) -> Result<Arc<WorkloadView>, Problem> {
        let Query(which) = asked.map_err(|rejection| {
            let detail = format!("{}: expected ?namespace=&workload=", rejection.body_text());
            Problem::new(StatusCode::BAD_REQUEST, detail)
        })?;
        self.find_one(&which)
    }

    fn find_one(&self, which: &Which) -> Result<Arc<WorkloadView>, Problem> {
        let views = self.board.views();
        let names = |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|w| w == name);
        let mut found = views
            .iter()
            .filter(|v| names(&which.namespace, &v.namespace) && names(&which.workload, &v.name));
        match (found.next(), found.next()) {
            (Some(view), None) => Ok(Arc::clone(view)),
            (None, _) => Err(Problem::new(
                StatusCode::NOT_FOUND,
                format!("no such workload; served here: {}", list(&views)),
            )),
            (Some(_), Some(_)) => Err(Problem::new(
                StatusCode::BAD_REQUEST,
                format!("which workload? add ?namespace=&workload= for one of: {}", list(&views)),
            )),
        }
    }
}

/// At most twenty names.
fn list(views: &[Arc<WorkloadView>]) -> String {
    const SHOWN_MAX: usize = 20;
    let names = views.iter().take(SHOWN_MAX).map(|v| format!("{}/{}", v.namespace, v.name));
    let mut text = names.collect::<Vec<_>>().join(", ");
    if views.len() > SHOWN_MAX {
        text += &format!(" and {} more", views.len() - SHOWN_MAX);
    }
    text
}

pub(super) async fn index(State(state): State<HttpState>) -> Json<StatusAnswer> {
    let views = state.board.views();
    Json(StatusAnswer::new("predictive-scaler", &views, ENDPOINTS.to_vec()))
}

pub(super) async fn forecast(
    State(state): State<HttpState>,
    asked: Result<Query<WhichForecast>, QueryRejection>,
) -> Result<Json<ForecastAnswer>, Problem> {
    let Query(WhichForecast { namespace, workload, quantiles: levels }) =
        asked.map_err(|rejection| {
            let expected = "expected ?namespace=&workload=&quantiles=";
            let detail = format!("{}: {expected}", rejection.body_text());
            Problem::new(StatusCode::BAD_REQUEST, detail)
        })?;
    let levels = levels.map_or_else(|| Ok(Quantiles::deciles()), |text| quantiles(&text))?;
    let view = state.find_one(&Which { namespace, workload })?;
    let issued = view.issued.as_ref().ok_or_else(|| {
        let trouble = view.source_error.as_ref().map(|e| format!("; {e}")).unwrap_or_default();
        Problem::not_yet(format!("no forecast has been made yet{trouble}"))
    })?;
    let names = [view.namespace.as_str(), &view.name];
    Ok(Json(ForecastAnswer::new(names, issued, &levels, state.clock.now())))
}

pub(super) async fn plan(
    State(state): State<HttpState>,
    asked: Asked,
) -> Result<Json<PlanAnswer>, Problem> {
    let view = state.find(asked)?;
    let answer = PlanAnswer::new(&view).ok_or_else(|| {
        let trouble = view.cluster_error.as_ref().map(|e| format!("; {e}")).unwrap_or_default();
        Problem::not_yet(format!("no decision has been made yet{trouble}"))
    })?;
    Ok(Json(answer))
}

pub(super) async fn accuracy(
    State(state): State<HttpState>,
    asked: Asked,
) -> Result<Json<AccuracyAnswer>, Problem> {
    let view = state.find(asked)?;
    let accuracy = view
        .accuracy
        .as_ref()
        .ok_or_else(|| Problem::not_yet("no forecast has been issued yet"))?;
    Ok(Json(AccuracyAnswer::new(&view, accuracy)))
}

pub(super) async fn metrics(State(state): State<HttpState>) -> Result<Response, Problem> {
    let text = state
        .metrics
        .text()
        .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    let content_type = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Ok((content_type, text).into_response())
}

/// Alive unless a control loop has not finished a cycle for too long.
pub(super) async fn livez(State(state): State<HttpState>) -> Result<&'static str, Problem> {
    let stuck = |view: &&Arc<WorkloadView>| view.progressed.elapsed() > view.stuck_after;
    match state.board.views().iter().find(stuck) {
        None => Ok("ok\n"),
        Some(view) => Err(Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            format!(
                "the loop of {}/{} has not finished a cycle for {} s",
                view.namespace,
                view.name,
                view.progressed.elapsed().as_secs()
            ),
        )),
    }
}

/// Ready once one workload at least has a model and a forecast.
pub(super) async fn readyz(State(state): State<HttpState>) -> Response {
    let views = state.board.views();
    let has = |test: fn(&ModelState) -> bool| views.iter().any(|view| test(&view.model));
    let ready = |view: &Arc<WorkloadView>| {
        matches!(view.model, ModelState::Ready(_)) && view.issued.is_some()
    };
    let (code, status) = if views.iter().any(ready) {
        (StatusCode::OK, "ready")
    } else if has(|model| matches!(model, ModelState::Training { .. })) {
        (StatusCode::SERVICE_UNAVAILABLE, "training")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting")
    };
    (code, Json(StatusAnswer::new(status, &views, Vec::new()))).into_response()
}

pub(super) async fn not_found(uri: Uri) -> Problem {
    let detail = format!("there is no {}; there are {}", uri.path(), ENDPOINTS.join(", "));
    Problem::new(StatusCode::NOT_FOUND, detail)
}

pub(super) async fn method_not_allowed(method: Method) -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not answered here: use GET"))
}
