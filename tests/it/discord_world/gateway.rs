//! The gateway: connections, sessions, heartbeats, and the ways in which they end.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONNECTION, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE};
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

use super::realm::APP;
use super::render;
use super::server::text;
use super::state::{State, World};

/// Guild members, presences and message contents: Discord has to allow these by hand.
const PRIVILEGED: u64 = 1 << 1 | 1 << 8 | 1 << 15;

const DISPATCH: u64 = 0;
const HEARTBEAT: u64 = 1;
const IDENTIFY: u64 = 2;
const PRESENCE: u64 = 3;
const RESUME: u64 = 6;
const RECONNECT: u64 = 7;
const INVALID_SESSION: u64 = 9;
const HELLO: u64 = 10;
const HEARTBEAT_ACK: u64 = 11;

/// One connection of the bot.
pub(super) struct Link {
    pub(super) id: u64,
    out: mpsc::UnboundedSender<Order>,
    pub(super) open: bool,
    pub(super) silent: bool,
    pub(super) session: Option<usize>,
}

/// What outlives a connection: the events that may have to be told again.
pub(super) struct Session {
    id: String,
    seq: u64,
    told: Vec<(u64, String)>,
    pub(super) link: Option<u64>,
    /// How often it came back.
    pub(super) resumed: usize,
    resumable: bool,
}

pub(super) enum Order {
    Say(String),
    /// Neither reads nor writes any more, and does not close.
    Silence,
    Close(u16),
    /// Just ends.
    Cut,
}

type Socket = WebSocketStream<TokioIo<Upgraded>>;

pub(super) fn upgrade(world: &Arc<World>, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let asked: Vec<&str> = query.split('&').collect();
    if !asked.contains(&"v=10") || asked.iter().any(|it| it.starts_with("compress=")) {
        world.change(|state| state.violated(format!("the gateway was asked for {query:?}")));
        return text(400, "version 10, without compression");
    }
    let Some(key) = request.headers().get(SEC_WEBSOCKET_KEY).cloned() else {
        return text(400, "this is a WebSocket");
    };
    let world = Arc::clone(world);
    tokio::spawn(async move {
        if let Ok(upgraded) = hyper::upgrade::on(&mut request).await {
            let stream = TokioIo::new(upgraded);
            let socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
            connected(world, socket).await;
        }
    });
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let accept = HeaderValue::from_str(&derive_accept_key(key.as_bytes()));
    let headers = response.headers_mut();
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept.expect("base64"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    response
}

fn frame(op: u64, data: &Value) -> String {
    json!({"op": op, "d": data, "s": null, "t": null}).to_string()
}

async fn connected(world: Arc<World>, mut socket: Socket) {
    let (out, mut orders) = mpsc::unbounded_channel();
    let (id, beat) = world.change(|state| {
        let id = state.serial();
        state.links.push(Link { id, out, open: true, silent: false, session: None });
        (id, state.setup.windows.heartbeat)
    });
    let hello = json!({"heartbeat_interval": beat.as_millis(), "_trace": ["stand-in"]});
    if socket.send(Frame::text(frame(HELLO, &hello))).await.is_ok() {
        attend(&world, id, &mut socket, &mut orders, beat).await;
    }
    world.change(|state| {
        link(state, id).open = false;
        for session in state.sessions.iter_mut().filter(|it| it.link == Some(id)) {
            session.link = None;
        }
    });
}

fn link(state: &mut State, id: u64) -> &mut Link {
    state.links.iter_mut().find(|it| it.id == id).expect("links are never removed")
}

async fn attend(
    world: &Arc<World>,
    id: u64,
    socket: &mut Socket,
    orders: &mut mpsc::UnboundedReceiver<Order>,
    beat: Duration,
) {
    let mut silent = false;
    let mut heard_until = Instant::now() + beat * 2;
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                Some(Order::Say(text)) if !silent => {
                    if socket.send(Frame::text(text)).await.is_err() {
                        return;
                    }
                }
                Some(Order::Say(_)) => {}
                Some(Order::Silence) => silent = true,
                Some(Order::Close(code)) => return goodbye(socket, code).await,
                Some(Order::Cut) | None => return,
            },
            frame = socket.next(), if !silent => match frame {
                Some(Ok(Frame::Text(text))) => {
                    heard_until = Instant::now() + beat * 2;
                    heard(world, id, text.as_str());
                }
                Some(Ok(Frame::Binary(_))) => {
                    world.change(|state| state.violated("a binary frame"));
                }
                Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => {}
                Some(Ok(Frame::Close(close))) => return left(world, id, close.as_ref()),
                Some(Err(_)) | None => return,
            },
            () = tokio::time::sleep_until(heard_until), if !silent => {
                world.change(|state| state.violated("a connection without a heart beat"));
                return goodbye(socket, 4009).await;
            }
        }
    }
}

async fn goodbye(socket: &mut Socket, code: u16) {
    let reason = CloseFrame { code: code.into(), reason: "told by the stand-in".into() };
    socket.close(Some(reason)).await.ok();
    // The other side has to see it before the connection is gone.
    while let Ok(Some(Ok(_))) = tokio::time::timeout(Duration::from_secs(2), socket.next()).await {}
}

/// Who closes with 1000 or 1001 ends the session too.
fn left(world: &World, id: u64, close: Option<&CloseFrame>) {
    let code = close.map_or(1005, |it| u16::from(it.code));
    if [1000, 1001].contains(&code) {
        world.change(|state| {
            for session in state.sessions.iter_mut().filter(|it| it.link == Some(id)) {
                session.resumable = false;
            }
        });
    }
}

fn heard(world: &World, id: u64, text: &str) {
    world.change(|state| {
        let Ok(said) = serde_json::from_str::<Value>(text) else {
            state.violated("a frame that is no JSON");
            return tell(state, id, Order::Close(4002));
        };
        let known = link(state, id).session.is_some();
        match said["op"].as_u64() {
            Some(HEARTBEAT) => beaten(state, id, &said["d"]),
            Some(IDENTIFY) if known => fail(state, id, 4005, "identified twice"),
            Some(IDENTIFY) => identified(state, id, &said["d"], &world.base),
            Some(RESUME) => resumed(state, id, &said["d"]),
            Some(PRESENCE) if known => {}
            Some(_) if !known => fail(state, id, 4003, "spoke before it identified"),
            other => fail(state, id, 4001, &format!("an operation {other:?}")),
        }
    });
}

fn fail(state: &mut State, id: u64, code: u16, why: &str) {
    state.violated(format!("gateway {code}: {why}"));
    tell(state, id, Order::Close(code));
}

fn tell(state: &mut State, id: u64, order: Order) {
    // An order to a connection that has just ended is no loss.
    link(state, id).out.send(order).ok();
}

fn beaten(state: &mut State, id: u64, last: &Value) {
    state.beats += 1;
    let session = link(state, id).session;
    let told = session.map_or(0, |number| state.sessions[number].seq);
    if last.as_u64().is_some_and(|it| it > told) {
        return fail(state, id, 4007, "a heart beat with a number that was never told");
    }
    tell(state, id, Order::Say(frame(HEARTBEAT_ACK, &Value::Null)));
}

fn is_token(state: &State, given: &Value) -> bool {
    let given = given.as_str().unwrap_or_default();
    !state.revoked && given.trim_start_matches("Bot ") == state.setup.bot_token
}

fn identified(state: &mut State, id: u64, said: &Value, base: &str) {
    if !is_token(state, &said["token"]) {
        if state.revoked {
            return tell(state, id, Order::Close(4004));
        }
        return fail(state, id, 4004, "authentication failed");
    }
    let Some(intents) = said["intents"].as_u64() else {
        return fail(state, id, 4013, "no `intents`");
    };
    let too_many = intents & !state.setup.intents;
    if too_many & PRIVILEGED != 0 {
        return fail(state, id, 4014, &format!("privileged intents: {intents}"));
    }
    if too_many != 0 {
        state.violated(format!("intents {intents}, where {} are needed", state.setup.intents));
    }
    if !said["properties"]["os"].is_string() {
        state.violated("identified without its properties");
    }
    let session = format!("session-{}", state.serial());
    let ready = json!({
        "v": 10, "user": render::user(&state.realm.users[APP]), "user_settings": {},
        "private_channels": [], "relationships": [], "presences": [], "geo_ordered_rtc_regions": [],
        "guilds": state.realm.guilds.keys().map(|id| json!({"id": id, "unavailable": true}))
            .collect::<Vec<_>>(),
        "session_id": session, "resume_gateway_url": base.replacen("http", "ws", 1),
        "shard": said["shard"], "application": {"id": APP, "flags": 0}, "session_type": "normal",
    });
    let number = state.sessions.len();
    state.sessions.push(Session {
        id: session,
        seq: 0,
        told: Vec::new(),
        link: Some(id),
        resumed: 0,
        resumable: true,
    });
    link(state, id).session = Some(number);
    state.dispatch(number, "READY", &ready);
}

fn resumed(state: &mut State, id: u64, said: &Value) {
    let seq = said["seq"].as_u64().unwrap_or_default();
    let token = is_token(state, &said["token"]);
    let known = |it: &Session| said["session_id"] == it.id.as_str() && it.resumable && token;
    let Some(number) = state.sessions.iter().position(known) else {
        return tell(state, id, Order::Say(frame(INVALID_SESSION, &json!(false))));
    };
    if seq > state.sessions[number].seq {
        return fail(state, id, 4007, "resumed from a number that was never told");
    }
    link(state, id).session = Some(number);
    let session = &mut state.sessions[number];
    session.link = Some(id);
    session.resumed += 1;
    let missed: Vec<String> =
        session.told.iter().filter(|(own, _)| *own > seq).map(|(_, it)| it.clone()).collect();
    for event in missed {
        tell(state, id, Order::Say(event));
    }
    state.dispatch(number, "RESUMED", &json!({"_trace": ["stand-in"]}));
}

impl State {
    /// The session that hears what happens now: connected, or about to come back.
    pub(super) fn listener(&self) -> Option<usize> {
        let here = self.sessions.iter().rposition(|it| it.link.is_some());
        here.or_else(|| self.sessions.iter().rposition(|it| it.resumable))
    }

    /// It is connected, and reads what it is told.
    pub(super) fn is_heard(&self, session: usize) -> bool {
        let link = self.sessions[session].link;
        self.links.iter().any(|it| Some(it.id) == link && it.open && !it.silent)
    }

    pub(super) fn dispatch(&mut self, session: usize, name: &str, data: &Value) {
        let session = &mut self.sessions[session];
        session.seq += 1;
        let event = json!({"op": DISPATCH, "d": data, "s": session.seq, "t": name}).to_string();
        session.told.push((session.seq, event.clone()));
        if let Some(id) = session.link {
            tell(self, id, Order::Say(event));
        }
    }
}

/// What a test does to the connections as they are now.
impl World {
    fn to_all(&self, resumable: bool, order: impl Fn() -> Order) {
        self.change(|state| {
            let open: Vec<u64> = state.links.iter().filter(|it| it.open).map(|it| it.id).collect();
            for id in open {
                tell(state, id, order());
                for session in state.sessions.iter_mut().filter(|it| it.link == Some(id)) {
                    session.resumable &= resumable;
                }
            }
        });
    }

    pub(super) fn asks_to_reconnect(&self) {
        self.to_all(true, || Order::Say(frame(RECONNECT, &Value::Null)));
    }

    pub(super) fn invalidates(&self, resumable: bool) {
        self.to_all(resumable, || Order::Say(frame(INVALID_SESSION, &json!(resumable))));
    }

    /// Asked for out of turn, and answered at once by a client that lives.
    pub(super) fn asks_for_heartbeat(&self) {
        self.to_all(true, || Order::Say(frame(HEARTBEAT, &Value::Null)));
    }

    pub(super) fn forgets_sessions(&self) {
        self.change(|state| state.sessions.iter_mut().for_each(|it| it.resumable = false));
    }

    pub(super) fn closes(&self, code: u16) {
        let lost = [4004, 4007, 4009, 4010, 4011, 4012, 4013, 4014].contains(&code);
        self.to_all(!lost, || Order::Close(code));
    }

    pub(super) fn cuts(&self) {
        self.to_all(true, || Order::Cut);
        self.change(|state| {
            for session in &mut state.sessions {
                session.link = None;
            }
        });
    }

    /// Half open: the bot's side still believes in them, and no heart beat is answered.
    pub(super) fn falls_silent(&self) {
        self.to_all(true, || Order::Silence);
        self.change(|state| state.links.iter_mut().for_each(|it| it.silent |= it.open));
    }
}
