//! The loopback server: connections that can be cut, and the way to each of Slack's addresses.

use std::convert::Infallible;
use std::sync::Arc;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::args::Args;
use super::faults::Harm;
use super::person::Person;
use super::state::{Call, World};
use super::{api, hooks, socket};

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
pub(super) async fn serve(listener: TcpListener, world: Arc<World>) -> Infallible {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            arrived = listener.accept() => if let Ok((stream, _)) = arrived {
                open.spawn(connection(stream, Arc::clone(&world)));
            },
            Some(_) = open.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, world: Arc<World>) {
    stream.set_nodelay(true).ok();
    let service = service_fn(|request| route(Arc::clone(&world), request));
    let connection = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    // It ends with an error when a test cuts it, which is what the test wanted.
    connection.await.ok();
}

async fn route(world: Arc<World>, request: Request<Incoming>) -> Answered {
    let path = request.uri().path().trim_matches('/').to_owned();
    let (first, rest) = path.split_once('/').unwrap_or((&path, ""));
    if first == "link" {
        return Ok(socket::upgrade(&world, request));
    }
    let (parts, body) = request.into_parts();
    let query = parts.uri.query().unwrap_or_default().to_owned();
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes) else {
        return Err(Cut);
    };
    match first {
        "api" => {
            if parts.method == Method::GET && api::writes_something(rest) {
                world.change(|state| state.violated(format!("{rest}: called with GET")));
            }
            web_api(&world, rest, &query, &parts.headers, &body).await
        }
        "hooks" => hook(&world, rest, &body).await,
        "upload" => Ok(uploaded(&world, rest, &parts.headers, &body)),
        _ => {
            world.change(|state| state.violated(format!("no such address: /{path}")));
            Ok(plain(404, "not here"))
        }
    }
}

async fn web_api(
    world: &Arc<World>,
    method: &str,
    query: &str,
    headers: &HeaderMap,
    body: &[u8],
) -> Answered {
    let kind = header(headers, CONTENT_TYPE.as_str());
    let args = Args::read(query, kind, body);
    let values = args.as_ref().map(|it| it.values.clone()).unwrap_or_default();
    let token = header(headers, "authorization").strip_prefix("Bearer ").unwrap_or_default();
    if values.contains_key("token") {
        world.change(|state| state.violated(format!("{method}: the token belongs in the header")));
    }
    let channel = ["channel", "channel_id"].map(|it| values.get(it).and_then(Value::as_str));
    let channel = channel.into_iter().flatten().next().unwrap_or_default();
    let harm = world.change(|state| state.faults.next(method, channel, &values));
    let at = world.clock.now();
    let mut call = Call {
        method: method.to_owned(),
        args: values.clone(),
        at,
        status: 0,
        answer: Value::Null,
        acted: false,
    };
    if let Some(early) = before(world, harm.as_ref(), &mut call, channel).await {
        world.change(|state| state.calls.push(call));
        return early;
    }
    let place = (world.base.as_str(), world.clock.now());
    let reply = world.change(|state| {
        let reply = api::call(state, method, token, &args, place);
        (call.status, call.answer) = (reply.status, reply.body.clone());
        call.acted = reply.body["ok"] == true;
        state.calls.push(call);
        reply
    });
    if method == "chat.postMessage" && reply.body["ok"] == true {
        echo(world, &reply.body);
    }
    after(world, harm).await?;
    Ok(told(world, &reply))
}

/// The bot hears what it said, if it listens to messages at all.
fn echo(world: &Arc<World>, posted: &Value) {
    if !world.look(|state| state.setup.hears_itself) {
        return;
    }
    let mut event = posted["message"].clone();
    event["channel"] = posted["channel"].clone();
    event["channel_type"] = json!("channel");
    event["event_ts"] = posted["ts"].clone();
    let bot = Person::itself(world);
    tokio::spawn(async move { bot.tells(event).await });
}

fn told(world: &World, reply: &api::Reply) -> Response<Full<Bytes>> {
    let scopes: Vec<String> = world.look(|state| state.setup.scopes.iter().cloned().collect());
    let mut response = answer(reply.status, &reply.body);
    let headers = response.headers_mut();
    headers.insert("x-oauth-scopes", text(&scopes.join(",")));
    if let Some(wait) = reply.retry_after {
        headers.insert("retry-after", text(&wait.to_string()));
    }
    response
}

/// What a fault does instead of the call, or before it.
async fn before(
    world: &World,
    harm: Option<&Harm>,
    call: &mut Call,
    channel: &str,
) -> Option<Answered> {
    let early = match harm? {
        Harm::Stall(wait) => {
            world.clock.until(world.clock.now() + *wait).await;
            return None;
        }
        Harm::Hold => {
            held(world).await;
            return None;
        }
        Harm::ResetAfter | Harm::AnswerLate(_) | Harm::AnswerLost => return None,
        Harm::ResetBefore => Err(Cut),
        Harm::Status(status) => {
            call.status = *status;
            Ok(plain(*status, "something went wrong"))
        }
        Harm::Garbage => {
            call.status = 200;
            Ok(plain(200, "<html>Please sign in to the proxy</html>"))
        }
        Harm::Error(error) => {
            (call.status, call.answer) = (200, json!({"ok": false, "error": error}));
            Ok(answer(200, &call.answer))
        }
        Harm::TooMany(wait) => {
            (call.status, call.answer) = (429, json!({"ok": false, "error": "ratelimited"}));
            Ok(told_to_wait(world, call, channel, *wait))
        }
    };
    Some(early)
}

fn told_to_wait(world: &World, call: &Call, channel: &str, wait: u64) -> Response<Full<Bytes>> {
    let now = world.clock.now();
    world.change(|state| {
        if state.rates.told(&call.method, channel, now).is_some() {
            let crossed = state.rates.crossed(&call.method, channel);
            state.violated(format!("{}: did not wait for `Retry-After`{crossed}", call.method));
        }
        state.rates.tell(&call.method, channel, wait, now);
    });
    let mut response = answer(429, &call.answer);
    response.headers_mut().insert("retry-after", text(&wait.to_string()));
    response
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

async fn hook(world: &World, id: &str, body: &[u8]) -> Answered {
    let channel = world
        .look(|state| state.response_urls.get(id).map(|it| it.channel.clone()).unwrap_or_default());
    let args = serde_json::from_slice(body).unwrap_or_default();
    let harm = world.change(|state| state.faults.next("response_url", &channel, &args));
    let mut call = Call {
        method: "response_url".to_owned(),
        args,
        at: world.clock.now(),
        status: 0,
        answer: Value::Null,
        acted: false,
    };
    if let Some(early) = before(world, harm.as_ref(), &mut call, &channel).await {
        world.change(|state| state.calls.push(call));
        return early;
    }
    let now = world.clock.now();
    let (status, said) = world.change(|state| {
        let (status, said) = hooks::used(state, id, body, now);
        (call.status, call.acted) = (status, status == 200);
        state.calls.push(call);
        (status, said)
    });
    after(world, harm).await?;
    Ok(plain(status, &said))
}

/// Step two of three: the bytes, as they are or as the one part of a form.
fn uploaded(world: &World, id: &str, headers: &HeaderMap, body: &[u8]) -> Response<Full<Bytes>> {
    let kind = header(headers, CONTENT_TYPE.as_str()).to_owned();
    world.change(|state| {
        let Some(upload) = state.uploads.get_mut(id) else { return plain(404, "no such upload") };
        let bytes = match kind.split_once("boundary=") {
            Some((_, boundary)) => part(body, boundary.trim_matches('"')),
            None => body.to_vec(),
        };
        let (promised, came) = (upload.length, bytes.len());
        upload.bytes = Some(bytes);
        if promised != came {
            state.violated(format!("upload {id}: {promised} bytes promised, {came} came"));
            return plain(400, "wrong length");
        }
        plain(200, &format!("OK - {came}"))
    })
}

fn part(body: &[u8], boundary: &str) -> Vec<u8> {
    let find = |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|it| it == what);
    let start = find(body, b"\r\n\r\n").map_or(0, |at| at + 4);
    let rest = &body[start..];
    let end = find(rest, format!("\r\n--{boundary}").as_bytes()).unwrap_or(rest.len());
    rest[..end].to_vec()
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|it| it.to_str().ok()).unwrap_or_default()
}

fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).expect("only letters and digits")
}

fn answer(status: u16, body: &Value) -> Response<Full<Bytes>> {
    written(status, "application/json; charset=utf-8", &body.to_string())
}

pub(super) fn plain(status: u16, body: &str) -> Response<Full<Bytes>> {
    written(status, "text/html", body)
}

fn written(status: u16, kind: &'static str, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_owned())));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    let name = HeaderName::from_static("content-type");
    response.headers_mut().insert(name, HeaderValue::from_static(kind));
    response
}
