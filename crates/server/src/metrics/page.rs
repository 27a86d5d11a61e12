//! HTTP: three pages for GET and HEAD, one request a connection, every wait bounded.

use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::{Ask, families};
use crate::progress;
use crate::reactor::Alarm;

/// Connections served at once; others wait in the system's queue.
const CONNECTIONS_MAX: usize = 16;
/// How long a request's head may take to arrive.
const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// How long a connection may last, a slow reader's included.
const CONNECTION_LIMIT: Duration = Duration::from_secs(30);
/// How long the data thread may take to answer; a probe that waits longer has given up.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);
/// Longest request head, in bytes: the least that hyper takes.
const HEAD_BYTES_MAX: usize = 8192;
/// How long to wait when the system has no descriptor left for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const TEXT: &str = "text/plain; charset=utf-8";

/// The way to the data thread.
#[derive(Clone)]
pub(super) struct Door {
    pub(super) asks: mpsc::Sender<Ask>,
    pub(super) alarm: Arc<Alarm>,
}

/// Why the data thread has not answered.
enum Silence {
    /// It recovers or loads.
    Loading(String),
    /// It should, and does not.
    Mute,
}

impl Door {
    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, Silence> {
        if !progress::is_serving() {
            return Err(Silence::Loading(progress::now().map_or_else(|| "starting".into(), |it| it.line())));
        }
        let (sender, answer) = oneshot::channel();
        let asked = async {
            self.asks.send(ask(sender)).await.ok()?;
            self.alarm.ring();
            answer.await.ok()
        };
        tokio::time::timeout(ANSWER_LIMIT, asked).await.ok().flatten().ok_or(Silence::Mute)
    }
}

/// Starts the thread that serves the page.
pub(super) fn start(listener: TcpListener, door: Door) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let run = move || {
        runtime.block_on(async {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => accept(listener, door).await,
                Err(error) => tracing::error!("metrics are not served: {error}"),
            }
        });
    };
    std::thread::Builder::new().name("metrics".into()).spawn(run).map(drop)
}

async fn accept(listener: tokio::net::TcpListener, door: Door) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = Arc::clone(&places).acquire_owned().await;
        match listener.accept().await {
            Ok((stream, _)) => {
                let door = door.clone();
                tokio::spawn(async move {
                    let _place = place;
                    let answer = service_fn(move |request| answer(door.clone(), request));
                    let connection = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(HEAD_LIMIT)
                        .max_buf_size(HEAD_BYTES_MAX)
                        .keep_alive(false)
                        .serve_connection(TokioIo::new(stream), answer);
                    // What a client does wrong is its own affair: it was answered, or has gone.
                    drop(tokio::time::timeout(CONNECTION_LIMIT, connection).await);
                });
            }
            Err(error) => {
                tracing::warn!("cannot accept a connection for metrics: {error}");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn answer(door: Door, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(refusal);
    }
    Ok(match request.uri().path() {
        "/metrics" => metrics(&door).await,
        "/health/live" => live(&door).await,
        "/health/ready" => ready(&door).await,
        _ => text(StatusCode::NOT_FOUND, "there are /metrics, /health/live and /health/ready"),
    })
}

async fn metrics(door: &Door) -> Response<Full<Bytes>> {
    let rendered = match door.ask(Ask::Numbers).await {
        Ok(numbers) => families::render(Some(&numbers)),
        Err(Silence::Loading(_)) => families::render(None),
        Err(Silence::Mute) => return mute(),
    };
    match rendered {
        Ok(page) => respond(StatusCode::OK, prometheus::TEXT_FORMAT, page),
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// Whether the process is worth keeping: it serves, or is on its way to.
async fn live(door: &Door) -> Response<Full<Bytes>> {
    match door.ask(Ask::Ready).await {
        Ok(_) => text(StatusCode::OK, "live"),
        Err(Silence::Loading(what)) => text(StatusCode::OK, &format!("live, and not ready: {what}")),
        Err(Silence::Mute) => mute(),
    }
}

/// Whether clients should be sent here.
async fn ready(door: &Door) -> Response<Full<Bytes>> {
    match door.ask(Ask::Ready).await {
        Ok(None) => text(StatusCode::OK, "ready"),
        Ok(Some(why)) | Err(Silence::Loading(why)) => text(StatusCode::SERVICE_UNAVAILABLE, &why),
        Err(Silence::Mute) => mute(),
    }
}

fn mute() -> Response<Full<Bytes>> {
    let why = format!("the data thread has not answered within {} s", ANSWER_LIMIT.as_secs());
    text(StatusCode::SERVICE_UNAVAILABLE, &why)
}

fn text(status: StatusCode, line: &str) -> Response<Full<Bytes>> {
    respond(status, TEXT, format!("{line}\n"))
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
