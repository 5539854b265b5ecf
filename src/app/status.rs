//! Read-only answers: what a release waits for, on whom, since when, and what happens next.

use chrono::Datelike;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::messages::Messages;
use super::notices::{Scene, danger, facts, finish, plain, roughly};
use super::{acts, cards, markup};
use crate::domain::agenda::{self, Scope};
use crate::domain::authority;
use crate::domain::checklist::{Item, ItemState, tally};
use crate::domain::command::{Actor, Vote};
use crate::domain::health::{self, Gate};
use crate::domain::ids::{PersonId, ReleaseId, Role};
use crate::domain::notice::{Brief, PersonRef};
use crate::domain::policy::{Policy, Right};
use crate::domain::react::reason_text;
use crate::domain::registry::{self, Record, SetBy};
use crate::domain::report::step_name;
use crate::domain::rollout::{how_it_ended, needs_a_person, wanted_approvals};
use crate::domain::state::{Phase, Release, RunRecord, Seat, State};
use crate::domain::time::{Time, show};
use crate::domain::verdict::{self, Reason};
use crate::domain::zone::Zone;
use crate::domain::{rollback, words};
use crate::ports::{Button, Message};

/// What a release waits for. Empty where it is over.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Waits {
    /// Completes "waits for": `2 sign-offs and 1 checklist item`.
    pub summary: String,
    pub on: Vec<Wait>,
    /// The next thing that time will do.
    pub next: Option<Next>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Wait {
    /// Completes "waits for": `security to sign`.
    pub what: String,
    /// Who can do something about it.
    pub who: Vec<PersonRef>,
    pub since: Option<Time>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Next {
    pub about: String,
    pub at: Time,
}

/// In every phase and under every hold: what for, on whom, since when, and what comes next.
pub fn waits_for(release: &Release, policy: &Policy, now: Time) -> Waits {
    let look = Look { release, policy, now };
    let on = look.on();
    let summary = look.counted().unwrap_or_else(|| listed(&on));
    let due = agenda::next_of_release(release, policy);
    let next = due.map(|due| Next { about: due.about, at: due.at.max(now) });
    Waits { summary, on, next }
}

/// The same in a few words.
pub fn summary(release: &Release, policy: &Policy, now: Time) -> String {
    let look = Look { release, policy, now };
    look.counted().unwrap_or_else(|| listed(&look.on()))
}

fn listed(on: &[Wait]) -> String {
    words::and(&on.iter().map(|wait| wait.what.clone()).collect::<Vec<_>>())
}

/// `2 sign-offs and 1 checklist item`.
fn counted(reasons: &[Reason]) -> String {
    let (mut seats, mut items, mut findings, mut freezes) = (0, 0, 0, 0);
    for reason in reasons {
        match reason {
            Reason::Silent { .. } | Reason::SaidNoGo { .. } | Reason::OnlyTheRequester { .. } => {
                seats += 1;
            }
            Reason::ItemOpen { .. } | Reason::ItemFailed { .. } => items += 1,
            Reason::EvidenceFailed { .. } | Reason::EvidenceMissing { .. } => findings += 1,
            Reason::Frozen { .. } => freezes += 1,
        }
    }
    let count = |number: usize, one: &str, many: &str| {
        let word = if number == 1 { one } else { many };
        (number > 0).then(|| format!("{number} {word}"))
    };
    let parts = [
        count(seats, "sign-off", "sign-offs"),
        count(items, "checklist item", "checklist items"),
        count(findings, "finding", "findings"),
        (freezes > 0).then(|| "the end of a freeze".to_owned()),
    ];
    words::and(&parts.into_iter().flatten().collect::<Vec<_>>())
}

struct Look<'a> {
    release: &'a Release,
    policy: &'a Policy,
    now: Time,
}

impl Look<'_> {
    fn on(&self) -> Vec<Wait> {
        match &self.release.held {
            Some(hold) => self.held(hold.at),
            None => self.of_phase(),
        }
    }

    /// Before the start there are too many to be named.
    fn counted(&self) -> Option<String> {
        let counts = self.release.held.is_none() && self.release.phase == Phase::CountingDown;
        counts.then(|| counted(&verdict::reasons(self.release, self.policy)))
    }

    fn of_phase(&self) -> Vec<Wait> {
        let release = self.release;
        match release.phase {
            Phase::CountingDown => {
                let reasons = verdict::reasons(release, self.policy);
                reasons.iter().map(|reason| self.reason(reason)).collect()
            }
            Phase::Ready => vec![self.start()],
            Phase::Deploying { .. } => self.running(),
            Phase::Soaking { stage, .. } => {
                let what = format!("the soak of {} to end", release.plan.stages[stage].name);
                vec![self.nobody(what, release.phase_since)]
            }
            Phase::AtGate { stage } => self.gate(stage),
            Phase::Watching => match self.running() {
                none if none.is_empty() => vec![self.nobody("the watch to end", self.rolled_out())],
                some => some,
            },
            Phase::RollingBack => self.running(),
            Phase::RollbackFailed => self.stuck(release.phase_since),
            Phase::Done | Phase::Scrubbed | Phase::RolledBack => Vec::new(),
        }
    }

    fn rolled_out(&self) -> Time {
        self.release.rolled_out_at.unwrap_or(self.release.phase_since)
    }

    fn nobody(&self, what: impl Into<String>, since: Time) -> Wait {
        Wait { what: what.into(), who: Vec::new(), since: Some(since) }
    }

    fn people<'a>(&self, people: impl IntoIterator<Item = &'a PersonId>) -> Vec<PersonRef> {
        people.into_iter().map(|person| PersonRef::of(person, self.policy)).collect()
    }

    /// The captain first, then whoever else has the right.
    fn who_may(&self, right: Right) -> Vec<PersonRef> {
        let roles = self.policy.roles_with(right).filter_map(|role| self.policy.roles.get(role));
        let mut people = vec![&self.release.captain];
        for person in roles.flat_map(|rules| &rules.members) {
            if !people.contains(&person) {
                people.push(person);
            }
        }
        self.people(people)
    }

    fn members(&self, role: &Role) -> Vec<PersonRef> {
        let rules = self.policy.roles.get(role);
        self.people(rules.into_iter().flat_map(|rules| rules.members.iter()))
    }

    fn reason(&self, reason: &Reason) -> Wait {
        let policy = self.policy;
        let item = |section: &String, name: &String| format!("{section} → {name}");
        match reason {
            Reason::Silent { role } => Wait {
                what: format!("{} to sign", policy.title_of(role)),
                who: self.members(role),
                since: self.release.asked_at,
            },
            Reason::SaidNoGo { role, by, why } => Wait {
                what: format!("{} to change its no-go: “{why}”", policy.title_of(role)),
                who: self.people([by]),
                since: self.voted_at(role),
            },
            Reason::OnlyTheRequester { by } => Wait {
                what: format!("an approver besides {}", policy.name_of(by)),
                who: Vec::new(),
                since: self.release.asked_at,
            },
            Reason::ItemOpen { section, name, owner, .. } => {
                Wait { what: item(section, name), who: self.people(owner), since: None }
            }
            Reason::ItemFailed { section, name, owner, .. } => Wait {
                what: format!("{}, which failed", item(section, name)),
                who: self.people(owner),
                since: None,
            },
            Reason::EvidenceFailed { kind, .. } => {
                let at = self.release.evidence.get(kind).map(|found| found.at);
                Wait { what: format!("{} to pass", kind.name()), who: Vec::new(), since: at }
            }
            Reason::Frozen { .. } => {
                Wait { what: reason_text(reason, self.policy), who: Vec::new(), since: None }
            }
            Reason::EvidenceMissing { kind } => Wait {
                what: format!("evidence of {}", kind.name()),
                who: Vec::new(),
                since: Some(self.release.scheduled_at),
            },
        }
    }

    fn voted_at(&self, role: &Role) -> Option<Time> {
        let seat = self.release.seats.iter().find(|seat| seat.role == *role)?;
        seat.vote(self.release.poll_revision).map(|ballot| ballot.at)
    }

    fn start(&self) -> Wait {
        let release = self.release;
        if self.now < release.start.at {
            // Nobody is late before it: it has its time, and no age.
            return Wait { what: "T-0".into(), who: Vec::new(), since: None };
        }
        let captain = self.policy.name_of(&release.captain);
        let who = self.people([&release.captain]);
        Wait { what: format!("{captain} to start it"), who, since: Some(release.start.at) }
    }

    fn running(&self) -> Vec<Wait> {
        let ends = |run: &RunRecord| {
            self.nobody(format!("{} to end", step_name(self.release, &run.step)), run.began)
        };
        self.release.running().map(ends).collect()
    }

    fn gate(&self, stage: usize) -> Vec<Wait> {
        let release = self.release;
        let running = self.running();
        if !running.is_empty() {
            return running;
        }
        let since = Some(release.phase_since);
        if let Some(at) = release.goes_on_at {
            let at = show(at, release.start.zone, self.now.year());
            let (meanwhile, who) = match health::gate(release, stage, self.policy, self.now) {
                Gate::Open => ("or somebody to advance it before", self.who_may(Right::Advance)),
                Gate::Wait | Gate::Shut(_) => ("and numbers that stay green", Vec::new()),
            };
            return vec![Wait { what: format!("its hours, {at}, {meanwhile}"), who, since }];
        }
        if !needs_a_person(release, stage) {
            return running;
        }
        let wanted = wanted_approvals(release, stage);
        if wanted.is_empty() {
            let captain = self.policy.name_of(&release.captain);
            let what = format!("{captain} to advance from {}", release.plan.stages[stage].name);
            return vec![Wait { what, who: self.who_may(Right::Advance), since }];
        }
        let approval = |role: &Role| Wait {
            what: format!("the approval of {}", self.policy.title_of(role)),
            who: self.members(role),
            since,
        };
        wanted.iter().map(approval).collect()
    }

    /// Under a hold only people can do something.
    fn held(&self, since: Time) -> Vec<Wait> {
        let release = self.release;
        if release.start_missed {
            let who = self.people([&release.captain]);
            return vec![Wait { what: "a new time".into(), who, since: Some(since) }];
        }
        if release.unsettled().is_some() {
            return self.stuck(since);
        }
        let oncall = release.plan.monitoring.oncall.primary.as_ref();
        let who = self.people([&release.captain].into_iter().chain(oncall));
        vec![Wait { what: "somebody to resume it".into(), who, since: Some(since) }]
    }

    /// The contacts in their order, without those who are called only to talk to customers.
    fn called_who_may_go_back(&self) -> Vec<PersonRef> {
        let may = self.who_may(Right::Rollback);
        let mut who = self.people(&rollback::contacts(self.release));
        who.retain(|person| may.contains(person));
        if who.is_empty() { may } else { who }
    }

    fn stuck(&self, since: Time) -> Vec<Wait> {
        let release = self.release;
        let what = match release.unsettled() {
            // A hold says itself how it ended.
            Some(run) if release.held.is_some() => {
                format!("a decision about {}", step_name(release, &run.step))
            }
            Some(run) => {
                let (name, how) = (step_name(release, &run.step), how_it_ended(run));
                format!("a decision about {name}, which {how}")
            }
            None => "a decision".to_owned(),
        };
        let who = if release.phase == Phase::RollbackFailed {
            self.called_who_may_go_back()
        } else {
            let oncall = release.plan.monitoring.oncall.primary.iter();
            self.people(oncall.chain([&release.captain]))
        };
        vec![Wait { what, who, since: Some(since) }]
    }
}

/// What templates see of it, with lengths beside the instants.
pub(super) fn waits_value(waits: &Waits, now: Time) -> Value {
    let ago = |since: Option<Time>| since.map(|since| roughly((now - since).num_seconds()));
    let on = waits.on.iter();
    let on = on.map(|wait| json!({ "what": wait.what, "who": wait.who, "ago": ago(wait.since) }));
    let next = waits.next.as_ref().map(|next| {
        let left = roughly((next.at - now).num_seconds());
        json!({ "about": next.about, "at": next.at, "left": left })
    });
    json!({ "summary": waits.summary, "on": on.collect::<Vec<_>>(), "next": next })
}

// ---------------------------------------------------------------------------------------------
// Answers

fn say(messages: &Messages, name: &str, seen: Map<String, Value>, scene: &Scene) -> Message {
    let body = markup::parse(&messages.render(name, &finish(seen, scene)));
    Message { body, ..Message::default() }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            unreachable!("an answer is an object")
        }
    }
}

/// What it waits for, on whom, since when, and what happens next.
pub fn status(messages: &Messages, state: &State, release: &Release, scene: &Scene) -> Message {
    let seen = status_seen(release, state.house.policy(), scene);
    let mut message = say(messages, "status.md", seen, scene);
    message.buttons = cards::phase_buttons(release, scene.now);
    message
}

pub(super) fn status_seen(release: &Release, policy: &Policy, scene: &Scene) -> Map<String, Value> {
    let mut seen = facts(&Brief::of(release, policy), scene.now, scene);
    let waits = waits_for(release, policy, scene.now);
    let held = release.held.as_ref().map(|hold| {
        let by = hold.by.as_ref().map(|by| policy.name_of(by));
        let ago = roughly((scene.now - hold.at).num_seconds());
        json!({
            "reason": hold.reason.trim_end_matches('.'), "by": by, "at": hold.at, "ago": ago,
        })
    });
    seen.insert("waits".into(), waits_value(&waits, scene.now));
    seen.insert("held".into(), json!(held));
    seen.insert("missed".into(), json!(release.start_missed));
    seen.insert("over".into(), json!(release.phase.is_over()));
    seen.insert("ended".into(), json!(release.ended_at));
    seen.insert("result".into(), json!(release.result.as_ref().map(|r| r.outcome.word())));
    seen
}

/// Every open release, the next one first, and the latest that are over.
pub fn list(messages: &Messages, state: &State, scene: &Scene) -> Message {
    let (seen, open) = list_seen(state, scene);
    let mut message = say(messages, "list.md", seen, scene);
    let button = |release: &&Release| {
        plain(&format!("Status of {}", release.title()), format!("status {}", release.id))
    };
    message.buttons = rows(open.iter().take(5).map(button).collect());
    message
}

fn list_seen<'a>(state: &'a State, scene: &Scene) -> (Map<String, Value>, Vec<&'a Release>) {
    let row = |release: &&Release| {
        let waits = waits_for(release, state.house.policy(), scene.now);
        json!({
            "title": release.title(),
            "environment": release.plan.release.environment,
            "start": release.start.at,
            "zone": release.start.zone,
            "phase": if release.held.is_some() { "on hold" } else { release.phase.name() },
            "waits": waits.summary,
            "ended": release.ended_at,
            "result": release.result.as_ref().map(|result| result.outcome.word()),
        })
    };
    let mut all: Vec<&Release> = state.releases.values().map(AsRef::as_ref).collect();
    all.sort_by_key(|release| release.start.at);
    let (over, open): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|release| release.phase.is_over());
    let past: Vec<Value> = over.iter().rev().take(5).map(row).collect();
    let rows: Vec<Value> = open.iter().map(row).collect();
    (object(json!({ "open": rows, "past": past })), open)
}

/// What somebody sees who opens the bot itself: what waits for them, then what is on the calendar.
pub fn home(messages: &Messages, state: &State, by: &Actor, scene: &Scene) -> Message {
    let (seen, open, mine) = home_seen(state, by, scene);
    let mut message = say(messages, "home.md", seen, scene);
    let votes = mine.seats.iter().take(HOME_ROWS).map(|(release, seat)| {
        let role = state.house.policy().title_of(&seat.role);
        cards::vote_buttons(release, seat, &format!("{role} · {}", release.title()))
    });
    let policy = state.house.policy();
    let items = mine.items.iter().take(HOME_ROWS).map(|item| acts::of_item(item, policy, by));
    let acts = open.iter().take(HOME_ROWS);
    let acts = acts.map(|release| acts::of_person(release, policy, by, scene.now));
    let new = vec![plain("New release", "new".into())];
    message.buttons = votes.chain(items).chain(acts).chain([new]).collect();
    message.buttons.retain(|row| !row.is_empty());
    message
}

/// What waits for one person.
struct Mine<'a> {
    seats: Vec<(&'a Release, &'a Seat)>,
    items: Vec<(&'a Release, &'a Item)>,
}

fn home_seen<'a>(
    state: &'a State,
    by: &Actor,
    scene: &Scene,
) -> (Map<String, Value>, Vec<&'a Release>, Mine<'a>) {
    let (mut seen, open) = list_seen(state, scene);
    let policy = state.house.policy();
    let mine =
        Mine { seats: open_seats(state, &open, by), items: acts::items_of(&open, policy, by) };
    let row = |(release, seat): &(&Release, &Seat)| {
        json!({
            "role": state.house.policy().title_of(&seat.role),
            "title": release.title(),
            "start": release.start.at,
            "zone": release.start.zone,
            "no_go": seat.vote(release.poll_revision).is_some(),
        })
    };
    let item = |(release, item): &(&Release, &Item)| {
        let mut shown = item_value(item, policy);
        shown["section"] = json!(item.section_title);
        shown["title"] = json!(release.title());
        shown
    };
    seen.insert("mine".into(), mine.seats.iter().map(row).collect());
    seen.insert("items".into(), mine.items.iter().map(item).collect());
    (seen, open, mine)
}

/// More than this is read in the lists.
const HOME_ROWS: usize = 4;

/// The seats that this person may sign for and that have not said go.
fn open_seats<'a>(state: &State, open: &[&'a Release], by: &Actor) -> Vec<(&'a Release, &'a Seat)> {
    let policy = state.house.policy();
    let Ok(person) = authority::person(by, policy) else { return Vec::new() };
    let deciding = open.iter().filter(|release| release.phase.is_before_deploy());
    let seats = deciding.flat_map(|release| release.seats.iter().map(|seat| (*release, seat)));
    seats
        .filter(|(_, seat)| authority::is_in(by, &person, &seat.role, policy))
        .filter(|(release, seat)| {
            let ballot = seat.vote(release.poll_revision);
            ballot.is_none_or(|ballot| ballot.vote != Vote::Go)
        })
        .collect()
}

/// Every deadline, of one release or of all.
pub fn agenda(
    messages: &Messages,
    state: &State,
    release: Option<&Release>,
    scene: &Scene,
) -> Message {
    say(messages, "agenda.md", agenda_seen(state, release, scene), scene)
}

fn agenda_seen(state: &State, release: Option<&Release>, scene: &Scene) -> Map<String, Value> {
    let scopes: Vec<Scope> = match release {
        Some(release) => vec![Scope::Release(release.id.clone())],
        None => agenda::scopes(state).collect(),
    };
    let of_scope = |scope: &Scope| {
        let (title, zone) = named(state, scope);
        let due = agenda::agenda(state, scope).into_iter();
        due.map(move |due| (due.at, due.about, title.clone(), zone)).collect::<Vec<_>>()
    };
    let mut all: Vec<_> = scopes.iter().flat_map(of_scope).collect();
    all.sort_by_key(|row| row.0);
    let row = |(at, about, title, zone): &(Time, String, String, Zone)| {
        let left = roughly((*at - scene.now).num_seconds());
        json!({ "at": at, "about": about, "of": title, "zone": zone, "left": left })
    };
    let rows: Vec<Value> = all.iter().map(row).collect();
    object(json!({ "rows": rows, "title": release.map(Release::title) }))
}

fn named(state: &State, scope: &Scope) -> (String, Zone) {
    match scope {
        Scope::Release(id) => match state.releases.get(id) {
            Some(release) => (release.title(), release.start.zone),
            None => (id.to_string(), state.house.policy().zone),
        },
        Scope::Freeze(id) => (format!("freeze {id}"), state.house.policy().zone),
        Scope::Flag(id) => match state.house.flags.get(id) {
            Some(record) => (format!("flag {}", record.name), record.zone),
            None => (format!("flag {id}"), state.house.policy().zone),
        },
    }
}

/// The checklist by section, with buttons for what is open, as far as the asker may.
pub fn checklist(
    messages: &Messages,
    state: &State,
    (release, by): (&Release, &Actor),
    scene: &Scene,
) -> Message {
    let policy = state.house.policy();
    let seen = checklist_seen(release, policy, scene);
    let mut message = say(messages, "checklist.md", seen, scene);
    message.buttons = acts::of_checklist(release, policy, by);
    message
}

/// Platforms show at most five buttons in a row.
pub(super) const ABREAST: usize = 5;

fn rows(buttons: Vec<Button>) -> Vec<Vec<Button>> {
    buttons.chunks(ABREAST).map(<[Button]>::to_vec).collect()
}

fn checklist_seen(release: &Release, policy: &Policy, scene: &Scene) -> Map<String, Value> {
    let mut seen = facts(&Brief::of(release, policy), scene.now, scene);
    let mut sections: Vec<(String, Vec<Value>)> = Vec::new();
    for item in &release.items {
        let shown = item_value(item, policy);
        match sections.iter_mut().find(|(title, _)| *title == item.section_title) {
            Some((_, items)) => items.push(shown),
            None => sections.push((item.section_title.clone(), vec![shown])),
        }
    }
    let sections = sections.into_iter();
    let sections = sections.map(|(title, items)| json!({ "title": title, "items": items }));
    seen.insert("sections".into(), sections.collect());
    seen.insert("tally".into(), json!(tally(&release.items)));
    seen
}

pub(super) fn item_value(item: &Item, policy: &Policy) -> Value {
    let name = |by: &str| policy.name_of(&PersonId::from(by)).to_owned();
    let (mark, by, at, note) = match &item.state {
        ItemState::Open => ("open", None, None, None),
        ItemState::Passed { by, at, note, .. } => {
            ("passed", Some(name(by)), Some(at), note.clone())
        }
        ItemState::Failed { by, at, note, .. } => {
            ("failed", Some(name(by)), Some(at), note.clone())
        }
        ItemState::Waived { by, at, why } => {
            ("waived", Some(name(by)), Some(at), Some(why.clone()))
        }
    };
    let owner = item.owner.as_ref().map(|owner| policy.name_of(owner));
    json!({
        "id": item.id, "name": item.name, "owner": owner, "mark": mark, "by": by, "at": at,
        "note": note, "limit": item.limit.as_ref().map(ToString::to_string),
    })
}

/// Who may do what.
pub fn roles(messages: &Messages, state: &State, scene: &Scene) -> Message {
    say(messages, "roles.md", roles_seen(state.house.policy()), scene)
}

fn roles_seen(policy: &Policy) -> Map<String, Value> {
    let row = |(role, rules): (&Role, &crate::domain::policy::RoleRules)| {
        let people: Vec<_> = rules.members.iter().map(|person| policy.name_of(person)).collect();
        let may: Vec<_> = rules.may.iter().map(|right| right.deed()).collect();
        json!({
            "title": policy.title_of(role), "people": people, "groups": rules.groups, "may": may,
            "required": rules.required,
        })
    };
    object(json!({ "roles": policy.roles.iter().map(row).collect::<Vec<_>>() }))
}

/// Who is called, for each release that is open.
pub fn oncall(messages: &Messages, state: &State, scene: &Scene) -> Message {
    say(messages, "oncall.md", oncall_seen(state), scene)
}

fn oncall_seen(state: &State) -> Map<String, Value> {
    let policy = state.house.policy();
    let name = |person: &PersonId| policy.name_of(person).to_owned();
    let row = |release: &Release| {
        let oncall = &release.plan.monitoring.oncall;
        let contacts = rollback::contacts(release);
        let (first, second) = (&oncall.primary, &oncall.secondary);
        let second = second.as_ref().filter(|it| first.as_ref() != Some(*it));
        let third = oncall.escalation.as_ref();
        let third = third.filter(|it| first.as_ref() != Some(*it) && second != Some(*it));
        json!({
            "title": release.title(),
            "captain": name(&release.captain),
            "primary": first.as_ref().map(name),
            "secondary": second.map(name),
            "escalation": third.map(name),
            "contacts": contacts.iter().map(name).collect::<Vec<_>>(),
        })
    };
    let open = state.releases.values().filter(|release| !release.phase.is_over());
    object(json!({ "open": open.map(|release| row(release)).collect::<Vec<_>>() }))
}

/// The flags of all releases that are still in the code.
pub fn flags(messages: &Messages, state: &State, scene: &Scene) -> Message {
    say(messages, "flags.md", flags_seen(state, scene), scene)
}

fn flags_seen(state: &State, scene: &Scene) -> Map<String, Value> {
    let there = state.house.flags.values().filter(|record| record.cleaned.is_none());
    let rows: Vec<_> = there.map(|record| flag_value(record, state, scene)).collect();
    object(json!({ "flags": rows }))
}

/// All that is known of a flag.
pub fn flag(messages: &Messages, state: &State, record: &Record, scene: &Scene) -> Message {
    let mut message = say(messages, "flag.md", flag_seen(record, state, scene), scene);
    let id = &record.id;
    let gone = plain("It is gone", format!("flag clean {id}"));
    let kill = danger("Kill flag", format!("flag kill {id}"));
    let set = plain("Set the share", format!("flag set {id}"));
    if record.cleaned.is_none() {
        message.buttons = vec![vec![set, kill, gone]];
    }
    message
}

fn flag_seen(record: &Record, state: &State, scene: &Scene) -> Map<String, Value> {
    object(json!({ "flag": flag_value(record, state, scene) }))
}

fn flag_value(record: &Record, state: &State, scene: &Scene) -> Value {
    let policy = state.house.policy();
    let name = |person: &PersonId| policy.name_of(person).to_owned();
    let title = |id: &ReleaseId| state.releases.get(id).map_or(id.to_string(), |r| r.title());
    let share = record.share.as_ref();
    let by = share.map(|share| match &share.by {
        SetBy::Person(person) => name(person),
        SetBy::Release(release) => title(release),
    });
    let governing = registry::governing(state, record);
    let planned = governing.and_then(|release| registry::stands_for(release, record));
    let left = registry::expires_at(record).map(|end| (end - scene.now).num_seconds());
    json!({
        "name": record.name, "id": record.id, "provider": record.provider,
        "owner": record.owner.as_ref().map(name), "purpose": record.purpose,
        "expires": record.expires.map(|day| day.to_string()),
        "left": left.map(roughly), "expired": left.is_some_and(|left| left <= 0),
        "share": share.map(|share| registry::share_text(share.percent)),
        "since": share.map(|share| share.at), "by": by, "doubt": record.doubt,
        "changing": record.change.as_ref().map(|change| match change.percent {
            Some(percent) => format!("set to {percent} %"),
            None => "switched off".to_owned(),
        }),
        "full_since": record.full_since,
        "releases": record.releases.iter().rev().map(title).collect::<Vec<_>>(),
        "governed": governing.map(Release::title),
        "planned": planned.map(|(stage, share)| json!({ "stage": stage, "share": share })),
        "cleaned": record.cleaned.as_ref().map(|(at, by)| json!({ "at": at, "by": name(by) })),
    })
}

/// Windows in which nothing starts, and versions that are locked.
pub fn freezes(messages: &Messages, state: &State, scene: &Scene) -> Message {
    say(messages, "freezes.md", freezes_seen(state, scene), scene)
}

fn freezes_seen(state: &State, scene: &Scene) -> Map<String, Value> {
    let target =
        |service: &Option<String>, environment: &Option<String>| match (service, environment) {
            (Some(service), Some(environment)) => format!("{service}/{environment}"),
            (Some(one), None) | (None, Some(one)) => one.clone(),
            (None, None) => "everything".to_owned(),
        };
    let added = state.house.freezes.iter().map(|(id, freeze)| {
        let target = target(&freeze.service, &freeze.environment);
        (freeze.from, freeze.until, id.to_string(), target, freeze.reason.clone())
    });
    let standing = state.house.policy().freezes.iter().map(|freeze| {
        let target = target(&freeze.service, &freeze.environment);
        (freeze.from, freeze.until, freeze.id.clone(), target, freeze.reason.clone())
    });
    let mut all: Vec<_> = added.chain(standing).filter(|row| row.1 > scene.now).collect();
    all.sort();
    let row = |(from, until, id, target, reason): &(Time, Time, String, String, String)| {
        let in_force = *from <= scene.now;
        json!({
            "id": id, "from": from, "until": until, "target": target, "reason": reason,
            "in_force": in_force,
        })
    };
    let locks = state.house.locks.iter().map(|((target, version), lock)| {
        json!({ "target": target, "version": version, "reason": lock.reason, "at": lock.at })
    });
    let freezes: Vec<Value> = all.iter().map(row).collect();
    object(json!({ "freezes": freezes, "locks": locks.collect::<Vec<_>>() }))
}

#[cfg(test)]
pub(crate) mod tests;
