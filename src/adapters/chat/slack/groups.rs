//! Whole user groups: asked for when a channel is filled, and invited in batches.
//!
//! Whoever is in a group at that moment is invited. One who cannot come keeps nobody else away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tracing::warn;

use super::api::{Fault, Twice};
use super::{Slack, Spot, lock};
use crate::ports::Failure;

/// Slack documents a thousand at a time for some workspaces and a hundred for others.
pub(super) const BATCH: usize = 50;
/// A group is asked for again after this: people join and leave it.
const FRESH: Duration = Duration::from_secs(60);

/// What is wrong with some of those invited, and not with the channel.
pub(super) const ONLY_ONE: [&str; 12] = [
    "user_not_found",
    "users_not_found",
    "cant_invite",
    "user_disabled",
    "user_is_bot",
    "user_is_restricted",
    "user_is_ultra_restricted",
    "ura_max_channels",
    "user_team_not_in_channel",
    "external_team_in_migration",
    "no_user",
    "org_user_not_in_team",
];

/// Those who need no invitation.
pub(super) const THERE: [&str; 2] = ["already_in_channel", "cant_invite_self"];

/// Who was in a group, and when.
pub(super) type Seen = (Instant, Arc<[String]>);

impl Slack {
    pub(super) async fn ask_groups_in(
        &self,
        channel: &str,
        groups: &[String],
    ) -> Result<(), Failure> {
        let us = self.identity().await?.user.clone();
        if Spot::of(channel).thread.is_some() {
            return Ok(());
        }
        let mut all: Vec<String> = Vec::new();
        for group in groups {
            let members = self.members_of(group).await?;
            all.extend(members.iter().filter(|member| **member != us).cloned());
        }
        all.sort();
        all.dedup();
        let known = |member: &String| lock(&self.invited).get(&asked(channel, member)).is_some();
        all.retain(|member| !known(member));
        for batch in all.chunks(BATCH) {
            self.ask_batch_in(channel, batch).await?;
        }
        Ok(())
    }

    /// With `force`, Slack takes those who can come; only if nobody can it says no.
    async fn ask_batch_in(&self, channel: &str, batch: &[String]) -> Result<(), Failure> {
        let body = json!({"channel": channel, "users": batch.join(","), "force": true});
        match self.api.call("conversations.invite", &body).await {
            Ok(_) => {}
            // A workspace may not know `force` yet, and then one keeps everybody out.
            Err(fault) if is_of_some(&fault) && batch.len() > 1 => {
                return self.ask_each_in(channel, batch).await;
            }
            Err(fault) if is_of_some(&fault) => {}
            Err(fault) => return Err(fault.failure("A group was not invited", Twice::Harmless)),
        }
        batch.iter().for_each(|member| self.has_asked(channel, member));
        Ok(())
    }

    async fn ask_each_in(&self, channel: &str, batch: &[String]) -> Result<(), Failure> {
        let mut left_out = 0;
        for member in batch {
            match self.ask_together_in(channel, &[member]).await {
                Ok(()) => {}
                Err(fault) if fault.is(&THERE) => {}
                Err(fault) if fault.is(&ONLY_ONE) => left_out += 1,
                Err(fault) => {
                    return Err(fault.failure("A group was not invited", Twice::Harmless));
                }
            }
            self.has_asked(channel, member);
        }
        if left_out > 0 {
            warn!(channel, left_out, "{left_out} of a user group cannot be invited");
        }
        Ok(())
    }

    fn has_asked(&self, channel: &str, member: &str) {
        lock(&self.invited).insert(asked(channel, member), ());
    }

    /// A group that is gone has nobody in it.
    async fn members_of(&self, group: &str) -> Result<Arc<[String]>, Failure> {
        if let Some((at, members)) = lock(&self.groups).get(group)
            && at.elapsed() < FRESH
        {
            return Ok(Arc::clone(members));
        }
        let found = match self.api.read("usergroups.users.list", &[("usergroup", group)]).await {
            Ok(answer) => answer["users"].as_array().cloned().unwrap_or_default(),
            Err(fault) if fault.is(&["no_such_subteam", "subteam_not_found"]) => {
                warn!(group, "Slack knows no such user group");
                Vec::new()
            }
            Err(fault) => {
                let what = "Slack does not say who is in a group";
                return Err(fault.failure(what, Twice::Harmless));
            }
        };
        let members: Arc<[String]> =
            found.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect();
        lock(&self.groups).insert(group.to_owned(), (Instant::now(), Arc::clone(&members)));
        Ok(members)
    }
}

fn asked(channel: &str, member: &str) -> (String, String) {
    (channel.to_owned(), member.to_owned())
}

pub(super) fn is_of_some(fault: &Fault) -> bool {
    fault.is(&THERE) || fault.is(&ONLY_ONE)
}
