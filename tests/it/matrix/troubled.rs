//! A chat in which things go wrong: what the matrix asks of Slack and of Discord, and of both
//! together, beyond what a play asks of them.

use std::pin::Pin;
use std::time::Duration as Wait;

use crate::both_stage::{self, Both};
use crate::chats::{CROSSED, Chat};
use crate::discord_world::{self, DiscordWorld};
use crate::slack_world::{self, SlackWorld};

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weather {
    TooMany,
    Failing,
    Garbage,
    ResetBefore,
    ResetAfter,
    AnswerLost,
    Stall,
}

/// What somebody does with their hands.
pub(super) enum Act<P> {
    /// As it is typed in Slack, and in Discord.
    Types([String; 2]),
    Presses(P, &'static str),
    /// The button that asks once more before it goes back.
    RollsBack(P),
}

pub(super) type Acting<G> = Pin<Box<dyn Future<Output = G> + Send>>;

/// Where a release of the matrix is told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Slack,
    Discord,
    Both,
}

pub(super) trait Troubled: Chat {
    type Gesture: Clone + Send + 'static;

    const PLACE: Place;

    /// Does it, and waits until it was heard or lost.
    fn acts(&self, who: &str, act: Act<Self::Post>) -> Acting<Self::Gesture>;
    fn delivers_again(&self, gesture: &Self::Gesture);
    fn holds_back(&self);
    /// What these people did.
    async fn lets_go_backwards(&self, who: &[&str]);
    fn falls_silent(&self);
    /// That it and the program have found each other.
    async fn connected(&self);

    /// From the call of this number on, so many are harmed.
    fn harm(&self, weather: Weather, nth: usize, times: usize);
    fn calm(&self);
    /// How often it was called.
    fn calls(&self) -> usize;
    /// What trouble does to whoever waits for an answer is no fault of the program's.
    fn pardons(&self);
}

/// What both do by the same words.
macro_rules! troubled {
    ($world:ident, $line:literal, $backwards:ident, $back:ident, $also:expr) => {
        type Gesture = $world::Gesture;

        fn acts(&self, who: &str, act: Act<Self::Post>) -> Acting<Self::Gesture> {
            let person = self.person(who);
            Box::pin(async move {
                match act {
                    Act::Types(lines) => {
                        person.types(&format!("/release {}", lines[$line]), "releases").await
                    }
                    Act::Presses(post, label) => person.presses(&post, label).await,
                    Act::RollsBack(post) => $back(person, post).await,
                }
            })
        }
        fn delivers_again(&self, gesture: &Self::Gesture) {
            self.delivers_again(gesture);
        }
        fn holds_back(&self) {
            self.$backwards();
        }
        async fn lets_go_backwards(&self, who: &[&str]) {
            self.lets_go_backwards(who.len()).await;
        }
        fn falls_silent(&self) {
            self.falls_silent();
        }
        async fn connected(&self) {
            self.connected(1).await;
        }
        fn harm(&self, weather: Weather, nth: usize, times: usize) {
            use $world::{Fault, Harm};
            let harm = match weather {
                Weather::TooMany => Harm::TooMany(1_u8.into()),
                Weather::Failing => Harm::Status(500),
                Weather::Garbage => Harm::Garbage,
                Weather::ResetBefore => Harm::ResetBefore,
                Weather::ResetAfter => Harm::ResetAfter,
                Weather::AnswerLost => Harm::AnswerLost,
                Weather::Stall => Harm::Stall(STALL),
            };
            self.fault(Fault::on("*", harm).nth(nth).times(times));
        }
        fn calm(&self) {
            self.calm();
        }
        fn calls(&self) -> usize {
            self.all_calls().len()
        }
        fn pardons(&self) {
            self.pardon_everybody();
            let waits = ["not acknowledged in time", "not answered within three seconds"];
            // Killed between what it keeps on disk and what it says, it cannot know that it did not.
            let also: &[&str] = $also;
            let others = [CROSSED, "before the interaction was answered"];
            for it in waits.iter().chain(also).chain(&others) {
                self.overlooks(it);
            }
        }
    };
}

/// Six times as long as the program waits: as 30 s are to 5 s.
const STALL: Wait = Wait::from_secs(12);

impl Troubled for SlackWorld {
    troubled!(slack_world, 0, holds_envelopes, back_in_slack, &[]);

    const PLACE: Place = Place::Slack;
}

const BACK: &str = "Roll back to v1.1.9";

/// Slack asks once more in a dialog.
async fn back_in_slack(
    person: slack_world::Person,
    post: slack_world::Post,
) -> slack_world::Gesture {
    person.presses(&post, BACK).await;
    let form = person.sees_view("").await;
    person.submits(&form, &[]).await
}

/// A stalled answer arrives when nobody waits for it any more.
const LATE: &str = "answered after three seconds";

impl Troubled for DiscordWorld {
    troubled!(discord_world, 1, holds_events, back_in_discord, &[LATE]);

    const PLACE: Place = Place::Discord;
}

/// Discord asks once more in an answer with a button.
async fn back_in_discord(
    person: discord_world::Person,
    post: discord_world::Post,
) -> discord_world::Gesture {
    person.presses(&post, BACK).await;
    let asked = person.sees_ephemeral("from v1.2.0 to v1.1.9?").await;
    person.presses_in_whisper(&asked, BACK).await
}

#[derive(Clone)]
pub(super) enum Either {
    InSlack(slack_world::Gesture),
    InDiscord(discord_world::Gesture),
}

/// Who sits before Slack; the others are in Discord. Who can go back can do so in Slack.
const IN_SLACK: [&str; 2] = ["maria", "ann"];

impl Troubled for Both {
    type Gesture = Either;

    const PLACE: Place = Place::Both;

    fn acts(&self, who: &str, act: Act<both_stage::Post>) -> Acting<Either> {
        let in_slack = IN_SLACK.contains(&who) || matches!(act, Act::RollsBack(_));
        if in_slack {
            let act = act.of(|post| post.slack);
            let acting = self.slack.acts(who, act);
            Box::pin(async { Either::InSlack(acting.await) })
        } else {
            let act = act.of(|post| post.discord);
            let acting = self.discord.acts(who, act);
            Box::pin(async { Either::InDiscord(acting.await) })
        }
    }

    fn delivers_again(&self, gesture: &Either) {
        match gesture {
            Either::InSlack(gesture) => self.slack.delivers_again(gesture),
            Either::InDiscord(gesture) => self.discord.delivers_again(gesture),
        }
    }

    fn holds_back(&self) {
        self.slack.holds_back();
        self.discord.holds_back();
    }

    async fn lets_go_backwards(&self, who: &[&str]) {
        let in_slack = who.iter().filter(|it| IN_SLACK.contains(it)).count();
        self.slack.lets_go_backwards(in_slack).await;
        self.discord.lets_go_backwards(who.len() - in_slack).await;
    }

    fn falls_silent(&self) {
        self.slack.falls_silent();
        self.discord.falls_silent();
    }

    async fn connected(&self) {
        tokio::join!(self.slack.connected(1), self.discord.connected(1));
    }

    fn harm(&self, weather: Weather, nth: usize, times: usize) {
        self.slack.harm(weather, nth, times);
        self.discord.harm(weather, nth, times);
    }

    fn calm(&self) {
        self.slack.calm();
        self.discord.calm();
    }

    fn calls(&self) -> usize {
        Troubled::calls(&self.slack).min(Troubled::calls(&self.discord))
    }

    fn pardons(&self) {
        self.slack.pardons();
        self.discord.pardons();
    }
}

impl<P> Act<P> {
    fn of<Q>(self, own: impl Fn(P) -> Option<Q>) -> Act<Q> {
        let own = |post| own(post).expect("it is said in both");
        match self {
            Self::Types(lines) => Act::Types(lines),
            Self::Presses(post, label) => Act::Presses(own(post), label),
            Self::RollsBack(post) => Act::RollsBack(own(post)),
        }
    }
}
