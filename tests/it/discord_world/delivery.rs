//! What Discord tells the bot: once, answered within three seconds, and never told again.

use std::sync::Arc;

use serde_json::Value;

use crate::slack_world::PATIENCE;

use super::signed;
use super::state::{State, World};

/// How it went, as Discord sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// With the type of the response: 4 says, 5 thinks, 6 waits, 7 changes, 8 completes, 9 asks.
    Acknowledged(u64),
    TimedOut,
    /// Nobody was there to hear it.
    Lost,
    /// Over HTTP: anything but 200, or an answer that Discord does not take.
    Refused(u16),
}

#[derive(Clone, Debug)]
pub(super) struct Parcel {
    pub(super) deed: usize,
    pub(super) interaction: usize,
}

/// One event, as it was told.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    pub(super) interaction: usize,
    pub(super) session: usize,
}

pub(super) async fn deliver(world: &Arc<World>, parcel: Parcel) -> Outcome {
    let outcome = once(world, &parcel).await;
    world.change(|state| {
        let deed = &mut state.deeds[parcel.deed];
        deed.outcome = Some(outcome.clone());
        let what = deed.what.clone();
        if let Outcome::Refused(status) = outcome {
            state.violated(format!("{what}: the bot answered {status}"));
        }
    });
    outcome
}

async fn once(world: &Arc<World>, parcel: &Parcel) -> Outcome {
    if world.look(|state| state.setup.bot_url.is_some()) {
        if let Some(outcome) = signed::deliver(world, parcel).await {
            return outcome;
        }
    } else {
        let ready = |state: &State| state.listener();
        let Ok(session) = tokio::time::timeout(PATIENCE, world.until(ready)).await else {
            world.change(|state| state.violated("nobody is connected to hear it"));
            return Outcome::Lost;
        };
        world.change(|state| state.tells(parcel.interaction, session));
    }
    let (at, window) =
        world.look(|state| (state.interactions[parcel.interaction].at, state.setup.windows.answer));
    let number = parcel.interaction;
    let answered = |state: &State| state.interactions[number].response.map(|it| it.1);
    tokio::select! {
        kind = world.until(answered) => Outcome::Acknowledged(kind),
        () = world.clock.until(at + window) => world.change(|state| state.overdue(parcel)),
    }
}

impl State {
    fn tells(&mut self, interaction: usize, session: usize) {
        self.deliveries.push(Delivery { interaction, session });
        let payload = self.interactions[interaction].payload.clone();
        match &mut self.backlog {
            Some(backlog) => backlog.push((session as u64, payload)),
            None => self.dispatch(session, "INTERACTION_CREATE", &payload),
        }
    }

    /// The same once more, with a new number: the bot has to know it by its id.
    pub(super) fn tells_again(&mut self, deed: usize) {
        let found = self.interactions.iter().position(|it| it.deed == deed);
        let interaction = found.expect("it was told");
        let payload: Value = self.interactions[interaction].payload.clone();
        let session = self.listener().expect("the bot is connected");
        self.dispatch(session, "INTERACTION_CREATE", &payload);
    }

    /// Tells what was held back, the last first.
    pub(super) fn tells_backwards(&mut self) {
        for (session, payload) in self.backlog.take().unwrap_or_default().into_iter().rev() {
            let session = usize::try_from(session).expect("it was one");
            self.dispatch(session, "INTERACTION_CREATE", &payload);
        }
    }

    fn overdue(&mut self, parcel: &Parcel) -> Outcome {
        let told = self.deliveries.iter().find(|it| it.interaction == parcel.interaction);
        let heard = told.is_none_or(|it| self.is_heard(it.session));
        if !heard || self.backlog.is_some() {
            return Outcome::Lost;
        }
        let what = self.deeds[parcel.deed].what.clone();
        self.violated(format!("{what}: not answered within three seconds"));
        Outcome::TimedOut
    }
}
