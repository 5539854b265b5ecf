//! Discord under its own name, over TLS: no proxy and no other address, so that what ships is what
//! runs: the limits of each route are kept, and a route that must wait stalls no other.

use std::sync::Arc;
use std::time::Duration;

use tminus::adapters::chat::discord::{API_URL, Discord, DiscordSettings, Listener};
use tminus::ports::{Chat, Failure, Place};
use tokio_util::sync::CancellationToken;

use crate::chat_contract::text;
use crate::discord_adapter::{commands, settings};
use crate::discord_world::{DiscordWorld, Fault, Harm, Setup, id};
use crate::installed::until;
use crate::parrot::Parrot;

const SECOND: Duration = Duration::from_secs(1);

/// A bot that believes that this is Discord.
async fn under_its_own_name(world: &DiscordWorld, folder: &std::path::Path) -> Arc<Discord> {
    let tls = world.tls().await;
    let settings = DiscordSettings {
        api_url: API_URL.to_owned(),
        client: Some(tls.client()),
        ..settings(world, folder)
    };
    Discord::new(settings, commands()).unwrap()
}

fn place(name: &str) -> Place {
    Place::Channel(id("channel", name))
}

#[tokio::test]
async fn what_discord_asks_to_wait_is_waited_by_its_own_route_alone() {
    let folder = tempfile::tempdir().unwrap();
    let world = DiscordWorld::start().await;
    let discord = under_its_own_name(&world, folder.path()).await;
    let (busy, free) = (place("releases"), place("customers"));
    world.fault(
        Fault::on("create_message", Harm::TooMany(1.0)).in_channel(&id("channel", "releases")),
    );
    let message = text("first");
    let first = discord.post(&busy, "1", &message).await;
    let Err(Failure::Transient { retry_after: Some(wait), .. }) = first else {
        panic!("{first:?}")
    };
    assert!(wait >= SECOND, "{wait:?}");
    // The same again at once: it waits for its time, and nobody else does.
    let again = discord.post(&busy, "1", &message);
    let others = async {
        for key in ["1", "2", "3"] {
            discord.post(&free, key, &text("elsewhere")).await.unwrap();
        }
        world.clock().now()
    };
    let (again, others) = tokio::join!(again, others);
    again.unwrap();
    let calls = world.calls("create_message");
    let refused = calls.iter().find(|call| call.status == 429).expect("one was refused");
    let told = calls.iter().find(|call| call.status == 200 && call.path == refused.path).unwrap();
    assert!(told.at >= refused.at + SECOND, "it came back too early");
    assert!(others < told.at, "the others had to wait");
    assert_eq!(calls.iter().filter(|call| call.status == 429).count(), 1);
    world.assert_clean().await;
}

#[tokio::test]
async fn a_limit_that_was_announced_is_never_run_into() {
    let folder = tempfile::tempdir().unwrap();
    let world = DiscordWorld::with(Setup::default().rate_limits()).await;
    let discord = under_its_own_name(&world, folder.path()).await;
    let busy = place("releases");
    for number in 1..=8 {
        let key = number.to_string();
        let said = text(&format!("Step {number}."));
        until("its turn comes", async || match discord.post(&busy, &key, &said).await {
            Ok(_) => true,
            Err(Failure::Transient { retry_after: Some(_), .. }) => false,
            Err(other) => panic!("{other:?}"),
        })
        .await;
    }
    assert_eq!(world.count("Step"), 8);
    assert!(world.calls("create_message").iter().all(|call| call.status == 200));
    world.assert_clean().await;
}

#[tokio::test]
async fn what_is_typed_is_heard_and_answered_there_too() {
    let folder = tempfile::tempdir().unwrap();
    let world = DiscordWorld::start().await;
    let discord = under_its_own_name(&world, folder.path()).await;
    let stop = CancellationToken::new();
    let listener = Listener::new(discord, Arc::new(Parrot::default()));
    let listening = tokio::spawn(listener.listen(stop.clone()));
    world.connected(1).await;
    world.registered("release").await;
    let ann = world.person("ann");
    ann.types("/release status", "releases").await.answered().await;
    ann.sees_ephemeral("").await;
    world.assert_clean().await;
    stop.cancel();
    listening.await.unwrap();
}
