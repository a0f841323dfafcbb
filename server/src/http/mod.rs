//! The HTTP interface: each answer is read from the board, none waits for a computation.

mod answers;
mod problem;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::board::Board;
use crate::clock::Clock;
use crate::metrics::Metrics;

pub(crate) use wire::{ForecastAnswer, PlanAnswer, forecast_steps};

/// How long connections may stay open after the end was asked for.
const DRAIN: Duration = Duration::from_secs(5);

/// What the answers are read from.
#[derive(Clone, Debug)]
pub(crate) struct HttpState {
    /// What the control loops know.
    pub(crate) board: Arc<Board>,
    /// What Prometheus scrapes.
    pub(crate) metrics: Metrics,
    /// What time it is.
    pub(crate) clock: Clock,
}

/// Why the server does not listen.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {source}; {advice}")]
pub(crate) struct ListenError {
    address: SocketAddr,
    source: std::io::Error,
    advice: &'static str,
}

/// Binds `address`, before anything slow is begun.
///
/// # Errors
/// When the port is in use or not allowed.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| {
        let advice = match source.kind() {
            std::io::ErrorKind::AddrInUse => {
                "another process has the port: stop it, or choose another (0 takes a free one)"
            }
            std::io::ErrorKind::PermissionDenied => "choose a port above 1023",
            _ => "check the address",
        };
        ListenError { address, source, advice }
    })
}

/// Answers on `listener` until `stop`, then finishes what is in flight.
///
/// # Errors
/// When accepting connections fails for good.
pub(crate) async fn serve(
    listener: TcpListener,
    state: HttpState,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let drained = {
        let stop = stop.clone();
        async move {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        }
    };
    let server = axum::serve(listener, router(state))
        .with_graceful_shutdown(async move { stop.cancelled().await });
    tokio::select! {
        result = server => result,
        // An idle keep-alive connection must not hold up the end.
        () = drained => Ok(()),
    }
}

fn router(state: HttpState) -> Router {
    Router::new()
        .route("/", get(answers::index))
        .route("/forecast", get(answers::forecast))
        .route("/plan", get(answers::plan))
        .route("/accuracy", get(answers::accuracy))
        .route("/metrics", get(answers::metrics))
        .route("/livez", get(answers::livez))
        .route("/readyz", get(answers::readyz))
        .fallback(answers::not_found)
        .method_not_allowed_fallback(answers::method_not_allowed)
        .with_state(state)
}

#[cfg(test)]
mod tests;
