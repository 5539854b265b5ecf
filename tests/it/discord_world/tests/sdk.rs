//! The SDK, unchanged, by both roads: what it takes for Discord is as good as Discord here.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use serenity::all::{
    ChannelId, ChannelType, CommandOptionType, Context, CreateActionRow, CreateAllowedMentions,
    CreateAttachment, CreateAutocompleteResponse, CreateButton, CreateChannel, CreateCommand,
    CreateCommandOption, CreateEmbed, CreateInputText, CreateInteractionResponse,
    CreateInteractionResponseFollowup, CreateInteractionResponseMessage, CreateMessage,
    CreateModal, CreateThread, EditChannel, EditInteractionResponse, EditMessage, EventHandler,
    GatewayIntents, GetMessages, GuildId, Http, HttpBuilder, InputTextStyle, Interaction, Nonce,
    PermissionOverwrite, PermissionOverwriteType, Permissions, RoleId, UserId, async_trait,
};

use super::super::{APP, DiscordWorld, GUILD, Setup, id};

fn http(discord: &DiscordWorld) -> Http {
    let builder = HttpBuilder::new(discord.bot_token());
    let http = builder.proxy(discord.api_url()).ratelimiter_disabled(true).build();
    http.set_application_id(APP.parse::<u64>().unwrap().into());
    http
}

fn channel(name: &str) -> ChannelId {
    id("channel", name).parse::<u64>().unwrap().into()
}

fn guild() -> GuildId {
    GUILD.parse::<u64>().unwrap().into()
}

fn nobody() -> CreateAllowedMentions {
    CreateAllowedMentions::new()
}

fn said(text: &str) -> CreateMessage {
    CreateMessage::new().content(text).allowed_mentions(nobody())
}

/// `/release status [version]`, `/release go version [reason]`, with completion of versions.
fn command() -> CreateCommand {
    let version = |required| {
        CreateCommandOption::new(CommandOptionType::String, "version", "Which release")
            .required(required)
            .set_autocomplete(true)
    };
    let reason = CreateCommandOption::new(CommandOptionType::String, "reason", "Why");
    let status = CreateCommandOption::new(CommandOptionType::SubCommand, "status", "How it stands")
        .add_sub_option(version(false));
    let go = CreateCommandOption::new(CommandOptionType::SubCommand, "go", "Say go")
        .add_sub_option(version(true))
        .add_sub_option(reason);
    CreateCommand::new("release").description("Releases").add_option(status).add_option(go)
}

/// A small bot: answers commands, buttons, forms and completions, each in another way.
#[derive(Default)]
struct Bot {
    heard: Mutex<Vec<Interaction>>,
}

fn whisper(text: &str) -> CreateInteractionResponseMessage {
    let made = CreateInteractionResponseMessage::new().content(text).ephemeral(true);
    made.allowed_mentions(nobody())
}

#[async_trait]
impl EventHandler for Scribe {
    async fn interaction_create(&self, context: Context, interaction: Interaction) {
        self.0.heard.lock().unwrap().push(interaction.clone());
        match &interaction {
            Interaction::Command(it) => {
                it.defer_ephemeral(&context.http).await.unwrap();
                let edit = EditInteractionResponse::new().content("Nothing is waiting.");
                it.edit_response(&context.http, edit.allowed_mentions(nobody())).await.unwrap();
                let more = CreateInteractionResponseFollowup::new().content("And more.");
                let more = more.ephemeral(true).allowed_mentions(nobody());
                it.create_followup(&context.http, more).await.unwrap();
            }
            Interaction::Autocomplete(it) => {
                let offer = CreateAutocompleteResponse::new()
                    .add_string_choice("v1.2.0 (web shop)", "v1.2.0");
                let offer = CreateInteractionResponse::Autocomplete(offer);
                it.create_response(&context.http, offer).await.unwrap();
            }
            Interaction::Component(it) if it.data.custom_id == "ask" => {
                let input = CreateInputText::new(InputTextStyle::Short, "Reason", "reason");
                let rows = vec![CreateActionRow::InputText(input)];
                let modal = CreateModal::new("why", "Say no-go").components(rows);
                let modal = CreateInteractionResponse::Modal(modal);
                it.create_response(&context.http, modal).await.unwrap();
            }
            Interaction::Component(it) => {
                let changed = CreateInteractionResponseMessage::new().content("Ann says go.");
                let changed = changed.components(vec![]).allowed_mentions(nobody());
                let changed = CreateInteractionResponse::UpdateMessage(changed);
                it.create_response(&context.http, changed).await.unwrap();
            }
            Interaction::Modal(it) => {
                let answer = CreateInteractionResponse::Message(whisper("Written down."));
                it.create_response(&context.http, answer).await.unwrap();
            }
            other @ (Interaction::Ping(_) | _) => panic!("{other:?}"),
        }
    }
}

struct Scribe(Arc<Bot>);

async fn connect(discord: &DiscordWorld, http: Http) -> (Arc<Bot>, Running) {
    let bot = Arc::new(Bot::default());
    let builder = serenity::client::ClientBuilder::new_with_http(http, GatewayIntents::empty());
    let mut client = builder.event_handler(Scribe(Arc::clone(&bot))).await.unwrap();
    let running = tokio::spawn(async move { client.start().await });
    discord.connected(1).await;
    (bot, Running(running.abort_handle()))
}

/// Ends with the test.
struct Running(tokio::task::AbortHandle);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[tokio::test]
async fn the_real_client_posts_edits_pins_and_reads_back() {
    let discord = DiscordWorld::start().await;
    let http = http(&discord);
    let releases = channel("releases");
    let message = said("Web shop goes out <t:1800000000:R>.")
        .embed(CreateEmbed::new().title("v1.2.0").description("Waiting").colour(0x00ff_7700))
        .button(CreateButton::new("go").label("GO"))
        .nonce(Nonce::String("effect-7".to_owned()))
        .enforce_nonce(true);
    let first = releases.send_message(&http, message.clone()).await.unwrap();
    let again = releases.send_message(&http, message).await.unwrap();
    assert_eq!(first.id, again.id);

    let edit = EditMessage::new().content("Web shop is out.").allowed_mentions(nobody());
    releases.edit_message(&http, first.id, edit).await.unwrap();
    releases.pin(&http, first.id).await.unwrap();
    assert_eq!(releases.pins(&http).await.unwrap().len(), 1);
    let history = releases.messages(&http, GetMessages::new().limit(10)).await.unwrap();
    assert_eq!(history.last().unwrap().id, first.id);
    let file = CreateAttachment::bytes("# Report".as_bytes(), "report.md");
    releases.send_message(&http, said("The report.").add_file(file)).await.unwrap();

    discord.exactly_once("Web shop is out.");
    let post = discord.sees("releases", "The report.").await;
    assert_eq!(discord.files_of(&post), [("report.md".to_owned(), b"# Report".to_vec())]);
    discord.assert_clean().await;
}

#[tokio::test]
async fn the_real_client_makes_a_room_and_leaves_it() {
    let discord = DiscordWorld::start().await;
    let http = http(&discord);
    let role = |name: &str| RoleId::new(discord.role(name).parse().unwrap());
    let seen = |allow, deny, kind| PermissionOverwrite { allow, deny, kind };
    let view = Permissions::VIEW_CHANNEL;
    let overwrites = [
        seen(Permissions::empty(), view, PermissionOverwriteType::Role(guild().everyone_role())),
        seen(view, Permissions::empty(), PermissionOverwriteType::Role(role("qa"))),
        seen(view, Permissions::empty(), PermissionOverwriteType::Role(role("tminus"))),
    ];
    let room = CreateChannel::new("release-v1-2-0")
        .kind(ChannelType::Text)
        .category(channel("war rooms"))
        .topic("v1.2.0")
        .permissions(overwrites);
    let room = guild().create_channel(&http, room).await.unwrap();
    assert!(discord.person("quinn").can_see("release-v1-2-0"));
    assert!(!discord.person("ann").can_see("release-v1-2-0"));
    let card = room.send_message(&http, said("Here.")).await.unwrap();
    room.create_thread_from_message(&http, card.id, CreateThread::new("checks")).await.unwrap();
    let kind =
        PermissionOverwriteType::Member(UserId::new(discord.person("ann").id.parse().unwrap()));
    room.create_permission(&http, seen(view, Permissions::empty(), kind)).await.unwrap();
    assert!(discord.person("ann").can_see("release-v1-2-0"));
    let moved = EditChannel::new().category(Some(channel("archive")));
    room.id.edit(&http, moved).await.unwrap();
    let member = guild().member(&http, discord.person("ann").id.parse::<u64>().unwrap());
    assert_eq!(member.await.unwrap().roles, [role("engineering")]);
    assert!(guild().roles(&http).await.unwrap().contains_key(&role("captain")));
    assert_eq!(guild().to_partial_guild(&http).await.unwrap().name, "The house");
    let channels = guild().channels(&http).await.unwrap();
    assert_eq!(channels[&room.id].parent_id, Some(channel("archive")));
    let ann = UserId::new(discord.person("ann").id.parse().unwrap());
    let private = ann.create_dm_channel(&http).await.unwrap();
    private.send_message(&http, said("Only you.")).await.unwrap();
    discord.person("ann").sees_private("Only you.").await;
    assert!(http.get_current_application_info().await.unwrap().verify_key == discord.public_key());
    discord.assert_clean().await;
}

#[tokio::test]
async fn the_real_client_hears_commands_clicks_forms_and_completions() {
    let discord = DiscordWorld::start().await;
    let http = http(&discord);
    let made = guild().set_commands(&http, vec![command()]).await.unwrap();
    assert_eq!(made.len(), 1);
    let (bot, _running) = connect(&discord, self::http(&discord)).await;
    let ann = discord.person("ann");

    let typed = ann.types("/release status v1.2.0", "releases").await;
    ann.sees_ephemeral("Nothing is waiting.").await;
    ann.sees_ephemeral("And more.").await;
    assert!(typed.acknowledged_in().is_some());
    assert_eq!(ann.completes("/release go v1", "releases").await, ["v1.2.0 (web shop)"]);

    let buttons = |post: CreateMessage| {
        let asking = CreateButton::new("ask").label("NO-GO");
        post.button(CreateButton::new("go").label("GO")).button(asking)
    };
    channel("releases").send_message(&http, buttons(said("Go?"))).await.unwrap();
    let post = discord.sees("releases", "Go?").await;
    ann.presses(&post, "NO-GO").await;
    let sheet = ann.sees_view("Say no-go").await;
    ann.submits(&sheet, &[("Reason", "red tests")]).await;
    ann.sees_ephemeral("Written down.").await;
    ann.presses(&post, "GO").await;
    discord.sees_edit(&post, "Ann says go.").await;

    let heard = bot.heard.lock().unwrap().clone();
    let command = heard.iter().find_map(Interaction::as_command).unwrap();
    assert_eq!(command.member.as_ref().unwrap().roles.len(), 1);
    let modal = heard.iter().find_map(Interaction::as_modal_submit).unwrap();
    let sent = serde_json::to_value(&modal.data.components).unwrap();
    assert_eq!(sent[0]["components"][0]["value"], json!("red tests"));
    discord.assert_clean().await;
}

#[tokio::test]
async fn over_tls_the_limiter_that_ships_waits_its_turn() {
    let discord = DiscordWorld::with(Setup::default().rate_limits()).await;
    let tls = discord.tls().await;
    let http = HttpBuilder::new(discord.bot_token()).client(tls.client()).build();
    http.set_application_id(APP.parse::<u64>().unwrap().into());
    guild().set_commands(&http, vec![command()]).await.unwrap();
    for number in 1..=6 {
        channel("releases").send_message(&http, said(&format!("Step {number}."))).await.unwrap();
    }
    assert!(discord.calls("create_message").iter().all(|it| it.status == 200));
    assert_eq!(discord.count("Step"), 6);

    let (_bot, _running) = connect(&discord, http).await;
    let ann = discord.person("ann");
    ann.types("/release status", "releases").await.answered().await;
    ann.sees_ephemeral("Nothing is waiting.").await;
    discord.assert_clean().await;
}

#[tokio::test]
async fn the_real_client_comes_back_from_each_kind_of_end() {
    let quick = |it: &mut super::super::setup::Windows| it.heartbeat = Duration::from_millis(400);
    let discord = DiscordWorld::with(Setup::default().windows(quick)).await;
    guild().set_commands(&http(&discord), vec![command()]).await.unwrap();
    let (_bot, _running) = connect(&discord, http(&discord)).await;
    discord.asks_to_reconnect();
    discord.resumed(1).await;
    discord.connected(1).await;
    discord.closes_connections(4000);
    discord.resumed(2).await;
    discord.connected(1).await;
    // Without heart beats this client does not resume: it begins anew, and what it missed is lost.
    discord.falls_silent();
    discord.identified(2).await;
    discord.connected(1).await;
    let ann = discord.person("ann");
    ann.types("/release status", "releases").await;
    ann.sees_ephemeral("Nothing is waiting.").await;
    discord.assert_clean().await;
}
