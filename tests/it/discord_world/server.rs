//! The loopback server, plain and over TLS: connections that can be cut, and Discord's addresses.

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::api::{self, Place, Reply};
use super::faults::Harm;
use super::gateway;
use super::rates::{Scope, Standing};
use super::refusal::{Refusal, circumstance, plain};
use super::request::{self, Raw, Request};
use super::state::{Call, State, World};
use crate::secrets;

/// The connection ends here, without a word.
#[derive(Debug)]
pub(super) struct Cut;

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("cut by the test")
    }
}

impl std::error::Error for Cut {}

type Answered = Result<Response<Full<Bytes>>, Cut>;

/// Serves until its task is dropped, and takes every connection with it.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    world: Arc<World>,
) -> Infallible {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            arrived = listener.accept() => if let Ok((stream, _)) = arrived {
                // Without it each event would take 40 ms.
                stream.set_nodelay(true).ok();
                let (world, tls) = (Arc::clone(&world), tls.clone());
                open.spawn(async move {
                    match tls {
                        None => connection(stream, world).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => connection(stream, world).await,
                            Err(_) => world.change(|state| state.violated("no TLS was spoken")),
                        },
                    }
                });
            },
            Some(_) = open.join_next() => {}
        }
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    world: Arc<World>,
) {
    let service = service_fn(|request| route(Arc::clone(&world), request));
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    // It ends with an error when a test cuts it, which is what the test wanted.
    connection.await.ok();
}

async fn route(world: Arc<World>, request: hyper::Request<Incoming>) -> Answered {
    if request.headers().contains_key("sec-websocket-key") {
        let harm = world.change(|state| state.faults.next("gateway", "", ("", &Value::Null)));
        return match harm {
            Some(Harm::Status(status)) => Ok(text(status, "something went wrong")),
            Some(_) => Err(Cut),
            None => Ok(gateway::upgrade(&world, request)),
        };
    }
    let (parts, body) = request.into_parts();
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        return Err(Cut);
    };
    let raw = Raw {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        content_type: header(&parts.headers, CONTENT_TYPE.as_str()),
        body: &body,
    };
    let agent = header(&parts.headers, "user-agent");
    if !agent.starts_with("DiscordBot (") {
        world.change(|state| state.violated(format!("a `User-Agent: {agent}`")));
    }
    rest(&world, &raw, header(&parts.headers, "authorization")).await
}

async fn rest(world: &Arc<World>, raw: &Raw<'_>, token: &str) -> Answered {
    let mut request = match request::find(raw) {
        Ok(request) => request,
        Err(refusal) => {
            return Ok(told(world.change(|state| refused(state, &refusal)), None));
        }
    };
    let (operation, channel) = (request.operation.clone(), request.id("channel_id").to_owned());
    if secrets::found_in(raw.body).is_some() {
        world.change(|state| state.violated(format!("{operation}: a secret is in what was sent")));
    }
    let mut call = Call {
        operation: operation.clone(),
        path: request.path.clone(),
        body: said(raw.body),
        at: world.clock.now(),
        status: 0,
        answer: Value::Null,
        acted: false,
    };
    let doing = (call.path.as_str(), &call.body);
    let harm = world.change(|state| state.faults.next(&operation, &channel, doing));
    if let Some(early) = before(world, harm.as_ref(), &mut call, &request).await {
        world.change(|state| state.calls.push(call));
        return early;
    }
    let place = Place { base: &world.base, now: world.clock.now() };
    let response = world.change(|state| {
        let (reply, standing) = acted(state, &mut request, raw, token, place);
        (call.status, call.answer) = (reply.status, reply.body.clone());
        call.acted = (200..300).contains(&reply.status);
        if !request.body.is_null() {
            call.body = request.body.clone();
        }
        state.calls.push(call);
        told(reply, standing)
    });
    after(world, harm).await?;
    Ok(response)
}

/// What a call says, files or not: of a form in parts it is the part `payload_json`.
fn said(body: &[u8]) -> Value {
    let text = String::from_utf8_lossy(body);
    let part = text.split_once("payload_json").map_or(&*text, |(_, after)| after);
    let json = part.find('{').map(|at| &part[at..]).unwrap_or_default();
    serde_json::Deserializer::from_str(json)
        .into_iter()
        .next()
        .and_then(Result::ok)
        .unwrap_or_default()
}

/// Limits first, then who it is, then what it says, then what it does.
fn acted(
    state: &mut State,
    request: &mut Request,
    raw: &Raw<'_>,
    token: &str,
    place: Place<'_>,
) -> (Reply, Option<Standing>) {
    if let Some(why) = state.rates.impatient(&request.operation, &request.bucket, place.now) {
        state.violated(why);
    }
    let mut standing = None;
    if state.setup.rate_limits {
        let counted = state.rates.count(&request.operation, &request.bucket, place.now);
        if let Some(scope) = counted.exceeded {
            let bucket = if scope == Scope::Global { "global" } else { &request.bucket };
            state.rates.tell(bucket, counted.reset_after, place.now);
            return (too_many(scope, counted.reset_after), Some(counted));
        }
        standing = Some(counted);
    }
    let done = api::admitted(state, request, token)
        .and_then(|()| request::read(request, raw))
        .and_then(|()| api::call(state, request, place));
    let reply = done.unwrap_or_else(|refusal| refused(state, &refusal));
    (reply, standing)
}

fn refused(state: &mut State, refusal: &Refusal) -> Reply {
    state.violations.extend(refusal.blame.clone());
    Reply { status: refusal.status, body: refusal.body.clone() }
}

fn too_many(scope: Scope, wait: f64) -> Reply {
    let body = json!({
        "message": "You are being rate limited.", "retry_after": wait,
        "global": scope == Scope::Global,
    });
    Reply { status: 429, body }
}

fn told(reply: Reply, standing: Option<Standing>) -> Response<Full<Bytes>> {
    let empty = reply.status == 204;
    let shown = if empty { String::new() } else { reply.body.to_string() };
    let mut response = written(reply.status, "application/json", &shown);
    let mut put = |name: &'static str, value: &str| {
        let value = HeaderValue::from_str(value).expect("only letters and digits");
        response.headers_mut().insert(HeaderName::from_static(name), value);
    };
    if let Some(wait) = reply.body["retry_after"].as_f64().filter(|_| reply.status == 429) {
        // The header counts whole seconds; the body and the other header are exact.
        put("retry-after", &format!("{}", wait.ceil()));
        if reply.body["global"] == true {
            put("x-ratelimit-global", "true");
        }
    }
    if let Some(standing) = standing {
        put("x-ratelimit-limit", &standing.limit.to_string());
        put("x-ratelimit-remaining", &standing.remaining.to_string());
        put("x-ratelimit-reset", &format!("{:.3}", standing.reset.as_secs_f64()));
        put("x-ratelimit-reset-after", &format!("{:.3}", standing.reset_after));
        put("x-ratelimit-bucket", &standing.bucket);
        if let Some(scope) = standing.exceeded {
            put("x-ratelimit-scope", scope.name());
        }
    }
    response
}

/// What a fault does instead of the call, or before it.
async fn before(
    world: &World,
    harm: Option<&Harm>,
    call: &mut Call,
    request: &Request,
) -> Option<Answered> {
    let reply = match harm? {
        Harm::Stall(wait) => {
            world.clock.until(world.clock.now() + *wait).await;
            return None;
        }
        Harm::Hold => {
            held(world).await;
            return None;
        }
        Harm::ResetAfter | Harm::AnswerLate(_) | Harm::AnswerLost => return None,
        Harm::ResetBefore => return Some(Err(Cut)),
        Harm::Garbage => {
            call.status = 200;
            return Some(Ok(text(200, "<html>Please sign in to the proxy</html>")));
        }
        Harm::Status(status) => {
            let words = StatusCode::from_u16(*status).expect("a status");
            let words = words.canonical_reason().unwrap_or_default();
            let refusal = plain(*status, words, "");
            (Reply { status: refusal.status, body: refusal.body }, None)
        }
        Harm::Error(code) => {
            let refusal = circumstance(*code);
            (Reply { status: refusal.status, body: refusal.body }, None)
        }
        Harm::TooMany(wait) => told_to_wait(world, request, *wait, Scope::User),
        Harm::TooManyEverywhere(wait) => told_to_wait(world, request, *wait, Scope::Global),
        Harm::TooManyShared(wait) => told_to_wait(world, request, *wait, Scope::Shared),
    };
    let (reply, standing) = reply;
    (call.status, call.answer) = (reply.status, reply.body.clone());
    Some(Ok(told(reply, standing)))
}

fn told_to_wait(
    world: &World,
    request: &Request,
    wait: f64,
    scope: Scope,
) -> (Reply, Option<Standing>) {
    let now = world.clock.now();
    let bucket = if scope == Scope::Global { "global" } else { &request.bucket };
    world.change(|state| {
        if let Some(why) = state.rates.impatient(&request.operation, bucket, now) {
            state.violated(why);
        }
        state.rates.tell(bucket, wait, now);
    });
    let standing = Standing {
        bucket: super::realm::id("bucket", bucket),
        limit: 5,
        remaining: 0,
        reset: now + std::time::Duration::from_secs_f64(wait),
        reset_after: wait,
        exceeded: Some(scope),
    };
    (too_many(scope, wait), Some(standing))
}

/// What a fault does to an answer that was already decided.
async fn after(world: &World, harm: Option<Harm>) -> Result<(), Cut> {
    match harm {
        Some(Harm::ResetAfter) => Err(Cut),
        Some(Harm::AnswerLate(wait)) => {
            world.clock.until(world.clock.now() + wait).await;
            Ok(())
        }
        Some(Harm::AnswerLost) => std::future::pending().await,
        _ => Ok(()),
    }
}

async fn held(world: &World) {
    let before = world.change(|state| {
        state.faults.held += 1;
        state.faults.released
    });
    world.until(|state| (state.faults.released > before).then_some(())).await;
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default()
}

pub(super) fn text(status: u16, body: &str) -> Response<Full<Bytes>> {
    written(status, "text/html", body)
}

fn written(status: u16, kind: &'static str, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_owned())));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    let name = HeaderName::from_static("content-type");
    response.headers_mut().insert(name, HeaderValue::from_static(kind));
    response
}
