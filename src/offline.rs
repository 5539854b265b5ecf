//! The commands that need no running bot: judging plans and configurations, writing documents,
//! looking around, rehearsing.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, bail};
use chrono::{Datelike, Utc};
use serde_json::json;

use crate::adapters::chat::discord::Discord;
use crate::adapters::chat::slack::Slack;
use crate::adapters::flags::FlagFile;
use crate::adapters::metrics::Sources;
use crate::adapters::process;
use crate::app::clock::behind;
use crate::app::conversation::release_called;
use crate::app::grammar::Paper;
use crate::app::rehearsal::{self, Rehearsed, Trouble};
use crate::app::{reads, replay, times, words};
use crate::cli::{self, Exit};
use crate::config::{self, Config, FlagProvider, MetricsTarget};
use crate::domain::event::Event;
use crate::domain::ids::ReleaseId;
use crate::domain::lint::{self, Facts, Finding, Severity};
use crate::domain::plan::Plan;
use crate::domain::policy::{Destination, Policy};
use crate::domain::schedule;
use crate::domain::state::{Release, Start, State};
use crate::domain::time::{Offset, Span, Time, show};
use crate::ports::Question;
use crate::serve::{self, Options, configured, discord_settings, slack_settings};
use crate::store::{OpenError, Reader, Which, verify};

type Out<'a> = &'a mut dyn Write;

// ---------------------------------------------------------------------------------------------
// Judging

fn plan_in(path: &Path) -> anyhow::Result<(String, Plan)> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).with_context(|| format!("reading {name}"))?;
    let plan = config::read_plan(&text, &name).map_err(|problems| {
        let lines: Vec<_> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", lines.join("\n"))
    })?;
    Ok((text, plan))
}

/// When the plan itself says that it starts.
fn planned_start(plan: &Plan, policy: &Policy, now: Time) -> anyhow::Result<Option<Start>> {
    let Some(phrase) = &plan.release.start else { return Ok(None) };
    let zone = plan.release.zone.unwrap_or(policy.zone);
    let planned = times::instant(phrase, now, zone)
        .map_err(|why| anyhow::anyhow!("[release] start: {why}"))?;
    Ok(Some(Start { local: planned.local, zone: planned.zone, at: planned.at }))
}

/// Everything that is wrong with a plan, with its line, its risk, and what would fit it.
pub fn check(options: &Options, path: &Path, json: bool, out: Out<'_>) -> anyhow::Result<Exit> {
    let config = configured(options, None)?;
    let (text, plan) = match plan_in(path) {
        Err(why) if json => {
            writeln!(out, "{}", json!({ "ok": false, "problems": lines(&why) }))?;
            return Ok(Exit::Refused);
        }
        read => read?,
    };
    let start = match planned_start(&plan, &config.policy, Utc::now()) {
        Ok(start) => start,
        Err(why) => {
            let line = config::line_of(&text, "release.start").unwrap_or(1);
            let problem = format!("{}:{line}: {why}", path.display());
            match json {
                true => writeln!(out, "{}", json!({ "ok": false, "problems": [problem] }))?,
                false => writeln!(out, "{problem}")?,
            }
            return Ok(Exit::Refused);
        }
    };
    let findings = lint::lint(&plan, &config.policy, start.as_ref(), &Facts::default());
    let refused = lint::refusals(&findings).count();
    if json {
        let (level, why) = lint::risk(&plan);
        let found: Vec<_> = findings.iter().map(|f| finding_json(f, &text)).collect();
        let all = json!({ "ok": refused == 0, "findings": found, "risk": level, "because": why });
        writeln!(out, "{all}")?;
    } else {
        print_findings(&plan, &findings, path, &text, out)?;
        if let Some(start) = &start {
            let when = show(start.at, start.zone, i32::MIN);
            writeln!(out, "It would start {when} ({}).", start.zone)?;
        }
    }
    Ok(if refused == 0 { Exit::Done } else { Exit::Refused })
}

fn lines(why: &anyhow::Error) -> Vec<String> {
    format!("{why:#}").lines().map(str::to_owned).collect()
}

fn finding_json(finding: &Finding, text: &str) -> serde_json::Value {
    let line = finding.at.as_deref().and_then(|at| config::line_of(text, at));
    let severity = severity(finding.severity);
    json!({
        "rule": finding.rule, "severity": severity, "what": finding.what, "mend": finding.mend,
        "key": finding.at, "line": line,
    })
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Refuse => "refused",
        Severity::Warn => "warning",
        Severity::Hint => "hint",
    }
}

fn print_findings(
    plan: &Plan,
    findings: &[Finding],
    path: &Path,
    text: &str,
    out: Out<'_>,
) -> anyhow::Result<()> {
    for finding in findings {
        let line = finding.at.as_deref().and_then(|at| config::line_of(text, at));
        let place = line.map_or(String::new(), |line| format!(":{line}"));
        let (severity, rule) = (severity(finding.severity), &finding.rule);
        writeln!(out, "{}{place}: {severity} ({rule}): {finding}", path.display())?;
    }
    let refused = lint::refusals(findings).count();
    let warned = lint::warnings(findings).count();
    let verdict = match refused {
        0 => "can be scheduled".to_owned(),
        1 => "is refused for 1 reason".to_owned(),
        n => format!("is refused for {n} reasons"),
    };
    let warnings = match warned {
        0 => "no warnings".to_owned(),
        1 => "1 warning".to_owned(),
        n => format!("{n} warnings"),
    };
    writeln!(out, "{} {verdict}; {warnings}.", plan.title())?;
    let (level, because) = lint::risk(plan);
    let level = format!("{level:?}").to_lowercase();
    writeln!(out, "Risk: {level} ({}).", because.join(", "))?;
    let fits = lint::suggest(plan);
    let strategy = format!("{:?}", fits.strategy).to_lowercase();
    writeln!(out, "A {strategy} rollout fits: {}", sentence(&fits.pros))?;
    writeln!(out, "Mind: {}", sentence(&fits.cons))?;
    writeln!(out, "Rolled back by: {}", fits.rolled_back_by)?;
    Ok(())
}

fn sentence(parts: &[impl AsRef<str>]) -> String {
    format!("{}.", parts.iter().map(AsRef::as_ref).collect::<Vec<_>>().join("; "))
}

/// Everything that is wrong with the configuration, its plans and its templates.
pub fn config_check(options: &Options, json: bool, out: Out<'_>) -> anyhow::Result<Exit> {
    let config = match configured(options, None) {
        Ok(config) => config,
        Err(problems) => {
            match json {
                true => writeln!(out, "{}", json!({ "ok": false, "problems": lines(&problems) }))?,
                false => writeln!(out, "{problems}")?,
            }
            return Ok(Exit::Refused);
        }
    };
    let (_, templates) = words::load(config.messages.as_deref());
    let mut problems: Vec<String> = config.plan_problems.iter().map(ToString::to_string).collect();
    problems.extend(config.plans.iter().flat_map(|plan| unknown_names(plan, &config.policy)));
    problems.extend(templates.iter().map(ToString::to_string));
    let ok = problems.is_empty();
    if json {
        writeln!(out, "{}", json!({ "ok": ok, "problems": problems }))?;
    } else {
        problems.iter().try_for_each(|problem| writeln!(out, "{problem}"))?;
        let name = options.config.as_ref().map(|path| path.display().to_string());
        let name = name.unwrap_or_else(|| "The embedded default".into());
        let (people, roles) = (config.policy.people.len(), config.policy.roles.len());
        let (actions, plans) = (config.policy.actions.len(), config.plans.len());
        let verdict = if ok { "is sound" } else { "can be used, but see above" };
        writeln!(
            out,
            "{name} {verdict}: {people} people, {roles} roles, {actions} actions, {plans} plans."
        )?;
    }
    Ok(if ok { Exit::Done } else { Exit::Refused })
}

/// Names in a plan that lead nowhere. What else there is to say of it may change until the day on
/// which it is scheduled: `check` says that.
fn unknown_names(plan: &config::PlanFile, policy: &Policy) -> Vec<String> {
    let found = lint::lint(&plan.plan, policy, None, &Facts::default());
    let unknown = lint::refusals(&found).filter(|finding| finding.rule.starts_with("unknown-"));
    let told = unknown.map(|finding| {
        let line = finding.at.as_deref().and_then(|at| config::line_of(&plan.text, at));
        format!("{}:{}: {finding}", plan.file, line.unwrap_or(1))
    });
    told.collect()
}

// ---------------------------------------------------------------------------------------------
// Looking around

/// One thing that was looked at.
struct Look {
    what: String,
    trouble: Option<String>,
}

fn good(what: impl Into<String>) -> Look {
    Look { what: what.into(), trouble: None }
}

fn bad(what: impl Into<String>, trouble: impl Into<String>) -> Look {
    Look { what: what.into(), trouble: Some(trouble.into()) }
}

/// Whether everything that a release will need is there, before it is needed.
pub async fn doctor(options: &Options, json: bool, out: Out<'_>) -> anyhow::Result<Exit> {
    let config = match configured(options, None) {
        Ok(config) => config,
        Err(problems) => return report(&[bad("configuration", problems.to_string())], json, out),
    };
    let mut looks = vec![good("configuration")];
    looks.extend(programs(&config));
    looks.extend(holders(&config.policy));
    looks.extend(plans(&config));
    looks.extend(flags(&config).await);
    looks.extend(mail(&config).await);
    looks.extend(measurements(&config).await);
    looks.extend(slack(&config).await);
    looks.extend(discord(&config).await);
    looks.extend(gates(&config).await);
    looks.push(log(&config).await);
    looks.extend(clock(&config).await);
    looks.push(writer(&config).await);
    report(&looks, json, out)
}

fn report(looks: &[Look], json: bool, out: Out<'_>) -> anyhow::Result<Exit> {
    let ok = looks.iter().all(|look| look.trouble.is_none());
    if json {
        let all: Vec<_> = looks
            .iter()
            .map(|look| json!({ "what": look.what, "ok": look.trouble.is_none(), "trouble": look.trouble }))
            .collect();
        writeln!(out, "{}", json!({ "ok": ok, "looked_at": all }))?;
    } else {
        for look in looks {
            match &look.trouble {
                None => writeln!(out, "✓ {}", look.what)?,
                Some(trouble) => writeln!(out, "✗ {}: {trouble}", look.what)?,
            }
        }
    }
    Ok(if ok { Exit::Done } else { Exit::Refused })
}

/// Each program that a plan may run is a file that can be run.
fn programs(config: &Config) -> Vec<Look> {
    let look = |(name, action): (&String, &config::ProgramAction)| {
        let what = format!("action {name}");
        let program = action.command.first().map(String::as_str).unwrap_or_default();
        match process::is_there(program) {
            true => good(what),
            false => bad(
                what,
                format!(
                    "`{program}` is not a program here: install it, or mend [actions.{name}] command"
                ),
            ),
        }
    };
    config.actions.programs.iter().map(look).collect()
}

/// A dead directory must never block a rollback: somebody holds it by name.
fn holders(policy: &Policy) -> Vec<Look> {
    use crate::domain::policy::Right;
    let look = |right: Right| {
        let named = policy
            .roles_with(right)
            .any(|role| policy.roles.get(role).is_some_and(|rules| !rules.members.is_empty()));
        let what = format!("somebody may {}", right.deed());
        match named {
            true => good(what),
            false => bad(what, "give a role with that right a member by name"),
        }
    };
    [Right::Start, Right::Rollback, Right::Resume, Right::Override].map(look).into()
}

fn plans(config: &Config) -> Vec<Look> {
    let look = |plan: &config::PlanFile| {
        let findings = lint::lint(&plan.plan, &config.policy, None, &Facts::default());
        let refused: Vec<_> = lint::refusals(&findings).map(ToString::to_string).collect();
        match refused.is_empty() {
            true => good(format!("plan {}", plan.name)),
            false => bad(format!("plan {}", plan.name), refused.join(" ")),
        }
    };
    let unread = config.plan_problems.iter().map(|problem| bad("plan", problem.to_string()));
    config.plans.iter().map(look).chain(unread).collect()
}

/// Each provider of feature flags; nothing is changed.
async fn flags(config: &Config) -> Vec<Look> {
    let mut looks = Vec::new();
    for (name, provider) in &config.flags {
        let (what, found) = match provider {
            FlagProvider::File { path } => {
                let what = format!("flags {name} in {}", path.display());
                if path.starts_with(&config.state) && !config.state.exists() {
                    (format!("{what}: none yet"), Ok(()))
                } else {
                    (what, FlagFile::new(path.clone()).look().await.map_err(|it| it.to_string()))
                }
            }
            FlagProvider::Unleash(target) => {
                let what = format!("flags {name} at {}", target.url);
                let looked = match serve::unleash(name, target) {
                    Ok(unleash) => unleash.look().await.map_err(|failure| failure.to_string()),
                    Err(why) => Err(why.to_string()),
                };
                (what, looked)
            }
            FlagProvider::Program(own) => (format!("flags {name}"), flag_programs(name, own)),
        };
        looks.push(Look { what, trouble: found.err() });
    }
    looks
}

fn flag_programs(name: &str, own: &config::FlagProgram) -> Result<(), String> {
    let commands = [("set", &own.set), ("kill", &own.kill), ("state", &own.state)];
    for (field, command) in commands {
        let program = command.first().map(String::as_str).unwrap_or_default();
        if !process::is_there(program) {
            return Err(format!(
                "`{program}` is not a program here: install it, or mend [flags.{name}] {field}"
            ));
        }
    }
    match own.directory.as_ref().filter(|directory| !directory.is_dir()) {
        Some(gone) => Err(format!(
            "there is no directory {}: create it, or mend [flags.{name}] directory",
            gone.display()
        )),
        None => Ok(()),
    }
}

/// Whether the mail server lets us in; nothing is sent.
async fn mail(config: &Config) -> Option<Look> {
    let own = config.mail.as_ref()?;
    let what = format!("mail server {}:{}", own.server, own.port);
    let mail = match serve::mail(config, "doctor") {
        Ok(mail) => mail?,
        Err(why) => return Some(bad(what, why.to_string())),
    };
    Some(match mail.look().await {
        Ok(()) if own.login.is_some() => good(format!("{what}: lets us in")),
        Ok(()) => good(format!("{what}: answers")),
        Err(failure) => bad(what, failure.to_string()),
    })
}

/// Each source of measurements is asked something simple, and each query as far as one can.
async fn measurements(config: &Config) -> Vec<Look> {
    // The demo's shop answers while the demo runs, at an address of its own.
    if config.demo {
        return Vec::new();
    }
    let sources = match serve::sources(config) {
        Ok(sources) => sources,
        Err(why) => return vec![bad("metrics", why.to_string())],
    };
    let (mut looks, mut answer) = (Vec::new(), BTreeSet::new());
    for (name, target) in &config.metrics {
        let what = format!("metrics {name}");
        match (sources.greet(name).await, target) {
            (Ok(()), MetricsTarget::Prometheus(_) | MetricsTarget::Json { .. }) => {
                answer.insert(name);
                looks.push(good(format!("{what}: answers")));
            }
            (Ok(()), MetricsTarget::Program(_)) => {
                answer.insert(name);
                looks.push(good(what));
            }
            (Err(why), _) => looks.push(bad(what, format!("{why}: mend [metrics.{name}]"))),
        }
    }
    for (name, query) in
        config.policy.queries.iter().filter(|(_, query)| answer.contains(&query.source))
    {
        let texts = [("query", Some(&query.query)), ("baseline", query.baseline.as_ref())];
        for (field, text) in texts.into_iter().filter_map(|(field, text)| Some((field, text?))) {
            let key = format!("[queries.{name}] {field}");
            looks.extend(asked(config, &sources, &query.source, &key, text).await);
        }
    }
    looks
}

/// What stands for a release can be made up only where asking for what is not there is no mistake.
async fn asked(
    config: &Config,
    sources: &Sources,
    source: &str,
    key: &str,
    text: &str,
) -> Option<Look> {
    let query = config::with_samples(text);
    let is_made_up = query != text;
    match config.metrics.get(source)? {
        MetricsTarget::Prometheus(_) => {}
        MetricsTarget::Json { .. } | MetricsTarget::Program(_) if is_made_up => return None,
        MetricsTarget::Json { .. } | MetricsTarget::Program(_) => {}
    }
    let to = std::time::SystemTime::now();
    let step = std::time::Duration::from_secs(15);
    let question = Question { query, from: to - step * 20, to, step };
    Some(match sources.read(source, &question).await {
        Ok(_) if is_made_up => good(format!("{key}: understood")),
        Ok(found) if found.is_empty() => bad(key, "it finds nothing"),
        Ok(found) if found.len() == 1 => good(format!("{key}: 1 series")),
        Ok(found) => good(format!("{key}: {} series", found.len())),
        Err(why) => bad(key, why.to_string()),
    })
}

/// The workspace, with every channel and group of it that the configuration names.
async fn slack(config: &Config) -> Vec<Look> {
    let Some(target) = &config.slack else { return Vec::new() };
    let slack = match Slack::new(slack_settings(target)) {
        Ok(slack) => slack,
        Err(why) => return vec![bad("Slack", why.to_string())],
    };
    let (channels, groups) = named(config, "slack");
    let found = slack.doctor(&channels, &groups).await;
    found.into_iter().map(|it| Look { what: it.what, trouble: it.trouble }).collect()
}

/// The server, with every channel and role of it that the configuration names.
async fn discord(config: &Config) -> Vec<Look> {
    let Some(target) = &config.discord else { return Vec::new() };
    let discord = match Discord::new(discord_settings(target, config), serve::discord_commands()) {
        Ok(discord) => discord,
        Err(why) => return vec![bad("Discord", why.to_string())],
    };
    let (channels, groups) = named(config, "discord");
    let found = discord.doctor(&channels, &groups).await;
    found.into_iter().map(|it| Look { what: it.what, trouble: it.trouble }).collect()
}

/// The channels and the groups of a platform that the configuration names.
fn named(config: &Config, wanted: &str) -> (Vec<String>, Vec<String>) {
    let all = config.policy.audiences.values().flatten();
    let channels: BTreeSet<String> = all
        .filter_map(|destination| match destination {
            Destination::Channel { platform, channel, .. } if platform == wanted => {
                Some(channel.clone())
            }
            Destination::Channel { .. } | Destination::Courier { .. } => None,
        })
        .collect();
    let groups = config.policy.roles.values().flat_map(|role| &role.groups);
    let groups: BTreeSet<String> =
        groups.filter(|group| group.split('/').next() == Some(wanted)).cloned().collect();
    (channels.into_iter().collect(), groups.into_iter().collect())
}

/// Whether those who ask us can be answered.
async fn gates(config: &Config) -> Vec<Look> {
    let flagger = config.gates.flagger.as_ref().map(|own| {
        let known = own.canaries.len();
        good(format!("Flagger may ask, about {known} canaries by name"))
    });
    let Some(own) = &config.gates.github else { return flagger.into_iter().collect() };
    let what = "GitHub's deployments that wait";
    let github = match serve::github(own) {
        Ok(github) => match github.doctor().await {
            Ok(name) => good(format!("{what}: answered as {name}")),
            Err(why) => bad(what, why),
        },
        Err(why) => bad(what, why.to_string()),
    };
    flagger.into_iter().chain([github]).collect()
}

async fn log(config: &Config) -> Look {
    let what = format!("log in {}", config.state.display());
    match Reader::open(&config.state).await {
        Err(OpenError::Missing(_)) => good(format!("{what}: none yet")),
        Ok(reader) => match verify(&reader, None).await {
            Ok(crate::store::Finding::Verified { entries, .. }) => {
                good(format!("{what}: {entries} entries, verified"))
            }
            Ok(crate::store::Finding::Broken { seq, why }) => {
                bad(what, format!("damaged at entry #{seq}: {why}. To go on, {}", verify::MEND))
            }
            Err(why) => bad(what, why.to_string()),
        },
        Err(why) => bad(what, why.to_string()),
    }
}

/// A demo's clock is its own business.
async fn clock(config: &Config) -> Option<Look> {
    if config.demo {
        return None;
    }
    let reader = Reader::open(&config.state).await.ok()?;
    let first = Some(reader.head().await.ok()?.seq);
    let last = reader.entries(&Which { first, ..Which::default() }).await.ok()?.pop()?;
    Some(match behind(last.at, Utc::now()) {
        Some(trouble) => bad("clock", trouble),
        None => good("clock"),
    })
}

async fn writer(config: &Config) -> Look {
    // Only a demo leaves a token there, and none is needed to ask.
    let own = match std::fs::read_to_string(config.state.join("url")) {
        Ok(own) => own,
        Err(why) if why.kind() == std::io::ErrorKind::PermissionDenied => {
            return bad("the running bot", OpenError::ShutOut(config.state.clone()).to_string());
        }
        Err(_) => return good("no bot runs with this state directory"),
    };
    let own = own.trim();
    let url = format!("{own}/readyz");
    let client = reqwest::Client::builder().timeout(std::time::Duration::from_secs(3)).build();
    let Ok(client) = client else { return bad("the running bot", "no HTTP client") };
    match client.get(&url).send().await {
        Ok(answer) if answer.status().is_success() => good(format!("the bot at {} is ready", own)),
        Ok(answer) => {
            let told: serde_json::Value = answer.json().await.unwrap_or_default();
            let problems = told["problems"].as_array().into_iter().flatten();
            let problems: Vec<_> = problems.filter_map(serde_json::Value::as_str).collect();
            let why = format!("it is not ready: {}", problems.join(". "));
            bad(format!("the bot at {}", own), why)
        }
        Err(_) => good(format!("no bot answers at {} now", own)),
    }
}

// ---------------------------------------------------------------------------------------------
// Documents

/// What `document` was asked for.
pub struct Wanted<'a> {
    pub paper: Paper,
    pub release: Option<&'a str>,
    pub plan: Option<&'a Path>,
    pub output: Option<&'a Path>,
}

/// A document of a release in the log, or of a plan that nobody has scheduled.
pub async fn document(
    options: &Options,
    wanted: &Wanted<'_>,
    out: &mut impl Write,
) -> anyhow::Result<Exit> {
    let config = configured(options, None)?;
    let text = match wanted.plan {
        Some(path) if wanted.paper == Paper::Report => bail!(
            "a report tells how a release went, and a plan has not gone yet: \
             `tminus rehearse {} --report FILE` plays it and writes one",
            path.display()
        ),
        Some(path) => {
            let (_, plan) = plan_in(path)?;
            let start = planned_start(&plan, &config.policy, Utc::now())?;
            let release = unscheduled(&plan, &config.policy, start);
            reads::document(&release, &config.policy, wanted.paper, &[])
        }
        None => of_the_log(&config, wanted).await?,
    };
    cli::write_text(&text, wanted.output, out)?;
    Ok(Exit::Done)
}

async fn of_the_log(config: &Config, wanted: &Wanted<'_>) -> anyhow::Result<String> {
    let opening = || format!("opening the log in {}", config.state.display());
    let reader = Reader::open(&config.state).await.with_context(opening)?;
    let state = replay::replay_all(&reader).await.context("replaying the log")?;
    let id = release_called(&state, wanted.release).map_err(anyhow::Error::msg)?;
    let Some(release) = state.releases.get(&id) else { bail!("there is no release {id}") };
    let which = Which { release: Some(id.to_string()), ..Which::default() };
    let entries = reader.entries(&which).await?;
    Ok(reads::document(release, state.house.policy(), wanted.paper, &entries))
}

/// As the plan would stand right after it was scheduled.
fn unscheduled(plan: &Plan, policy: &Policy, start: Option<Start>) -> Release {
    let now = Utc::now();
    let start = start.unwrap_or_else(|| next_week(plan, policy, now));
    let head = &plan.release;
    let id = ReleaseId::of(&head.service, &head.environment, &head.version, 1);
    let mut state = State::default();
    let did = schedule::scheduled(plan, policy, &start, None, Vec::new(), now);
    state.evolve(&Event::Release { release: id.clone(), did }, now);
    let release = state.releases.remove(&id).expect("it was scheduled just now");
    Arc::unwrap_or_clone(release)
}

/// Where a plan says nothing: a Tuesday morning with room for every count-down before it.
fn next_week(plan: &Plan, policy: &Policy, now: Time) -> Start {
    let zone = plan.release.zone.unwrap_or(policy.zone);
    let today = now.with_timezone(&zone).date_naive();
    let mut candidates = (4..20).map(|days| today + chrono::Duration::days(days));
    let tuesday = candidates.find(|day| day.weekday() == chrono::Weekday::Tue);
    let local = tuesday.unwrap_or(today).and_hms_opt(10, 0, 0).expect("ten o'clock exists");
    let at = crate::domain::time::resolve(local, zone).unwrap_or(now + chrono::Duration::days(7));
    Start { local, zone, at }
}

// ---------------------------------------------------------------------------------------------
// Rehearsing

/// What `rehearse` was asked for.
pub struct Rehearsing<'a> {
    pub plan: &'a Path,
    pub trouble: Trouble,
    pub report: Option<&'a Path>,
}

/// The whole release in seconds, reaching nobody. Not done if the plan would not have launched.
pub async fn rehearse(
    options: &Options,
    wanted: &Rehearsing<'_>,
    json: bool,
    out: &mut impl Write,
) -> anyhow::Result<Exit> {
    let config = configured(options, None)?;
    let (_, plan) = plan_in(wanted.plan)?;
    if wanted.trouble.is_idle(&plan) {
        let why = "No numbers judge this plan, so that trouble with them would change nothing: give \
                   a stage a [[stage.metric]].";
        return not_rehearsed(why, json, out);
    }
    let now = Utc::now();
    let start = planned_start(&plan, &config.policy, now)?;
    // With room for every count-down, whatever day it is.
    let start = start.filter(|start| start.at - now > chrono::Duration::hours(50));
    let start = start.unwrap_or_else(|| next_week(&plan, &config.policy, now));
    let (messages, _) = words::load(config.messages.as_deref());
    let directory = tempfile::tempdir().context("making room for the rehearsal")?;
    let messages = Arc::new(messages);
    let rehearsed = rehearsal::rehearse(
        &plan,
        &config.policy,
        start.clone(),
        messages,
        wanted.trouble,
        directory.path(),
    );
    let rehearsed = match rehearsed.await? {
        Ok(rehearsed) => rehearsed,
        Err(refusal) => return not_rehearsed(&refusal.to_string(), json, out),
    };
    match json {
        true => writeln!(out, "{}", rehearsal_json(&rehearsed))?,
        false => print_rehearsal(&rehearsed, &start, out)?,
    }
    let entries = &rehearsed.entries;
    let report = reads::document(&rehearsed.release, &config.policy, Paper::Report, entries);
    let report = marked_as_rehearsal(&report);
    if let Some(path) = wanted.report {
        cli::write_text(&report, Some(path), out)?;
        if !json {
            writeln!(out, "The report is in {}.", path.display())?;
        }
    } else if !json {
        writeln!(out, "\n{report}")?;
    }
    Ok(if rehearsed.launched { Exit::Done } else { Exit::Refused })
}

fn not_rehearsed(why: &str, json: bool, out: &mut impl Write) -> anyhow::Result<Exit> {
    match json {
        true => writeln!(out, "{}", json!({ "launched": false, "why": [why] }))?,
        false => writeln!(out, "{why}")?,
    }
    Ok(Exit::Refused)
}

/// Nobody may take it for the report of a release.
fn marked_as_rehearsal(report: &str) -> String {
    let mark = "> **Rehearsal.** Nothing of this happened: the clock was simulated, and no neighbour \
                was asked.";
    match report.split_once('\n') {
        Some((title, rest)) => format!("{title} (rehearsal)\n\n{mark}\n{rest}"),
        None => format!("{mark}\n\n{report}"),
    }
}

fn rehearsal_json(rehearsed: &Rehearsed) -> serde_json::Value {
    let result = rehearsed.release.result.as_ref();
    json!({
        "launched": rehearsed.launched,
        "why": rehearsed.obstacles,
        "result": result,
        "timeline": rehearsed.timeline,
    })
}

/// As announcements are planned: `T-48h`, `T+8m`; seconds are left out.
fn offset(from_start: chrono::Duration) -> String {
    let length = u32::try_from(from_start.num_minutes().unsigned_abs() * 60).unwrap_or(u32::MAX);
    let length = Span::seconds(length);
    let before = from_start < chrono::Duration::zero();
    if before { Offset::before(length) } else { Offset::after(length) }.to_string()
}

fn print_rehearsal(rehearsed: &Rehearsed, start: &Start, out: Out<'_>) -> anyhow::Result<()> {
    for line in &rehearsed.timeline {
        let when = show(line.at, start.zone, line.at.year());
        let offset = offset(line.at - start.at);
        writeln!(out, "{offset:<12} {when:<24} {:<18} {}", line.place, line.text)?;
    }
    let title = rehearsed.release.title();
    if rehearsed.launched {
        let result = rehearsed.release.result.as_ref();
        let words =
            result.map(|result| format!("{}, {}", result.outcome.word(), result.state.word()));
        writeln!(out, "\n{title} would have launched: {}.", words.unwrap_or_default())?;
    } else {
        writeln!(out, "\n{title} would not have launched.")?;
        for why in &rehearsed.obstacles {
            writeln!(out, "  {why}")?;
        }
    }
    Ok(())
}
