//! Socket Mode: a line that we open and keep open.
//!
//! The SDK asks Slack for a line. What comes through it is carried here: the SDK's own client hands
//! over one frame after the other and waits for each acknowledgement, so that everybody who clicks
//! would wait for the fsyncs of all those before them. Here whatever has arrived is heard at once,
//! and shares its commits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::SplitSink;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::MissedTickBehavior;
use tokio_tungstenite::tungstenite::{Bytes, Message as Frame};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};
use tracing::{error, info, warn};

use super::super::api::{self, Fault, Twice, text};
use super::payload::Delivered;
use super::{Listener, lean};
use crate::adapters::chat::backoff::{LONGEST_WAIT, backoff};

/// From Slack's address to its greeting.
const TO_OPEN: Duration = Duration::from_secs(15);
/// A line that lived shorter was no good line.
const SOUND: Duration = Duration::from_secs(10);
/// Where a person has to mend something first.
const UNTIL_MENDED: Duration = Duration::from_secs(5 * 60);
/// How long a line that we close waits for what is being heard on it, and then for Slack to take
/// the last acknowledgements.
const TO_SETTLE: Duration = Duration::from_millis(2_500);
const TO_SAY: Duration = Duration::from_secs(1);
/// A line without any sign of life after so many pings is dead.
const UNANSWERED: u32 = 3;
/// Slack allows ten lines for an app. More than one is ours only while one replaces another.
const MANY: u64 = 8;

/// What happens on a line.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Signal {
    Hello {
        lines: u64,
    },
    /// Slack is about to close it, and says why.
    Leave(String),
    /// It broke, was closed, or has been silent for too long.
    Gone,
}

/// How a line ended.
enum End {
    Stopped,
    /// Slack wants us to change over: the new one first.
    Refresh,
    Broken,
    /// Socket Mode was turned off.
    Off,
}

/// Why there is no line.
enum Closed {
    /// Slack gave no address.
    Refused(Fault),
    /// It did, and nobody greeted us there.
    Mute,
}

/// Until told to stop.
pub(super) async fn keep(listener: &Arc<Listener>, stop: &CancellationToken) {
    let (mut tries, mut old) = (0_u32, None);
    while !stop.is_cancelled() {
        // A line that is open already is closed in good order: somebody may be heard on it.
        let opened = tokio::select! {
            biased;
            line = opened(listener) => Some(line),
            () = stop.cancelled() => None,
        };
        let wait = match opened {
            None => break,
            Some(Err(why)) => {
                tries += 1;
                trouble(&why, tries)
            }
            Some(Ok(mut line)) => {
                close(old.take()).await;
                let since = Instant::now();
                let end = line.end(stop).await;
                tries = if since.elapsed() >= SOUND { 0 } else { tries + 1 };
                match end {
                    End::Refresh => old = Some(line),
                    End::Stopped | End::Broken | End::Off => line.close().await,
                }
                match end {
                    End::Stopped => Duration::ZERO,
                    End::Refresh | End::Broken => backoff(tries.saturating_sub(1)),
                    End::Off => turned_off(),
                }
            }
        };
        stop.run_until_cancelled(tokio::time::sleep(wait)).await;
    }
    close(old).await;
}

/// A line on which Slack has greeted us.
async fn opened(listener: &Arc<Listener>) -> Result<Line, Closed> {
    let answer = ask_for_line(listener).await.map_err(Closed::Refused)?;
    let greeting = async {
        let mut line = Line::over(connected(text(&answer, "/url")).await?, listener);
        let lines = line.greeted().await?;
        Some((line, lines))
    };
    let greeted = tokio::time::timeout(TO_OPEN, greeting).await.ok().flatten();
    let (line, lines) = greeted.ok_or(Closed::Mute)?;
    info!(lines, "listening to Slack");
    if lines >= MANY {
        warn!(lines, "Slack allows ten lines for an app: stop the other processes");
    }
    Ok(line)
}

async fn ask_for_line(listener: &Listener) -> Result<Value, Fault> {
    let slack = &listener.slack;
    let app = slack.settings.app_token.as_ref().expect("checked with the settings");
    let method = "apps.connections.open";
    slack.api.call_as(&api::token(app), method, &api::nothing()).await
}

/// **Invariant:** an error is not logged: the address in it holds the ticket of the line.
async fn connected(url: &str) -> Option<Socket> {
    let (socket, _) = connect_async_with_config(url, None, true).await.ok()?;
    Some(socket)
}

fn turned_off() -> Duration {
    error!(
        "Socket Mode is turned off: turn it on in the app's settings, under Socket Mode. I try \
         again every few minutes"
    );
    UNTIL_MENDED
}

async fn close(line: Option<Line>) {
    if let Some(line) = line {
        line.close().await;
    }
}

/// Says what is wrong, and how long to wait.
fn trouble(why: &Closed, tries: u32) -> Duration {
    let fault = match why {
        Closed::Refused(fault) => fault,
        Closed::Mute => {
            let mend = "does a proxy or a firewall keep WebSockets out?";
            warn!("Slack's line does not open, though Slack would have it: {mend}");
            return backoff(tries);
        }
    };
    let wait = match fault {
        Fault::Refused { .. } => UNTIL_MENDED.min(backoff(tries + 5)),
        Fault::Busy(after) => after.unwrap_or(LONGEST_WAIT),
        Fault::NotReached(_) | Fault::Lost(_) => backoff(tries),
    };
    let again = wait.as_secs();
    match fault.is(&AUTHORITY) {
        true => error!(
            "Slack does not take the app token: put a current one, with the scope \
             connections:write, into the configuration. I try again in {again} s"
        ),
        false => {
            let why = fault.clone().failure("Slack's line does not open", Twice::Harmless);
            warn!("{why}. I try again in {again} s");
        }
    }
    wait
}

const AUTHORITY: [&str; 7] = [
    "invalid_auth",
    "not_authed",
    "token_revoked",
    "token_expired",
    "account_inactive",
    "not_allowed_token_type",
    "missing_scope",
];

// ---------------------------------------------------------------------------------------------
// One line

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

struct Line {
    signals: UnboundedReceiver<Signal>,
    /// What is being heard on it.
    hearing: TaskTracker,
    /// Told to say its last words and to go.
    leave: CancellationToken,
    /// A line that nobody holds any more is cut.
    carrying: AbortOnDropHandle<()>,
}

impl Line {
    fn over(socket: Socket, listener: &Arc<Listener>) -> Self {
        let (tell, signals) = unbounded_channel();
        let (acknowledge, receipts) = unbounded_channel();
        let (hearing, leave) = (TaskTracker::new(), CancellationToken::new());
        let listener = Arc::clone(listener);
        let wire = Wire { listener, tell, acknowledge, hearing: hearing.clone() };
        let carrying = tokio::spawn(carry(socket, wire, receipts, leave.clone()));
        Self { signals, hearing, leave, carrying: AbortOnDropHandle::new(carrying) }
    }

    /// How many lines the app has, once Slack greets; nothing if it does not.
    async fn greeted(&mut self) -> Option<u64> {
        match self.signals.recv().await {
            Some(Signal::Hello { lines }) => Some(lines),
            Some(Signal::Leave(_) | Signal::Gone) | None => None,
        }
    }

    async fn end(&mut self, stop: &CancellationToken) -> End {
        loop {
            let signal = tokio::select! {
                signal = self.signals.recv() => signal,
                () = stop.cancelled() => return End::Stopped,
            };
            match signal {
                Some(Signal::Hello { .. }) => {}
                Some(Signal::Leave(reason)) if reason == "link_disabled" => return End::Off,
                Some(Signal::Leave(reason)) => {
                    info!(reason, "Slack asks for another line");
                    return End::Refresh;
                }
                Some(Signal::Gone) | None => {
                    warn!("the line to Slack broke or fell silent; I open another");
                    return End::Broken;
                }
            }
        }
    }

    /// What is under way is acknowledged first.
    async fn close(self) {
        self.hearing.close();
        let _ = tokio::time::timeout(TO_SETTLE, self.hearing.wait()).await;
        self.leave.cancel();
        let _ = tokio::time::timeout(TO_SAY, self.carrying).await;
    }
}

/// What comes is heard, and what was heard is acknowledged, until either side has enough.
async fn carry(
    socket: Socket,
    wire: Wire,
    mut receipts: UnboundedReceiver<String>,
    leave: CancellationToken,
) {
    let (mut out, mut frames) = socket.split();
    let mut pings = tokio::time::interval(wire.listener.slack.settings.silence / UNANSWERED);
    // A machine that slept asks once, and does not take its own sleep for Slack's silence.
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unanswered = 0;
    loop {
        let frame = tokio::select! {
            frame = frames.next() => match frame {
                Some(Ok(Frame::Close(_)) | Err(_)) | None => break,
                Some(Ok(frame)) => {
                    unanswered = 0;
                    wire.heard(&frame);
                    continue;
                }
            },
            Some(receipt) = receipts.recv() => Frame::text(receipt),
            _ = pings.tick() => {
                if unanswered == UNANSWERED {
                    break;
                }
                unanswered += 1;
                Frame::Ping(Bytes::new())
            }
            () = leave.cancelled() => break,
        };
        if !said(&mut out, frame).await {
            break;
        }
    }
    while let Ok(receipt) = receipts.try_recv()
        && said(&mut out, Frame::text(receipt)).await
    {}
    // Read to the end: where something unread is left, the machine takes back what we said last.
    let goodbye = async {
        let _ = out.close().await;
        while let Some(Ok(_)) = frames.next().await {}
    };
    let _ = tokio::time::timeout(TO_SAY, goodbye).await;
    wire.tell(Signal::Gone);
}

/// A host that swallows packets takes what we say for a while, and then nothing more.
async fn said(out: &mut SplitSink<Socket, Frame>, frame: Frame) -> bool {
    matches!(tokio::time::timeout(TO_SETTLE, out.send(frame)).await, Ok(Ok(())))
}

/// From a line to the listener and back.
#[derive(Clone)]
struct Wire {
    listener: Arc<Listener>,
    tell: UnboundedSender<Signal>,
    acknowledge: UnboundedSender<String>,
    hearing: TaskTracker,
}

impl Wire {
    /// A line that we gave up has nobody who listens to its signals.
    fn tell(&self, signal: Signal) {
        let _ = self.tell.send(signal);
    }

    /// Whoever clicks waits for nobody else: each frame is heard beside the others.
    fn heard(&self, frame: &Frame) {
        let Frame::Text(frame) = frame else { return };
        let Ok(frame) = lean::read(frame) else {
            return warn!("Slack sent a frame that cannot be read");
        };
        match text(&frame, "/type") {
            "hello" => {
                let lines = frame["num_connections"].as_u64().unwrap_or(1);
                self.tell(Signal::Hello { lines });
            }
            "disconnect" => self.tell(Signal::Leave(text(&frame, "/reason").to_owned())),
            _ => {
                let wire = self.clone();
                self.hearing.spawn(async move { wire.take(&frame).await });
            }
        }
    }

    /// Acknowledged when the listener has taken it.
    async fn take(&self, frame: &Value) {
        let id = text(frame, "/envelope_id");
        if id.is_empty() {
            return;
        }
        let payload = &frame["payload"];
        let delivered = match text(frame, "/type") {
            "slash_commands" => Some(Delivered::Command { payload, id }),
            "interactive" => Some(Delivered::Interaction { payload, id }),
            "events_api" => Some(Delivered::Event { payload, id }),
            // Acknowledged all the same, or it would come again and again.
            _ => None,
        };
        let mut receipt = json!({"envelope_id": id});
        if let Some(delivered) = delivered
            && let Some(body) = self.listener.take(delivered).await
        {
            receipt["payload"] = body;
        }
        // A line that ended takes none; Slack knows, and so does whoever sees no answer.
        let _ = self.acknowledge.send(receipt.to_string());
    }
}
