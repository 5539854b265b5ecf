//! The matrix: the full play in Slack, in Discord or in both, with everything going wrong that can,
//! and then compared with the play in which nothing did.
//!
//! A run is its seed: `TMINUS_RUNS` of them, beginning with `TMINUS_SEED`, go through the kinds of
//! trouble one after the other, and each kind through its boundaries, by a line of ours to the chat
//! or by signed requests of its own. `tests/matrix` runs many.

mod judged;
mod lever;
mod play;
mod trouble;
mod troubled;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::time::Instant;

use futures_util::{FutureExt, StreamExt, stream};
use tokio::sync::OnceCell;

use self::judged::Whole;
use self::trouble::{Kind, Trouble, Way};
use self::troubled::{Place, Troubled};
use crate::both_stage::Both;
use crate::discord_world::DiscordWorld;
use crate::slack_world::SlackWorld;

/// What `tests/run` takes of it, and how many of them at once.
const RUNS: u64 = 6;
const AT_ONCE: u64 = 3;
/// How many syncs fail in `tests/run`.
const SYNCS: usize = 4;

/// How a run went.
struct Ran {
    seed: u64,
    kind: Kind,
    ends: usize,
    strikes: usize,
    finished: bool,
    differences: Vec<String>,
}

/// The plays in which nothing goes wrong, each played once a run needs it.
#[derive(Default)]
struct Undisturbed {
    whole: [[OnceCell<Whole>; 2]; 3],
}

impl Undisturbed {
    async fn of<C: Troubled>(&self, way: Way) -> &Whole {
        let whole = &self.whole[C::PLACE as usize][way as usize];
        whole.get_or_init(|| judged::undisturbed::<C>(way)).await
    }
}

async fn run<C: Troubled>(seed: u64, undisturbed: &Undisturbed) -> Ran {
    let way = Way::of(seed);
    let whole = undisturbed.of::<C>(way).await;
    let trouble = Trouble::drawn(seed, &whole.length);
    let (kind, shown) = (trouble.kind, format!("{trouble:?}"));
    let play = async {
        let play = play::told::<C>(trouble).await;
        let differences = judged::differences(&play, whole).await;
        (play.ends, play.strikes + play.refused_by_disk(), differences)
    };
    let began = Instant::now();
    let ran = match AssertUnwindSafe(play).catch_unwind().await {
        Ok((ends, strikes, differences)) => {
            Ran { seed, kind, ends, strikes, finished: true, differences }
        }
        Err(why) => {
            let why = why.downcast_ref::<String>().cloned().unwrap_or_default();
            let first = why.lines().next().unwrap_or("it failed").to_owned();
            Ran { seed, kind, ends: 0, strikes: 0, finished: false, differences: vec![first] }
        }
    };
    let (took, count) = (began.elapsed().as_secs(), ran.differences.len());
    eprintln!("seed {seed}: {kind:?} in {:?} ({way:?}), {took} s, {count} differences", C::PLACE);
    if count > 0 {
        eprintln!("  {shown}\n  {}", ran.differences.join("\n  "));
    }
    ran
}

async fn run_somewhere(seed: u64, undisturbed: &Undisturbed) -> Ran {
    match trouble::place(seed) {
        Place::Slack => run::<SlackWorld>(seed, undisturbed).await,
        Place::Discord => run::<DiscordWorld>(seed, undisturbed).await,
        Place::Both => run::<Both>(seed, undisturbed).await,
    }
}

fn table(all: &[Ran]) -> String {
    let mut rows: BTreeMap<Kind, [usize; 5]> = BTreeMap::new();
    for ran in all {
        let row = rows.entry(ran.kind).or_default();
        let wrong = usize::from(!ran.differences.is_empty());
        let add = [1, ran.ends, ran.strikes, usize::from(ran.finished), wrong];
        row.iter_mut().zip(add).for_each(|(sum, more)| *sum += more);
    }
    let head = ["trouble", "runs", "killed", "struck", "finished", "differ"];
    let line = |name: &str, cells: [String; 5]| {
        format!("{name:<22}{}", cells.map(|it| format!("{it:>10}")).concat())
    };
    let mut sum = [0; 5];
    let mut lines =
        vec![line(head[0], [head[1], head[2], head[3], head[4], head[5]].map(str::to_owned))];
    for (kind, row) in rows {
        sum.iter_mut().zip(row).for_each(|(sum, more)| *sum += more);
        lines.push(line(&format!("{kind:?}"), row.map(|it| it.to_string())));
    }
    lines.push(line("all", sum.map(|it| it.to_string())));
    lines.join("\n")
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|it| it.parse().ok()).unwrap_or(otherwise)
}

/// Of one kind only, where `TMINUS_TROUBLE` names it, of one place, where `TMINUS_PLACE` does, and of
/// one way, where `TMINUS_WAY` does.
fn is_wanted(seed: &u64) -> bool {
    let is = |name: &str, it: String| std::env::var(name).map_or(true, |wanted| wanted == it);
    is("TMINUS_TROUBLE", format!("{:?}", trouble::kind(*seed)))
        && is("TMINUS_PLACE", format!("{:?}", trouble::place(*seed)))
        && is("TMINUS_WAY", format!("{:?}", Way::of(*seed)))
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_wrong_each_thing_is_done_once() {
    let (runs, first) = (number("TMINUS_RUNS", RUNS), number("TMINUS_SEED", 1));
    let at_once = usize::try_from(number("TMINUS_AT_ONCE", AT_ONCE)).unwrap();
    let seeds = (first..).filter(is_wanted).take(usize::try_from(runs).unwrap());
    all_run(seeds, at_once).await;
}

/// Whichever write it strikes: a commit, the claim of an effect, what is kept of a click.
#[tokio::test(flavor = "multi_thread")]
async fn after_a_sync_that_fails_it_starts_anew() {
    let first = number("TMINUS_SEED", 1);
    let seeds = (first..).filter(|seed| trouble::kind(*seed) == Kind::SyncFails);
    all_run(seeds.take(SYNCS), SYNCS).await;
}

async fn all_run(seeds: impl Iterator<Item = u64>, at_once: usize) {
    let undisturbed = Undisturbed::default();
    let each = |seed| run_somewhere(seed, &undisturbed);
    let all: Vec<Ran> = stream::iter(seeds).map(each).buffer_unordered(at_once).collect().await;
    eprintln!("\n{}\n", table(&all));
    let wrong: Vec<u64> =
        all.iter().filter(|it| !it.differences.is_empty()).map(|it| it.seed).collect();
    assert!(wrong.is_empty(), "again with `tests/matrix 1 SEED`: {wrong:?}");
}
