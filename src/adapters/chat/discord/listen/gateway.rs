//! The gateway: a line that we open and serenity keeps, with heartbeats, resuming and reconnecting.
//!
//! It listens to nothing but interactions, which need no intent. The raw handler is used since an
//! interaction that serenity cannot read reaches only that one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde_json::Value;
use serenity::client::{Client, ClientBuilder, Context, RawEventHandler};
use serenity::http::{HttpBuilder, Route};
use serenity::model::application::Interaction;
use serenity::model::event::Event;
use serenity::model::gateway::GatewayIntents;
use serenity::model::id::InteractionId;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::super::api::{Fault, Twice, id_at, text};
use super::Listener;

/// A line that lived shorter was no good line.
const SOUND: Duration = Duration::from_secs(60);
/// Between tries: doubled each time, up to this.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// Where a person has to mend something first. Discord takes a thousand openings a day.
const UNTIL_MENDED: Duration = Duration::from_secs(5 * 60);

/// Until told to stop.
pub(super) async fn keep(listener: &Arc<Listener>, stop: &CancellationToken) {
    let mut tries = 0;
    while !stop.is_cancelled() {
        let since = Instant::now();
        let wait = match opened(listener).await {
            Ok(client) => {
                run(client, stop).await;
                tries = if since.elapsed() >= SOUND { 0 } else { tries + 1 };
                backoff(tries)
            }
            Err(fault) => {
                tries += 1;
                trouble(fault, tries)
            }
        };
        if stop.is_cancelled() {
            break;
        }
        tokio::select! { () = tokio::time::sleep(wait) => {}, () = stop.cancelled() => {} }
    }
}

/// 0, 1, 2, 4 … seconds.
fn backoff(tries: u32) -> Duration {
    match tries {
        0 => Duration::ZERO,
        tries => Duration::from_secs(1 << (tries - 1).min(10)).min(LONGEST_WAIT),
    }
}

fn trouble(fault: Fault, tries: u32) -> Duration {
    let wait = match &fault {
        Fault::Refused { .. } => UNTIL_MENDED.min(backoff(tries + 5)),
        Fault::Busy(after) => after.unwrap_or(LONGEST_WAIT),
        Fault::NotReached(_) | Fault::Lost(_) => backoff(tries),
    };
    let again = wait.as_secs();
    let refused = matches!(fault, Fault::Refused { .. });
    let why = fault.failure("Discord's line does not open", Twice::Harmless);
    match refused {
        true => error!("{why}. I try again in {again} s"),
        false => warn!("{why}. I try again in {again} s"),
    }
    wait
}

/// Asked before it is tried: serenity would not tell why, and would call the real Discord where the
/// one that we were told of does not answer.
async fn opened(listener: &Arc<Listener>) -> Result<Client, Fault> {
    let discord = &listener.discord;
    discord.api.get(Route::UserMe).await?;
    discord.api.get(Route::Gateway).await?;
    let settings = &discord.settings;
    let http = HttpBuilder::new(settings.bot_token.expose())
        .client(discord.api.client())
        .proxy(settings.api_url.trim_end_matches('/'))
        // Else the proxy would be ignored. All that it asks for is the address of the line.
        .ratelimiter_disabled(true)
        .build();
    let wire = Wire { listener: Arc::clone(listener) };
    let client = ClientBuilder::new_with_http(http, GatewayIntents::empty());
    let client = client.raw_event_handler(wire).await;
    client.map_err(|_| Fault::NotReached("it cannot be set up".to_owned()))
}

async fn run(mut client: Client, stop: &CancellationToken) {
    let shards = Arc::clone(&client.shard_manager);
    let ended = tokio::select! {
        ended = client.start() => Some(ended),
        () = stop.cancelled() => None,
    };
    match ended {
        Some(Ok(())) => warn!("the line to Discord ended; I open another"),
        // **Invariant:** the error is told by its kind alone: addresses with tickets are in others.
        Some(Err(serenity::Error::Gateway(why))) => error!("the line to Discord ended: {why}"),
        Some(Err(_)) => warn!("the line to Discord broke; I open another"),
        None => {}
    }
    shards.shutdown_all().await;
}

/// What serenity calls with what comes through. Each event has a task of its own.
struct Wire {
    listener: Arc<Listener>,
}

#[async_trait]
impl RawEventHandler for Wire {
    async fn raw_event(&self, _: Context, event: Event) {
        let interaction = if let Event::InteractionCreate(event) = event {
            as_sent(&event.interaction)
        } else if let Event::Unknown(event) = event {
            if event.kind != "INTERACTION_CREATE" {
                return;
            }
            event.value
        } else {
            if matches!(event, Event::Ready(_) | Event::Resumed(_)) {
                info!("listening to Discord");
            }
            return;
        };
        if let Some(answer) = self.listener.take(&interaction).await {
            self.answer(&interaction, &answer).await;
            self.listener.acknowledged(&interaction);
        }
    }
}

/// serenity keeps the kind of an interaction in its type, and does not write it down again.
fn as_sent(interaction: &Interaction) -> Value {
    let mut value = serde_json::to_value(interaction).unwrap_or(Value::Null);
    if let Some(fields) = value.as_object_mut() {
        fields.insert("type".to_owned(), u8::from(interaction.kind()).into());
    }
    value
}

impl Wire {
    async fn answer(&self, interaction: &Value, answer: &Value) {
        let Some(id) = id_at(interaction, "/id") else { return };
        let route = Route::InteractionResponse {
            interaction_id: InteractionId::new(id),
            token: text(interaction, "/token"),
        };
        if let Err(fault) = self.listener.discord.api.post(route, answer).await {
            let why = fault.failure("Somebody in Discord saw no answer", Twice::Harmless);
            warn!("{why}");
        }
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
    fn a_token_that_is_refused_is_not_tried_every_second() {
        let fault = Fault::Refused { code: 0, status: 401, fields: String::new() };
        assert!(trouble(fault, 1) >= Duration::from_secs(30));
    }
}
