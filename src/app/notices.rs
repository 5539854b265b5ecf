//! Notices into words: one template per kind in `messages/`, and the buttons that go with it.
//!
//! **Invariant:** a button carries a command line that could be typed after the prefix, so that a
//! click and a line cannot differ.

use serde_json::{Map, Value, json};

use super::{markup, messages::Messages};
use crate::domain::ids::{ReleaseId, RunId};
use crate::domain::notice::{Brief, Notice, NoticeKind, WantedItem};
use crate::domain::time::Time;
use crate::domain::zone::Zone;
use crate::ports::{Button, Message, Style, Tone};

/// For whom and when something is said.
#[derive(Debug, Clone)]
pub struct Scene<'a> {
    pub platform: &'a str,
    pub tenant: &'a str,
    pub now: Time,
    /// For what belongs to no release: the policy's zone.
    pub zone: Zone,
    /// The log's head (`#412 sha256:…`), quoted in the war room where a phase changes.
    pub head: Option<String>,
    /// What a command begins with: `/release`.
    pub prefix: &'a str,
}

/// What is said, ready for any platform.
pub fn render(messages: &Messages, notice: &Notice, scene: &Scene) -> Message {
    let context = context(notice, scene);
    let name = template(&notice.kind);
    let name = if messages.has(&name) { name } else { FALLBACK.to_owned() };
    let body = markup::parse(&messages.render(&name, &context));
    Message { tone: tone(notice), body, buttons: buttons(notice), ..Message::default() }
}

/// Speaks for an announcement whose own template is not there.
const FALLBACK: &str = "t-48h.md";

/// The file that says it: the kind's name, or for an announcement the plan's choice.
pub(super) fn template(kind: &NoticeKind) -> String {
    if let NoticeKind::Announcement { template, .. } = kind {
        return format!("{template}.md");
    }
    let tagged = serde_json::to_value(kind).expect("a notice is plain data");
    format!("{}.md", tagged["kind"].as_str().expect("the tag is the kind's name"))
}

// ---------------------------------------------------------------------------------------------
// What a template sees

/// The release's facts, then the kind's own, which win.
fn context(notice: &Notice, scene: &Scene) -> Value {
    let kind = serde_json::to_value(&notice.kind).expect("a notice is plain data");
    let Value::Object(mut own) = kind else { unreachable!("a tagged kind is an object") };
    own.remove("kind");
    let at = own.get("at").and_then(|at| serde_json::from_value(at.clone()).ok());
    // Lengths count from the moment of the notice, so that a second try says the same.
    let facts = |brief| facts(brief, at.unwrap_or(scene.now), scene);
    let mut seen = notice.brief.as_ref().map(facts).unwrap_or_default();
    seen.extend(own);
    seen.insert("public".into(), json!(notice.public));
    let head = scene.head.clone().filter(|_| !notice.public);
    finish(seen, &Scene { head, ..*scene })
}

/// What every message may say, and every person as this platform knows them.
pub(super) fn finish(mut seen: Map<String, Value>, scene: &Scene) -> Value {
    seen.insert("prefix".into(), json!(scene.prefix));
    seen.insert("now".into(), json!(scene.now));
    seen.insert("head".into(), json!(scene.head));
    seen.entry("zone").or_insert_with(|| json!(scene.zone));
    for_readers(Value::Object(seen), scene)
}

/// What is said of a release at some moment.
pub(super) fn facts(brief: &Brief, at: Time, scene: &Scene) -> Map<String, Value> {
    let Value::Object(mut seen) = serde_json::to_value(brief).expect("a brief is plain data")
    else {
        unreachable!("a struct is an object")
    };
    let here = brief.rooms.iter().find(|room| room.platform == scene.platform);
    let room = here.map(|room| json!({ "id": room.channel, "name": room.name }));
    let ago = |then: Time| roughly((at - then).num_seconds());
    // Whole minutes: nobody waits for 59 min 59 s.
    let starts_in = ((brief.start - at).num_seconds() + 30).div_euclid(60) * 60;
    let asked = brief.waiting.iter();
    let asked = asked.map(|seat| json!({ "role": seat.role, "asked_ago": seat.asked_at.map(ago) }));
    let underway = !["counting down", "ready"].contains(&brief.phase.as_str());
    let mut add = |name: &str, value: Value| seen.insert(name.to_owned(), value);
    add("room", json!(room));
    add("room_is_late", json!(brief.late_rooms.iter().any(|late| late == scene.platform)));
    add("service_name", json!(brief.name));
    add("contents", json!(contents(brief)));
    add("impact", json!(brief.impact.as_deref().map(without_stop)));
    add("deployed", json!(is_deployed(brief)));
    add("underway", json!(underway));
    add("starts_in", json!(starts_in));
    add("rehearsed_ago", json!(brief.rehearsed_at.map(ago)));
    add("waiting", asked.collect());
    seen
}

/// A sentence that goes on.
fn without_stop(text: &str) -> &str {
    text.trim_end().trim_end_matches('.')
}

/// What is in a release, in the words of its plan.
fn contents(brief: &Brief) -> Vec<String> {
    let counted = |number: usize, one: &str, many: &str| {
        let word = if number == 1 { one } else { many };
        (number > 0).then(|| format!("{number} {word}"))
    };
    let mut contents: Vec<String> = brief.features.clone();
    contents.extend(brief.enhancements.iter().cloned());
    contents.extend(counted(brief.fixes, "fix", "fixes"));
    contents.extend(counted(brief.security, "security fix", "security fixes"));
    contents.extend(counted(brief.breaking, "breaking change", "breaking changes"));
    contents
}

/// Every person by their id on this platform, every length in seconds beside its milliseconds.
fn for_readers(value: Value, scene: &Scene) -> Value {
    match value {
        Value::Object(fields) if fields.contains_key("accounts") => person(&fields, scene),
        Value::Object(fields) => {
            let mut shown = Map::new();
            for (name, value) in fields {
                if let Some(short) = name.strip_suffix("_ms") {
                    let seconds = value.as_i64().map(|ms| ms / 1_000);
                    shown.insert(short.to_owned(), json!(seconds));
                }
                shown.insert(name, for_readers(value, scene));
            }
            Value::Object(shown)
        }
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| for_readers(item, scene)).collect())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value,
    }
}

/// `{ id?, name }`: without an id if they have no account here.
fn person(fields: &Map<String, Value>, scene: &Scene) -> Value {
    let accounts = fields["accounts"].as_array().map_or(&[][..], Vec::as_slice);
    let accounts: Vec<crate::domain::ids::Account> = accounts
        .iter()
        .filter_map(|account| account.as_str()?.parse().ok())
        .filter(|account: &crate::domain::ids::Account| account.platform == scene.platform)
        .collect();
    let at_home = accounts.iter().find(|account| account.tenant == scene.tenant);
    let mut shown = Map::new();
    if let Some(account) = at_home.or(accounts.first()) {
        shown.insert("id".into(), json!(account.user));
    }
    shown.insert("name".into(), fields.get("name").cloned().unwrap_or_default());
    Value::Object(shown)
}

/// How long ago, as one says it: `22 h`, not `22 h 3 min`.
pub(super) fn roughly(seconds: i64) -> i64 {
    match seconds {
        ..=119 => seconds.max(0),
        120..7_200 => (seconds + 30) / 60 * 60,
        7_200..172_800 => (seconds + 1_800) / 3_600 * 3_600,
        172_800.. => seconds / 86_400 * 86_400,
    }
}

// ---------------------------------------------------------------------------------------------
// At a glance

fn tone(notice: &Notice) -> Tone {
    let smooth = notice.brief.as_ref().is_none_or(|brief| brief.issues.is_empty());
    let good_if = |good: bool| if good { Tone::Good } else { Tone::Warning };
    match &notice.kind {
        NoticeKind::Announcement { template, .. } if template == "done" => good_if(smooth),
        NoticeKind::WentGo
        | NoticeKind::ChangedToGo { .. }
        | NoticeKind::StageDone { .. }
        | NoticeKind::RolledOut { .. } => Tone::Good,
        NoticeKind::Finished { outcome, .. } => good_if(outcome == "SUCCESS"),
        NoticeKind::SmokeTallied { passed, total, .. } => good_if(passed == total),
        NoticeKind::OutcomeSettled { worked, .. } => good_if(*worked),
        NoticeKind::FlagOff { trouble, .. } => good_if(trouble.is_none()),
        NoticeKind::FlagChanged { trouble, .. } => good_if(trouble.is_none()),
        NoticeKind::RehearsalEnded { worked, .. } => good_if(*worked),
        NoticeKind::WentNoGo { .. }
        | NoticeKind::StepFailed { .. }
        | NoticeKind::RollbackFailed { .. }
        | NoticeKind::TurnedRed { .. }
        | NoticeKind::Escalation { .. } => Tone::Bad,
        NoticeKind::Numbers { light, .. } => match light.as_str() {
            "green" => Tone::Good,
            "red" => Tone::Bad,
            _ => Tone::Warning,
        },
        NoticeKind::Correction { .. }
        | NoticeKind::Retraction { .. }
        | NoticeKind::StartMissed { .. }
        | NoticeKind::StartWaits { .. }
        | NoticeKind::StepUnknown { .. }
        | NoticeKind::SilencePrompt { .. }
        | NoticeKind::Held { .. }
        | NoticeKind::SteppedBack { .. }
        | NoticeKind::RollbackBegan { .. }
        | NoticeKind::RolledBack { .. }
        | NoticeKind::Overridden { .. }
        | NoticeKind::Undelivered { .. }
        | NoticeKind::RoomIsThread { .. }
        | NoticeKind::ClockLeapt { .. }
        | NoticeKind::FreezeAdded { .. }
        | NoticeKind::FlagReminder { .. }
        | NoticeKind::Locked { .. } => Tone::Warning,
        NoticeKind::Announcement { .. }
        | NoticeKind::Opening { .. }
        | NoticeKind::SaidByHand { .. }
        | NoticeKind::VoteWanted { .. }
        | NoticeKind::StartOffered { .. }
        | NoticeKind::RoomOpened
        | NoticeKind::Started { .. }
        | NoticeKind::StepDone { .. }
        | NoticeKind::Soaking { .. }
        | NoticeKind::Pictures { .. }
        | NoticeKind::AdvanceWanted { .. }
        | NoticeKind::Cohort { .. }
        | NoticeKind::Advanced { .. }
        | NoticeKind::Update { .. }
        | NoticeKind::Resumed { .. }
        | NoticeKind::CheckWanted { .. }
        | NoticeKind::ItemsWanted { .. }
        | NoticeKind::HandedOver { .. }
        | NoticeKind::FreezeLifted { .. }
        | NoticeKind::Welcome { .. }
        | NoticeKind::FlagTicket { .. }
        | NoticeKind::Report
        | NoticeKind::Unlocked { .. } => Tone::Plain,
    }
}

// ---------------------------------------------------------------------------------------------
// Buttons

pub(super) fn plain(label: &str, command: String) -> Button {
    Button { label: label.to_owned(), command, style: Style::Plain }
}

pub(super) fn primary(label: &str, command: String) -> Button {
    Button { label: label.to_owned(), command, style: Style::Primary }
}

pub(super) fn danger(label: &str, command: String) -> Button {
    Button { label: label.to_owned(), command, style: Style::Danger }
}

/// Going back names both ends: a click on an outdated one asks again instead of acting.
pub(super) fn roll_back(id: &ReleaseId, from: &str, to: &str) -> Button {
    let command = format!("rollback {id} --from {from} --to {to}");
    danger(&format!("Roll back to {to}"), command)
}

/// The run that is meant: a click on an outdated message settles no other.
fn about(id: &ReleaseId, run: Option<&RunId>) -> String {
    let place = run.and_then(|run| run.as_str().strip_prefix(id.as_str()));
    place.map(|place| format!(" --run {}", place.trim_start_matches('/'))).unwrap_or_default()
}

pub(super) fn retry(id: &ReleaseId, run: Option<&RunId>) -> Button {
    plain("Retry", format!("retry {id}{}", about(id, run)))
}

/// `worked` or `failed`.
pub(super) fn ended(id: &ReleaseId, run: Option<&RunId>, how: &str) -> Button {
    plain(&format!("It {how}"), format!("outcome {id} {how}{}", about(id, run)))
}

/// One row, or none: what customers may read has no buttons.
fn buttons(notice: &Notice) -> Vec<Vec<Button>> {
    if let NoticeKind::Welcome { plan, .. } = &notice.kind {
        return vec![vec![primary("Schedule it", format!("schedule {plan}"))]];
    }
    let of_flag = of_flag(&notice.kind);
    if !of_flag.is_empty() {
        return vec![of_flag];
    }
    let Some(brief) = &notice.brief else { return Vec::new() };
    if notice.public {
        return Vec::new();
    }
    let row = row(&notice.kind, &Row(brief));
    if row.is_empty() { Vec::new() } else { vec![row] }
}

/// A flag belongs to no single release.
fn of_flag(kind: &NoticeKind) -> Vec<Button> {
    if let NoticeKind::FlagChanged { id, trouble: Some(_), percent, .. } = kind {
        let kill = danger("Kill flag", format!("flag kill {id}"));
        let again = percent.map(|share| plain("Try again", format!("flag set {id} {share}%")));
        return again.into_iter().chain([kill, plain("Look", format!("flag show {id}"))]).collect();
    }
    if let NoticeKind::FlagReminder { id, .. } = kind {
        let gone = primary("It is gone", format!("flag clean {id}"));
        return vec![gone, plain("Look", format!("flag show {id}"))];
    }
    Vec::new()
}

fn row(kind: &NoticeKind, row: &Row) -> Vec<Button> {
    match kind {
        NoticeKind::Announcement { template, .. } => row.announced(template),
        NoticeKind::Opening { .. } | NoticeKind::WentGo | NoticeKind::ChangedToGo { .. } => {
            vec![row.status(), row.checklist()]
        }
        NoticeKind::WentNoGo { .. } => vec![row.checklist(), row.plain("Reschedule", "reschedule")],
        NoticeKind::VoteWanted { role, .. } => row.votes(role),
        NoticeKind::StartOffered { .. } => vec![row.start(), row.hold()],
        NoticeKind::StartMissed { .. } | NoticeKind::StartWaits { .. } => row.missed(),
        NoticeKind::Started { .. } => row.with_back(vec![row.hold()]),
        NoticeKind::AdvanceWanted { number, .. } => vec![row.advance(*number), row.hold()],
        NoticeKind::StepFailed { .. } => row.failed(),
        NoticeKind::StepUnknown { .. } => row.unknown(),
        NoticeKind::OutcomeSettled { worked: false, .. } => row.again(),
        NoticeKind::SilencePrompt { .. } => vec![row.plain("Post an update", "update"), row.hold()],
        NoticeKind::Held { .. } => row.held(),
        NoticeKind::Numbers { held, light, .. } => row.numbers(light, *held),
        NoticeKind::TurnedRed { roll_back_at: Some(_), window: true, .. } => {
            row.with_back(vec![row.hold()])
        }
        NoticeKind::TurnedRed { roll_back_at: Some(_), window: false, .. } => vec![row.status()],
        NoticeKind::TurnedRed { roll_back_at: None, .. } => {
            row.with_back(vec![row.plain("Resume", "resume")])
        }
        NoticeKind::SteppedBack { .. } => vec![row.status()],
        NoticeKind::RolledOut { .. } => row.with_back(Vec::new()),
        NoticeKind::SmokeTallied { passed, total, .. } => row.smoke(passed == total),
        NoticeKind::ItemsWanted { items, .. } => row.items(items),
        NoticeKind::CheckWanted { .. } => vec![row.plain("Say what you found", "update")],
        NoticeKind::RehearsalEnded { worked, .. } => row.rehearsal(*worked),
        NoticeKind::RollbackFailed { .. } | NoticeKind::Escalation { .. } => row.stuck(),
        NoticeKind::HandedOver { .. }
        | NoticeKind::RollbackBegan { .. }
        | NoticeKind::ClockLeapt { .. } => vec![row.status()],
        NoticeKind::Finished { .. } => {
            vec![row.plain("Report", "report"), row.plain("Keep this room", "keep")]
        }
        NoticeKind::Correction { .. }
        | NoticeKind::Retraction { .. }
        | NoticeKind::SaidByHand { .. }
        | NoticeKind::StageDone { .. }
        | NoticeKind::StepDone { .. }
        | NoticeKind::FlagOff { .. }
        | NoticeKind::FlagChanged { .. }
        | NoticeKind::FlagReminder { .. }
        | NoticeKind::FlagTicket { .. }
        | NoticeKind::OutcomeSettled { worked: true, .. }
        | NoticeKind::Soaking { .. }
        | NoticeKind::Cohort { .. }
        | NoticeKind::Pictures { .. }
        | NoticeKind::Advanced { .. }
        | NoticeKind::Update { .. }
        | NoticeKind::Resumed { .. }
        | NoticeKind::RolledBack { .. }
        | NoticeKind::Overridden { .. }
        | NoticeKind::Undelivered { .. }
        | NoticeKind::RoomOpened
        | NoticeKind::RoomIsThread { .. }
        | NoticeKind::FreezeAdded { .. }
        | NoticeKind::FreezeLifted { .. }
        | NoticeKind::Welcome { .. }
        | NoticeKind::Report
        | NoticeKind::Unlocked { .. }
        | NoticeKind::Locked { .. } => Vec::new(),
    }
}

/// The buttons of one release.
struct Row<'a>(&'a Brief);

impl Row<'_> {
    fn plain(&self, label: &str, verb: &str) -> Button {
        plain(label, format!("{verb} {}", self.0.release))
    }

    fn status(&self) -> Button {
        self.plain("Status", "status")
    }

    fn checklist(&self) -> Button {
        self.plain("Checklist", "checklist")
    }

    fn hold(&self) -> Button {
        self.plain("Hold", "hold")
    }

    fn start(&self) -> Button {
        let Brief { release, revision, .. } = self.0;
        primary("Start", format!("start {release} --revision {revision}"))
    }

    fn advance(&self, number: usize) -> Button {
        primary("Advance", format!("advance {} --stage {number}", self.0.release))
    }

    /// The first few can be ticked at once; the checklist shows them all.
    fn items(&self, items: &[WantedItem]) -> Vec<Button> {
        let id = &self.0.release;
        let pass = |item: &WantedItem| {
            let command = format!("checklist {id} pass --item {}", item.id);
            plain(&format!("✓ {}", item.name), command)
        };
        let mut row: Vec<_> = items.iter().take(4).map(pass).collect();
        row.push(self.checklist());
        row
    }

    fn announced(&self, template: &str) -> Vec<Button> {
        match template {
            "t-48h" | "t-1h" => vec![self.status(), self.checklist()],
            _ => Vec::new(),
        }
    }

    fn votes(&self, role: &str) -> Vec<Button> {
        let Brief { release, poll_revision, .. } = self.0;
        let line = |vote: &str| format!("{vote} {release} --as {role} --revision {poll_revision}");
        vec![primary("GO", line("go")), danger("NO-GO", line("no-go")), self.checklist()]
    }

    fn held(&self) -> Vec<Button> {
        let Brief { release, held_by_numbers, .. } = self.0;
        let numbers = held_by_numbers.as_ref();
        let over = numbers.map(|name| plain("Override", format!("override {release} {name}")));
        self.with_back([self.plain("Resume", "resume")].into_iter().chain(over).collect())
    }

    fn missed(&self) -> Vec<Button> {
        let off = danger("Call off", format!("scrub {}", self.0.release));
        vec![self.plain("Reschedule", "reschedule"), off]
    }

    /// With the way back, where something is deployed.
    fn with_back(&self, mut row: Vec<Button>) -> Vec<Button> {
        let Brief { release, version, rollback_to, .. } = self.0;
        let to = rollback_to.as_ref().filter(|_| is_deployed(self.0));
        row.extend(to.map(|to| roll_back(release, version, to)));
        row
    }

    /// Before the launch nothing waits for the step; a rollback that has stopped has its own notice.
    fn failed(&self) -> Vec<Button> {
        if !is_deployed(self.0) {
            return Vec::new();
        }
        let (id, run) = (&self.0.release, self.0.unsettled.as_ref());
        self.with_back(vec![retry(id, run), ended(id, run, "worked")])
    }

    /// It failed for certain now.
    fn again(&self) -> Vec<Button> {
        if !is_deployed(self.0) {
            return Vec::new();
        }
        let (id, run) = (&self.0.release, self.0.unsettled.as_ref());
        self.with_back(vec![retry(id, run)])
    }

    fn unknown(&self) -> Vec<Button> {
        let (id, run) = (&self.0.release, self.0.unsettled.as_ref());
        self.with_back(vec![ended(id, run, "worked"), ended(id, run, "failed")])
    }

    fn numbers(&self, light: &str, held: bool) -> Vec<Button> {
        match light {
            "green" if held => vec![self.plain("Resume", "resume")],
            "green" => Vec::new(),
            _ if held => self.with_back(Vec::new()),
            _ => self.with_back(vec![self.hold()]),
        }
    }

    fn smoke(&self, green: bool) -> Vec<Button> {
        match green {
            true => Vec::new(),
            false => self.with_back(vec![self.plain("Run them again", "verify")]),
        }
    }

    fn rehearsal(&self, worked: bool) -> Vec<Button> {
        let again = plain("Rehearse again", format!("rollback {} --dry-run", self.0.release));
        if worked { Vec::new() } else { vec![again] }
    }

    fn stuck(&self) -> Vec<Button> {
        let (id, run) = (&self.0.release, self.0.unsettled.as_ref());
        vec![Button { style: Style::Primary, ..retry(id, run) }, ended(id, run, "worked")]
    }
}

fn is_deployed(brief: &Brief) -> bool {
    DEPLOYED.contains(&brief.phase.as_str())
}

/// The phases in which something of the new version may be live, and can be taken back.
const DEPLOYED: [&str; 5] = ["deploying", "soaking", "at the gate", "watching", "done"];

// ---------------------------------------------------------------------------------------------
// Start-up

macro_rules! files {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../../messages/", $name)))),*]
    };
}

/// Every message that ships with the program.
pub fn built_in() -> Vec<(&'static str, &'static str)> {
    let files: &[(&str, &str)] = files![
        "_ballots.md" "_checklist.md" "_head.md" "_late.md" "_next.md" "_poll.md" "_rollback.md"
        "advance-wanted.md" "advanced.md" "agenda.md" "card-live.md" "card-poll.md"
        "card-rollback-plan.md" "card-run.md" "changed-to-go.md" "check-wanted.md" "checklist.md"
        "clock-leapt.md" "cohort.md" "correction.md" "done.md" "escalation.md" "finished.md"
        "flag-changed.md" "flag-off.md" "flag-reminder.md" "flag-ticket.md" "flag.md" "flags.md"
        "freeze-added.md" "freeze-lifted.md" "freezes.md" "handed-over.md" "held.md" "home.md"
        "items-wanted.md" "list.md" "locked.md" "numbers.md" "oncall.md" "opening.md"
        "outcome-settled.md" "overridden.md" "pictures.md" "progress.md" "rehearsal-ended.md" "report.md"
        "resumed.md" "retraction.md" "roles.md" "rollback-began.md" "rollback-failed.md"
        "rolled-back.md" "rolled-out.md" "room-is-thread.md" "room-opened.md" "said-by-hand.md"
        "silence-prompt.md" "smoke-tallied.md" "soaking.md" "stage-done.md" "start-missed.md"
        "start-offered.md" "start-waits.md" "started.md" "status.md" "step-done.md" "step-failed.md"
        "step-unknown.md" "stepped-back.md" "t-1h.md" "t-24h.md" "t-48h.md" "turned-red.md"
        "undelivered.md" "unlocked.md" "update.md" "vote-wanted.md" "welcome.md" "went-go.md"
        "went-no-go.md"
    ];
    files.to_vec()
}

/// What every template may see, from real releases: a test keeps `samples.jsonl` true.
pub fn samples() -> Vec<(String, Value)> {
    let lines = include_str!("samples.jsonl").lines();
    lines.map(|line| serde_json::from_str(line).expect("a test writes these lines")).collect()
}

#[cfg(test)]
pub(crate) mod tests;
