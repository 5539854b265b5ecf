//! What cannot be judged at once, because its platform has still to say who asks: kept where no
//! crash can lose it, looked up, decided, and answered in private.

use chrono::TimeDelta;
use tracing::warn;

use super::{Came, Conversation, Spoken, message_of, prefix};
use crate::app::engine::Lost;
use crate::app::people::{self, Knowledge};
use crate::domain::command::{Actor, Claims, Command, Request};
use crate::domain::ids::Account;
use crate::domain::time::Time;
use crate::ports::{Answered, Heard, Message, Reply, Said, Whisper};
use crate::store::{CommitError, Kept};

/// What was asked longer ago than this is not done any more: whoever asked has gone on without us.
const STILL_MEANT: TimeDelta = TimeDelta::minutes(5);

impl Conversation {
    /// Waits for our own disk and for nothing else.
    pub(super) async fn hear(&self, heard: Heard) -> Answered {
        let account = Account::new(&heard.platform, &heard.tenant, &heard.user);
        match self.know(&account) {
            Knowledge::Enough(claims) => Answered::Now(self.judge(heard, account, claims).await.1),
            Knowledge::Aging(claims) => {
                self.look_up_meanwhile(&account);
                Answered::Now(self.judge(heard, account, claims).await.1)
            }
            Knowledge::TooLittle => match self.form_of(&heard, &account) {
                Some(form) => {
                    // By the time that it comes back we know.
                    self.look_up_meanwhile(&account);
                    Answered::Now(form)
                }
                None => self.keep(heard).await,
            },
        }
    }

    pub(super) fn know(&self, account: &Account) -> Knowledge {
        let now = self.engine.now();
        let state = self.engine.state();
        match state.house.policy.as_deref() {
            Some(policy) => self.platforms.people.know(account, policy, now),
            // Nobody is let in yet.
            None => Knowledge::Enough(Claims::default()),
        }
    }

    async fn judge(&self, heard: Heard, account: Account, claims: Claims) -> (Came, Reply) {
        let Heard { id, platform, channel, said, .. } = heard;
        let by = Actor::Person { account, claims };
        self.answer(Spoken { id, by, platform, channel, said, keyed: false }).await
    }

    /// Forms open from memory and are authorised when they come back.
    fn form_of(&self, heard: &Heard, account: &Account) -> Option<Reply> {
        if matches!(heard.said, Said::Submitted { .. }) {
            return None;
        }
        let Heard { id, platform, channel, said, .. } = heard.clone();
        let by = Actor::Person { account: account.clone(), claims: Claims::unknown() };
        let form = self.form(&Spoken { id, by, platform, channel, said, keyed: false })?;
        Some(Reply::Form(form))
    }

    fn look_up_meanwhile(&self, account: &Account) {
        let (talk, account) = (self.clone(), account.clone());
        tokio::spawn(async move { talk.look_up(&account).await });
    }

    pub(super) async fn look_up(&self, account: &Account) -> Claims {
        let groups = {
            let state = self.engine.state();
            state.house.policy.as_deref().map(|policy| people::groups_of(account, policy))
        };
        let groups = groups.unwrap_or_default();
        self.platforms.people.look_up(account, &groups, self.engine.now()).await
    }

    async fn keep(&self, heard: Heard) -> Answered {
        let text = serde_json::to_string(&heard).expect("what was heard is plain data");
        let kept = Kept { id: heard.id.clone(), at: self.engine.now(), heard: text };
        match self.engine.store().keep(&kept).await {
            Ok(true) => {
                let talk = self.clone();
                tokio::spawn(async move { talk.settle(heard, kept.at).await });
                Answered::Later
            }
            // Delivered again: the first one is being looked after.
            Ok(false) => Answered::Later,
            Err(why) => {
                let lost = match why {
                    CommitError::NotRecorded(why) => Lost::NotRecorded(why),
                    CommitError::Uncertain(why) => Lost::CannotTell(why),
                };
                Answered::Now(self.told(Err(lost)).1)
            }
        }
    }

    /// What a crash or a stop left in the inbox.
    pub async fn resume(&self) -> anyhow::Result<()> {
        for kept in self.engine.store().inbox().await? {
            match serde_json::from_str(&kept.heard) {
                Ok(heard) => {
                    let talk = self.clone();
                    tokio::spawn(async move { talk.settle(heard, kept.at).await });
                }
                Err(why) => warn!(request.id = kept.id, "`{}` cannot be read: {why}", kept.id),
            }
        }
        Ok(())
    }

    async fn settle(&self, heard: Heard, at: Time) {
        let (id, platform) = (heard.id.clone(), heard.platform.clone());
        let (user, channel, handle) =
            (heard.user.clone(), heard.channel.clone(), heard.handle.clone());
        let reply = match self.engine.now() - at > STILL_MEANT {
            true => self.too_late(heard).await,
            false => self.decide_kept(heard).await,
        };
        let Some(chat) = self.platforms.chats.get(&platform) else { return };
        let reply = prefix::with(reply, self.prefix(&platform));
        let mut message = self.named(message_of(reply)).await;
        self.shorten(&mut message, &platform, channel.as_deref());
        let to = Whisper { user, channel, handle };
        if let Err(failure) = chat.whisper(&to, &message).await {
            warn!(request.id = id, %failure, "the answer to `{id}` did not arrive: {failure}");
        }
    }

    async fn decide_kept(&self, heard: Heard) -> Reply {
        let account = Account::new(&heard.platform, &heard.tenant, &heard.user);
        let claims = self.look_up(&account).await;
        let Heard { id, platform, channel, said, .. } = heard;
        let by = Actor::Person { account, claims };
        let place = channel.clone();
        let spoken = Spoken { id, by, platform: platform.clone(), channel, said, keyed: false };
        match self.answer_kept(spoken).await.1 {
            // No dialog opens this late.
            Reply::Form(form) => Reply::Private(self.as_line(&form, &platform, place.as_deref())),
            Reply::Private(message) => Reply::Private(message),
        }
    }

    /// Refused, so that it is on record why nothing was done.
    async fn too_late(&self, heard: Heard) -> Reply {
        let account = Account::new(&heard.platform, &heard.tenant, &heard.user);
        let said = match heard.said {
            Said::Line(line) | Said::Pressed(line) => line,
            Said::Submitted { command, .. } => command,
        };
        let by = Actor::Person { account, claims: Claims::unknown() };
        let request = Request { id: heard.id, by, command: Command::ComeTooLate { said } };
        self.told(self.engine.ask_kept(request).await).1
    }

    /// With the names of those whom the configuration does not name.
    pub(super) async fn named(&self, mut message: Message) -> Message {
        self.platforms.people.name(&mut message).await;
        message
    }
}

#[cfg(test)]
mod tests;
