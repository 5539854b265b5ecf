//! Who somebody is: looked up singly, within two seconds, and kept by nobody here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;
use tracing::warn;

use super::Slack;
use super::api::{Api, Fault, Twice, text};
use crate::ports::{Failure, Standing};

/// For all of it: somebody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(2);

const UNKNOWN: &str = "Slack does not say who that is";

impl Slack {
    pub(super) async fn look_up(
        &self,
        tenant: &str,
        user: &str,
        groups: &[String],
    ) -> Result<Standing, Failure> {
        let looking = self.look_up_patiently(tenant, user, groups);
        tokio::time::timeout(PATIENCE, looking).await.unwrap_or_else(|_| {
            Err(Failure::transient(format!("{UNKNOWN}: it did not answer in time")))
        })
    }

    /// Slack's ids say by their first letter what they are of.
    pub(super) async fn channel_name(
        &self,
        tenant: &str,
        id: &str,
    ) -> Result<Option<String>, Failure> {
        if tenant != self.settings.tenant || !id.starts_with(['C', 'G']) {
            return Ok(None);
        }
        let what = "What a channel is called was not told";
        let arguments = [("channel", id)];
        let looking = self.api.read("conversations.info", &arguments);
        let found = tokio::time::timeout(PATIENCE, looking).await;
        let found = found.map_err(|_| Failure::transient(what))?;
        let found = found.map_err(|fault| fault.failure(what, Twice::Harmless))?;
        let name = text(&found, "/channel/name");
        Ok((!name.is_empty()).then(|| format!("#{name}")))
    }

    async fn look_up_patiently(
        &self,
        tenant: &str,
        user: &str,
        groups: &[String],
    ) -> Result<Standing, Failure> {
        let team = self.identity().await?.team.clone();
        // Somebody of another workspace is a guest here, whoever they are there.
        if tenant != team && tenant != self.settings.tenant {
            return Ok(outsider());
        }
        let arguments = [("user", user)];
        let (person, groups) = tokio::join!(
            self.api.read("users.info", &arguments),
            in_groups(&self.api, user, groups),
        );
        let person = match person {
            Err(fault) if fault.is(&["user_not_found", "user_not_visible"]) => {
                return Ok(outsider());
            }
            other => other.map_err(|fault| fault.failure(UNKNOWN, Twice::Harmless))?,
        };
        if is_guest(&person["user"]) || !self.is_of_house(&person["user"], &team) {
            return Ok(Standing { gone: person["user"]["deleted"] == true, ..outsider() });
        }
        let groups = groups.map_err(|fault| {
            fault.failure("Slack does not say who is in a group", Twice::Harmless)
        })?;
        Ok(Standing { groups, name: name(&person["user"]), ..Standing::default() })
    }
}

impl Slack {
    /// Where a whole organisation is one house, its people are known by what Slack says of them.
    fn is_of_house(&self, user: &Value, team: &str) -> bool {
        let Some(enterprise) = self.settings.organisation() else { return true };
        text(user, "/team_id") == team || text(user, "/enterprise_user/enterprise_id") == enterprise
    }
}

fn outsider() -> Standing {
    Standing { guest: true, ..Standing::default() }
}

/// As they want to be called, else as they are.
fn name(user: &Value) -> Option<String> {
    let names = ["/profile/display_name", "/profile/real_name", "/real_name", "/name"];
    names.iter().map(|at| text(user, at)).find(|name| !name.is_empty()).map(str::to_owned)
}

/// Neither a full member nor anybody any more.
fn is_guest(user: &Value) -> bool {
    let marks = ["is_restricted", "is_ultra_restricted", "is_stranger", "deleted", "is_bot"];
    text(user, "/id").is_empty() || marks.iter().any(|mark| user[*mark] == true)
}

/// Each at the same time as the others. Groups are named `slack/T…/S…`, and so is the answer.
async fn in_groups(
    api: &Arc<Api>,
    user: &str,
    groups: &[String],
) -> Result<BTreeSet<String>, Fault> {
    let mut asked = JoinSet::new();
    for group in groups {
        let (api, group) = (Arc::clone(api), group.clone());
        asked.spawn(async move {
            let id = group.rsplit('/').next().unwrap_or(&group);
            let members = api.read("usergroups.users.list", &[("usergroup", id)]).await;
            (group, members)
        });
    }
    let mut found = BTreeSet::new();
    while let Some(answered) = asked.join_next().await {
        let Ok((group, members)) = answered else { continue };
        match members {
            Ok(members) => {
                let mut users = members["users"].as_array().into_iter().flatten();
                if users.any(|member| member == user) {
                    found.insert(group);
                }
            }
            // A group that is gone has nobody in it.
            Err(fault) if fault.is(&["no_such_subteam", "subteam_not_found"]) => {
                warn!(group, "Slack knows no such user group");
            }
            Err(fault) => return Err(fault),
        }
    }
    Ok(found)
}
