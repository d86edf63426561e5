//! What a node tells over HTTP, to who is on its machine: metrics, whether it is well, and a page of nodes, jobs and logs. It is read
//! and changes nothing, and it says as much as an operator may see: so it listens on loopback alone, and only where it is asked to.

mod metrics;
mod shown;

use crate::cluster::roster::Roster;
use crate::dispatch::Dispatch;
use crate::home::Home;
use crate::tasks::{TaskKind, Tasks};
use axum::Router;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Json, Response};
use axum::routing::get;
use corovan_core::ids::NodeId;
use corovan_core::limits;
use corovan_core::ulid::Ulid;
use corovan_core::wire::jobs::JobInfo;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use serde::Deserialize;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// What is told of.
pub struct Parts {
    pub node: NodeId,
    pub name: String,
    pub tasks: Tasks,
    pub dispatch: Dispatch,
    pub home: Home,
    pub roster: Arc<Roster>,
    /// Attached jobs that are open, so many at most.
    pub jobs: Box<dyn Fn(usize) -> Vec<JobInfo> + Send + Sync>,
}

/// Why it cannot listen there.
#[derive(Debug, thiserror::Error)]
#[error("--http {address}: {source}; choose another port")]
pub struct Error {
    address: SocketAddr,
    source: io::Error,
}

/// Where it listens.
pub struct Server {
    listener: TcpListener,
    pub address: SocketAddr,
}

type Shared = State<Arc<Parts>>;

impl Server {
    pub async fn bind(address: SocketAddr) -> Result<Server, Error> {
        let fault = |source| Error { address, source };
        let listener = TcpListener::bind(address).await.map_err(fault)?;
        let address = listener.local_addr().map_err(fault)?;
        Ok(Server { listener, address })
    }

    /// Serves until it is stopped; what is being answered then is cut off, as the node goes.
    pub async fn run(self, parts: Parts, stop: CancellationToken) -> Result<(), Infallible> {
        let (tasks, places) = (parts.tasks.clone(), Arc::new(Semaphore::new(limits::HTTP_CONNECTIONS)));
        let service = routes(Arc::new(parts));
        let accepting = async {
            loop {
                // It is never closed.
                let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
                let stream = match self.listener.accept().await {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        // Out of file descriptors: there may be some again in a moment.
                        tracing::warn!("the status page takes no connection: {error}");
                        tokio::time::sleep(limits::HTTP_PAUSE).await;
                        continue;
                    }
                };
                let (service, stop) = (TowerToHyperService::new(service.clone()), stop.clone());
                tasks.spawn(TaskKind::Stream, "http connection", async move {
                    let mut http = hyper::server::conn::http1::Builder::new();
                    http.timer(TokioTimer::new())
                        .header_read_timeout(limits::HTTP_HEADER)
                        .max_buf_size(limits::HTTP_BUFFER);
                    let serving = http.serve_connection(TokioIo::new(stream), service);
                    tokio::select! {
                        // How a browser leaves is of no interest.
                        _ = tokio::time::timeout(limits::HTTP_CONNECTION, serving) => {}
                        () = stop.cancelled() => {}
                    }
                    drop(place);
                    Ok::<(), Infallible>(())
                });
            }
        };
        tokio::select! {
            () = accepting => {}
            () = stop.cancelled() => {}
        }
        Ok(())
    }
}

fn routes(parts: Arc<Parts>) -> Router {
    Router::new()
        .route("/", get(page))
        .route("/page.js", get(script))
        .route("/healthz", get(health))
        .route("/metrics", get(measure))
        .route("/status.json", get(status))
        .route("/logs/{job}", get(logs))
        .layer(middleware::from_fn(guarded))
        .with_state(parts)
}

/// Pages of other places, opened in a browser of this machine, neither read this nor show it.
async fn guarded(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    if !host.is_some_and(is_local) {
        let text = "this page is reached by the name of its machine's loopback: localhost, 127.0.0.1 or [::1]\n";
        return (StatusCode::MISDIRECTED_REQUEST, text).into_response();
    }
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    let policy =
        "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'";
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, policy),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A name that leads nowhere but here, whatever a name server says.
fn is_local(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "localhost" | "127.0.0.1" | "[::1]")
}

async fn page() -> Html<&'static str> {
    Html(include_str!("page.html"))
}

async fn script() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], include_str!("page.js"))
}

/// 200 where it takes work, 503 where it does not.
async fn health(State(parts): Shared) -> Response {
    match parts.dispatch.takes_work() {
        Ok(()) => "ok\n".into_response(),
        Err(refusal) => (StatusCode::SERVICE_UNAVAILABLE, format!("{}\n", refusal.detail)).into_response(),
    }
}

async fn measure(State(parts): Shared) -> Response {
    match metrics::text(&parts).await {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn status(State(parts): Shared) -> Json<shown::Status> {
    Json(shown::status(&parts).await)
}

#[derive(Deserialize)]
struct From {
    #[serde(default)]
    from: u64,
}

/// What a durable job said, as text: a page from an event on.
async fn logs(State(parts): Shared, Path(job): Path<String>, Query(From { from }): Query<From>) -> Response {
    let Ok(job) = job.parse::<Ulid>() else {
        return (StatusCode::BAD_REQUEST, "a job is named by its whole id here\n").into_response();
    };
    match shown::logs(&parts.home, job, from).await {
        Ok(text) => text.into_response(),
        Err(refusal) => (StatusCode::NOT_FOUND, format!("{}\n", refusal.detail)).into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_answered() {
        for host in ["localhost", "localhost:80", "127.0.0.1:9090", "[::1]:9090", "[::1]"] {
            assert!(is_local(host), "{host}");
        }
        for host in
            ["", "evil.example", "evil.example:9090", "localhost.evil.example", "127.0.0.1.evil:1", "127.0.0.1:x"]
        {
            assert!(!is_local(host), "{host}");
        }
    }
}
