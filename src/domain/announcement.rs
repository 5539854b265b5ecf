//! What is said at T±offset, once to each audience; what is late says so or is skipped, and the log
//! says why. And everything else that time asks for.

use super::agenda::{self, Deadline};
use super::decide::{Case, Decided, did};
use super::event::{Event, Happened};
use super::ids::AnnouncementId;
use super::plan::{AnnounceAt, Plan, PlannedAnnouncement};
use super::policy::{Destination, Policy, Right};
use super::refusal::Refusal;
use super::state::{Phase, Start};
use super::time::Time;
use super::verdict;

/// The announcements that ship with the program, as a plan names them: each is a file in
/// `messages/`. An operator's own stand beside them in [`Policy::templates`].
pub const TEMPLATES: [&str; 5] = ["done", "progress", "t-1h", "t-24h", "t-48h"];

/// The announcements whose time is past when a release is scheduled: one opening notice says it all.
pub fn already_past(plan: &Plan, policy: &Policy, start: &Start, now: Time) -> Vec<AnnouncementId> {
    let own = &plan.announcements;
    let standing = policy.announcements.iter();
    let standing = standing.filter(|one| !own.iter().any(|mine| mine.id == one.id));
    let past = |planned: &&PlannedAnnouncement| match planned.at {
        AnnounceAt::Start(offset) => {
            start.at + offset.duration() <= now
                && (!planned.user_facing_only || plan.release.user_facing)
        }
        AnnounceAt::Completion(_) => false,
    };
    own.iter().chain(standing).filter(past).map(|planned| planned.id.clone()).collect()
}

/// Where these announcements would have gone.
pub fn audiences(plan: &Plan, policy: &Policy, ids: &[AnnouncementId]) -> Vec<Destination> {
    let all = plan.announcements.iter().chain(&policy.announcements);
    let wanted = all.filter(|planned| ids.contains(&planned.id));
    let mut to: Vec<Destination> = Vec::new();
    for destination in wanted.flat_map(|planned| policy.audiences.get(&planned.audience)).flatten()
    {
        if !to.contains(destination) {
            to.push(destination.clone());
        }
    }
    to
}

/// After a move, what was never said and whose new time is past is covered by the correction.
pub(super) fn overtaken_by_move(case: &Case, start: &Start) -> Vec<Event> {
    let mut moved = case.release.clone();
    moved.start = start.clone();
    let skipped = |planned: &PlannedAnnouncement| {
        let at = agenda::announcement_at(&moved, planned)?;
        let never_said = !case.release.said.contains_key(&planned.id);
        (at <= case.now && never_said).then(|| {
            let why = "its time was past when the release was moved".to_owned();
            let skipped =
                Happened::AnnouncementSkipped { id: planned.id.clone(), planned: at, why };
            did(&case.release.id, skipped)
        })
    };
    agenda::planned_announcements(&moved, case.policy).filter_map(skipped).collect()
}

/// A deadline that is no longer on the agenda decides to nothing and leaves no entry.
pub(super) fn tick(case: &Case, deadline: &Deadline) -> Decided {
    if !agenda::is_due(case.release, case.policy, deadline, case.now) {
        return Ok(Vec::new());
    }
    match deadline {
        Deadline::Announce(id) => announce(case, id),
        Deadline::AskVotes => case.did(Happened::VotesAsked),
        Deadline::OpenRoom => case.did(Happened::RoomWanted),
        Deadline::RemindVoters(before) => remind(case, before),
        Deadline::OfferStart => offer_start(case),
        Deadline::MissStart => {
            let within = case.policy.timing.start_within;
            let why = format!("nobody started it within {within} of T-0");
            case.did(Happened::StartMissed { why })
        }
        Deadline::RemindMissed(nth) => remind_missed(case, *nth),
        Deadline::EndSoak(stage) => end_soak(case, *stage),
        Deadline::AskForUpdate(nth) => {
            let head = &case.release.plan.release;
            let who = match nth {
                1 => head.deployer.clone(),
                2 => head.backup.clone(),
                _ => Some(case.release.captain.clone()),
            };
            case.did(Happened::SilenceNoticed { nth: *nth, who })
        }
        Deadline::RedLasts => super::health::red_lasts(case),
        Deadline::DecideStage(stage) => super::rollout::overdue(case, *stage),
        Deadline::GoOn(stage) => go_on(case, *stage),
        Deadline::RollBackRed => super::health::roll_back_red(case),
        Deadline::HoldUntold => super::health::hold_untold(case),
        Deadline::RecallCheck(check) => case.did(Happened::CheckRecalled { check: *check }),
        Deadline::AskItems(phase) => {
            let items = super::asking::open(case.release, *phase).map(|item| item.id.clone());
            case.did(Happened::ItemsAsked { phase: *phase, items: items.collect() })
        }
        Deadline::Escalate(nth) => escalate(case, *nth),
        Deadline::CloseRelease => close(case),
    }
}

fn announce(case: &Case, id: &AnnouncementId) -> Decided {
    let mut all = agenda::planned_announcements(case.release, case.policy);
    let planned = all.find(|planned| planned.id == *id).expect("it is on the agenda");
    let at = agenda::announcement_at(case.release, planned).expect("it is on the agenda");
    let behind = case.now - at;
    let skip =
        |why: String| case.did(Happened::AnnouncementSkipped { id: id.clone(), planned: at, why });
    if let Some(newer) = overtaken(case, planned, at) {
        return skip(format!("it was late, and {newer} was due as well"));
    }
    if behind > planned.late.duration() {
        let late = super::time::span(behind);
        return skip(format!("it was {late} late, and is worth saying for {}", planned.late));
    }
    let to: Vec<Destination> =
        case.policy.audiences.get(&planned.audience).cloned().unwrap_or_default();
    if to.is_empty() {
        return skip(format!("the audience {} has no destination", planned.audience));
    }
    let late = behind > case.policy.timing.punctual.duration();
    case.did(Happened::Announced { id: id.clone(), to, planned: at, late })
}

/// Never two count-downs at once to the same audience: only the latest that is due is said.
fn overtaken<'a>(
    case: &'a Case,
    planned: &PlannedAnnouncement,
    at: Time,
) -> Option<&'a AnnouncementId> {
    agenda::planned_announcements(case.release, case.policy)
        .filter(|other| other.audience == planned.audience && other.id != planned.id)
        .filter(|other| {
            let counts =
                matches!((&other.at, &planned.at), (AnnounceAt::Start(_), AnnounceAt::Start(_)));
            let due = agenda::announcement_at(case.release, other);
            counts && due.is_some_and(|due| at < due && due <= case.now)
        })
        .map(|other| &other.id)
        .last()
}

fn remind(case: &Case, before: &str) -> Decided {
    let later = |span: &super::time::Span| {
        let at = case.release.start.at - span.duration();
        let name = agenda::reminder_name(*span);
        at <= case.now && name != before && !case.release.reminded.contains(&name)
    };
    let shorter = |span: &super::time::Span| agenda::reminder_name(*span) == before;
    let this = case.policy.timing.reminders.iter().find(|span| shorter(span));
    // Two that fall due at once are one reminder: the later one speaks.
    let overtaken =
        case.policy.timing.reminders.iter().any(|span| Some(span) < this && later(span));
    if overtaken {
        let reminded = Happened::VotersReminded { before: before.to_owned(), roles: Vec::new() };
        return case.did(reminded);
    }
    let silent = case.release.seats.iter();
    let silent = silent.filter(|seat| seat.vote(case.release.poll_revision).is_none());
    let roles = silent.map(|seat| seat.role.clone()).collect();
    case.did(Happened::VotersReminded { before: before.to_owned(), roles })
}

/// tminus never starts a deploy by itself; at T-0 it offers to, or says why it cannot.
fn offer_start(case: &Case) -> Decided {
    let release = case.release;
    if let Some(hold) = &release.held {
        let why = format!("it was on hold at T-0: {}", hold.reason);
        return case.did(Happened::StartMissed { why });
    }
    match release.phase {
        Phase::Ready => case.did(Happened::StartOffered),
        Phase::CountingDown
        | Phase::Deploying { .. }
        | Phase::Soaking { .. }
        | Phase::AtGate { .. }
        | Phase::Watching
        | Phase::Done
        | Phase::Scrubbed
        | Phase::RollingBack
        | Phase::RolledBack
        | Phase::RollbackFailed => {
            let open = verdict::reasons(release, case.policy).len();
            let things =
                if open == 1 { "1 thing was".into() } else { format!("{open} things were") };
            let why = format!("it was not go at T-0: {things} open");
            case.did(Happened::StartMissed { why })
        }
    }
}

/// The captain, then the backup; where there is none, the captain once more.
fn remind_missed(case: &Case, nth: u32) -> Decided {
    let backup = case.release.plan.release.backup.as_ref().filter(|_| nth > 1);
    let to = backup.unwrap_or(&case.release.captain).clone();
    case.did(Happened::MissReminded { nth, to })
}

/// **Invariant:** a soak that was cut short by a clock that was set leads to a person, not onwards.
fn end_soak(case: &Case, stage: usize) -> Decided {
    let release = case.release;
    let mut events = vec![did(&release.id, Happened::SoakEnded { stage })];
    events.extend(leapt(case, stage, "soaked, so nobody can tell how long it did"));
    Ok(events)
}

/// The hours have begun in which it goes on by itself, as far as the clock can be believed.
fn go_on(case: &Case, stage: usize) -> Decided {
    let mut events = vec![did(&case.release.id, Happened::AdvanceOpened { stage })];
    events.extend(leapt(
        case,
        stage,
        "waited for its hours, so nobody can tell whether they began",
    ));
    Ok(events)
}

/// The hold on a stage during which the clock was set.
fn leapt(case: &Case, stage: usize, did_what: &str) -> Option<Event> {
    let release = case.release;
    let leapt = case.state.house.leapt.filter(|at| *at >= release.phase_since)?;
    let name = release.plan.stages.get(stage).map_or("it", |stage| stage.name.as_str());
    let at = case.clock(leapt);
    let reason = format!("the machine's clock was set forward at {at} while {name} {did_what}");
    Some(did(&release.id, Happened::Held { reason, by: None }))
}

fn escalate(case: &Case, nth: u32) -> Decided {
    let next = match case.release.phase {
        Phase::RollbackFailed => {
            super::rollback::contacts(case.release).get(nth as usize - 1).cloned()
        }
        // The first on duty was called when it got stuck.
        Phase::CountingDown
        | Phase::Ready
        | Phase::Deploying { .. }
        | Phase::Soaking { .. }
        | Phase::AtGate { .. }
        | Phase::Watching
        | Phase::Done
        | Phase::Scrubbed
        | Phase::RollingBack
        | Phase::RolledBack => super::rollback::on_duty(case.release).get(nth as usize).cloned(),
    };
    match next {
        Some(to) => case.did(Happened::Escalated { nth, to }),
        None => Ok(Vec::new()),
    }
}

fn close(case: &Case) -> Decided {
    let mut events = Vec::new();
    if case.release.phase == Phase::Watching {
        let result = super::report::result(case.release);
        events.push(did(&case.release.id, Happened::Finished { result, by: None }));
    }
    if !case.release.room.open.is_empty() {
        events.push(did(&case.release.id, Happened::RoomClosed));
    }
    Ok(events)
}

/// Said now, by a person, to everyone who was told so far.
pub(super) fn by_hand(case: &Case, text: &str) -> Decided {
    let by = case.person_may(Right::Schedule)?;
    super::poll::not_too_long("The text", text)?;
    if text.trim().is_empty() {
        let hint = "Say what is to be announced: `announce \"…\"`.".into();
        return Err(Refusal::NothingToDo { hint });
    }
    case.did(Happened::SaidByHand { text: text.to_owned(), by })
}

#[cfg(test)]
mod tests {
    use chrono::Duration;

    use super::*;
    use crate::domain::command::{Actor, Command, RunOutcome};
    use crate::domain::effect::{Effect, Target};
    use crate::domain::fixture::{World, id};
    use crate::domain::notice::NoticeKind;

    /// The machine's clock is set, and whatever is due by then is asked for.
    fn leap(world: &mut World, by: Duration) {
        let (expected, found) = (world.now, world.now + by);
        world.now = world.now.max(found);
        world.asks(Actor::Clock, Command::NoteLeap { expected, found });
        world.after(Duration::zero());
    }

    fn last_said(world: &World) -> &NoticeKind {
        &world.notices().last().expect("something was said").kind
    }

    #[test]
    fn a_soak_that_a_set_clock_cut_short_waits_for_a_person() {
        let mut world = World::soaking();
        leap(&mut world, Duration::hours(2));
        let release = world.release();
        assert!(matches!(release.phase, Phase::AtGate { stage: 1 }), "{:?}", release.phase);
        let hold = release.held.as_ref().expect("a person has to look");
        assert!(hold.by.is_none() && hold.reason.contains("was set forward at"), "{hold:?}");
        assert!(release.running().next().is_none(), "nothing goes on by itself");
        let NoticeKind::Held { people, .. } = last_said(&world) else {
            panic!("{:?}", last_said(&world))
        };
        assert_eq!(people.len(), 1, "whoever has to look is told");
        let told = world.notices().find_map(|notice| {
            let NoticeKind::ClockLeapt { forward, soaking, .. } = &notice.kind else { return None };
            Some((*forward, *soaking))
        });
        assert_eq!(told, Some((true, true)));

        world.by("maria", Command::Resume { release: id() });
        assert!(world.release().running().next().is_some(), "the gate's checks run");
    }

    #[test]
    fn hours_that_a_set_clock_began_wait_for_a_person() {
        let mut plan = crate::domain::fixture::plan();
        plan.release.advance_within =
            Some("Mon–Fri 10–10:10, Mon–Fri 14–16".parse().expect("hours"));
        let mut world = World::soaking_with(plan);
        world.after(Duration::minutes(10));
        world.run_ends(2, RunOutcome::Worked);
        assert!(world.release().goes_on_at.is_some());
        leap(&mut world, Duration::hours(4));
        let release = world.release();
        assert!(matches!(release.phase, Phase::AtGate { stage: 1 }), "{:?}", release.phase);
        let hold = release.held.as_ref().expect("a person has to look");
        assert!(hold.reason.contains("nobody can tell whether they began"), "{hold:?}");
        world.by("maria", Command::Resume { release: id() });
        assert_eq!(world.release().phase, Phase::Deploying { stage: 2 });
    }

    /// Whether the announcement before the start had a room to name, and whether one came later.
    fn rooms_told(world: &World) -> (Option<bool>, usize) {
        let named = world.notices().find_map(|notice| {
            let NoticeKind::Announcement { template, .. } = &notice.kind else { return None };
            let brief = notice.brief.as_ref().expect("it is about a release");
            let there = !brief.rooms.is_empty();
            (template == "t-1h").then(|| {
                assert_eq!(brief.late_rooms.is_empty(), there);
                there
            })
        });
        let later = world.notices().filter(|it| matches!(it.kind, NoticeKind::RoomOpened)).count();
        (named, later)
    }

    #[test]
    fn a_room_that_opens_late_is_told_of_where_it_was_promised() {
        assert_eq!(rooms_told(&World::counting_down()), (Some(true), 0));
        let mut world = World::scheduled();
        world.wait_until("2026-12-15T17:12:00Z");
        assert_eq!(rooms_told(&world), (Some(false), 0));
        world.room();
        assert_eq!(rooms_told(&world), (Some(false), 1));
    }

    /// Who was reminded that the start was missed, and when.
    fn reminded(world: &World) -> Vec<(String, String)> {
        let reminded = world.log.iter().filter_map(|(at, _, event)| {
            let (_, Happened::MissReminded { to, .. }) = event.of_release()? else { return None };
            Some((at.format("%d %H:%M").to_string(), to.to_string()))
        });
        reminded.collect()
    }

    /// Go at T-0, and nobody starts it.
    fn missed() -> World {
        let mut world = World::ready();
        world.wait_until("2026-12-15T19:00:00Z");
        assert!(world.release().start_missed);
        world
    }

    #[test]
    fn a_missed_start_reminds_the_captain_then_the_backup_and_then_nobody() {
        let mut world = missed();
        world.after(Duration::days(30));
        let expected = [("15 20:00", "maria"), ("16 19:00", "erin")];
        assert_eq!(reminded(&world), expected.map(|(at, who)| (at.into(), who.into())));
        let privately = |effect: &Effect| {
            let Effect::Say { to: Target::Person { person, .. }, notice } = effect else {
                return None;
            };
            let waits = matches!(notice.kind, NoticeKind::StartWaits { .. });
            waits.then(|| person.to_string())
        };
        let told: Vec<_> = world.effects.iter().filter_map(privately).collect();
        assert_eq!(told, ["maria", "erin"]);
        assert!(world.release().held.is_some(), "it still waits");
        assert_eq!(agenda::next_of_release(world.release(), world.policy()), None);
    }

    #[test]
    fn without_a_backup_the_captain_is_reminded_once_more() {
        let mut plan = crate::domain::fixture::plan();
        plan.release.backup = None;
        let mut world = World::with(plan);
        world.wait_until("2026-12-20T00:00:00Z");
        assert!(world.release().start_missed, "it was not go at T-0");
        let expected = [("15 19:00", "maria"), ("16 18:00", "maria")];
        assert_eq!(reminded(&world), expected.map(|(at, who)| (at.into(), who.into())));
    }

    #[test]
    fn nobody_is_reminded_of_what_somebody_has_in_hand() {
        let mut taken = missed();
        let text = "I am on it".to_owned();
        taken.by("dave", Command::Update { release: id(), text });
        taken.after(Duration::days(3));
        assert_eq!(reminded(&taken), []);

        let mut off = missed();
        off.by("maria", Command::Scrub { release: id(), reason: "no time".into() });
        off.after(Duration::days(3));
        assert_eq!(reminded(&off), []);
    }

    #[test]
    fn a_new_time_that_is_missed_as_well_reminds_anew() {
        let mut world = missed();
        world.after(Duration::hours(1));
        let mut start = crate::domain::fixture::start();
        start.at += Duration::days(2);
        start.local += Duration::days(2);
        world.by("maria", Command::Reschedule { release: id(), start, reason: None });
        assert!(world.release().held.is_none());
        world.after(Duration::days(5));
        let when: Vec<_> = reminded(&world).into_iter().map(|(at, _)| at).collect();
        assert_eq!(when, ["15 20:00", "17 19:00", "18 18:00"]);
    }

    #[test]
    fn a_soak_that_ends_after_the_leap_is_not_trusted_either() {
        let mut world = World::soaking();
        leap(&mut world, Duration::minutes(4));
        assert!(matches!(world.release().phase, Phase::Soaking { .. }));
        world.after(Duration::minutes(6));
        assert!(world.release().held.is_some());
    }

    #[test]
    fn a_soak_that_begins_after_the_leap_is_one() {
        let mut world = World::started();
        leap(&mut world, Duration::hours(2));
        world.run_ends(130, RunOutcome::Worked);
        world.run_ends(45, RunOutcome::Worked);
        world.after(Duration::minutes(10));
        assert!(world.release().held.is_none());
        assert!(matches!(world.release().phase, Phase::AtGate { .. }));
    }

    #[test]
    fn a_clock_that_is_set_back_makes_a_soak_longer_and_holds_nothing() {
        let mut world = World::soaking();
        let before = world.now;
        leap(&mut world, -Duration::hours(2));
        assert_eq!(world.state.last_at, Some(before), "time does not go back");
        world.after(Duration::minutes(10));
        assert!(world.release().held.is_none());
    }

    #[test]
    fn what_fell_due_in_a_leap_is_late_or_skipped() {
        let said = |by: Duration| {
            let mut world = World::scheduled();
            world.wait_until("2026-12-14T17:00:00Z");
            leap(&mut world, by);
            let mut of_t24h =
                world.log.iter().filter_map(|(_, _, event)| match event.of_release() {
                    Some((_, Happened::Announced { id, late, .. })) if id.as_str() == "t-24h" => {
                        Some(Some(*late))
                    }
                    Some((_, Happened::AnnouncementSkipped { id, .. }))
                        if id.as_str() == "t-24h" =>
                    {
                        Some(None)
                    }
                    _ => None,
                });
            of_t24h.next_back().expect("it fell due")
        };
        assert_eq!(said(Duration::hours(2)), Some(true), "an hour late, and says so");
        assert_eq!(said(Duration::hours(4)), None, "three hours late: worth two");
    }
}
