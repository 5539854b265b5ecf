//! Socket Mode: a line that we open and keep open.
//!
//! The client of the SDK carries the frames of one line; when a line ends, and when the next one
//! opens, is decided here. It would try again for ever, at once or every thirty seconds, whatever
//! the reason, and would wait without end for a host that swallows packets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::{Value, json};
use slack_morphism::clients_manager::{
    SlackSocketModeClientsManager, SlackSocketModeClientsManagerFactory,
};
use slack_morphism::listener::SlackClientEventsListenerEnvironment as Environment;
use slack_morphism::{
    SlackClientSocketModeConfig, SlackSocketModeClientListener, SlackSocketModeWssClientId,
};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::super::api::{self, Fault, Twice, text};
use super::Listener;
use super::payload::Delivered;

/// From the first call to Slack's greeting.
const TO_OPEN: Duration = Duration::from_secs(15);
/// A line that lived shorter was no good line.
const SOUND: Duration = Duration::from_secs(10);
/// Between tries: doubled each time, up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Where a person has to mend something first.
const UNTIL_MENDED: Duration = Duration::from_secs(5 * 60);
/// How long a line that we close waits for what is being heard on it, and then for the frame with
/// its acknowledgement to get out.
const TO_SETTLE: Duration = Duration::from_millis(2_500);
const BREATH: Duration = Duration::from_millis(100);
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

/// Until told to stop.
pub(super) async fn keep(listener: &Arc<Listener>, stop: &CancellationToken) {
    let (mut tries, mut old) = (0_u32, None);
    while !stop.is_cancelled() {
        let since = Instant::now();
        let (line, end) = live(listener, &mut old, stop).await;
        let greeted = line.greeted;
        match end {
            End::Refresh => old = Some(line),
            End::Stopped | End::Broken | End::Off => line.close().await,
        }
        tries = if greeted && since.elapsed() >= SOUND { 0 } else { tries + 1 };
        let wait = async {
            match end {
                End::Stopped => Duration::ZERO,
                End::Refresh | End::Broken if greeted => backoff(tries.saturating_sub(1)),
                End::Refresh | End::Broken => trouble(listener, tries).await,
                End::Off => turned_off(),
            }
        };
        let pause = async { tokio::time::sleep(wait.await).await };
        tokio::select! { () = pause => {}, () = stop.cancelled() => {} }
    }
    close(old).await;
}

/// One line from its opening to its end. What it replaces is closed as soon as it is there.
async fn live(
    listener: &Arc<Listener>,
    old: &mut Option<Line>,
    stop: &CancellationToken,
) -> (Line, End) {
    let mut line = Line::open(listener).await;
    let Some(lines) = line.greeted(stop).await else {
        let end = if stop.is_cancelled() { End::Stopped } else { End::Broken };
        return (line, end);
    };
    info!(lines, "listening to Slack");
    if lines >= MANY {
        warn!(lines, "Slack allows ten lines for an app: stop the other processes");
    }
    close(old.take()).await;
    let end = line.end(stop).await;
    (line, end)
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

/// 0, 1, 2, 4 … seconds.
fn backoff(tries: u32) -> Duration {
    match tries {
        0 => Duration::ZERO,
        tries => Duration::from_secs(1 << (tries - 1).min(10)).min(LONGEST_WAIT),
    }
}

/// The SDK does not tell us why a line did not open, so we ask.
async fn trouble(listener: &Listener, tries: u32) -> Duration {
    let Err(fault) = ask_for_line(listener).await else {
        let mend = "does a proxy or a firewall keep WebSockets out?";
        warn!("Slack's line does not open, though Slack would have it: {mend}");
        return backoff(tries);
    };
    let wait = match &fault {
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
            let why = fault.failure("Slack's line does not open", Twice::Harmless);
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

async fn ask_for_line(listener: &Listener) -> Result<Value, Fault> {
    let slack = &listener.slack;
    let app = slack.settings.app_token.as_ref().expect("checked with the settings");
    let method = "apps.connections.open";
    slack.api.call_as(&api::token(app), method, &api::nothing()).await
}

struct Line {
    manager: Arc<dyn SlackSocketModeClientsManager + Send + Sync>,
    signals: UnboundedReceiver<Signal>,
    greeted: bool,
    /// What is being heard on it.
    hearing: TaskTracker,
}

impl Line {
    async fn open(listener: &Arc<Listener>) -> Self {
        let slack = &listener.slack;
        let client = slack.api.client();
        let environment = Arc::new(Environment::new(Arc::clone(&client)));
        let manager = client.http_api.connector.new_clients_manager(environment);
        let (sender, signals) = unbounded_channel();
        let hearing = TaskTracker::new();
        let wire =
            Wire { listener: Arc::clone(listener), signals: sender, hearing: hearing.clone() };
        let wire = Arc::new(wire);
        let app = slack.settings.app_token.as_ref().expect("checked with the settings");
        let config = config(slack.settings.silence);
        let registered = manager.register_new_token(&config, api::token(app), wire).await;
        if registered.is_err() {
            // It only notes it down; if that should fail, no greeting will come.
            warn!("the Socket Mode line could not be set up");
        }
        manager.start().await;
        Self { manager, signals, greeted: false, hearing }
    }

    /// How many lines the app has, once Slack greets; nothing if it does not.
    async fn greeted(&mut self, stop: &CancellationToken) -> Option<u64> {
        let first = async {
            match self.signals.recv().await {
                Some(Signal::Hello { lines }) => Some(lines),
                Some(Signal::Leave(_) | Signal::Gone) | None => None,
            }
        };
        let lines = tokio::select! {
            lines = tokio::time::timeout(TO_OPEN, first) => lines.ok().flatten(),
            () = stop.cancelled() => None,
        };
        self.greeted = lines.is_some();
        lines
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

    /// The SDK drops what it has not sent, so what is under way is acknowledged first.
    async fn close(self) {
        self.hearing.close();
        if !self.hearing.is_empty() {
            let _ = tokio::time::timeout(TO_SETTLE, self.hearing.wait()).await;
            tokio::time::sleep(BREATH).await;
        }
        self.manager.shutdown().await;
    }
}

/// One line; a third of the allowed silence between pings, and two may be missed.
fn config(silence: Duration) -> SlackClientSocketModeConfig {
    SlackClientSocketModeConfig::new()
        .with_max_connections_count(1)
        .with_ping_interval_in_seconds((silence.as_secs() / 3).max(1))
        .with_ping_failure_threshold_times(2)
}

/// What the SDK calls with what comes through.
struct Wire {
    listener: Arc<Listener>,
    signals: UnboundedSender<Signal>,
    hearing: TaskTracker,
}

impl Wire {
    /// A line that we gave up has nobody who listens to its signals.
    fn tell(&self, signal: Signal) {
        let _ = self.signals.send(signal);
    }

    async fn take(&self, kind: &str, frame: &Value) -> Option<String> {
        let id = text(frame, "/envelope_id");
        let payload = &frame["payload"];
        let delivered = match kind {
            "slash_commands" => Delivered::Command { payload, id },
            "interactive" => Delivered::Interaction { payload, id },
            "events_api" => Delivered::Event { payload, id },
            // Acknowledged all the same, or it would come again and again.
            _ => return (!id.is_empty()).then(|| json!({"envelope_id": id}).to_string()),
        };
        let mut receipt = json!({"envelope_id": id});
        if let Some(body) = self.listener.take(delivered).await {
            receipt["payload"] = body;
        }
        Some(receipt.to_string())
    }
}

#[async_trait]
impl SlackSocketModeClientListener for Wire {
    async fn on_message(&self, _: &SlackSocketModeWssClientId, frame: String) -> Option<String> {
        let Ok(frame) = serde_json::from_str::<Value>(&frame) else {
            warn!("Slack sent a frame that cannot be read");
            return None;
        };
        match text(&frame, "/type") {
            "hello" => {
                let lines = frame["num_connections"].as_u64().unwrap_or(1);
                self.tell(Signal::Hello { lines });
                None
            }
            "disconnect" => {
                self.tell(Signal::Leave(text(&frame, "/reason").to_owned()));
                None
            }
            kind => {
                let _under_way = self.hearing.token();
                self.take(kind, &frame).await
            }
        }
    }

    /// **Invariant:** the error is not logged: the address in it holds the ticket of the line.
    async fn on_error(&self, _: Box<dyn std::error::Error + Send + Sync + 'static>) {}

    async fn on_disconnect(&self, _: &SlackSocketModeWssClientId) {
        self.tell(Signal::Gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_up_to_a_minute() {
        let waits: Vec<_> = (0..9).map(|tries| backoff(tries).as_secs()).collect();
        assert_eq!(waits, [0, 1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn silence_is_noticed_within_the_time_that_was_set() {
        let config = config(Duration::from_secs(30));
        assert_eq!(config.ping_interval_in_seconds, 10);
        assert_eq!(config.ping_failure_threshold_times, 2);
        assert_eq!(config.max_connections_count, 1);
    }
}
