//! Socket Mode: tickets, connections, and the ways in which they end.

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
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::server::plain;
use super::state::{State, World};
use super::workspace::APP;
use super::{delivery, markup};

/// As many as Slack lets one app have.
const MOST: usize = 10;
const PING_EVERY: Duration = Duration::from_secs(5);

/// One connection of the bot.
pub(super) struct Link {
    pub(super) id: u64,
    pub(super) out: mpsc::UnboundedSender<Order>,
    pub(super) open: bool,
    /// It has been told to go; nothing new is sent on it.
    pub(super) leaving: bool,
    pub(super) silent: bool,
}

pub(super) enum Order {
    Say(String),
    /// Neither reads nor writes any more, and does not close.
    Silence,
    /// Closes as the protocol wants it.
    Close,
    /// Just ends.
    Cut,
}

type Socket = WebSocketStream<TokioIo<Upgraded>>;

pub(super) fn upgrade(world: &Arc<World>, mut request: Request<Incoming>) -> Response<Full<Bytes>> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let ticket = query.split('&').find_map(|it| it.strip_prefix("ticket=")).unwrap_or_default();
    let key = request.headers().get(SEC_WEBSOCKET_KEY).cloned();
    let now = world.clock.now();
    let welcome = world.change(|state| {
        let given = state.tickets.remove(ticket);
        let fresh = given.is_some_and(|given| now <= given + state.setup.windows.ticket);
        if !fresh {
            state.violated(format!("the ticket {ticket:?} is used, too old or invented"));
        }
        fresh
    });
    if !welcome {
        return plain(403, "no such ticket");
    }
    let Some(key) = key else { return plain(400, "this is a WebSocket") };
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

async fn connected(world: Arc<World>, mut socket: Socket) {
    let (out, mut orders) = mpsc::unbounded_channel();
    let (id, count) = world.change(|state| {
        let id = state.serial();
        state.links.push(Link { id, out, open: true, leaving: true, silent: false });
        (id, state.links.iter().filter(|it| it.open).count())
    });
    if count > MOST {
        world.change(|state| state.violated(format!("{count} connections; {MOST} at most")));
        socket.send(Frame::text(farewell("too_many_websockets"))).await.ok();
    } else if socket.send(Frame::text(hello(count))).await.is_ok() {
        world.change(|state| link(state, id).leaving = false);
        attend(&world, id, &mut socket, &mut orders).await;
    }
    world.change(|state| link(state, id).open = false);
}

fn link(state: &mut State, id: u64) -> &mut Link {
    state.links.iter_mut().find(|it| it.id == id).expect("links are never removed")
}

async fn attend(
    world: &Arc<World>,
    id: u64,
    socket: &mut Socket,
    orders: &mut mpsc::UnboundedReceiver<Order>,
) {
    let mut pings = tokio::time::interval(PING_EVERY);
    let mut silent = false;
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
                Some(Order::Close) => {
                    socket.close(None).await.ok();
                    return;
                }
                Some(Order::Cut) | None => return,
            },
            frame = socket.next(), if !silent => match frame {
                Some(Ok(Frame::Text(text))) => heard(world, id, text.as_str()),
                Some(Ok(Frame::Binary(_))) => {
                    world.change(|state| state.violated("a binary frame"));
                }
                Some(Ok(Frame::Ping(_) | Frame::Pong(_) | Frame::Frame(_))) => {}
                Some(Ok(Frame::Close(_)) | Err(_)) | None => return,
            },
            _ = pings.tick(), if !silent => {
                socket.send(Frame::Ping(Bytes::from_static(b"still there?"))).await.ok();
            }
        }
    }
}

fn heard(world: &World, link: u64, text: &str) {
    let now = world.clock.now();
    world.change(|state| {
        let setup = &state.setup;
        let secrets = [setup.bot_token.as_str(), &setup.app_token, &setup.signing_secret];
        if markup::holds_secret(text, &secrets) {
            state.violated("a secret is in an acknowledgement");
        }
        match serde_json::from_str::<Value>(text) {
            Ok(frame) => delivery::acknowledged(state, link, &frame, now),
            Err(_) => state.violated("a frame that is no JSON"),
        }
    });
}

fn debug_info() -> Value {
    json!({
        "host": "applink-standin", "started": "2026-01-01 00:00:00.000", "build_number": 1,
        "approximate_connection_time": 18060,
    })
}

fn hello(count: usize) -> String {
    let hello = json!({
        "type": "hello", "num_connections": count, "debug_info": debug_info(),
        "connection_info": {"app_id": APP},
    });
    hello.to_string()
}

pub(super) fn farewell(reason: &str) -> String {
    json!({"type": "disconnect", "reason": reason, "debug_info": debug_info()}).to_string()
}

/// What a test does to the connections as they are now.
impl World {
    /// `warning`, `refresh_requested` or `link_disabled`; they are closed after that.
    pub(super) fn disconnects(&self, reason: &str) {
        self.change(|state| {
            state.link_disabled |= reason == "link_disabled";
            for link in state.links.iter_mut().filter(|it| it.open) {
                link.leaving = true;
                // An order to a connection that has just ended is no loss.
                link.out.send(Order::Say(farewell(reason))).ok();
                if reason != "warning" {
                    link.out.send(Order::Close).ok();
                }
            }
        });
    }

    pub(super) fn cuts(&self) {
        self.change(|state| {
            for link in state.links.iter_mut().filter(|it| it.open) {
                link.leaving = true;
                link.out.send(Order::Cut).ok();
            }
        });
    }

    /// Half open: the bot's side still believes in them.
    pub(super) fn falls_silent(&self) {
        self.change(|state| {
            for link in state.links.iter_mut().filter(|it| it.open) {
                link.silent = true;
                link.out.send(Order::Silence).ok();
            }
        });
    }
}
