//! A sample release for tests: `Web shop v1.2.0`, three pods, five seats, and the people around it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Duration, NaiveDate};

use super::agenda::{agenda, scopes};
use super::checklist::Mark;
use super::command::{Actor, Claims, Command, Commitment, Request, RunEnd, RunOutcome, Vote};
use super::decide::decide;
use super::effect::Effect;
use super::event::Event;
use super::ids::{Account, ActionName, ItemId, PersonId, ReleaseId, Role};
use super::metric::{Answer, Line, Query, QueryKind, Reading};
use super::notice::Notice;
use super::plan::{AnnounceAt, Plan, PlannedAnnouncement, PlannedItem};
use super::policy::{
    Action, FlagProvider, MetricSource, Person, Policy, Right, RoleRules, RoomHome, Rules, Section,
    Timing,
};
use super::react::react;
use super::state::{Release, Room, Start, State};
use super::time::{Span, Time};
use super::zone::los_angeles;

pub(crate) fn time(text: &str) -> Time {
    text.parse().expect("an instant, as RFC 3339 writes it")
}

/// The sample release's own name for itself.
pub(crate) fn id() -> ReleaseId {
    ReleaseId::of("web-shop", "production", "v1.2.0", 1)
}

pub(crate) fn plan() -> Plan {
    toml::from_str(include_str!("fixture/plan.toml")).expect("the sample plan is well-formed")
}

/// Tuesday, 15 December 2026, 10:00 in Los Angeles: 18:00 UTC.
pub(crate) fn start() -> Start {
    let day = NaiveDate::from_ymd_opt(2026, 12, 15).expect("a day of the calendar");
    let local = day.and_hms_opt(10, 0, 0).expect("a time of day");
    Start { local, zone: los_angeles(), at: time("2026-12-15T18:00:00Z") }
}

pub(crate) fn account(person: &str) -> Account {
    Account::new("console", "local", person)
}

const PEOPLE: [(&str, &str); 11] = [
    ("maria", "maria"),
    ("dave", "dave"),
    ("erin", "erin"),
    ("ann", "ann"),
    ("quinn", "quinn"),
    ("paula", "paula"),
    ("sam", "sam"),
    ("sec", "sven"),
    ("john", "john"),
    ("jane", "jane"),
    ("olga", "olga"),
];

pub(crate) fn policy() -> Policy {
    let person = |(id, name): (&str, &str)| {
        let accounts = BTreeSet::from([account(id)]);
        (PersonId::from(id), Person { name: name.to_owned(), accounts })
    };
    Policy {
        zone: los_angeles(),
        people: PEOPLE.into_iter().map(person).collect(),
        roles: roles(),
        machines: BTreeMap::new(),
        audiences: audiences(),
        rooms: vec![RoomHome { platform: "console".into(), tenant: "local".into() }],
        actions: actions(),
        flags: BTreeMap::from([("local".to_owned(), FlagProvider::default())]),
        metrics: BTreeMap::from([(
            "main".to_owned(),
            MetricSource { has_past: true, is_program: false },
        )]),
        queries: queries(),
        announcements: announcements(),
        templates: BTreeSet::new(),
        checklist: checklist(),
        freezes: Vec::new(),
        holidays: Default::default(),
        timing: Timing::default(),
        rules: Rules::default(),
        public_url: None,
        accounts: Default::default(),
    }
}

fn queries() -> BTreeMap<String, Query> {
    let query = |(name, title, unit, kind): (&str, &str, &str, QueryKind)| {
        let query = Query {
            source: "main".into(),
            query: format!("{name}{{version=\"{{version}}\"}}"),
            baseline: Some(format!("{name}{{version=\"{{known_good}}\"}}")),
            title: title.into(),
            unit: unit.into(),
            kind,
            has_past: true,
        };
        (name.to_owned(), query)
    };
    [
        ("errors", "Error rate", "%", QueryKind::ErrorRate),
        ("p95", "p95", "ms", QueryKind::Latency),
        ("memory", "Memory", "%", QueryKind::Gauge),
    ]
    .map(query)
    .into()
}

fn roles() -> BTreeMap<Role, RoleRules> {
    use Right::{
        AcceptRisk, Advance, Checklist, Evidence, Freeze, Override, Resume, Rollback, Run,
        Schedule, Unlock, Update, Waive,
    };
    let captain = [
        Schedule,
        Right::Start,
        Advance,
        Resume,
        Rollback,
        Checklist,
        Waive,
        Evidence,
        Update,
        Run,
        Freeze,
        Unlock,
        AcceptRisk,
        Override,
    ];
    let on_call = [Advance, Resume, Rollback, Run, Update];
    let rows: [(&str, &str, &[&str], &[Right]); 7] = [
        ("captain", "captain", &["maria"], &captain),
        ("engineering", "engineering", &["ann", "dave"], &[Checklist, Update]),
        ("qa", "QA", &["quinn"], &[Checklist, Evidence]),
        ("product", "product", &["paula"], &[]),
        ("support", "support", &["sam"], &[]),
        ("security", "security", &["sec"], &[Checklist]),
        ("on-call", "on-call", &["john", "jane"], &on_call),
    ];
    let rules = |(role, title, members, may): (&str, &str, &[&str], &[Right])| {
        let members = members.iter().map(|person| PersonId::from(*person)).collect();
        let may = may.iter().copied().collect();
        let title = title.to_owned();
        (Role::from(role), RoleRules { title, members, may, ..RoleRules::default() })
    };
    rows.into_iter().map(rules).collect()
}

fn audiences() -> BTreeMap<String, Vec<super::policy::Destination>> {
    let to = |text: &str| vec![text.parse().expect("a destination")];
    BTreeMap::from([
        ("internal".to_owned(), to("console/local/releases")),
        ("customers".to_owned(), to("console/local/customers")),
        ("on-call".to_owned(), to("console/local/incidents")),
    ])
}

fn actions() -> BTreeMap<ActionName, Action> {
    let action = |(name, shows): (&str, &str)| {
        let parts = shows.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
        let action = Action {
            shows: shows.to_owned(),
            placeholders: parts.map(|(name, _)| name.to_owned()).collect(),
            limit: Span::minutes(10),
            repeat_safe: false,
            has_status: true,
            from_chat: name == "health",
        };
        (ActionName::from(name), action)
    };
    [
        ("migrate", "bin/migrate up --version {version}"),
        ("deploy-pod", "bin/deploy --pod {pod} --version {version}"),
        ("health", "bin/health {service} --environment {environment}"),
        ("smoke-search", "bin/smoke search | tee smoke.log"),
        ("go-back", "bin/deploy --all --version {version}"),
        ("go-back-rehearse", "bin/deploy --all --version {version} --dry-run"),
        ("clear-cache", "bin/cache clear"),
    ]
    .into_iter()
    .map(action)
    .chain(super::flag::actions())
    .collect()
}

fn announcements() -> Vec<PlannedAnnouncement> {
    let one =
        |(id, at, audience, user_facing_only): (&str, &str, &str, bool)| PlannedAnnouncement {
            id: id.into(),
            at: AnnounceAt::try_from(at.to_owned()).expect("an offset"),
            audience: audience.to_owned(),
            template: id.to_owned(),
            user_facing_only,
            late: Span::hours(2),
        };
    [
        ("t-48h", "T-48h", "internal", false),
        ("t-24h", "T-24h", "customers", true),
        ("t-1h", "T-1h", "internal", false),
        ("done", "done+1h", "internal", false),
    ]
    .map(one)
    .into()
}

fn checklist() -> BTreeMap<String, Section> {
    let item = |section: &str, name: &str, owner: &str| PlannedItem {
        section: section.to_owned(),
        name: name.to_owned(),
        owner: Some(owner.into()),
        evidence: None,
        limit: None,
        phase: super::plan::ItemPhase::Before,
    };
    let section =
        |id: &str, title: &str, items| (id.to_owned(), Section { title: title.to_owned(), items });
    BTreeMap::from([
        section(
            "code-quality",
            "Code quality",
            vec![
                item("code-quality", "Reviewed", "ann"),
                item("code-quality", "Tests pass", "quinn"),
            ],
        ),
        section("security", "Security", vec![item("security", "No open findings", "sec")]),
        section("rollback-readiness", "Rollback readiness", Vec::new()),
    ])
}

/// A house with a clock of its own: every request goes through the rules, nothing else.
pub(crate) struct World {
    pub state: State,
    pub now: Time,
    /// Everything that happened, as the log would have it.
    pub log: Vec<(Time, Actor, Event)>,
    pub effects: Vec<Effect>,
    requests: u32,
}

impl World {
    /// Begun on Saturday, 12 December 2026, 18:00 UTC, with the sample policy.
    pub(crate) fn new() -> Self {
        let mut world = Self {
            state: State::default(),
            now: time("2026-12-12T18:00:00Z"),
            log: Vec::new(),
            effects: Vec::new(),
            requests: 0,
        };
        world.asks(Actor::Operator, Command::Begin { jumpable: true });
        let policy = Box::new(policy());
        world.asks(Actor::Operator, Command::AdoptPolicy { policy });
        world
    }

    /// With the sample release on the calendar.
    pub(crate) fn scheduled() -> Self {
        Self::with(plan())
    }

    pub(crate) fn with(plan: Plan) -> Self {
        let mut world = Self::new();
        world.by("maria", Command::Schedule { plan: Box::new(plan), start: start() });
        world
    }

    /// At 09:18 in Los Angeles: three seats said go, two are open, and one item.
    pub(crate) fn counting_down() -> Self {
        Self::counting_down_with(plan())
    }

    fn counting_down_with(plan: Plan) -> Self {
        let mut world = Self::with(plan);
        world.wait_until("2026-12-15T16:56:00Z");
        world.room();
        world.wait_until("2026-12-15T17:12:00Z");
        for (person, role) in [("ann", "engineering"), ("quinn", "qa"), ("paula", "product")] {
            world.go(person, role);
        }
        world.rehearse();
        let open = "rollback-readiness/rollback-tested-in-staging";
        let items: Vec<_> = world.release().items.iter().map(|item| item.id.clone()).collect();
        for item in items.iter().filter(|item| item.as_str() != open) {
            world.passes(item);
        }
        world.wait_until("2026-12-15T17:18:00Z");
        world
    }

    /// The verdict is go, and the start is offered.
    pub(crate) fn ready() -> Self {
        Self::ready_with(plan())
    }

    fn ready_with(plan: Plan) -> Self {
        let mut world = Self::counting_down_with(plan);
        world.passes(&ItemId::from("rollback-readiness/rollback-tested-in-staging"));
        world.go("sam", "support");
        world.go("sec", "security");
        world.wait_until("2026-12-15T18:00:00Z");
        world
    }

    /// The first step runs.
    pub(crate) fn started() -> Self {
        Self::started_with(plan())
    }

    fn started_with(plan: Plan) -> Self {
        let mut world = Self::ready_with(plan);
        world.by("maria", Command::Start { release: id(), commits: Commitment::default() });
        world
    }

    /// Pod 1 is deployed and soaks.
    pub(crate) fn soaking() -> Self {
        Self::soaking_with(plan())
    }

    /// The same with another plan of the same stages.
    pub(crate) fn soaking_with(plan: Plan) -> Self {
        let mut world = Self::started_with(plan);
        world.run_ends(130, RunOutcome::Worked);
        world.run_ends(45, RunOutcome::Worked);
        world
    }

    /// Pod 2's step has failed, and the release is on hold.
    pub(crate) fn stuck() -> Self {
        let mut world = Self::soaking();
        world.after(Duration::minutes(10));
        world.run_ends(2, RunOutcome::Worked);
        world.run_ends(30, RunOutcome::Failed("exit status 1".into()));
        world
    }

    pub(crate) fn rolled_back() -> Self {
        let mut world = Self::stuck();
        let reason = Some("pod 2 does not start".to_owned());
        let commits = Commitment::default();
        world.by("john", Command::Rollback { release: id(), reason, commits });
        for seconds in [1, 59, 5, 3] {
            world.run_ends(seconds, RunOutcome::Worked);
        }
        world
    }

    /// All stages are done and the smoke tests pass.
    pub(crate) fn rolled_out() -> Self {
        Self::rolled_out_with(plan())
    }

    pub(crate) fn rolled_out_with(plan: Plan) -> Self {
        let mut world = Self::soaking_with(plan);
        world.after(Duration::minutes(10));
        for seconds in [2, 40] {
            world.run_ends(seconds, RunOutcome::Worked);
        }
        world.after(Duration::minutes(10));
        world.run_ends(2, RunOutcome::Worked);
        world.by("maria", Command::Advance { release: id(), commits: Commitment::default() });
        for seconds in [42, 2, 1, 4] {
            world.run_ends(seconds, RunOutcome::Worked);
        }
        world
    }

    /// Watched for its day, reported and archived.
    pub(crate) fn done() -> Self {
        let mut world = Self::rolled_out();
        world.after(Duration::minutes(20));
        world.run_ends(2, RunOutcome::Worked);
        world.after(Duration::hours(25));
        world
    }

    pub(crate) fn release(&self) -> &Release {
        &self.state.releases[&id()]
    }

    pub(crate) fn policy(&self) -> &Policy {
        self.state.house.policy()
    }

    /// What was said so far, the latest last.
    pub(crate) fn notices(&self) -> impl Iterator<Item = &Notice> {
        self.effects.iter().filter_map(|effect| match effect {
            Effect::Say { notice, .. } => Some(notice.as_ref()),
            Effect::Refresh { .. }
            | Effect::Pin { .. }
            | Effect::OpenRoom { .. }
            | Effect::Archive { .. }
            | Effect::Run { .. }
            | Effect::Look { .. }
            | Effect::Stop { .. }
            | Effect::Flag { .. }
            | Effect::AnswerGate { .. } => None,
        })
    }

    pub(crate) fn by(&mut self, person: &str, command: Command) -> Vec<Event> {
        let claims = Claims::default();
        self.asks(Actor::Person { account: account(person), claims }, command)
    }

    pub(crate) fn asks(&mut self, by: Actor, command: Command) -> Vec<Event> {
        self.requests += 1;
        let request = Request { id: self.requests.to_string(), by: by.clone(), command };
        let events = decide(&self.state, &request, self.now);
        for event in &events {
            self.state.evolve(event, self.now);
            self.effects.extend(react(&self.state, event, self.now));
            self.log.push((self.now, by.clone(), event.clone()));
        }
        events
    }

    pub(crate) fn go(&mut self, person: &str, role: &str) -> Vec<Event> {
        self.votes(person, role, Vote::Go)
    }

    pub(crate) fn no_go(&mut self, person: &str, role: &str, reason: &str) -> Vec<Event> {
        self.votes(person, role, Vote::NoGo { reason: reason.to_owned() })
    }

    fn votes(&mut self, person: &str, role: &str, vote: Vote) -> Vec<Event> {
        let (release, role) = (id(), Some(Role::from(role)));
        let commits = Commitment::default();
        self.by(person, Command::Vote { release, role, vote, commits })
    }

    pub(crate) fn passes(&mut self, item: &ItemId) -> Vec<Event> {
        let (release, item) = (id(), item.clone());
        let mark = Mark::Pass;
        self.by("maria", Command::Mark { release, item, mark, why: None, link: None })
    }

    pub(crate) fn room(&mut self) {
        let (platform, name) = ("console".to_owned(), "release-v1-2-0".to_owned());
        let room = Room { platform, channel: name.clone(), name, instead: None };
        self.asks(Actor::Neighbour, Command::RoomOpened { release: id(), room });
    }

    fn rehearse(&mut self) {
        self.by("maria", Command::RehearseRollback { release: id() });
        self.run_ends(1, RunOutcome::Worked);
    }

    /// The numbers of the stage that runs, or of the watch, as they are just now: by name the
    /// canary's value and the baseline's.
    pub(crate) fn measures(&mut self, numbers: &[(&str, f64, f64)]) -> Vec<Event> {
        let flat = |value: f64| {
            let at = |back: i32| self.now - Duration::seconds(15) * back;
            let points = (0..4).rev().map(|back| (at(back), value)).collect();
            Answer::Lines(vec![Line { name: String::new(), points }])
        };
        let reading = |(name, canary, baseline): &(&str, f64, f64)| Reading {
            name: (*name).to_owned(),
            canary: flat(*canary),
            baseline: Some(flat(*baseline)),
        };
        let readings = numbers.iter().map(reading).collect();
        self.reads(readings)
    }

    pub(crate) fn reads(&mut self, readings: Vec<Reading>) -> Vec<Event> {
        let watched = super::health::watched(self.release(), self.policy(), self.now);
        let stage = watched.and_then(|watched| watched.stage);
        self.asks(Actor::Neighbour, Command::Measured { release: id(), stage, readings })
    }

    /// What runs ends like this, after so many seconds.
    pub(crate) fn run_ends(&mut self, seconds: u32, outcome: RunOutcome) -> Vec<Event> {
        self.now += Duration::seconds(seconds.into());
        let run = self.release().running().next().expect("something runs").id.clone();
        let tail = match outcome {
            RunOutcome::Worked => "ok\n".to_owned(),
            RunOutcome::Failed(_)
            | RunOutcome::TimedOut
            | RunOutcome::Stopped
            | RunOutcome::Unknown(_) => "starting pod\npod: image not found\n".to_owned(),
        };
        let took_ms = u64::from(seconds) * 1_000;
        let end = RunEnd { outcome, tail, digest: String::new(), took_ms };
        self.asks(Actor::Neighbour, Command::Ended { release: id(), run, end })
    }

    pub(crate) fn after(&mut self, length: Duration) {
        self.until(self.now + length);
    }

    pub(crate) fn wait_until(&mut self, text: &str) {
        self.until(time(text));
    }

    /// Lets the clock ask for whatever falls due until then, in order.
    fn until(&mut self, then: Time) {
        while let Some(due) = self.next_due().filter(|due| due.at <= then) {
            self.now = self.now.max(due.at);
            self.asks(Actor::Clock, due.command);
        }
        self.now = self.now.max(then);
    }

    fn next_due(&self) -> Option<super::agenda::Due> {
        let all = scopes(&self.state).flat_map(|scope| agenda(&self.state, &scope));
        all.min_by_key(|due| due.at)
    }
}

mod tests {
    use super::*;
    use crate::domain::state::Phase;

    #[test]
    fn the_sample_release_goes_where_its_name_says() {
        for (world, phase) in [
            (World::scheduled(), Phase::CountingDown),
            (World::counting_down(), Phase::CountingDown),
            (World::ready(), Phase::Ready),
            (World::started(), Phase::Deploying { stage: 0 }),
            (World::stuck(), Phase::Deploying { stage: 2 }),
            (World::rolled_back(), Phase::RolledBack),
            (World::rolled_out(), Phase::Watching),
            (World::done(), Phase::Done),
        ] {
            assert_eq!(world.release().phase, phase);
        }
        assert!(matches!(World::soaking().release().phase, Phase::Soaking { stage: 1, .. }));
    }
}
