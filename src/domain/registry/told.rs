//! What the world is asked to do about a flag: to change it, and to remind people of it.

use super::super::command::{RunEnd, RunOutcome};
use super::super::effect::{Call, Effect, Target};
use super::super::event::{FlagDid, Reminder};
use super::super::flag;
use super::super::ids::{ActionName, FlagId, PersonId, RunId};
use super::super::notice::{Notice, NoticeKind, PersonRef};
use super::super::policy::{Destination, Policy};
use super::super::react::{in_tenths, say, to_internal};
use super::super::state::{Release, Room, State};
use super::super::time::{Span, Time};
use super::rules::{releases, share_text};
use super::{Record, about, expires_at, run_id};

/// Where a tracker hears of flags that are to be cleaned up, if the configuration has one.
pub(super) const TICKETS: &str = "tickets";

pub(in super::super) fn react(state: &State, id: &FlagId, did: &FlagDid, at: Time) -> Vec<Effect> {
    let Some(record) = state.house.flags.get(id) else { return Vec::new() };
    let scene = Scene { state, policy: state.house.policy(), record, at };
    match did {
        FlagDid::ChangeAsked { nth, percent, .. } => vec![scene.change(*nth, *percent)],
        FlagDid::ChangeEnded { end, .. } => scene.changed(end),
        FlagDid::OwnerReminded { reminder } => scene.reminded(reminder),
        FlagDid::Cleaned { .. } => Vec::new(),
    }
}

/// One flag, as it stands after the event.
struct Scene<'a> {
    state: &'a State,
    policy: &'a Policy,
    record: &'a Record,
    at: Time,
}

impl Scene<'_> {
    fn call(&self, percent: Option<f64>) -> Call {
        let name = if percent.is_some() { flag::SET } else { flag::KILL };
        let action = ActionName::from(name);
        let known = self.policy.actions.get(&action);
        let limit = match percent {
            Some(_) => known.map_or(Span::minutes(1), |known| known.limit),
            None => self.policy.timing.kill_switch,
        };
        let with = [
            Some(("flag", self.record.name.clone())),
            self.record.provider.clone().map(|provider| ("provider", provider)),
            percent.map(|share| ("percent", share.to_string())),
        ];
        let with = with.into_iter().flatten().map(|(name, value)| (name.to_owned(), value));
        Call {
            action,
            with: with.collect(),
            limit_ms: u64::try_from(limit.duration().num_milliseconds()).unwrap_or(0),
            repeat_safe: true,
        }
    }

    fn change(&self, nth: u32, percent: Option<f64>) -> Effect {
        let stops = if percent.is_none() { self.opening(nth) } else { Vec::new() };
        Effect::Flag { flag: self.record.id.clone(), nth, call: self.call(percent), stops }
    }

    /// **Invariant:** whatever still opens it is stopped before its kill switch is thrown.
    fn opening(&self, nth: u32) -> Vec<(RunId, Call)> {
        let earlier = nth.checked_sub(1).filter(|earlier| *earlier > 0);
        // Of a stopped run nobody asks for how much.
        let earlier = earlier.map(|nth| (run_id(&self.record.id, nth), self.call(Some(0.0))));
        let running = releases(self.state, self.record).flat_map(Release::running);
        let running = running.filter(|run| about(run).as_ref() == Some(&self.record.id));
        let running = running.map(|run| {
            let call = Call {
                action: run.action.clone(),
                with: run.with.clone(),
                limit_ms: 0,
                repeat_safe: true,
            };
            (run.id.clone(), call)
        });
        earlier.into_iter().chain(running).collect()
    }

    /// In the rooms of the releases that have it, else where teams hear of releases; and to who asked
    /// and who owns it.
    fn changed(&self, end: &RunEnd) -> Vec<Effect> {
        let Some(asked) = &self.record.changed else { return Vec::new() };
        let trouble = trouble(&end.outcome);
        let owner = self.record.owner.as_ref();
        let held = super::rules::governing(self.state, self.record);
        let kind = NoticeKind::FlagChanged {
            at: self.at,
            flag: self.record.name.clone(),
            id: self.record.id.clone(),
            provider: self.record.provider.clone().unwrap_or_default(),
            percent: asked.percent,
            by: self.policy.name_of(&asked.by).to_owned(),
            after: (end.took_ms > 0).then(|| in_tenths(end.took_ms)),
            people: match trouble {
                Some(_) => vec![self.person(&asked.by)],
                None => Vec::new(),
            },
            trouble,
            held: held.filter(|release| release.held.is_some()).map(Release::title),
        };
        let mut effects = self.rooms(&kind);
        let others = owner.filter(|owner| **owner != asked.by);
        for person in std::iter::once(&asked.by).chain(others) {
            effects.extend(self.tell(person, &kind));
        }
        effects
    }

    fn rooms(&self, kind: &NoticeKind) -> Vec<Effect> {
        let open = releases(self.state, self.record).filter(|release| !release.room.closed);
        let rooms = open.flat_map(|release| &release.room.open);
        let say = |room: &Room| Effect::Say {
            to: Target::Channel { platform: room.platform.clone(), channel: room.channel.clone() },
            notice: notice(kind),
        };
        let said: Vec<_> = rooms.map(say).collect();
        if said.is_empty() { to_internal(self.state, kind.clone()) } else { said }
    }

    /// Privately, on each platform that the person is on.
    fn tell(&self, person: &PersonId, kind: &NoticeKind) -> Vec<Effect> {
        let accounts = self.policy.accounts_of(person).into_iter();
        let homes = accounts.filter(|account| {
            self.policy.rooms.iter().any(|home| home.platform == account.platform)
        });
        let say = |account| Effect::Say {
            to: Target::Person { person: person.clone(), account },
            notice: notice(kind),
        };
        homes.map(say).collect()
    }

    fn person(&self, person: &PersonId) -> PersonRef {
        PersonRef::of(person, self.policy)
    }

    /// Whom nobody can reach privately is asked where teams hear of releases.
    fn reminded(&self, reminder: &Reminder) -> Vec<Effect> {
        let tracker = self.policy.audiences.get(TICKETS).map_or(&[][..], Vec::as_slice);
        let nth = match reminder {
            Reminder::Expires { .. } => 0,
            Reminder::CleanUp { nth } => *nth,
        };
        let kind = self.reminder(nth, nth > 0 && !tracker.is_empty());
        let owner = self.record.owner.as_ref();
        let mut effects = owner.map(|owner| self.tell(owner, &kind)).unwrap_or_default();
        if effects.is_empty() {
            effects = to_internal(self.state, kind);
        }
        if nth == 1 {
            effects.extend(tracker.iter().map(|to| self.ticket(to)));
        }
        effects
    }

    fn reminder(&self, nth: u32, ticket: bool) -> NoticeKind {
        let record = self.record;
        let day = self.at.with_timezone(&record.zone).date_naive();
        NoticeKind::FlagReminder {
            at: self.at,
            flag: record.name.clone(),
            id: record.id.clone(),
            owner: record.owner.as_ref().map(|owner| self.person(owner)),
            purpose: record.purpose.clone(),
            share: self.share(),
            full_since: record.full_since,
            expires: record.expires.map(|day| day.to_string()),
            days: expires_at(record).and(record.expires).map(|end| (end - day).num_days()),
            nth,
            releases: self.titles(),
            ticket,
        }
    }

    fn ticket(&self, to: &Destination) -> Effect {
        let record = self.record;
        let kind = NoticeKind::FlagTicket {
            flag: record.name.clone(),
            id: record.id.clone(),
            owner: record.owner.as_ref().map(|owner| self.policy.name_of(owner).to_owned()),
            purpose: record.purpose.clone(),
            share: self.share(),
            full_since: record.full_since,
            expires: record.expires.map(|day| day.to_string()),
            releases: self.titles(),
        };
        say(to, Notice { kind, brief: None, public: false })
    }

    fn share(&self) -> Option<String> {
        self.record.share.as_ref().map(|share| share_text(share.percent))
    }

    fn titles(&self) -> Vec<String> {
        releases(self.state, self.record).map(Release::title).collect()
    }
}

fn notice(kind: &NoticeKind) -> Box<Notice> {
    Box::new(Notice { kind: kind.clone(), brief: None, public: false })
}

/// Completes "it may be otherwise: its change …".
fn trouble(outcome: &RunOutcome) -> Option<String> {
    match outcome {
        RunOutcome::Worked => None,
        RunOutcome::Failed(why) => Some(format!("failed: {}", why.trim_end_matches('.'))),
        RunOutcome::TimedOut => Some("hit its time limit".into()),
        RunOutcome::Stopped => Some("was stopped".into()),
        RunOutcome::Unknown(why) => Some(format!("has an unknown outcome: {why}")),
    }
}
