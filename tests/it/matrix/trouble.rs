//! What goes wrong in a run, and where: all of it drawn from the seed of the run.

use super::troubled::{Place, Weather};
use crate::chats::Side;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    KilledBeforeAnEffect,
    KilledAfterAnEffect,
    KilledAroundAStep,
    KilledBeforeACommit,
    KilledAfterACommit,
    KilledAnywhere,
    TooManyRequests,
    Errors,
    Resets,
    Stalls,
    DeliveredTwice,
    DeliveredBackwards,
    HalfOpenSockets,
    ClockSet,
    DiskFull,
    SyncFails,
    DatabaseLocked,
}

/// In the order of the seeds; what has many boundaries comes more often.
const KINDS: [Kind; 26] = [
    Kind::KilledBeforeAnEffect,
    Kind::KilledBeforeACommit,
    Kind::KilledAnywhere,
    Kind::TooManyRequests,
    Kind::KilledAfterAnEffect,
    Kind::KilledAfterACommit,
    Kind::DiskFull,
    Kind::Resets,
    Kind::KilledBeforeAnEffect,
    Kind::KilledBeforeACommit,
    Kind::KilledAroundAStep,
    Kind::DatabaseLocked,
    Kind::KilledAfterAnEffect,
    Kind::KilledAfterACommit,
    Kind::SyncFails,
    Kind::Errors,
    Kind::KilledBeforeAnEffect,
    Kind::KilledBeforeACommit,
    Kind::DeliveredTwice,
    Kind::DeliveredBackwards,
    Kind::KilledAfterAnEffect,
    Kind::KilledAfterACommit,
    Kind::ClockSet,
    Kind::HalfOpenSockets,
    Kind::KilledAnywhere,
    Kind::Stalls,
];

/// Where a step is held at its begin or at its end, as the script that deploys calls it.
pub(super) const STEPS: [&str; 10] = [
    "begin-migrate-",
    "end-migrate-",
    "begin-deploy-1",
    "end-deploy-1",
    "begin-deploy-2",
    "end-deploy-2",
    "begin-health-",
    "end-health-",
    "begin-live-",
    "end-live-",
];

pub(super) fn kind(seed: u64) -> Kind {
    KINDS[usize::try_from(seed % KINDS.len() as u64).expect("there are few")]
}

/// A quarter of the seeds play in both; of the others every second time each kind comes to Discord.
pub(super) fn place(seed: u64) -> Place {
    match (Dice(seed.rotate_left(32)).throw() % 4, (seed / KINDS.len() as u64 + seed) % 2) {
        (0, _) => Place::Both,
        (_, 0) => Place::Slack,
        _ => Place::Discord,
    }
}

/// How the chat brings what people do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Way {
    /// Socket Mode, or the gateway.
    Line,
    /// Signed requests.
    Http,
}

impl Way {
    /// A third of the seeds take the other one, except for what only a line can do.
    pub(super) fn of(seed: u64) -> Self {
        let of_a_line = [Kind::HalfOpenSockets, Kind::DeliveredBackwards, Kind::DeliveredTwice];
        let needs_line = of_a_line.contains(&kind(seed));
        match Dice(!seed).throw() % 3 {
            0 if !needs_line => Self::Http,
            _ => Self::Line,
        }
    }
}

/// How long the play is when nothing goes wrong.
pub(super) struct Length {
    pub(super) deeds: Vec<String>,
    pub(super) calls: usize,
    pub(super) writes: i64,
    pub(super) syncs: i64,
    pub(super) moves: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Trouble {
    pub(super) kind: Kind,
    pub(super) way: Way,
    /// Boundaries in the chat, each of which kills.
    pub(super) deeds: Vec<(Side, String)>,
    pub(super) step: Option<&'static str>,
    /// Numbers of writes or of syncs of the journal, ascending.
    pub(super) commits: Vec<i64>,
    /// The move from which the next commit will do: under load there are fewer of them, since what
    /// comes together shares one.
    pub(super) at_latest: usize,
    /// Calls from which on the weather is bad, and for how many.
    pub(super) weather: Vec<(Weather, usize, usize)>,
    /// Moves of the play in which it begins, ascending, each with a time in milliseconds: after
    /// which it kills, or for which it lasts.
    pub(super) moves: Vec<(usize, u64)>,
    /// Which way the clock is set.
    pub(super) forward: bool,
}

impl Trouble {
    /// Nothing at all.
    pub(super) fn none(way: Way) -> Self {
        Self {
            kind: Kind::KilledAnywhere,
            way,
            deeds: Vec::new(),
            step: None,
            commits: Vec::new(),
            at_latest: usize::MAX,
            weather: Vec::new(),
            moves: Vec::new(),
            forward: true,
        }
    }

    /// The same for the same seed. The seeds one after the other go through all the boundaries.
    pub(super) fn drawn(seed: u64, length: &Length) -> Self {
        let kinds = KINDS.len() as u64;
        let kind = kind(seed);
        let turn = usize::try_from(seed / kinds / 2).expect("it is small");
        // The same kind at another place in the order goes on where that one is.
        let same = KINDS.iter().filter(|it| **it == kind).count();
        let place = KINDS
            .iter()
            .take(usize::try_from(seed % kinds).expect("there are few"))
            .filter(|it| **it == kind)
            .count();
        let turn = turn * same + place;
        let mut dice = Dice(seed);
        let at_latest = length.moves.saturating_sub(3);
        let mut trouble = Self { kind, at_latest, ..Self::none(Way::of(seed)) };
        match kind {
            Kind::KilledBeforeAnEffect => trouble.deeds = deeds(Side::Before, turn, &length.deeds),
            Kind::KilledAfterAnEffect => trouble.deeds = deeds(Side::After, turn, &length.deeds),
            Kind::KilledAroundAStep => trouble.step = Some(STEPS[turn % STEPS.len()]),
            Kind::KilledBeforeACommit => trouble.commits = spread(turn, length.writes),
            Kind::KilledAfterACommit => trouble.commits = spread(turn, length.syncs),
            Kind::SyncFails => trouble.commits = vec![dice.number(1, length.syncs)],
            Kind::KilledAnywhere => trouble.moves = dice.moves(3, length.moves, 600),
            Kind::TooManyRequests => {
                trouble.weather = dice.weather(&[Weather::TooMany], 3, 12, length.calls);
            }
            Kind::Errors => {
                let both = [Weather::Failing, Weather::Garbage];
                trouble.weather = dice.weather(&both, 3, 6, length.calls);
            }
            Kind::Resets => {
                let all = [Weather::ResetAfter, Weather::ResetBefore, Weather::ResetAfter];
                trouble.weather = dice.weather(&all, 4, 4, length.calls);
            }
            Kind::Stalls => {
                let both = [Weather::Stall, Weather::AnswerLost];
                trouble.weather = dice.weather(&both, 2, 2, length.calls);
            }
            Kind::DiskFull | Kind::DatabaseLocked => {
                trouble.moves = dice.moves(3, length.moves, 2_000);
            }
            Kind::HalfOpenSockets => trouble.moves = dice.moves(2, length.moves, 1),
            Kind::ClockSet => {
                // While it is announced, or once it has begun: around the start it is another play,
                // in which the start is missed, or the last announcement comes too late to be made.
                // And back again, as soon as somebody has noticed, or with the next move: where an
                // announcement is waited for, an hour behind it would not be made; what is signed is
                // refused while the clock is an hour off.
                let early = dice.number(0, 1) == 0;
                let at = if early { dice.size(1, 6) } else { dice.size(21, length.moves - 5) };
                trouble.forward = dice.number(0, 1) == 1;
                let at_once = (early && !trouble.forward) || trouble.way == Way::Http;
                let back = if at_once { at } else { at + 1 };
                trouble.moves = vec![(at, 0), (back, 0)];
            }
            Kind::DeliveredTwice | Kind::DeliveredBackwards => {}
        }
        trouble
    }
}

/// Three of them, a third of the play apart.
fn deeds(side: Side, turn: usize, all: &[String]) -> Vec<(Side, String)> {
    let third = all.len().div_ceil(3);
    let each = (0..3).map(|part| part * third + turn % third);
    each.filter_map(|at| Some((side, all.get(at)?.clone()))).collect()
}

fn spread(turn: usize, all: i64) -> Vec<i64> {
    let third = (all / 3).max(1);
    let first = 1 + i64::try_from(turn).expect("it is small") * 7 % third;
    (0..3).map(|part| first + part * third).collect()
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Both ends included.
    fn number(&mut self, from: i64, to: i64) -> i64 {
        let span = u64::try_from(to - from + 1).expect("it goes up");
        from + i64::try_from(self.throw() % span).expect("it is small")
    }

    fn size(&mut self, from: usize, to: usize) -> usize {
        from + usize::try_from(self.throw()).unwrap_or(usize::MAX) % (to - from + 1)
    }

    fn moves(&mut self, count: usize, all: usize, longest: u64) -> Vec<(usize, u64)> {
        let draw = |_| (self.size(0, all - 1), self.throw() % longest);
        let mut moves: Vec<_> = (0..count).map(draw).collect();
        moves.sort_unstable();
        moves
    }

    fn weather(
        &mut self,
        kinds: &[Weather],
        bursts: usize,
        longest: usize,
        calls: usize,
    ) -> Vec<(Weather, usize, usize)> {
        // Each in its own part of the play: one after the other without a good call in between, they
        // would outlast everybody's patience.
        let part = calls / bursts;
        let draw = |nth: usize| {
            let kind = kinds[self.size(0, kinds.len() - 1)];
            (kind, nth * part + self.size(1, part - longest), self.size(1, longest))
        };
        (0..bursts).map(draw).collect()
    }
}
