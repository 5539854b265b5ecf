//! One line to Discord: greeted, told who we are, kept alive by heart beats, and read until it ends.

use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use serenity::http::Route;
use serenity::model::id::InteractionId;
use tokio::net::TcpStream;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until};
use tokio_tungstenite::tungstenite::Message as Frame;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::super::super::api::{Fault, Twice, id_at, text};
use super::super::super::chance;
use super::super::Listener;

/// From Discord's address to its greeting, and from there to a session.
const TO_OPEN: Duration = Duration::from_secs(15);
/// A host that swallows packets takes what we say for a while, and then nothing more.
const TO_SAY: Duration = Duration::from_secs(3);
/// How long saying goodbye may take.
const TO_LEAVE: Duration = Duration::from_secs(1);
/// Discord's is 41 seconds; one of none at all would keep us busy with nothing else.
const SHORTEST_BEAT: Duration = Duration::from_millis(50);
/// Discord waits three seconds for an answer, from when it told us.
const TO_ANSWER: Duration = Duration::from_millis(2_500);
/// From an answer that did not come through to the next try.
const BETWEEN_ANSWERS: Duration = Duration::from_millis(200);
/// Discord's code for an interaction that has its answer.
const ANSWERED: u64 = 40060;
/// Of the gateway, which moves with the one of REST.
const VERSION: &str = "v=10&encoding=json";
/// Interactions come to whoever is there.
const NO_INTENTS: u64 = 0;

/// What the frames of Discord are about.
mod op {
    pub(super) const DISPATCH: u64 = 0;
    pub(super) const HEARTBEAT: u64 = 1;
    pub(super) const IDENTIFY: u64 = 2;
    pub(super) const RESUME: u64 = 6;
    pub(super) const RECONNECT: u64 = 7;
    pub(super) const INVALID_SESSION: u64 = 9;
    pub(super) const HELLO: u64 = 10;
    pub(super) const HEARTBEAT_ACK: u64 = 11;
}

/// What outlives a line: from here on, what was missed is told again.
pub(super) struct Session {
    id: String,
    pub(super) address: String,
    seq: u64,
}

/// How a line ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    Stopped,
    /// Discord wants us on another one, where the session goes on.
    Asked,
    /// It broke, was closed, or has been silent for too long; the session goes on.
    Broken,
    Over,
    /// Nobody gets in until somebody mends this.
    Refused(String),
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A line on which Discord has greeted us.
pub(super) struct Line {
    socket: Socket,
    beats: Interval,
    acknowledged: bool,
    /// Until when the session has to be there, while it is not.
    patience: Option<Instant>,
}

/// What came of a line.
pub(super) struct Carried {
    pub(super) end: End,
    /// Whether Discord took us: it began the session, or went on with it.
    pub(super) was_there: bool,
}

impl Line {
    /// **Invariant:** an error is not logged: there is more in it than an address.
    pub(super) async fn open(address: &str) -> Option<Self> {
        let url = format!("{}/?{VERSION}", address.trim_end_matches('/'));
        let greeted = async {
            let (mut socket, _) = connect_async_with_config(&url, None, true).await.ok()?;
            let hello = loop {
                match socket.next().await? {
                    Ok(Frame::Text(frame)) => break serde_json::from_str::<Value>(&frame).ok()?,
                    Ok(Frame::Close(_)) | Err(_) => return None,
                    Ok(_) => {}
                }
            };
            let beat = hello["d"]["heartbeat_interval"].as_u64();
            let beat = Duration::from_millis(beat.filter(|_| hello["op"] == op::HELLO)?);
            Some(Self::new(socket, beat.max(SHORTEST_BEAT)))
        };
        tokio::time::timeout(TO_OPEN, greeted).await.ok().flatten()
    }

    fn new(socket: Socket, beat: Duration) -> Self {
        let now = Instant::now();
        // The first one is early by chance, or whoever was cut off together beats together.
        let mut beats = interval_at(now + beat.mul_f64(chance()), beat);
        // A machine that slept asks once, and does not take its own sleep for Discord's silence.
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { socket, beats, acknowledged: true, patience: Some(now + TO_OPEN) }
    }

    /// Until it ends. What comes is heard beside it.
    pub(super) async fn carry(
        mut self,
        listener: &Arc<Listener>,
        session: &mut Option<Session>,
        stop: &CancellationToken,
    ) -> Carried {
        let end = self.lasts(listener, session, stop).await;
        Carried { end, was_there: self.patience.is_none() }
    }

    async fn lasts(
        &mut self,
        listener: &Arc<Listener>,
        session: &mut Option<Session>,
        stop: &CancellationToken,
    ) -> End {
        if !self.say(&greeting(listener, session.as_ref())).await {
            return End::Broken;
        }
        loop {
            let patience = self.patience.unwrap_or_else(Instant::now);
            let ended = tokio::select! {
                frame = self.socket.next() => match frame {
                    Some(Ok(Frame::Text(frame))) => self.heard(&frame, listener, session).await,
                    Some(Ok(Frame::Close(close))) => Some(closed(close.map(|it| it.code.into()))),
                    Some(Ok(_)) => None,
                    Some(Err(_)) | None => Some(End::Broken),
                },
                _ = self.beats.tick() => self.beat(session.as_ref()).await,
                () = sleep_until(patience), if self.patience.is_some() => Some(End::Broken),
                () = stop.cancelled() => {
                    self.leave().await;
                    Some(End::Stopped)
                }
            };
            if let Some(end) = ended {
                return end;
            }
        }
    }

    /// A line on which the last heart beat was not acknowledged is dead, whatever it looks like. It
    /// is dropped without a word, since a goodbye would end the session.
    async fn beat(&mut self, session: Option<&Session>) -> Option<End> {
        if !self.acknowledged {
            return Some(End::Broken);
        }
        self.acknowledged = false;
        self.tell_heartbeat(session).await
    }

    async fn tell_heartbeat(&mut self, session: Option<&Session>) -> Option<End> {
        let last = session.map(|session| session.seq);
        let said = self.say(&json!({"op": op::HEARTBEAT, "d": last})).await;
        (!said).then_some(End::Broken)
    }

    async fn say(&mut self, said: &Value) -> bool {
        let said = self.socket.send(Frame::text(said.to_string()));
        matches!(tokio::time::timeout(TO_SAY, said).await, Ok(Ok(())))
    }

    /// We go for good, and the session with us.
    async fn leave(&mut self) {
        let goodbye = CloseFrame { code: 1000.into(), reason: "".into() };
        let gone = async {
            if self.socket.close(Some(goodbye)).await.is_ok() {
                while let Some(Ok(_)) = self.socket.next().await {}
            }
        };
        let _ = tokio::time::timeout(TO_LEAVE, gone).await;
    }

    async fn heard(
        &mut self,
        frame: &str,
        listener: &Arc<Listener>,
        session: &mut Option<Session>,
    ) -> Option<End> {
        let Ok(frame) = serde_json::from_str::<Value>(frame) else {
            warn!("Discord sent a frame that cannot be read");
            return None;
        };
        match frame["op"].as_u64() {
            Some(op::DISPATCH) => self.told(&frame, listener, session),
            Some(op::HEARTBEAT) => return self.tell_heartbeat(session.as_ref()).await,
            Some(op::HEARTBEAT_ACK) => self.acknowledged = true,
            Some(op::RECONNECT) => return Some(End::Asked),
            Some(op::INVALID_SESSION) if frame["d"] == true => return Some(End::Asked),
            Some(op::INVALID_SESSION) => return Some(End::Over),
            // What Discord invents next.
            Some(_) | None => {}
        }
        None
    }

    fn told(&mut self, frame: &Value, listener: &Arc<Listener>, session: &mut Option<Session>) {
        match text(frame, "/t") {
            "READY" => {
                let (id, address) = (text(frame, "/d/session_id"), "/d/resume_gateway_url");
                let address = text(frame, address).to_owned();
                *session = Some(Session { id: id.to_owned(), address, seq: 0 });
                self.is_there(listener);
            }
            "RESUMED" => self.is_there(listener),
            "INTERACTION_CREATE" => hear(listener, frame["d"].clone()),
            _ => {}
        }
        if let (Some(session), Some(seq)) = (session, frame["s"].as_u64()) {
            session.seq = seq;
        }
    }

    fn is_there(&mut self, listener: &Listener) {
        self.patience = None;
        listener.discord.line_is_shut(None);
        info!("listening to Discord");
    }
}

/// Who we are, or where we were.
fn greeting(listener: &Listener, session: Option<&Session>) -> Value {
    let token = listener.discord.settings.bot_token.expose();
    match session {
        Some(Session { id, seq, .. }) => {
            json!({"op": op::RESUME, "d": {"token": token, "session_id": id, "seq": seq}})
        }
        None => {
            let us = json!({"os": std::env::consts::OS, "browser": "tminus", "device": "tminus"});
            let who = json!({"token": token, "intents": NO_INTENTS, "properties": us});
            json!({"op": op::IDENTIFY, "d": who})
        }
    }
}

/// What Discord's close codes leave to be done.
fn closed(code: Option<u16>) -> End {
    let mend = match code {
        Some(4004) => {
            "Discord does not take our token. Copy it anew from the application's page Bot into \
             the configuration"
        }
        Some(4010 | 4011) => {
            "Discord wants the bot on several lines, as it is in too many servers. Use an \
             application of its own for this one"
        }
        Some(4012) => "Discord has given up the version that I speak. Update me",
        Some(4013 | 4014) => {
            "Discord does not let us listen (intents). Look at the application's page Bot, \
             Privileged Gateway Intents; I ask for none, so please report it"
        }
        // It does not know the session any more, or our place in it.
        Some(4003 | 4006 | 4007 | 4009) => return End::Over,
        Some(_) | None => return End::Broken,
    };
    let code = code.unwrap_or_default();
    End::Refused(format!("{mend} ({code})"))
}

/// Whoever clicks waits for nobody else.
fn hear(listener: &Arc<Listener>, interaction: Value) {
    let me = Arc::clone(listener);
    listener.tasks.spawn(async move {
        if let Some(answer) = me.take(&interaction).await {
            acknowledge(&me, &interaction, &answer).await;
            me.acknowledged(&interaction);
        }
    });
}

/// Tried for as long as Discord waits: nothing can be said to whoever was not answered by then.
async fn acknowledge(listener: &Listener, interaction: &Value, answer: &Value) {
    let Some(id) = id_at(interaction, "/id") else { return };
    let until = Instant::now() + TO_ANSWER;
    let mut pause = Duration::ZERO;
    loop {
        let route = Route::InteractionResponse {
            interaction_id: InteractionId::new(id),
            token: text(interaction, "/token"),
        };
        let Err(fault) = listener.discord.api.post(route, answer).await else { return };
        let is_first = pause.is_zero();
        pause = match &fault {
            // The one before came through, and only its echo did not.
            fault if !is_first && fault.is(&[ANSWERED]) => return,
            Fault::Busy(Some(wait)) => (*wait).max(BETWEEN_ANSWERS),
            Fault::Busy(None) | Fault::NotReached(_) | Fault::Lost(_) => BETWEEN_ANSWERS,
            // A second try would hear the same.
            Fault::Refused { .. } => TO_ANSWER,
        };
        if Instant::now() + pause >= until {
            let why = fault.failure("Somebody in Discord saw no answer", Twice::Harmless);
            warn!("{why}");
            return;
        }
        tokio::time::sleep(pause).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_says_whether_the_session_goes_on_and_what_a_person_must_mend() {
        for (code, word) in
            [(4004, "token"), (4010, "servers"), (4012, "Update"), (4013, "intents"), (4014, "Bot")]
        {
            let end = closed(Some(code));
            assert!(matches!(&end, End::Refused(mend) if mend.contains(word)), "{code}: {end:?}");
        }
        for code in [4007, 4009] {
            assert_eq!(closed(Some(code)), End::Over, "{code}");
        }
        for code in [Some(1000), Some(4000), Some(4008), None] {
            assert_eq!(closed(code), End::Broken, "{code:?}");
        }
    }
}
