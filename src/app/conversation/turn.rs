//! From a verb to what the engine is asked, to a form for what is missing, or to an answer.

use std::collections::BTreeMap;

use super::find::{self, Room, Unclear};
use super::forms::{Draft, choice, clock_field, date_field, line_field, text_field};
use super::say::{self, Words};
use super::shelf::{NoPlan, PlanShelf};
use crate::app::grammar::{self, Act, Ended, Found, Freeze, Paper, Verb, Wrong, text};
use crate::app::reads::{self, Look};
use crate::app::times::{self, TimeError};
use crate::domain::authority;
use crate::domain::checklist::{self, Item, Mark};
use crate::domain::command::{
    Actor, Command, Commitment, EvidenceReport, FreezeWish, Number, Request, Vote,
};
use crate::domain::decide::decide;
use crate::domain::event::{Event, Happened};
use crate::domain::ids::{ActionName, FreezeId, ItemId, PersonId, ReleaseId, Role, RunId, slug};
use crate::domain::plan::{EvidenceKind, Finding, Plan};
use crate::domain::policy::{Policy, Right};
use crate::domain::poll::TEXT_LIMIT;
use crate::domain::refusal::Refusal;
use crate::domain::rollout::right_to_settle;
use crate::domain::state::{Phase, Release, Start, State};
use crate::domain::time::Time;
use crate::domain::verdict;
use crate::domain::zone::Zone;
use crate::ports::{Button, Field, Message, Reply, Style};

/// The version that a template of a plan has, until somebody says one.
const TEMPLATE_VERSION: &str = "v0.0.0";

/// What a new release is to be; empty where the plan says it.
#[derive(Default)]
struct Wish<'a> {
    plan: &'a str,
    on: &'a str,
    at: &'a str,
    captain: &'a str,
    version: &'a str,
    title: &'a str,
    artifact: &'a str,
}

/// What a line came to.
pub(super) enum Meant {
    Ask(Box<Command>),
    Say(Message),
    Audit { release: Option<ReleaseId>, last: u32 },
    Paper { release: ReleaseId, paper: Paper },
}

/// It goes no further: this is the answer.
pub(super) type Stop = Box<Reply>;
pub(super) type Understood<T = Meant> = Result<T, Stop>;

/// One thing that was said, and all that is known at that moment.
pub(super) struct Turn<'a> {
    pub words: Words<'a>,
    pub shelf: &'a PlanShelf,
    pub state: &'a State,
    pub policy: &'a Policy,
    pub by: &'a Actor,
    pub now: Time,
    pub room: Room<'a>,
    pub said: &'a grammar::Said,
    /// It came from a form, so that what is wrong with it goes back into the form.
    pub is_form: bool,
}

pub(super) fn ask(command: Command) -> Understood {
    Ok(Meant::Ask(Box::new(command)))
}

pub(super) fn given(option: &Option<String>) -> Option<&str> {
    option.as_deref().map(str::trim).filter(|given| !given.is_empty())
}

/// As a button names it: `stage-2/1`.
fn run_of(release: &Release, run: &Option<String>) -> Option<RunId> {
    given(run).map(|run| RunId::new(format!("{}/{run}", release.id)))
}

impl<'a> Turn<'a> {
    /// The table of the verbs.
    pub(super) fn meant(&self) -> Understood {
        match &self.said.verb {
            Verb::Schedule { .. } => self.schedule(),
            Verb::New => self.new_release(),
            Verb::Reschedule { release, when, reason } => {
                self.reschedule(self.one(release)?, &text(when), given(reason))
            }
            Verb::Scrub { release, reason } => self.scrub(self.one(release)?, &text(reason)),
            Verb::Edit { release, plan } => self.edit(given(release), given(plan)),
            Verb::Checklist { release, .. } => self.checklist(self.one(release)?),
            Verb::Evidence { release, .. } => self.evidence(self.one(release)?),
            Verb::Metric { release, .. } => self.metric(self.one(release)?),
            Verb::Go { release, role, revision } => self.go(given(release), given(role), *revision),
            Verb::NoGo { release, .. } => self.no_go(self.one(release)?),
            Verb::Start { release, revision } => self.start(self.one(release)?, *revision),
            Verb::Update { release, text: said } => self.update(self.one(release)?, &text(said)),
            Verb::Advance { release, stage } => self.advance(self.one(release)?, *stage),
            Verb::Hold { release, reason } => self.hold(self.one(release)?, &text(reason)),
            Verb::Red { release, reason } => self.red(self.one(release)?, &text(reason)),
            Verb::StepBack { release } => {
                self.plain(release, |release| Command::StepBack { release })
            }
            Verb::Resume { release } => self.plain(release, |release| Command::Resume { release }),
            Verb::Retry { release, run, despite } => {
                let release = self.one(release)?;
                self.retry(release, run_of(release, run), *despite)
            }
            Verb::Outcome { release, .. } => self.outcome(self.one(release)?),
            Verb::Verify { release } => self.plain(release, |release| Command::Verify { release }),
            Verb::Complete { release } => {
                self.plain(release, |release| Command::Complete { release })
            }
            Verb::Rollback { release, .. } => self.rollback(self.one(release)?),
            Verb::Lock { version, reason, target } => {
                self.lock(true, given(version), &text(reason), given(target))
            }
            Verb::Unlock { version, reason, target } => {
                self.lock(false, given(version), &text(reason), given(target))
            }
            Verb::Freeze { freeze } => self.freeze(freeze.as_ref()),
            Verb::Flag { flag } => self.flag(flag.as_ref()),
            Verb::Override { release, obstacle, reason } => {
                self.overrule(self.one(release)?, given(obstacle), &text(reason))
            }
            Verb::Accept { release, risk, reason } => {
                self.accept(self.one(release)?, &text(risk), given(reason))
            }
            Verb::Handover { release, person } => self.handover(self.one(release)?, given(person)),
            Verb::Keep { release } => self.plain(release, |release| Command::KeepRoom { release }),
            Verb::Announce { release, text: said } => {
                self.announce(self.one(release)?, &text(said))
            }
            Verb::Run { release, action, with } => {
                self.run(self.one(release)?, given(action), with)
            }
            Verb::List => Ok(Meant::Say(reads::releases(&self.look()))),
            Verb::Status { release } => self.show(reads::status, release),
            Verb::Roles => Ok(Meant::Say(reads::roles(&self.look()))),
            Verb::Oncall => Ok(Meant::Say(reads::oncall(&self.look()))),
            Verb::Agenda { release } => {
                Ok(Meant::Say(reads::agenda(&self.look(), self.some(release)?)))
            }
            Verb::Notes { release, technical: false } => self.paper(release, Paper::Notes),
            Verb::Notes { release, technical: true } => self.paper(release, Paper::TechnicalNotes),
            Verb::Plan { release } => self.paper(release, Paper::Plan),
            Verb::Report { release } => self.paper(release, Paper::Report),
            Verb::Document { release, kind } => self.document(release, *kind),
            Verb::Audit { release, last } => self.audit(release, *last),
            Verb::Help { verb } => self.words.help(&text(verb)).map(Meant::Say),
        }
    }

    // -----------------------------------------------------------------------------------------
    // Reading

    fn show(&self, read: fn(&Look, &Release) -> Message, release: &Option<String>) -> Understood {
        Ok(Meant::Say(read(&self.look(), self.one(release)?)))
    }

    fn document(&self, release: &Option<String>, kind: Option<Paper>) -> Understood {
        if let Some(kind) = kind {
            return self.paper(release, kind);
        }
        let names = ["plan", "checklist", "rollback", "notes", "technical-notes", "report"];
        let choices = names.map(|name| (name.to_owned(), name.to_owned()));
        let fields = vec![choice("kind", "Which", &choices)];
        let draft = Draft::new("Show a document", "Show", fields);
        Err(self.form(Some(self.one(release)?), draft, None))
    }

    fn audit(&self, release: &Option<String>, last: Option<u32>) -> Understood {
        let release = self.some(release)?.map(|release| release.id.clone());
        Ok(Meant::Audit { release, last: last.unwrap_or(10).clamp(1, 50) })
    }

    fn paper(&self, release: &Option<String>, paper: Paper) -> Understood {
        Ok(Meant::Paper { release: self.one(release)?.id.clone(), paper })
    }

    pub(super) fn look(&self) -> Look<'a> {
        Look {
            messages: self.words.0,
            state: self.state,
            policy: self.policy,
            now: self.now,
            platform: self.room.platform,
        }
    }

    // -----------------------------------------------------------------------------------------
    // Which release

    /// The one that is meant, or buttons to choose.
    fn one(&self, said: &Option<String>) -> Understood<&'a Release> {
        find::release(self.state, given(said), self.room).map_err(|unclear| {
            let known = match &unclear {
                Unclear::Unknown { known, .. } | Unclear::Several(known) => known.as_slice(),
                Unclear::NoneAtAll => &[],
            };
            let offered = known.iter().map(|id| self.offer(id)).collect();
            Box::new(Reply::Private(self.words.unclear(&unclear, offered)))
        })
    }

    /// As [`one`](Self::one), but without a word all of them are meant, outside of a war room.
    fn some(&self, said: &Option<String>) -> Understood<Option<&'a Release>> {
        match given(said) {
            Some(_) => self.one(said).map(Some),
            None if self.state.releases.values().any(|one| find::is_here(one, self.room)) => {
                self.one(said).map(Some)
            }
            None => Ok(None),
        }
    }

    /// A button that says the same of this release.
    fn offer(&self, id: &ReleaseId) -> Button {
        let title = self.state.releases.get(id).map_or(id.to_string(), |release| {
            format!("{} ({})", release.title(), release.plan.release.environment)
        });
        let fields = BTreeMap::from([("release".to_owned(), id.to_string())]);
        let words = grammar::fill(&self.said.words, &fields);
        let command = grammar::line(&words.unwrap_or_else(|_| self.said.words.clone()));
        Button { label: title, command, style: Style::Plain }
    }

    /// What needs nothing but its release.
    fn plain(&self, release: &Option<String>, command: fn(ReleaseId) -> Command) -> Understood {
        ask(command(self.one(release)?.id.clone()))
    }

    // -----------------------------------------------------------------------------------------
    // What is missing or wrong

    /// Asks for what is missing; the line keeps what is there.
    fn form(&self, release: Option<&Release>, draft: Draft, problem: Option<&str>) -> Stop {
        let mut fields: BTreeMap<String, String> =
            draft.fields.iter().map(|field| (field.name.clone(), String::new())).collect();
        if let Some(release) = release {
            fields.insert("release".into(), release.id.to_string());
        }
        let words = match self.said.verb == Verb::New {
            true => vec!["schedule".to_owned()],
            false => {
                grammar::fill(&self.said.words, &fields).unwrap_or_else(|_| self.said.words.clone())
            }
        };
        Box::new(Reply::Form(draft.form(self.words, grammar::line(&words), problem)))
    }

    /// What is wrong, in the form that it came from or as a sentence.
    pub(super) fn wrong(&self, release: Option<&Release>, draft: Draft, what: &str) -> Stop {
        match self.is_form {
            true => self.form(release, draft, Some(what)),
            false => self.wrong_line(what),
        }
    }

    /// As [`wrong`](Self::wrong), where it is one field that is wrong: it is said beside it.
    fn wrong_in(&self, release: Option<&Release>, draft: Draft, field: &str, what: &str) -> Stop {
        match self.is_form {
            true => self.form(release, draft.marked(field, what), None),
            false => self.wrong_line(what),
        }
    }

    pub(super) fn wrong_line(&self, what: &str) -> Stop {
        let verb = self.said.words.first().map(String::as_str).unwrap_or_default();
        let example = grammar::Guide::of(verb).map(|guide| guide.example);
        Box::new(Reply::Private(self.words.wrong(what, example.as_deref())))
    }

    /// Every required field is filled and none is too long; else the form, with what was typed.
    pub(super) fn complete(&self, release: Option<&Release>, draft: Draft) -> Understood<()> {
        let long = |field: &&Field| field.value.chars().count() > TEXT_LIMIT;
        if let Some(field) = draft.fields.iter().find(long) {
            let text = match is_noun(&field.label) {
                true => format!("The {}", field.label.to_lowercase()),
                false => format!("\"{}\"", field.label),
            };
            let what = Refusal::TooLong { text, limit: TEXT_LIMIT }.to_string();
            return Err(self.wrong(release, draft, &what));
        }
        let missing = |field: &&Field| field.required && field.value.trim().is_empty();
        match draft.fields.iter().find(missing) {
            None => Ok(()),
            Some(_) if !self.is_form => Err(self.form(release, draft, None)),
            Some(field) => {
                let what = match is_noun(&field.label) {
                    true => format!("{} is missing.", field.label),
                    false => format!("\"{}\" is missing.", field.label),
                };
                let name = field.name.clone();
                Err(self.form(release, draft.marked(&name, &what), None))
            }
        }
    }

    /// One text that the verb cannot do without.
    fn text_of(
        &self,
        release: Option<&Release>,
        title: &str,
        (name, label, value): (&str, &str, &str),
    ) -> Understood<String> {
        let about = release.map(Release::title).unwrap_or_default();
        let title = format!("{title} {about}");
        self.complete(
            release,
            Draft::new(title.trim(), title_verb(&title), vec![text_field(name, label, value)]),
        )?;
        Ok(value.trim().to_owned())
    }

    /// Whether it is turned down whatever somebody may still fill in, as what an outdated button
    /// asks for: then they are told at once. What is asked of the rules is on record either way.
    fn is_ruled_out(&self, said: &str, command: impl Fn(&str) -> Command) -> bool {
        // Who is still to be looked up fills in first, and is judged when the form comes back.
        let is_unknown = matches!(self.by, Actor::Person { claims, .. } if claims.unknown);
        if self.is_form || is_unknown || !said.trim().is_empty() {
            return false;
        }
        let request = Request { id: String::new(), by: self.by.clone(), command: command("…") };
        let so = |event: &Event| {
            matches!(
                event,
                Event::Refused { .. }
                    | Event::AlreadySo { .. }
                    | Event::Release {
                        did: Happened::Refused { .. } | Happened::AlreadySo { .. },
                        ..
                    }
            )
        };
        decide(self.state, &request, self.now).first().is_some_and(so)
    }

    /// A time that lies ahead, in the zone that is meant.
    fn time(&self, said: &str, zone: Zone) -> Result<Start, TimeError> {
        let planned = times::instant(said, self.now, zone)?;
        Ok(Start { local: planned.local, zone: planned.zone, at: planned.at })
    }

    // -----------------------------------------------------------------------------------------
    // Planning

    fn new_release(&self) -> Understood {
        let captain = authority::person(self.by, self.policy).ok();
        let captain =
            captain.filter(|_| authority::may(self.by, Right::Schedule, self.policy).is_ok());
        let captain = captain.map(|person| person.to_string()).unwrap_or_default();
        let wish = Wish { captain: &captain, ..Wish::default() };
        Err(self.form(None, self.schedule_draft(&wish), None))
    }

    /// The most important first: no platform cuts those.
    fn schedule_draft(&self, wish: &Wish) -> Draft {
        let plans = self.shelf.names().into_iter().map(|name| (name.clone(), name));
        let plans: Vec<_> = plans.collect();
        let people = self.policy.people.iter();
        let people: Vec<_> =
            people.map(|(id, known)| (id.to_string(), known.name.clone())).collect();
        let optional = |field: Field| Field { required: false, ..field };
        let hint = "Empty: as the plan says.";
        let mut fields = vec![
            Field { value: wish.plan.to_owned(), ..choice("plan", "Plan", &plans) },
            line_field("version", "Version, if not the plan's", wish.version, false),
            Field { hint: hint.into(), ..date_field("on", "Day of the start", wish.on) },
            Field { hint: hint.into(), ..clock_field("at", "Time of the start", wish.at) },
            line_field("title", "Title, if not the plan's", wish.title, false),
            optional(Field {
                value: wish.captain.to_owned(),
                ..choice("captain", "Captain, if not the plan's", &people)
            }),
        ];
        if !wish.artifact.is_empty() {
            fields.push(line_field("artifact", "Digest of the artifact", wish.artifact, false));
        }
        Draft::new("Schedule a release", "Schedule", fields)
    }

    fn schedule(&self) -> Understood {
        let Verb::Schedule { plan, when, on, at, captain, version, title, artifact } =
            &self.said.verb
        else {
            unreachable!("only asked for this verb")
        };
        let said = |option: &'a Option<String>| given(option).unwrap_or_default();
        let wish = Wish {
            plan: said(plan),
            on: said(on),
            at: said(at),
            captain: said(captain),
            version: said(version),
            title: said(title),
            artifact: said(artifact),
        };
        let draft = || self.schedule_draft(&wish);
        self.complete(None, draft())?;
        let plan = self.wished(&wish)?;
        let zone = plan.release.zone.unwrap_or(self.policy.zone);
        let phrase = self.start_phrase(&wish, text(when), &plan)?;
        let start = self
            .time(&phrase, zone)
            .map_err(|why| self.wrong_in(None, draft(), "on", &why.to_string()))?;
        ask(Command::Schedule { plan: Box::new(plan), start })
    }

    /// What was typed, else what was picked, else what the plan says.
    fn start_phrase(&self, wish: &Wish, typed: String, plan: &Plan) -> Understood<String> {
        let wrong = |field, what| Err(self.wrong_in(None, self.schedule_draft(wish), field, what));
        match (typed.is_empty(), wish.on, wish.at) {
            (false, "", "") => Ok(typed),
            (false, ..) => wrong("on", "Say the start once: as `WHEN`, or with `--on` and `--at`."),
            (true, "", "") => Ok(plan.release.start.clone().unwrap_or_default()),
            (true, _, "") => wrong("at", "Say the time of day as well, for example `--at 10:00`."),
            (true, "", _) => wrong("on", "Say the day as well, for example `--on 2026-12-15`."),
            (true, on, at) => Ok(format!("{on} {at}")),
        }
    }

    /// The plan from the shelf, with what was said to be otherwise.
    fn wished(&self, wish: &Wish) -> Understood<Plan> {
        let draft = || self.schedule_draft(wish);
        let mut plan = self.plan(wish.plan, draft())?;
        let head = &mut plan.release;
        if !wish.version.is_empty() {
            if !crate::domain::ids::is_version(wish.version) {
                let what = format!("`{}` is no version. Say one such as `v1.2.0`.", wish.version);
                return Err(self.wrong_in(None, draft(), "version", &what));
            }
            // What was found of one version says nothing of another.
            if head.version != wish.version {
                plan.evidence.clear();
                (head.commit, head.tag, head.artifact) = (None, None, None);
            }
            head.version = wish.version.to_owned();
        }
        if head.version == TEMPLATE_VERSION {
            let what = "That plan is a template. Say which version it is for.";
            if self.is_form {
                return Err(self.wrong_in(None, draft(), "version", what));
            }
            let whole = format!("{} --version v1.2.3", grammar::line(&self.said.words));
            return Err(Box::new(Reply::Private(self.words.wrong(what, Some(&whole)))));
        }
        if !wish.title.is_empty() {
            head.title = wish.title.to_owned();
        }
        if !wish.artifact.is_empty() {
            head.artifact = Some(wish.artifact.to_owned());
        }
        if !wish.captain.is_empty() {
            head.captain = self.person(wish.captain);
        }
        Ok(plan)
    }

    fn plan(&self, name: &str, draft: Draft) -> Understood<Plan> {
        self.shelf.find(name).map_err(|why| match why {
            NoPlan::Unknown { .. } | NoPlan::Several { .. } => {
                self.wrong_in(None, draft, "plan", &say::no_plan(&why))
            }
            NoPlan::Unreadable { name, problems } => {
                Box::new(Reply::Private(self.words.plan_problems(&name, &problems)))
            }
        })
    }

    fn reschedule(&self, release: &Release, when: &str, reason: Option<&str>) -> Understood {
        let hint = "tue 12:30, 2026-12-15 12:30 Europe/Berlin, in 3h";
        let draft = || {
            let when = Field { hint: hint.into(), ..line_field("when", "New start", when, true) };
            let why = line_field("reason", "Reason", reason.unwrap_or_default(), false);
            Draft::new(&format!("Reschedule {}", release.title()), "Reschedule", vec![when, why])
        };
        if when.is_empty() && !release.phase.is_before_deploy() {
            let (release, start) = (release.id.clone(), release.start.clone());
            return ask(Command::Reschedule { release, start, reason: None });
        }
        self.complete(Some(release), draft())?;
        let start = self
            .time(when, release.start.zone)
            .map_err(|why| self.wrong(Some(release), draft(), &why.to_string()))?;
        let reason = reason.map(str::to_owned);
        ask(Command::Reschedule { release: release.id.clone(), start, reason })
    }

    fn scrub(&self, release: &Release, reason: &str) -> Understood {
        let command = |reason: &str| Command::Scrub {
            release: release.id.clone(),
            reason: reason.to_owned(),
        };
        if self.is_ruled_out(reason, command) {
            return ask(command(""));
        }
        ask(command(&self.text_of(Some(release), "Scrub", ("reason", "Reason", reason))?))
    }

    /// A lone word that names a plan is the plan, also where it names a release as well.
    fn edit(&self, release: Option<&str>, name: Option<&str>) -> Understood {
        let is_plan = |word: &&str| self.shelf.names().iter().any(|known| known == word);
        let (release, name) = match (release.filter(is_plan), name) {
            (Some(plan), None) => (None, Some(plan)),
            (Some(_) | None, name) => (release.map(str::to_owned), name),
        };
        let release = self.one(&release)?;
        let plans: Vec<_> = self.shelf.names().into_iter().map(|n| (n.clone(), n)).collect();
        let draft = || {
            let value = name.unwrap_or_default().to_owned();
            let field = Field { value, ..choice("plan", "Plan", &plans) };
            Draft::new(&format!("Edit {}", release.title()), "Take this plan", vec![field])
        };
        self.complete(Some(release), draft())?;
        let plan = Box::new(self.plan(name.unwrap_or_default(), draft())?);
        ask(Command::Edit { release: release.id.clone(), plan })
    }

    fn handover(&self, release: &Release, person: Option<&str>) -> Understood {
        let people = self.policy.people.iter();
        let people: Vec<_> =
            people.map(|(id, known)| (id.to_string(), known.name.clone())).collect();
        let value = person.unwrap_or_default().to_owned();
        let field = Field { value, ..choice("person", "New captain", &people) };
        let draft = Draft::new(&format!("Hand over {}", release.title()), "Hand over", vec![field]);
        self.complete(Some(release), draft)?;
        let to = self.person(person.unwrap_or_default());
        ask(Command::Handover { release: release.id.clone(), to })
    }

    /// By id, name or account, with or without an `@`.
    fn person(&self, said: &str) -> PersonId {
        let said = said.trim_start_matches(['@', '<']).trim_end_matches('>');
        let known = self.policy.people.iter().find(|(id, known)| {
            id.as_str().eq_ignore_ascii_case(said)
                || known.name.eq_ignore_ascii_case(said)
                || known.accounts.iter().any(|account| account.user == said)
        });
        known.map_or_else(|| PersonId::new(said), |(id, _)| id.clone())
    }

    fn announce(&self, release: &Release, said: &str) -> Understood {
        if said.trim() == "preview" {
            return Ok(Meant::Say(reads::preview(&self.look(), release)));
        }
        let text = self.text_of(Some(release), "Announce", ("text", "Text", said))?;
        ask(Command::Announce { release: release.id.clone(), text })
    }

    // -----------------------------------------------------------------------------------------
    // Before T-0

    fn role(&self, said: &str) -> Role {
        let known = self.policy.roles.keys().find(|role| {
            role.as_str().eq_ignore_ascii_case(said)
                || self.policy.title_of(role).eq_ignore_ascii_case(said)
        });
        known.cloned().unwrap_or_else(|| Role::new(said))
    }

    fn vote(
        &self,
        release: &Release,
        role: Option<&str>,
        revision: Option<u32>,
        vote: Vote,
    ) -> Command {
        let commits = Commitment { revision, ..Commitment::default() };
        let role = role.map(|role| self.role(role));
        Command::Vote { release: release.id.clone(), role, vote, commits }
    }

    /// `go qa` means `go --as qa`.
    fn go(&self, release: Option<&str>, role: Option<&str>, revision: Option<u32>) -> Understood {
        let is_role = |word: &&str| {
            self.policy.roles.contains_key(&self.role(word)) && !find::is_known(self.state, word)
        };
        let (release, role) = match (release.filter(is_role), role) {
            (Some(role), None) => (None, Some(role)),
            (Some(_) | None, role) => (release.map(str::to_owned), role),
        };
        ask(self.vote(self.one(&release)?, role, revision, Vote::Go))
    }

    fn no_go(&self, release: &Release) -> Understood {
        let Verb::NoGo { reason, because, role, revision, .. } = &self.said.verb else {
            unreachable!("only asked for this verb")
        };
        let said = text(reason);
        let said = if said.is_empty() { given(because).unwrap_or_default() } else { &said };
        let command = |reason: &str| {
            let vote = Vote::NoGo { reason: reason.to_owned() };
            self.vote(release, given(role), *revision, vote)
        };
        if self.is_ruled_out(said, command) {
            return ask(command(""));
        }
        ask(command(&self.text_of(Some(release), "NO-GO for", ("reason", "Reason", said))?))
    }

    fn checklist(&self, release: &Release) -> Understood {
        let Verb::Checklist { act, item, named, reason, link, value, .. } = &self.said.verb else {
            unreachable!("only asked for this verb")
        };
        let mark = match act {
            None | Some(Act::Show) => {
                return Ok(Meant::Say(reads::checklist(&self.look(), release, self.by)));
            }
            Some(Act::Pass) => Mark::Pass,
            Some(Act::Fail) => Mark::Fail,
            Some(Act::Waive) => Mark::Waive,
            Some(Act::Reopen) => Mark::Reopen,
        };
        let wanted = given(named).map_or_else(|| text(item), str::to_owned);
        let found = item_called(&release.items, &wanted);
        let value_of_item = found.map_or_else(|| wanted.clone(), |item| item.id.to_string());
        let mut fields = vec![Field { value: value_of_item, ..items_field(release) }];
        if matches!(mark, Mark::Fail | Mark::Waive) {
            fields.push(text_field("reason", "Reason", given(reason).unwrap_or_default()));
        }
        let limit = found.filter(|_| mark == Mark::Pass).and_then(|item| item.limit.as_ref());
        if let Some(limit) = limit {
            let line = |name, label: &str, value: &Option<String>| {
                line_field(name, label, given(value).unwrap_or_default(), false)
            };
            fields.push(line("value", &format!("Measured: {limit}"), value));
            fields.push(line("link", "Or a link to where it was measured", link));
        }
        let by_evidence = found.filter(|item| mark == Mark::Pass && item.evidence.is_some());
        if by_evidence.is_some() && limit.is_none() {
            let known = Field {
                required: given(link).is_none(),
                ..text_field("reason", "How you know", given(reason).unwrap_or_default())
            };
            fields.push(known);
            let link = given(link).unwrap_or_default();
            fields.push(line_field("link", "Where it can be seen", link, false));
        }
        let title = format!("Checklist of {}", release.title());
        let draft = || Draft::new(&title, "Save", fields.clone());
        let command = |why: &str| Command::Mark {
            release: release.id.clone(),
            item: ItemId::new(wanted.clone()),
            mark,
            why: Some(why.to_owned()).filter(|why| !why.is_empty()),
            link: given(link).map(str::to_owned),
        };
        if by_evidence.is_some() && self.is_ruled_out(given(reason).unwrap_or_default(), command) {
            return ask(command(""));
        }
        self.complete(Some(release), draft())?;
        if let (Some(limit), None, None) = (limit, given(value), given(link)) {
            let what = format!(
                "It is judged by {limit}. Give the number that was measured, or a link to where it \
                 can be seen. To fail or to waive it instead takes a reason."
            );
            return Err(self.form(Some(release), draft(), Some(&what)));
        }
        let mut why = given(reason).map(str::to_owned);
        let mut mark = mark;
        if let (Some(limit), Some(said)) = (limit, given(value)) {
            let number = match limit.read(said) {
                Ok(number) => number,
                Err(what) => return Err(self.wrong(Some(release), draft(), &what)),
            };
            mark = if limit.holds(number) { Mark::Pass } else { Mark::Fail };
            let bare = said.ends_with(|c: char| c.is_ascii_digit());
            let unit =
                if bare && !limit.unit.is_empty() { &format!(" {}", limit.unit) } else { "" };
            why = Some(format!("{said}{unit} ({limit})"));
        }
        let item = found.map_or_else(|| ItemId::new(wanted), |item| item.id.clone());
        let link = given(link).map(str::to_owned);
        ask(Command::Mark { release: release.id.clone(), item, mark, why, link })
    }

    fn evidence(&self, release: &Release) -> Understood {
        let Verb::Evidence { kind, result, link, note, .. } = &self.said.verb else {
            unreachable!("only asked for this verb")
        };
        let kind_said = given(kind).unwrap_or_default();
        let found = EvidenceKind::ALL.into_iter().find(|kind| kind.name() == kind_said);
        let (Some(kind), Some(result)) = (found, result) else {
            let kinds =
                EvidenceKind::ALL.map(|kind| (kind.name().to_owned(), kind.name().to_owned()));
            let results =
                ["pass", "pass-with-warnings", "fail"].map(|r| (r.to_owned(), r.to_owned()));
            let fields = vec![
                Field {
                    value: kind_said.to_owned(),
                    ..choice("kind", "What was looked at", &kinds)
                },
                choice("result", "What was found", &results),
                line_field("link", "Link", given(link).unwrap_or_default(), false),
                line_field("note", "Note", given(note).unwrap_or_default(), false),
            ];
            let draft = Draft::new(&format!("Evidence for {}", release.title()), "Report", fields);
            return Err(self.form(Some(release), draft, None));
        };
        let result = match result {
            Found::Pass => Finding::Pass,
            Found::PassWithWarnings => Finding::PassWithWarnings,
            Found::Fail => Finding::Fail,
        };
        let (link, note) = (given(link).map(str::to_owned), given(note).map(str::to_owned));
        let report = EvidenceReport { kind, result, link, note };
        ask(Command::Report { release: release.id.clone(), report })
    }

    fn metric(&self, release: &Release) -> Understood {
        let Verb::Metric { query, value, baseline, of, .. } = &self.said.verb else {
            unreachable!("only asked for this verb")
        };
        let from_ci = release.queries(self.policy).from_ci();
        let names: Vec<_> = from_ci.map(|(name, title)| (name.to_owned(), title)).collect();
        let line = |name, label, value: &Option<String>, required| {
            line_field(name, label, given(value).unwrap_or_default(), required)
        };
        let chosen = given(query).unwrap_or_default().to_owned();
        let what = match names.is_empty() {
            true => line("query", "What was measured", query, true),
            false => {
                Field { value: chosen.clone(), ..choice("query", "What was measured", &names) }
            }
        };
        let fields = vec![
            what,
            line("value", "The number", value, true),
            line("baseline", "The same of the stable group", baseline, false),
            line("of", "Which one of several", of, false),
        ];
        let draft =
            || Draft::new(&format!("A number for {}", release.title()), "Report", fields.clone());
        self.complete(Some(release), draft())?;
        let number = |said: &str| {
            checklist::plain_number(said).map_err(|what| self.wrong(Some(release), draft(), &what))
        };
        let number = Number {
            query: chosen,
            value: number(given(value).unwrap_or_default())?,
            baseline: given(baseline).map(number).transpose()?,
            line: given(of).unwrap_or_default().to_owned(),
        };
        ask(Command::ReportNumber { release: release.id.clone(), number })
    }

    fn overrule(&self, release: &Release, obstacle: Option<&str>, reason: &str) -> Understood {
        let mut names: Vec<_> =
            verdict::reasons(release, self.policy).iter().map(|why| why.obstacle()).collect();
        names.extend(release.held_by_numbers());
        names.push("freeze".into());
        let names: Vec<_> = names.into_iter().map(|name| (name.clone(), name)).collect();
        let obstacle = obstacle.unwrap_or_default().to_owned();
        let fields = vec![
            Field {
                value: obstacle.clone(),
                ..choice("obstacle", "What stands in the way", &names)
            },
            text_field("reason", "Reason", reason),
        ];
        let title = format!("Override for {}", release.title());
        self.complete(
            Some(release),
            Draft { style: Style::Danger, ..Draft::new(&title, "Override", fields) },
        )?;
        let reason = reason.to_owned();
        ask(Command::Override { release: release.id.clone(), obstacle, reason })
    }

    fn accept(&self, release: &Release, risk: &str, reason: Option<&str>) -> Understood {
        let risks = release.plan.risks.iter().map(|risk| (risk.what.clone(), risk.what.clone()));
        let risks: Vec<_> = risks.collect();
        let low = risk.to_lowercase();
        let known =
            risks.iter().find(|(what, _)| !low.is_empty() && what.to_lowercase().contains(&low));
        let risk = known.map_or_else(|| risk.to_owned(), |(what, _)| what.clone());
        let reason = reason.unwrap_or_default();
        let which = match risks.is_empty() {
            true => line_field("risk", "Risk", &risk, true),
            false => Field { value: risk.clone(), ..choice("risk", "Risk", &risks) },
        };
        let title = format!("Accept a risk of {}", release.title());
        let fields = vec![which, text_field("reason", "Reason", reason)];
        self.complete(Some(release), Draft::new(&title, "Accept", fields))?;
        let reason = reason.to_owned();
        ask(Command::AcceptRisk { release: release.id.clone(), risk, reason })
    }

    // -----------------------------------------------------------------------------------------
    // Rollout

    fn start(&self, release: &Release, revision: Option<u32>) -> Understood {
        let commits = Commitment { revision, ..Commitment::default() };
        ask(Command::Start { release: release.id.clone(), commits })
    }

    fn update(&self, release: &Release, said: &str) -> Understood {
        let command =
            |text: &str| Command::Update { release: release.id.clone(), text: text.to_owned() };
        if self.is_ruled_out(said, command) {
            return ask(command(""));
        }
        ask(command(&self.text_of(Some(release), "Update on", ("text", "What happened", said))?))
    }

    /// People count stages from one.
    fn advance(&self, release: &Release, stage: Option<u32>) -> Understood {
        let stage = stage.map(|stage| (stage as usize).saturating_sub(1));
        let commits = Commitment { stage, ..Commitment::default() };
        ask(Command::Advance { release: release.id.clone(), commits })
    }

    fn hold(&self, release: &Release, reason: &str) -> Understood {
        let command =
            |reason: &str| Command::Hold { release: release.id.clone(), reason: reason.to_owned() };
        if self.is_ruled_out(reason, command) {
            return ask(command(""));
        }
        ask(command(&self.text_of(Some(release), "Hold", ("reason", "Reason", reason))?))
    }

    fn red(&self, release: &Release, reason: &str) -> Understood {
        let command = |reason: &str| {
            let (release, reason) = (release.id.clone(), reason.to_owned());
            Command::DeclareRed { release, reason }
        };
        if self.is_ruled_out(reason, command) {
            return ask(command(""));
        }
        ask(command(&self.text_of(Some(release), "Declare red", ("reason", "Reason", reason))?))
    }

    fn outcome(&self, release: &Release) -> Understood {
        let Verb::Outcome { ended, reason, run, .. } = &self.said.verb else {
            unreachable!("only asked for this verb")
        };
        let (ended, reason, run) = (*ended, text(reason), run_of(release, run));
        let worked = ended == Some(Ended::Worked);
        let command = |reason: &str| Command::Outcome {
            release: release.id.clone(),
            run: run.clone(),
            worked,
            reason: reason.to_owned(),
        };
        if self.is_ruled_out(&reason, command) {
            return ask(command(""));
        }
        let said = match ended {
            Some(Ended::Worked) => "worked",
            Some(Ended::Failed) => "failed",
            None => "",
        };
        let choices = ["worked", "failed"].map(|ended| (ended.to_owned(), format!("It {ended}")));
        let fields = vec![
            Field { value: said.into(), ..choice("ended", "How it ended", &choices) },
            text_field("reason", "How you know", &reason),
        ];
        let title = format!("Outcome of {}", release.title());
        self.complete(Some(release), Draft::new(&title, "Record", fields))?;
        ask(command(&reason))
    }

    fn run(&self, release: &Release, action: Option<&str>, with: &[String]) -> Understood {
        let open = self.policy.actions.iter().filter(|(_, action)| action.from_chat);
        let open: Vec<_> = open.map(|(name, _)| (name.to_string(), name.to_string())).collect();
        let Some(action) = action else {
            let with = line_field("with", "Arguments: name=value", &text(with), false);
            let fields = vec![choice("action", "Action", &open), with];
            let draft = Draft::new(&format!("Run for {}", release.title()), "Run", fields);
            return Err(self.form(Some(release), draft, None));
        };
        let wrong =
            |what: &str| Box::new(Reply::Private(self.words.wrong(what, Some("run health pod=2"))));
        let mut values = BTreeMap::new();
        for pair in with.iter().filter(|pair| !pair.is_empty()) {
            let Some((name, value)) = pair.split_once('=') else {
                return Err(wrong(&format!("`{pair}` is no argument. Write `name=value`.")));
            };
            if let Some(first) = values.insert(name.to_owned(), value.to_owned()) {
                let what =
                    format!("`{name}` is given twice, as `{first}` and as `{value}`. Say it once.");
                return Err(wrong(&what));
            }
        }
        let action = ActionName::new(action);
        ask(Command::RunAction { release: release.id.clone(), action, with: values })
    }

    /// What may have run already is not repeated by a slip: it is confirmed once, for that attempt.
    fn retry(&self, release: &Release, shown: Option<RunId>, despite: Option<u32>) -> Understood {
        let id = release.id.clone();
        let right = right_to_settle(release);
        // Who may not is refused at once, on record, rather than after a dialog.
        let may = authority::may(self.by, right, self.policy).is_ok();
        let unknown = release.unsettled().filter(|run| may && run.is_unknown());
        // A button of another failure is refused as such.
        let unknown = unknown.filter(|run| shown.as_ref().is_none_or(|shown| *shown == run.id));
        match unknown.filter(|run| despite != Some(run.attempt)) {
            None => ask(Command::Retry { release: id, run: shown }),
            Some(run) => {
                let filled = BTreeMap::from([
                    ("release".to_owned(), id.to_string()),
                    ("despite".to_owned(), run.attempt.to_string()),
                ]);
                let words = grammar::fill(&self.said.words, &filled).unwrap_or_default();
                let line = grammar::line(&words);
                let form = self.words.confirm_retry(release, run, despite.is_some(), line);
                Err(Box::new(Reply::Form(form)))
            }
        }
    }

    /// Confirmed once, with everything spelled out. What cannot be rolled back is refused at once,
    /// and what has changed since it was shown is shown again.
    fn rollback(&self, release: &Release) -> Understood {
        let Verb::Rollback { dry_run, reason, from, to, confirmed, .. } = &self.said.verb else {
            unreachable!("only asked for this verb")
        };
        let id = release.id.clone();
        if *dry_run {
            return ask(Command::RehearseRollback { release: id });
        }
        let possible = matches!(
            release.phase,
            Phase::Deploying { .. }
                | Phase::Soaking { .. }
                | Phase::AtGate { .. }
                | Phase::Watching
                | Phase::Done
        );
        // Who may not is refused at once, on record, rather than after a dialog.
        let possible = possible && authority::may(self.by, Right::Rollback, self.policy).is_ok();
        if let Some(plan) = release.plan.rollback.as_ref().filter(|_| possible) {
            let version = &release.plan.release.version;
            let moved = |shown: &Option<String>, now| shown.as_ref().is_some_and(|s| s != now);
            let stale = moved(from, version) || moved(to, &plan.to);
            if stale || !confirmed {
                let filled = BTreeMap::from([
                    ("release".to_owned(), id.to_string()),
                    ("from".to_owned(), version.clone()),
                    ("to".to_owned(), plan.to.clone()),
                    ("confirmed".to_owned(), "true".to_owned()),
                ]);
                let words = grammar::fill(&self.said.words, &filled).unwrap_or_default();
                let line = grammar::line(&words);
                let form = self.words.confirm(release, plan, stale, line, self.policy);
                return Err(Box::new(Reply::Form(form)));
            }
        }
        let (from, to) = (from.clone(), to.clone());
        let commits = Commitment { from, to, ..Commitment::default() };
        let reason = given(reason).map(str::to_owned);
        ask(Command::Rollback { release: id, reason, commits })
    }

    // -----------------------------------------------------------------------------------------
    // The house

    fn lock(
        &self,
        lock: bool,
        version: Option<&str>,
        reason: &str,
        target: Option<&str>,
    ) -> Understood {
        let word = if lock { "Lock" } else { "Unlock" };
        let version = version.unwrap_or_default().to_owned();
        let fields = vec![
            line_field("version", "Version", &version, true),
            text_field("reason", if lock { "Reason" } else { "Why it is safe now" }, reason),
        ];
        self.complete(None, Draft::new(&format!("{word} a version"), word, fields))?;
        let target = self.target(&version, target)?;
        let reason = reason.to_owned();
        ask(match lock {
            true => Command::Lock { target, version, reason },
            false => Command::Unlock { target, version, reason },
        })
    }

    /// Where a version is locked or known, if that is one place.
    fn target(&self, version: &str, said: Option<&str>) -> Understood<String> {
        if let Some(said) = said {
            return Ok(said.to_owned());
        }
        let locked = self.state.house.locks.keys().filter(|(_, locked)| locked == version);
        let mut targets: Vec<String> = locked.map(|(target, _)| target.clone()).collect();
        let releases = || self.state.releases.values();
        if targets.is_empty() {
            let same = releases().filter(|release| release.plan.release.version == version);
            targets = same.map(|release| release.target()).collect();
        }
        if targets.is_empty() {
            targets = releases().map(|release| release.target()).collect();
        }
        targets.sort();
        targets.dedup();
        if let [only] = targets.as_slice() {
            return Ok(only.clone());
        }
        let button = |target: &String| {
            let fields = BTreeMap::from([("target".to_owned(), target.clone())]);
            let words = grammar::fill(&self.said.words, &fields).unwrap_or_default();
            Button { label: target.clone(), command: grammar::line(&words), style: Style::Plain }
        };
        let what = "Where? Say it with `--target service/environment`.";
        let mut message = self.words.wrong(what, None);
        message.buttons = targets.iter().take(5).map(|target| vec![button(target)]).collect();
        Err(Box::new(Reply::Private(message)))
    }

    fn freeze(&self, freeze: Option<&Freeze>) -> Understood {
        match freeze {
            None | Some(Freeze::List) => Ok(Meant::Say(reads::freezes(&self.look()))),
            Some(Freeze::Lift { id, reason }) => self.lift(given(id), &text(reason)),
            Some(Freeze::Add { from, until, reason, service, environment }) => {
                let only = [service, environment].map(|only| given(only).map(str::to_owned));
                let span = [from, until].map(|at| given(at).unwrap_or_default());
                self.add_freeze(span, &text(reason), only)
            }
        }
    }

    fn add_freeze(
        &self,
        [from, until]: [&str; 2],
        reason: &str,
        [service, environment]: [Option<String>; 2],
    ) -> Understood {
        let draft = || {
            let fields = vec![
                line_field("from", "From", from, true),
                line_field("until", "Until", until, true),
                text_field("reason", "Reason", reason),
            ];
            Draft::new("Add a freeze", "Freeze", fields)
        };
        self.complete(None, draft())?;
        // `mon 8:00` is the Monday after it began.
        let time = |said: &str, after: Time| match said.eq_ignore_ascii_case("now") {
            true => Ok(self.now),
            false => match times::instant(said, after, self.policy.zone) {
                Ok(planned) => Ok(planned.at),
                Err(why) => Err(self.wrong(None, draft(), &why.to_string())),
            },
        };
        let (said_from, said_until) = (from, until);
        let from = time(said_from, self.now)?;
        let too_early = || {
            let what = format!("A freeze until {said_until} would end before it begins.");
            self.wrong(None, draft(), &what)
        };
        // `in 4h` and `tomorrow` count from now, also at the end of a freeze.
        let counts_from_now = said_until.split_whitespace().any(|word| {
            ["in", "today", "tomorrow"].iter().any(|from_now| word.eq_ignore_ascii_case(from_now))
        });
        let until = match time(said_until, self.now) {
            Ok(until) if until > from => until,
            Ok(_) if counts_from_now => return Err(too_early()),
            Ok(_) => time(said_until, from).map_err(|_| too_early())?,
            Err(why) if counts_from_now => return Err(why),
            Err(_) => time(said_until, from)?,
        };
        let day = from.with_timezone(&self.policy.zone).format("%Y-%m-%d");
        let id = FreezeId::new(slug(&format!("{day} {reason}")));
        let reason = reason.to_owned();
        let freeze = FreezeWish { from, until, reason, service, environment };
        ask(Command::AddFreeze { id, freeze })
    }

    fn lift(&self, id: Option<&str>, reason: &str) -> Understood {
        let known = self.state.house.freezes.iter();
        let known: Vec<_> = known.map(|(id, f)| (id.to_string(), f.reason.clone())).collect();
        let id = id.unwrap_or_default().to_owned();
        let fields = vec![
            Field { value: id.clone(), ..choice("id", "Freeze", &known) },
            text_field("reason", "Reason", reason),
        ];
        self.complete(None, Draft::new("Lift a freeze", "Lift", fields))?;
        ask(Command::LiftFreeze { id: FreezeId::new(id), reason: reason.to_owned() })
    }
}

/// `Reason` can be part of a sentence; `What happened` is quoted in it.
fn is_noun(label: &str) -> bool {
    !label.contains(' ')
}

/// `Hold` of `Hold Web shop v1.2.0`: what the button of a form says.
fn title_verb(title: &str) -> &str {
    title.split(' ').next().unwrap_or(title)
}

fn items_field(release: &Release) -> Field {
    let open = release.items.iter().filter(|item| !item.state.is_green());
    let closed = release.items.iter().filter(|item| item.state.is_green());
    let items: Vec<_> = open
        .chain(closed)
        .map(|item| (item.id.to_string(), format!("{}: {}", item.section_title, item.name)))
        .collect();
    choice("item", "Item", &items)
}

/// The item that a word fits alone.
fn item_called<'a>(items: &'a [Item], said: &str) -> Option<&'a Item> {
    if let Some(exact) = items.iter().find(|item| item.id.as_str() == said) {
        return Some(exact);
    }
    let low = said.to_lowercase();
    let fits =
        |item: &&Item| item.id.as_str().contains(&low) || item.name.to_lowercase().contains(&low);
    let mut found = items.iter().filter(fits);
    found.next().filter(|_| found.next().is_none() && !low.is_empty())
}

/// What was not understood, with the nearest that would be.
pub(super) fn misunderstood(words: Words<'_>, wrong: &Wrong) -> Message {
    let mut message = words.wrong(&wrong.to_string(), wrong.example().as_deref());
    let command = match wrong.verb() {
        Some(verb) => format!("help {verb}"),
        None => "help".into(),
    };
    message.buttons = vec![vec![Button { label: "Help".into(), command, style: Style::Plain }]];
    message
}
