//! The house, wired: the configuration becomes neighbours, the neighbours meet the engine, and all of
//! it runs until it is told to stop. Only this file and `main` know everyone.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::adapters::chat::console::{self, Console, ConsoleSettings};
use crate::adapters::chat::discord::{self, Discord, DiscordSettings};
use crate::adapters::chat::slack::{self, Slack, SlackSettings};
use crate::adapters::courier;
use crate::adapters::deploy::{self, Backends, FlagCommand, FlagCommands};
use crate::adapters::flags::{self, FlagBackend, FlagFile, Unleash};
use crate::adapters::gates::{self, GitHub};
use crate::adapters::metrics::{self, Sources};
use crate::app::clock::{self, Clock};
use crate::app::conversation::{Conversation, PlanShelf, Platforms};
use crate::app::delivery::{Delivery, Neighbours, World};
use crate::app::engine::Engine;
use crate::app::measure::Gauges;
use crate::app::messages::Messages;
use crate::app::people::People;
use crate::app::{chores, grammar, times, words};
use crate::config::{
    self, Access, Bearer, Config, Ending, FlagProvider, GitHubLogin, MailTls, MetricsLogin,
    MetricsTarget, Surroundings,
};
use crate::demo;
use crate::domain::command::{Actor, Command, Request};
use crate::domain::policy::Right;
use crate::domain::state::Start;
use crate::ports::{Chat, Courier, Directory, Flags, Gatekeeper};
use crate::store::{Finding, OpenError, Store, Which, damaged};
use crate::web::door::{self, Patience};
use crate::web::{self, Served, StartOver, Token};

/// What the command line says of a service.
#[derive(Debug, Clone, Default)]
pub struct Options {
    pub config: Option<PathBuf>,
    pub state: Option<PathBuf>,
    pub listen: Option<SocketAddr>,
}

/// What is ours in the state directory.
pub const KEPT: [&str; 12] = [
    "tminus.db",
    "tminus.db-wal",
    "tminus.db-shm",
    "tminus.lock",
    "snapshot",
    "runs",
    "token",
    "url",
    "flags.json",
    "console.jsonl",
    "discord-buttons.jsonl",
    "demo",
];

/// How a service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Stopped,
    /// The demo begins anew on a fresh state directory.
    Again,
}

/// Loads the configuration, or says everything that is wrong with it.
pub fn configured(options: &Options, demo_url: Option<String>) -> anyhow::Result<Config> {
    let surroundings = Surroundings {
        state: options.state.clone(),
        own_program: std::env::current_exe().context("finding this program's own file")?,
        demo_url: demo_url.or(Some("http://127.0.0.1:7778".into())),
    };
    let env = |name: &str| std::env::var(name).ok();
    config::load(options.config.as_deref(), &surroundings, &env).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", lines.join("\n"))
    })
}

/// Runs until a signal or the page says otherwise. `ready` is told the address, once.
pub async fn serve(
    options: &Options,
    config: Config,
    metrics: metrics_exporter_prometheus::PrometheusHandle,
    ready: impl FnOnce(SocketAddr, &Config),
) -> anyhow::Result<End> {
    let listen = options.listen.unwrap_or(config.server.listen);
    if config.console.enabled {
        console::may_listen(listen, &access(&config)).map_err(anyhow::Error::msg)?;
    }
    let listener = match bound(listen).await {
        // A start that failed leaves nothing behind.
        Err(why) if !config.state.exists() => return Err(why),
        tried => tried,
    };
    // The writer's lock comes before anything is touched, and its words before the address's: who
    // is started twice hears of the first one.
    let store = Store::open(&config.state).await.map_err(explained)?;
    let listener = listener?;
    // The demo's addresses are known only now.
    let (config, shop) = match config.demo {
        true => {
            let shop = Shop::open(&config.state, listener.local_addr()?).await?;
            (configured(options, Some(shop.url.clone()))?, Some(shop))
        }
        false => (config, None),
    };
    let house = House::open(config, store).await?;
    house.run(listener, shop, metrics, ready).await
}

fn explained(why: OpenError) -> anyhow::Error {
    anyhow::anyhow!("{why}")
}

async fn bound(listen: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(listen).await.map_err(|why| {
        anyhow::anyhow!(
            "I cannot listen on {listen}: {why}. Give another address, for example \
             `--listen 127.0.0.1:{}`.",
            listen.port().wrapping_add(10)
        )
    })
}

/// The small web shop that the sample release deploys.
struct Shop {
    url: String,
    listener: TcpListener,
    directory: PathBuf,
}

impl Shop {
    /// Beside our own port, so that its address stays the same from start to start.
    async fn open(state: &Path, own: SocketAddr) -> anyhow::Result<Self> {
        let directory = state.join("demo");
        demo::prepare(&directory).context("preparing the demo's shop")?;
        let beside = SocketAddr::new(own.ip(), own.port().wrapping_add(1));
        let listener = match TcpListener::bind(beside).await {
            Ok(listener) => listener,
            Err(_) => TcpListener::bind((own.ip(), 0)).await.context("opening the demo's shop")?,
        };
        let url = format!("http://{}", listener.local_addr()?);
        Ok(Self { url, listener, directory })
    }
}

struct House {
    config: Config,
    engine: Engine,
    messages: Arc<Messages>,
    /// Where the configuration has one.
    console: Option<Arc<Console>>,
    slack: Option<Arc<Slack>>,
    discord: Option<Arc<Discord>>,
    backends: Arc<Backends>,
    couriers: BTreeMap<String, Arc<dyn Courier>>,
}

impl House {
    async fn open(config: Config, store: Store) -> anyhow::Result<Self> {
        for problem in &config.plan_problems {
            warn!("{problem}");
        }
        let messages = Arc::new(loaded_messages(&config));
        let backends = Arc::new(backends(&config)?);
        let engine = Engine::start(store, Clock::real()).await?;
        adopt(&engine, &config).await?;
        let couriers = couriers(&config, &installation(&engine).await?)?;
        if config.demo {
            demo_flags(&config)?;
            welcome(&engine, &config).await?;
        }
        let console = config.console.enabled.then(|| console(&config, &engine)).transpose()?;
        let slack = config.slack.as_ref().map(|own| Slack::new(slack_settings(own))).transpose()?;
        let discord = config.discord.as_ref().map(|own| {
            let settings = discord_settings(own, &config);
            Discord::new(settings, discord_commands())
        });
        let discord = discord.transpose()?;
        Ok(Self { config, engine, messages, console, slack, discord, backends, couriers })
    }

    async fn run(
        self,
        listener: TcpListener,
        shop: Option<Shop>,
        metrics: metrics_exporter_prometheus::PrometheusHandle,
        ready: impl FnOnce(SocketAddr, &Config),
    ) -> anyhow::Result<End> {
        let stop = CancellationToken::new();
        let again = Arc::new(StartOver::default());
        let shop_url = shop.as_ref().map(|shop| shop.url.clone());
        if let Some(shop) = shop {
            let router = demo::router(&shop.directory);
            let patience = Patience::default();
            tokio::spawn(door::serve(shop.listener, router, patience, stop.clone()));
        }
        let platforms = self.platforms();
        let neighbours = Neighbours {
            chats: platforms.chats.clone(),
            couriers: self.couriers.clone(),
            deployer: self.backends.clone(),
            gates: gatekeepers(&self.config)?,
            people: platforms.people.clone(),
        };
        let delivery = Delivery::start(
            self.engine.clone(),
            World::Real(neighbours),
            self.messages.clone(),
            platforms.prefixes.clone(),
            stop.child_token(),
        )
        .await?;
        tokio::spawn(clock::follow_agenda(self.engine.clone(), stop.clone()));
        let damage = Arc::new(OnceLock::new());
        tokio::spawn(prove_past(self.engine.clone(), damage.clone(), stop.clone()));
        tokio::spawn(chores::follow(self.engine.clone(), stop.clone()));
        let gauges = Gauges::new(self.engine.clone(), sources(&self.config)?.each());
        tokio::spawn(gauges.clone().follow(stop.clone()));
        let conversation = Arc::new(self.conversation(platforms));
        let listeners = self.listeners(&conversation);
        let router = self.router((&delivery, gauges), &conversation, &again, metrics, &stop)?;
        let router = router.merge(listeners.router());
        let address = listener.local_addr()?;
        let url = self.config.state.join("url");
        std::fs::write(&url, format!("http://{address}\n"))
            .with_context(|| format!("writing {}", url.display()))?;
        // Before anybody is told that we are there: who starts us may stop us at once.
        let signals = Signals::listen().context("listening for signals")?;
        tokio::spawn(signals.stop(stop.clone()));
        info!(%address, shop = shop_url, "ready on http://{address}/");
        ready(address, &self.config);
        conversation.resume().await?;
        let listening = listeners.listen(&stop);
        serve_until(listener, router, &stop, self.console.as_deref()).await;
        listening.join_all().await;
        delivery.finish().await;
        self.engine.store().gather().await;
        if let Some(damage) = damage.get() {
            bail!("{damage}");
        }
        Ok(if again.is_wanted() { End::Again } else { End::Stopped })
    }

    /// Everybody who is spoken with, and who of them vouches for people.
    fn platforms(&self) -> Platforms {
        let mut chats: BTreeMap<String, Arc<dyn Chat>> = BTreeMap::new();
        let mut directories: BTreeMap<String, Arc<dyn Directory>> = BTreeMap::new();
        let mut prefixes = BTreeMap::new();
        if let Some(console) = &self.console {
            chats.insert("console".to_owned(), console.clone());
            prefixes.insert("console".to_owned(), self.config.console.slash.clone());
        }
        if let (Some(slack), Some(own)) = (&self.slack, &self.config.slack) {
            chats.insert("slack".to_owned(), slack.clone());
            directories.insert("slack".to_owned(), slack.clone());
            prefixes.insert("slack".to_owned(), own.slash.clone());
        }
        if let Some(discord) = &self.discord {
            chats.insert("discord".to_owned(), discord.clone());
            directories.insert("discord".to_owned(), discord.clone());
            prefixes.insert("discord".to_owned(), "/release".to_owned());
        }
        Platforms { chats, people: Arc::new(People::new(directories)), prefixes }
    }

    fn listeners(&self, ear: &Arc<Conversation>) -> Listeners {
        let slack = self.slack.clone();
        let discord = self.discord.clone();
        Listeners {
            slack: slack.map(|slack| slack::Listener::new(slack, ear.clone())),
            discord: discord.map(|discord| discord::Listener::new(discord, ear.clone())),
        }
    }

    fn conversation(&self, platforms: Platforms) -> Conversation {
        let embedded = self.config.plans.iter();
        let embedded = embedded.map(|plan| (plan.name.clone(), plan.text.clone())).collect();
        let shelf = PlanShelf::new(embedded, self.config.plans_directory.clone(), read_plan);
        Conversation::new(self.engine.clone(), shelf, self.messages.clone(), platforms)
    }

    fn router(
        &self,
        (delivery, gauges): (&Delivery, Gauges),
        conversation: &Arc<Conversation>,
        again: &Arc<StartOver>,
        metrics: metrics_exporter_prometheus::PrometheusHandle,
        stop: &CancellationToken,
    ) -> anyhow::Result<axum::Router> {
        let served = Served::new(
            self.engine.clone(),
            delivery.clone(),
            conversation.clone(),
            tokens(&self.config)?,
            metrics,
            stop.clone(),
        );
        let mut router = web::router(served.clone()).merge(self.backends.router());
        router = router.merge(web::gates::router(served.clone(), served_gates(&self.config)));
        let Some(console) = &self.console else { return Ok(router) };
        router = router.merge(console.clone().router(conversation.clone()));
        if self.config.demo {
            let demo = web::demo_router(served, gauges, again.clone());
            router = router.merge(console.guard(demo));
        }
        Ok(router)
    }
}

/// A log that is damaged before the snapshot from which we started ends us as it would have kept us
/// from starting: nobody may act by what nobody can prove.
async fn prove_past(engine: Engine, damage: Arc<OnceLock<String>>, stop: CancellationToken) {
    if !engine.has_snapshot() {
        return;
    }
    let found = tokio::select! {
        found = engine.prove_past() => found,
        () = stop.cancelled() => return,
    };
    let why = match found {
        Ok(Finding::Verified { entries, .. }) => {
            return info!(entries, "all {entries} entries of the log are what was written");
        }
        Ok(Finding::Broken { seq, why }) => damaged(seq, &why),
        Err(why) => return error!(%why, "the log before the snapshot was not proven: {why:#}"),
    };
    error!("{why}");
    let _ = damage.set(why);
    stop.cancel();
}

/// What hears people where they already are.
struct Listeners {
    slack: Option<Arc<slack::Listener>>,
    discord: Option<Arc<discord::Listener>>,
}

impl Listeners {
    /// What the platforms call.
    fn router(&self) -> axum::Router {
        let mut router = axum::Router::new();
        if let Some(slack) = &self.slack {
            router = router.merge(slack.router());
        }
        if let Some(discord) = &self.discord {
            router = router.merge(discord.router());
        }
        router
    }

    fn listen(self, stop: &CancellationToken) -> JoinSet<()> {
        let mut listening = JoinSet::new();
        if let Some(slack) = self.slack {
            listening.spawn(slack.listen(stop.clone()));
        }
        if let Some(discord) = self.discord {
            listening.spawn(discord.listen(stop.clone()));
        }
        listening
    }
}

/// The operator's words where they are sound, our own where they are not.
fn loaded_messages(config: &Config) -> Messages {
    let (messages, problems) = words::load(config.messages.as_deref());
    for problem in problems {
        warn!(template = problem.file, "{problem}; the built-in text is used instead");
    }
    messages
}

fn read_plan(file: &str, text: &str) -> Result<crate::domain::plan::Plan, Vec<String>> {
    config::read_plan(text, file)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect())
}

/// The first entry of a fresh log, and the policy wherever it has changed.
async fn adopt(engine: &Engine, config: &Config) -> anyhow::Result<()> {
    let head = engine.store().head().seq;
    if head > 0 && engine.state().house.jumpable != config.demo {
        let whose = if config.demo { "an installation" } else { "the embedded demo" };
        bail!(
            "{} belongs to {whose}. Give another directory with `--state DIR`: a demo's clock can be \
             moved, so its log may never speak for real releases.",
            config.state.display()
        );
    }
    let request = |what: &str, command: Command| Request {
        id: format!("start/{what}/{head}"),
        by: Actor::Operator,
        command,
    };
    engine.ask(request("begin", Command::Begin { jumpable: config.demo })).await?;
    let policy = Box::new(config.policy.clone());
    engine.ask(request("policy", Command::AdoptPolicy { policy })).await?;
    Ok(())
}

fn demo_flags(config: &Config) -> anyhow::Result<()> {
    let plans = config.plans.iter().flat_map(|plan| &plan.plan.flags);
    let names: BTreeSet<&str> = plans.map(|flag| flag.name.as_str()).collect();
    for provider in config.flags.values() {
        if let FlagProvider::File { path } = provider {
            demo::prepare_flags(path, &names).context("preparing the demo's flags")?;
        }
    }
    Ok(())
}

/// Whoever opens the demo for the first time sees what there is to play with.
async fn welcome(engine: &Engine, config: &Config) -> anyhow::Result<()> {
    let sample = config.plans.iter().find(|plan| plan.plan.release.version != "v0.0.0");
    let Some(sample) = sample else { return Ok(()) };
    let head = &sample.plan.release;
    let zone = head.zone.unwrap_or(config.policy.zone);
    let phrase = head.start.as_deref().unwrap_or("tuesday 10:00");
    let planned = times::instant(phrase, engine.now(), zone)?;
    let start = Start { local: planned.local, zone: planned.zone, at: planned.at };
    let (plan, name) = (Box::new(sample.plan.clone()), sample.name.clone());
    let command = Command::Welcome { plan, name, start };
    let id = format!("start/welcome/{}", engine.store().head().seq);
    engine.ask(Request { id, by: Actor::Operator, command }).await?;
    Ok(())
}

/// The captain first: whoever opens the demo is somebody who may begin.
fn captain_first(config: &Config) -> Vec<config::ConsolePerson> {
    let mut people = config.console.people.clone();
    let policy = &config.policy;
    let schedules = |person: &config::ConsolePerson| {
        policy
            .roles_with(Right::Schedule)
            .any(|role| policy.roles[role].members.contains(&person.person))
    };
    people.sort_by_key(|person| !schedules(person));
    people
}

fn access(config: &Config) -> console::Access {
    match &config.console.access {
        Access::Switcher => console::Access::Switcher,
        Access::Tokens(tokens) => {
            let user = |person: &crate::domain::ids::PersonId| {
                let found = config.console.people.iter().find(|known| known.person == *person);
                found.map(|known| known.id.clone())
            };
            let pairs = tokens
                .iter()
                .filter_map(|(person, token)| Some((token.expose().to_owned(), user(person)?)));
            console::Access::Tokens(pairs.collect())
        }
    }
}

fn console(config: &Config, engine: &Engine) -> anyhow::Result<Arc<Console>> {
    let clock = engine.clock().clone();
    let public = config.server.public_url.as_deref();
    let host = public
        .and_then(|url| url.split("://").nth(1))
        .map(|rest| rest.split(['/', ':']).next().unwrap_or(rest).to_owned());
    let settings = ConsoleSettings {
        bot: config.console.bot.clone(),
        tenant: config.console.tenant.clone(),
        slash: config.console.slash.clone(),
        people: captain_first(config)
            .iter()
            .map(|person| console::Person {
                id: person.id.clone(),
                name: person.name.clone(),
                about: person.about.clone(),
            })
            .collect(),
        channels: config
            .console
            .channels
            .iter()
            .map(|channel| console::Channel {
                id: channel.id.clone(),
                name: channel.name.clone(),
                purpose: channel.purpose.clone(),
            })
            .collect(),
        access: access(config),
        hosts: host.into_iter().collect(),
        now: Arc::new(move || SystemTime::from(clock.now())),
    };
    Console::open(&config.state.join("console.jsonl"), settings)
}

fn backends(config: &Config) -> anyhow::Result<Backends> {
    let secrets: Vec<String> = config
        .actions
        .programs
        .values()
        .flat_map(|action| action.secrets.values())
        .map(|secret| secret.expose().to_owned())
        .collect();
    let programs = config.actions.programs.iter().map(|(name, action)| {
        let mut environment = action.environment.clone();
        let hidden = action.secrets.iter();
        environment.extend(hidden.map(|(name, value)| (name.clone(), value.expose().to_owned())));
        let ready = deploy::program::ProgramAction {
            command: action.command.clone(),
            directory: action.directory.clone(),
            environment,
            pass_environment: action.pass_environment.clone(),
            secret_environment: action.secrets.keys().cloned().collect(),
            status: action.status.clone(),
            limit: Some(action.limit),
        };
        (name.clone(), ready)
    });
    let programs =
        deploy::program::Program::new(config.state.clone(), programs.collect(), secrets.clone());
    let webhooks = config.actions.webhooks.iter().map(|(name, action)| {
        let ready = deploy::webhook::WebhookAction {
            url: action.url.clone(),
            secrets: action.secrets.iter().map(|secret| secret.expose().to_owned()).collect(),
            hosts: action.hosts.clone(),
            timeout: action.timeout,
            ending: match &action.ending {
                Ending::Answer => deploy::webhook::Ending::Answer,
                Ending::Callback => deploy::webhook::Ending::Callback,
                Ending::Poll { url, every } => deploy::webhook::Ending::Poll {
                    url: url.clone(),
                    interval: *every,
                    limit: action.limit,
                },
            },
        };
        (name.clone(), ready)
    });
    let public = config.server.public_url.clone();
    let webhooks = deploy::webhook::Webhook::new(webhooks.collect(), public, secrets)?;
    let flags = Arc::new(FlagBackend::new(flag_providers(config)?));
    Ok(Backends::new(programs, webhooks)?.with(&FlagBackend::ACTIONS, flags)?)
}

/// Who keeps feature flags, by the names of the configuration.
fn flag_providers(config: &Config) -> anyhow::Result<BTreeMap<String, Arc<dyn Flags>>> {
    let mut providers: BTreeMap<String, Arc<dyn Flags>> = BTreeMap::new();
    for (name, own) in &config.flags {
        let provider: Arc<dyn Flags> = match own {
            FlagProvider::File { path } => Arc::new(FlagFile::new(path.clone())),
            FlagProvider::Unleash(target) => Arc::new(unleash(name, target)?),
            FlagProvider::Program(program) => Arc::new(flag_command(name, program)),
        };
        providers.insert(name.clone(), provider);
    }
    Ok(providers)
}

pub(crate) fn unleash(name: &str, target: &config::UnleashTarget) -> anyhow::Result<Unleash> {
    let target = flags::unleash::Target {
        url: target.url.clone(),
        project: target.project.clone(),
        environment: target.environment.clone(),
        token: target.token.expose().to_owned(),
        timeout: target.timeout,
    };
    Ok(Unleash::new(name, target)?)
}

fn flag_command(name: &str, own: &config::FlagProgram) -> FlagCommand {
    let secrets = own.secrets.iter();
    let commands = FlagCommands {
        set: own.set.clone(),
        kill: own.kill.clone(),
        state: own.state.clone(),
        directory: own.directory.clone(),
        pass_environment: own.pass_environment.clone(),
        secrets: secrets.map(|(name, value)| (name.clone(), value.expose().to_owned())).collect(),
        timeout: own.timeout,
    };
    FlagCommand::new(name, commands)
}

/// Who may ask us, and with which proof.
fn served_gates(config: &Config) -> web::gates::Gates {
    let flagger = config.gates.flagger.as_ref().map(|own| web::gates::Flagger {
        token: own.token.expose().to_owned(),
        canaries: own.canaries.clone(),
    });
    let github = config.gates.github.as_ref().map(|own| {
        let repositories = own.repositories.iter().map(|(name, known)| {
            let (service, environments) = (known.service.clone(), known.environments.clone());
            (name.clone(), web::gates::Repository { service, environments })
        });
        web::gates::GitHub {
            secrets: own.secrets.iter().map(|secret| secret.expose().to_owned()).collect(),
            api: own.api_url.clone(),
            repositories: repositories.collect(),
        }
    });
    web::gates::Gates { flagger, github }
}

/// Whom we tell later.
fn gatekeepers(config: &Config) -> anyhow::Result<BTreeMap<String, Arc<dyn Gatekeeper>>> {
    let mut keepers: BTreeMap<String, Arc<dyn Gatekeeper>> = BTreeMap::new();
    if let Some(own) = &config.gates.github {
        keepers.insert("github".to_owned(), Arc::new(github(own)?));
    }
    Ok(keepers)
}

pub(crate) fn github(own: &config::GitHubTarget) -> anyhow::Result<GitHub> {
    let login = match &own.login {
        GitHubLogin::Token(token) => gates::github::Login::Token(token.expose().to_owned()),
        GitHubLogin::App { id, key } => gates::github::Login::app(*id, key.expose())?,
    };
    Ok(GitHub::new(&own.api_url, login, own.timeout))
}

/// What tells this log from every other one: the hash of its first entry.
async fn installation(engine: &Engine) -> anyhow::Result<String> {
    let which = Which { first: Some(1), last: Some(1), ..Which::default() };
    let entries = engine.store().reader().entries(&which).await.context("reading the log")?;
    let first = entries.first().context("the log has no first entry")?;
    Ok(first.hash.to_string())
}

/// Slack as the configuration wants it.
pub fn slack_settings(target: &config::SlackTarget) -> SlackSettings {
    let hidden = |secret: &config::Secret| slack::Hidden::new(secret.expose());
    let own = SlackSettings::new(&target.team, hidden(&target.bot_token));
    SlackSettings {
        enterprise: target.enterprise.clone(),
        app_token: target.app_token.as_ref().map(hidden),
        signing_secret: target.signing_secret.as_ref().map(hidden),
        mode: match target.mode {
            config::SlackMode::Socket => slack::Mode::Socket,
            config::SlackMode::Http => slack::Mode::Http,
            config::SlackMode::Both => slack::Mode::Both,
        },
        slash: target.slash.clone(),
        api_url: target.api_url.clone().unwrap_or(own.api_url.clone()),
        timeout: target.timeout,
        lag: target.lag,
        ..own
    }
}

/// Discord as the configuration wants it.
pub fn discord_settings(target: &config::DiscordTarget, config: &Config) -> DiscordSettings {
    let token = discord::Hidden::new(target.bot_token.expose());
    let buttons = config.state.join("discord-buttons.jsonl");
    let own = DiscordSettings::new(token, target.application, target.guild, buttons);
    DiscordSettings {
        public_key: target.public_key.clone(),
        api_url: target.api_url.clone().unwrap_or(own.api_url.clone()),
        timeout: target.timeout,
        lag: target.lag,
        mode: match target.mode {
            config::DiscordMode::Gateway => discord::Mode::Gateway,
            config::DiscordMode::Http => discord::Mode::Http,
            config::DiscordMode::Both => discord::Mode::Both,
        },
        category: target.category,
        archive: target.archive,
        registration: match target.registration {
            config::DiscordRegistration::Guild => discord::Registration::Guild,
            config::DiscordRegistration::Global => discord::Registration::Global,
        },
        ..own
    }
}

/// What is registered there: everything that can be said.
pub fn discord_commands() -> discord::Commands {
    discord::Commands::new(grammar::specification(), grammar::line, grammar::named)
}

fn couriers(
    config: &Config,
    installation: &str,
) -> anyhow::Result<BTreeMap<String, Arc<dyn Courier>>> {
    let targets = config.couriers.iter().map(|(name, target)| {
        let secrets = target.secrets.iter().map(|secret| secret.expose().to_owned()).collect();
        let (url, timeout) = (target.url.clone(), target.timeout);
        (name.clone(), courier::webhook::Target { url, secrets, timeout })
    });
    let webhook: Arc<dyn Courier> = Arc::new(courier::webhook::Webhook::new(targets.collect())?);
    let mut couriers = BTreeMap::from([("webhook".to_owned(), webhook)]);
    if let Some(mail) = mail(config, installation)? {
        couriers.insert("email".to_owned(), Arc::new(mail));
    }
    Ok(couriers)
}

/// The mail server of the configuration, if there is one.
pub(crate) fn mail(config: &Config, installation: &str) -> anyhow::Result<Option<courier::Mail>> {
    let Some(own) = &config.mail else { return Ok(None) };
    let login = own.login.as_ref();
    let server = courier::mail::Server {
        host: own.server.clone(),
        port: own.port,
        tls: match own.tls {
            MailTls::Starttls => courier::mail::Tls::Starttls,
            MailTls::Implicit => courier::mail::Tls::Implicit,
            MailTls::None => courier::mail::Tls::None,
        },
        ca: own.ca.clone(),
        login: login.map(|(user, password)| (user.clone(), password.expose().to_owned())),
        helo: own.helo.clone(),
        timeout: own.timeout,
        from: own.from.clone(),
    };
    let lists = own.lists.iter().map(|(name, list)| {
        let (to, reply_to) = (list.to.clone(), list.reply_to.clone());
        (name.clone(), courier::mail::List { to, reply_to })
    });
    Ok(Some(courier::Mail::new(server, lists.collect(), installation)?))
}

/// The sources of measurements of the configuration.
pub(crate) fn sources(config: &Config) -> anyhow::Result<Sources> {
    let targets = config.metrics.iter().map(|(name, target)| {
        let target = match target {
            MetricsTarget::Prometheus(address) => metrics::Target::Prometheus(asked(address)),
            MetricsTarget::Json { address, time } => {
                let (address, time) = (asked(address), time.clone());
                metrics::Target::Json(metrics::json::Target { address, time })
            }
            MetricsTarget::Program(own) => metrics::Target::Program(metrics::program::Target {
                command: own.command.clone(),
                directory: own.directory.clone(),
                environment: own.environment.clone(),
                pass_environment: own.pass_environment.clone(),
                secrets: exposed(&own.secrets),
                timeout: own.timeout,
            }),
        };
        (name.clone(), target)
    });
    Ok(Sources::new(targets.collect())?)
}

fn asked(own: &config::MetricsAddress) -> metrics::Address {
    metrics::Address {
        url: own.url.clone(),
        login: match &own.login {
            MetricsLogin::None => metrics::Login::None,
            MetricsLogin::Token(token) => metrics::Login::Token(token.expose().to_owned()),
            MetricsLogin::Password { user, password } => {
                let (user, password) = (user.clone(), password.expose().to_owned());
                metrics::Login::Password { user, password }
            }
        },
        headers: own.headers.clone(),
        secret_headers: exposed(&own.secret_headers),
        ca: own.ca.clone(),
        timeout: own.timeout,
    }
}

fn exposed(secrets: &BTreeMap<String, config::Secret>) -> BTreeMap<String, String> {
    secrets.iter().map(|(name, secret)| (name.clone(), secret.expose().to_owned())).collect()
}

/// The tokens of the configuration, and one for whoever owns the state directory.
fn tokens(config: &Config) -> anyhow::Result<Vec<Token>> {
    let configured = config.api_tokens.iter().map(|token| Token {
        secret: token.secret.expose().to_owned(),
        bearer: match &token.who {
            Bearer::Person(person) => web::Bearer::Person(person.clone()),
            Bearer::Machine(name) => web::Bearer::Machine(name.clone()),
        },
    });
    let mut tokens: Vec<Token> = configured.collect();
    if config.demo {
        tokens.push(Token { secret: local_token(&config.state)?, bearer: web::Bearer::Anyone });
    }
    Ok(tokens)
}

/// Only the owner of the directory can read it.
fn local_token(state: &Path) -> anyhow::Result<String> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let path = state.join("token");
    if let Ok(known) = std::fs::read_to_string(&path)
        && known.trim().len() >= 32
    {
        return Ok(known.trim().to_owned());
    }
    let mut bytes = [0_u8; 24];
    getrandom::fill(&mut bytes).map_err(|why| anyhow::anyhow!("no randomness: {why}"))?;
    let token: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&path).with_context(|| format!("writing {}", path.display()))?;
    writeln!(file, "{token}")?;
    Ok(token)
}

/// How long open connections may take to end.
const LAST_WORDS: Duration = Duration::from_secs(3);

async fn serve_until(
    listener: TcpListener,
    router: axum::Router,
    stop: &CancellationToken,
    console: Option<&Console>,
) {
    let serving = door::serve(listener, router, Patience::default(), stop.clone());
    let mut serving = std::pin::pin!(serving);
    tokio::select! {
        () = &mut serving => {}
        () = stop.cancelled() => {
            if let Some(console) = console {
                console.close();
            }
            let _ = tokio::time::timeout(LAST_WORDS, serving).await;
        }
    }
}

/// Ctrl-C and TERM.
struct Signals {
    int: Signal,
    term: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { int: signal(SignalKind::interrupt())?, term: signal(SignalKind::terminate())? })
    }

    async fn any(&mut self) {
        tokio::select! { _ = self.int.recv() => {}, _ = self.term.recv() => {} }
    }

    /// The first stops in good order; a second one at once, since nothing is lost by it.
    async fn stop(mut self, stop: CancellationToken) {
        tokio::select! { () = self.any() => {}, () = stop.cancelled() => return }
        info!("stopping: what is under way finishes its call, the rest waits in the outbox");
        stop.cancel();
        self.any().await;
        std::process::exit(130);
    }
}
