//! The gateway: a line that we open and keep, with heart beats, resuming and reconnecting.
//!
//! It is carried here and not by serenity, whose shard begins a new session when a heart beat is not
//! acknowledged, five seconds later, so that what was clicked meanwhile is never told again; which
//! does not say why a line was refused; and whose TLS is of years ago. It listens to nothing but
//! interactions, which need no intent.

mod line;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serenity::http::Route;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use self::line::{Carried, End, Line, Session};
use super::super::api::{Fault, Twice, text};
use super::super::chance;
use super::Listener;
use crate::adapters::chat::backoff::{LONGEST_WAIT, backoff};

/// A line that lived shorter was no good line.
const SOUND: Duration = Duration::from_secs(60);
/// After so many tries in vain a session is not resumed but begun anew, at Discord's front door.
const MANY: u32 = 4;
/// Discord lets a bot introduce itself once in five seconds.
const BETWEEN_NEW: Duration = Duration::from_secs(5);
/// Discord asks for a pause of one to five seconds before a session that replaces another.
const BEFORE_ANEW: Duration = Duration::from_secs(1);

/// Why there is no line.
enum Closed {
    /// Discord gave no address.
    Refused(Fault),
    /// It did, and nobody greeted us there.
    Mute,
}

/// Until told to stop.
pub(super) async fn keep(listener: &Arc<Listener>, stop: &CancellationToken) {
    let (mut tries, mut in_vain, mut session) = (0, 0, None);
    let mut introduced: Option<Instant> = None;
    while !stop.is_cancelled() {
        let since = Instant::now();
        let wait = match stop.run_until_cancelled(opened(listener, session.as_ref())).await {
            None => break,
            Some(Err(why)) => {
                (tries, in_vain) = (tries + 1, in_vain + 1);
                trouble(listener, why, tries)
            }
            Some(Ok(line)) => {
                if session.is_none() {
                    introduced = Some(since);
                }
                let Carried { end, was_there } = line.carry(listener, &mut session, stop).await;
                // To be asked for another line is no failure of this one.
                let is_fine = was_there && end == End::Asked;
                tries = if is_fine || since.elapsed() >= SOUND { 0 } else { tries + 1 };
                in_vain = if was_there { 0 } else { in_vain + 1 };
                after(listener, end, &mut session, tries)
            }
        };
        session = session.filter(|_| in_vain < MANY);
        let pause = match (&session, introduced) {
            (None, Some(last)) => BETWEEN_NEW.saturating_sub(last.elapsed()),
            (Some(_), _) | (None, None) => Duration::ZERO,
        };
        stop.run_until_cancelled(tokio::time::sleep(wait.max(pause))).await;
    }
}

/// A session goes on where it was; a new one begins with a call that says where to, and why not: a
/// token that is refused too often, or that begins too many sessions a day, is taken from us.
async fn opened(listener: &Listener, session: Option<&Session>) -> Result<Line, Closed> {
    let address = match session {
        Some(session) => session.address.clone(),
        None => address(listener).await.map_err(Closed::Refused)?,
    };
    Line::open(&address).await.ok_or(Closed::Mute)
}

async fn address(listener: &Listener) -> Result<String, Fault> {
    let answer = listener.discord.api.get(Route::GatewayBot).await?;
    let limit = &answer["session_start_limit"];
    if limit["remaining"] == 0 {
        let until = limit["reset_after"].as_u64().map(Duration::from_millis);
        return Err(Fault::Busy(until));
    }
    Ok(text(&answer, "/url").to_owned())
}

fn trouble(listener: &Listener, why: Closed, tries: u32) -> Duration {
    let fault = match why {
        Closed::Refused(fault) => fault,
        Closed::Mute => {
            let mend = "does a proxy or a firewall keep WebSockets out?";
            warn!("Discord's line does not open, though Discord would have it: {mend}");
            return backoff(tries);
        }
    };
    let refused = matches!(fault, Fault::Refused { .. });
    let wait = match &fault {
        Fault::Refused { .. } => listener.discord.settings.until_mended,
        Fault::Busy(after) => after.unwrap_or(LONGEST_WAIT),
        Fault::NotReached(_) | Fault::Lost(_) => backoff(tries),
    };
    let why = fault.failure("Discord's line does not open", Twice::Harmless);
    match refused {
        true => error!("{why}. I try again in {wait:?}"),
        false => warn!("{why}. I try again in {wait:?}"),
    }
    wait
}

/// What a line that ended leaves to the next one, and when that is opened.
fn after(listener: &Listener, end: End, session: &mut Option<Session>, tries: u32) -> Duration {
    match end {
        End::Stopped => Duration::ZERO,
        End::Asked => {
            info!("Discord asks for another line");
            backoff(tries.saturating_sub(1))
        }
        End::Broken => {
            warn!("the line to Discord broke or fell silent; I open another");
            backoff(tries.saturating_sub(1))
        }
        End::Over => {
            warn!("the session with Discord is over; I begin another");
            *session = None;
            backoff(tries.saturating_sub(1)).max(BEFORE_ANEW.mul_f64(1.0 + chance()))
        }
        End::Refused(mend) => {
            *session = None;
            let wait = listener.discord.settings.until_mended;
            let why = format!("Discord's line does not open: {mend}");
            error!("{why}. I try again in {wait:?}");
            listener.discord.line_is_shut(Some(why));
            wait
        }
    }
}
