//! What came of a run, beside what comes of the play when nothing goes wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::sync::LazyLock;

use futures_util::FutureExt;
use regex::Regex;

use super::lever::Number;
use super::play::{Play, told};
use super::trouble::{Kind, Length, Trouble, Way};
use super::troubled::Troubled;
use crate::chats::{Said, story};
use crate::stage::Stage;

/// The play when nothing goes wrong.
pub(super) struct Whole {
    pub(super) length: Length,
    said: Said,
    log: BTreeMap<String, usize>,
}

pub(super) async fn undisturbed<C: Troubled>(way: Way) -> Whole {
    let play = told::<C>(Trouble::none(way)).await;
    play.stage.read_aloud();
    play.stage.assert_clean().await;
    let length = Length {
        deeds: play.stage.world.deeds().into_iter().collect(),
        calls: play.stage.world.calls(),
        writes: play.lever.read(Number::Writes),
        syncs: play.lever.read(Number::Syncs),
        moves: play.moves,
    };
    assert!(length.deeds.len() > 40 && length.syncs > 40, "{:?} {}", length.deeds, length.syncs);
    let whole = Whole { length, said: play.stage.world.said(), log: log(&play.stage).await };
    if std::env::var_os("TMINUS_READ").is_some() {
        eprintln!("{:#?}\n{:#?}", whole.said, whole.log);
    }
    whole
}

static ROOM_ID: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"C0000\d+|\d{17,20}").unwrap());

async fn log(stage: &Stage<impl Troubled>) -> BTreeMap<String, usize> {
    let mut log = BTreeMap::new();
    for entry in stage.log().await {
        let entry = ROOM_ID.replace_all(&story(&entry), "room").into_owned();
        // How long something took is told from a second on.
        let entry = entry.replace(" in under …", "").replace(" worked after ….", " worked.");
        *log.entry(entry).or_default() += 1;
    }
    log
}

/// Everything that is not as it should be, in words.
pub(super) async fn differences<C: Troubled>(play: &Play<C>, whole: &Whole) -> Vec<String> {
    play.lever.let_go();
    play.stage.world.calm();
    play.stage.world.pardons();
    let mut wrong = Vec::new();
    if play.ends + play.struck_by_lever() + play.strikes == 0 {
        wrong.push("the trouble never came".to_owned());
    }
    // It says itself what it objects to.
    if AssertUnwindSafe(play.stage.assert_clean()).catch_unwind().await.is_err() {
        wrong.push("the chat objects, or the log does not verify".to_owned());
    }
    wrong.extend(of_deploys(play));
    let may = May::of(play);
    wrong.extend(of(&whole.said, &play.stage.world.said(), &may, "said"));
    wrong.extend(of(&whole.log, &log(&play.stage).await, &may, "log"));
    wrong
}

fn of_deploys<C: Troubled>(play: &Play<C>) -> Vec<String> {
    let mut wrong = Vec::new();
    for pod in [1, 2] {
        for version in ["v1.2.0", "v1.1.9"] {
            let asked =
                |it: &&super::play::Answer| it.is_retry() && it.step == Some((pod, version));
            // The way back may be repeated by itself: the configuration says so.
            let by_itself = if version == "v1.1.9" { play.ends } else { 0 };
            let most = 1 + by_itself + play.answers.iter().filter(asked).count();
            let done = play.stage.deploys(pod, version);
            if done > most {
                wrong.push(format!("pod {pod} was told {done} times to serve {version}"));
            }
        }
        if play.stage.pod(pod) != "v1.1.9" {
            wrong.push(format!("pod {pod} serves {}", play.stage.pod(pod)));
        }
    }
    wrong
}

/// A step whose end nobody saw: a person is asked, and says what they found.
const ASKED_ABOUT: [&str; 13] = [
    " an unknown outcome",
    "nobody can tell how",
    "that nobody can tell",
    " counts as ",
    "The rollback of Web shop v1.2.0 has stopped",
    "The rollback stopped",
    "is stuck",
    "said that ",
    "was asked for again",
    ", try ",
    "Contact ",
    "is closed: FAILED",
    "It was closed",
];

/// What a person says is not told as seen.
const NOT_SEEN: [&str; 9] = [
    // Nobody was there to show its output.
    "card of a run",
    r#"card {\"run\""#,
    "is closed: FAILED",
    "It was closed",
    "Pod 2 failed",
    "is back",
    " worked",
    " failed",
    "complete",
];

const TWICE: [&str; 2] = ["Nothing to do for ", "Refused "];

const CLOCK_SET: [&str; 8] = [
    "This was due at",
    // By that clock the room was silent for an hour.
    "Nothing was heard for",
    "clock was set",
    "nobody can tell how long",
    "put it on hold",
    "goes on",
    "lifted the hold",
    "late",
];

const RUN_CARDS: [&str; 3] = ["card of a run", r#"card {\"run\""#, "A run's output was posted"];

/// What comes late says so, and is not the same then.
const OF_TIME: [&str; 3] = ["The soak of stage", " goes out ", " was announced to "];

/// What this trouble may add, and what it may take away.
struct May {
    come: Vec<&'static str>,
    lack: Vec<&'static str>,
    /// How many steps were asked for again: each run has a card.
    again: usize,
}

impl May {
    fn of<C: Troubled>(play: &Play<C>) -> Self {
        let again = play.answers.iter().filter(|it| it.is_retry()).count();
        let mut may = Self { come: Vec::new(), lack: Vec::new(), again };
        // Whose screen no longer waits for an answer gets it as a message.
        may.come.push("(\"dm-");
        if !play.answers.is_empty() {
            may.come.extend(ASKED_ABOUT);
            may.lack.extend(NOT_SEEN);
        }
        if play.trouble.kind == Kind::ClockSet {
            may.come.extend(CLOCK_SET);
            may.lack.extend(OF_TIME);
        }
        may
    }
}

fn of<K: Ord + std::fmt::Debug>(
    whole: &BTreeMap<K, usize>,
    found: &BTreeMap<K, usize>,
    may: &May,
    what: &str,
) -> Vec<String> {
    let keys: BTreeSet<&K> = whole.keys().chain(found.keys()).collect();
    let mut wrong = Vec::new();
    for key in keys {
        let (meant, is) = (whole.get(key).copied(), found.get(key).copied());
        let text = format!("{key:?}");
        let fine = match (meant.unwrap_or(0), is.unwrap_or(0)) {
            (meant, is) if meant == is => true,
            // What a person does twice, because nothing came of it for a while.
            (0, _) if TWICE.iter().any(|it| text.contains(it)) => true,
            (meant, is) if is > meant && RUN_CARDS.iter().any(|it| text.contains(it)) => {
                is <= meant + may.again
            }
            (0, 1) => may.come.iter().any(|it| text.contains(it)),
            (meant, is) if is < meant => may.lack.iter().any(|it| text.contains(it)),
            _ => false,
        };
        if !fine {
            wrong.push(format!("{what}: undisturbed {meant:?}, found {is:?}: {text}"));
        }
    }
    wrong
}
