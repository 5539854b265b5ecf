//! A house in which things go wrong: what the matrix asks of the stages of Slack and of Discord
//! beyond what a play asks of them.

use std::pin::Pin;
use std::time::Duration as Wait;

use chrono::{DateTime, Duration, Utc};

use super::trouble::Way;
use crate::house::House;
use crate::installed::Installed;
use crate::{discord_stage, discord_world, slack_stage, slack_world};

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
    Types(String),
    Presses(P, &'static str),
    /// The button that asks once more before it goes back.
    RollsBack(P),
}

pub(super) type Acting<G> = Pin<Box<dyn Future<Output = G> + Send>>;

pub(super) trait Troubled: House {
    type Gesture: Clone + Send + 'static;
    const IS_SLACK: bool;

    /// With the configuration of the matrix, not begun yet.
    async fn waiting(way: Way) -> Self;
    fn here(&mut self) -> &mut Installed;
    fn is_up(&mut self) -> bool;
    fn time_passes(&self, time: Duration);
    fn now(&self) -> DateTime<Utc>;

    /// Does it, and waits until it was heard or lost.
    fn acts(&self, who: &str, act: Act<Self::Post>) -> Acting<Self::Gesture>;
    fn delivers_again(&self, gesture: &Self::Gesture);
    fn holds_back(&self);
    async fn lets_go_backwards(&self, count: usize);
    fn falls_silent(&self);
    /// That the two have found each other.
    async fn connected(&self);

    /// From the call of this number on, so many are harmed.
    fn harm(&self, weather: Weather, nth: usize, times: usize);
    fn calm(&self);
    fn struck(&self) -> usize;
    /// How often the chat was called.
    fn calls(&self) -> usize;
    /// What trouble does to whoever waits for an answer is no fault of the program's.
    fn pardons(&self);
}

/// What both do by the same words.
macro_rules! troubled {
    ($world:ident, $backwards:ident, $back:ident, $also:expr) => {
        type Gesture = $world::Gesture;

        async fn waiting(way: Way) -> Self {
            let mode = match way {
                Way::Line => Self::MODES[0],
                Way::Http => Self::MODES[1],
            };
            Self::waiting(mode, super::play::configured).await
        }
        fn here(&mut self) -> &mut Installed {
            &mut self.here
        }
        fn is_up(&mut self) -> bool {
            self.is_up()
        }
        fn time_passes(&self, time: Duration) {
            self.time_goes_by(time);
        }
        fn now(&self) -> DateTime<Utc> {
            self.now()
        }
        fn acts(&self, who: &str, act: Act<Self::Post>) -> Acting<Self::Gesture> {
            let person = self.person(who);
            Box::pin(async move {
                match act {
                    Act::Types(line) => person.types(&format!("/release {line}"), "releases").await,
                    Act::Presses(post, label) => person.presses(&post, label).await,
                    Act::RollsBack(post) => $back(person, post).await,
                }
            })
        }
        fn delivers_again(&self, gesture: &Self::Gesture) {
            self.world.delivers_again(gesture);
        }
        fn holds_back(&self) {
            self.world.$backwards();
        }
        async fn lets_go_backwards(&self, count: usize) {
            self.world.lets_go_backwards(count).await;
        }
        fn falls_silent(&self) {
            self.world.falls_silent();
        }
        async fn connected(&self) {
            self.world.connected(1).await;
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
            self.world.fault(Fault::on("*", harm).nth(nth).times(times));
        }
        fn calm(&self) {
            self.world.calm();
        }
        fn struck(&self) -> usize {
            self.world.struck()
        }
        fn calls(&self) -> usize {
            self.world.all_calls().len()
        }
        fn pardons(&self) {
            self.world.pardon_everybody();
            let waits = ["not acknowledged in time", "not answered within three seconds"];
            // Killed between what it keeps on disk and what it says, it cannot know that it did not.
            let also: &[&str] = $also;
            for it in waits.iter().chain(also).chain(&["before the interaction was answered"]) {
                self.world.overlooks(it);
            }
        }
    };
}

/// Six times as long as the program waits: as 30 s are to 5 s.
const STALL: Wait = Wait::from_secs(12);

impl Troubled for slack_stage::Stage {
    troubled!(slack_world, holds_envelopes, back_in_slack, &[slack_world::CROSSED]);

    const IS_SLACK: bool = true;
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

impl Troubled for discord_stage::Stage {
    troubled!(discord_world, holds_events, back_in_discord, &[LATE]);

    const IS_SLACK: bool = false;
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
