//! Enterprise Grid: one organisation of several workspaces, whose people meet in the same channels.
//!
//! **Invariant:** here people are only named, all by the workspace that we are configured for, so
//! that one person is one account wherever they click. Whether they are of the organisation is not
//! believed from here: Slack is asked when they act.

use serde_json::Value;

use super::super::api::text;
use super::super::settings::SlackSettings;
use super::payload::{Asked, Delivered};

/// Where a delivery names an organisation, the person's own first.
const NAMED: [&str; 5] = [
    "/user/enterprise_user/enterprise_id",
    "/enterprise/id",
    "/enterprise_id",
    "/team/enterprise_id",
    "/authorizations/0/enterprise_id",
];

pub(super) fn at_home(asked: Asked, delivered: &Delivered<'_>, settings: &SlackSettings) -> Asked {
    let payload = match *delivered {
        Delivered::Command { payload, .. }
        | Delivered::Interaction { payload, .. }
        | Delivered::Event { payload, .. } => payload,
    };
    let home = settings.tenant.clone();
    match (asked, is_ours(payload, settings)) {
        (Asked::Heard(mut heard, back), true) => {
            heard.tenant = home;
            Asked::Heard(heard, back)
        }
        (Asked::Home { user, .. }, true) => Asked::Home { tenant: home, user },
        (asked, _) => asked,
    }
}

fn is_ours(payload: &Value, settings: &SlackSettings) -> bool {
    let Some(ours) = settings.organisation() else { return false };
    let mut named = NAMED.iter().map(|pointer| text(payload, pointer));
    named.find(|id| !id.is_empty()) == Some(ours)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::payload::read;
    use super::*;
    use crate::adapters::chat::hidden::Hidden;

    fn tenant_of(enterprise: Option<&str>, payload: &Value) -> String {
        let mut settings = SlackSettings::new("T1", Hidden::new("xoxb-1"));
        settings.enterprise = enterprise.map(str::to_owned);
        let delivered = Delivered::Interaction { payload, id: "e" };
        let asked = at_home(read(&delivered, "T1"), &delivered, &settings);
        let Asked::Heard(heard, _) = asked else { panic!("{asked:?}") };
        heard.tenant
    }

    #[test]
    fn only_the_configured_organisation_is_one_house() {
        let press = |own: Option<&str>, around: Option<&str>| {
            json!({
                "type": "block_actions", "trigger_id": "7", "team": {"id": "T1"},
                "user": {"id": "U9", "team_id": "T9", "enterprise_user": {"enterprise_id": own}},
                "enterprise": {"id": around}, "actions": [{"value": "go v1"}],
            })
        };
        assert_eq!(tenant_of(Some("E1"), &press(None, Some("E1"))), "T1");
        assert_eq!(tenant_of(Some("E1"), &press(Some("E1"), None)), "T1");
        assert_eq!(tenant_of(Some("E1"), &press(Some("E2"), Some("E1"))), "T9");
        assert_eq!(tenant_of(Some("E1"), &press(None, None)), "T9");
        assert_eq!(tenant_of(None, &press(None, Some("E1"))), "T9");
    }
}
