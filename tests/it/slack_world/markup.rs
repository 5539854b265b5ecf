//! Slack's markup as the bot writes it: escapes, mentions, dates, and what must never be in it.

use serde_json::Value;

use super::workspace::Workspace;

const DATE_TOKENS: &[&str] = &[
    "date_num",
    "date_slash",
    "date_long",
    "date_long_full",
    "date_long_pretty",
    "date",
    "date_pretty",
    "date_short",
    "date_short_pretty",
    "time",
    "time_secs",
    "ago",
    "day_divider_pretty",
];

/// What Slack would show as it was not meant, in one text.
pub(super) fn problems(text: &str, workspace: &Workspace) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['<', '>', '&']) {
        let (sign, after) = (&rest[at..=at], &rest[at + 1..]);
        rest = after;
        if sign == "&" {
            let escaped = ["amp;", "lt;", "gt;"].iter().any(|it| after.starts_with(it));
            if !escaped {
                found.push(format!("an `&` that is not escaped: {}", excerpt(after)));
            }
            continue;
        }
        // A quotation begins its line with one.
        if sign == ">" {
            continue;
        }
        let Some((inside, behind)) = after.split_once('>') else {
            found.push(format!("a `<` that is not escaped: {}", excerpt(after)));
            continue;
        };
        rest = behind;
        found.extend(link_problem(inside, workspace));
    }
    found
}

fn excerpt(text: &str) -> String {
    text.chars().take(30).collect()
}

fn link_problem(inside: &str, workspace: &Workspace) -> Option<String> {
    let (target, _) = inside.split_once('|').unwrap_or((inside, ""));
    let nobody = |kind: &str| Some(format!("<{inside}> names no {kind} of this workspace"));
    if let Some(user) = target.strip_prefix('@') {
        return if workspace.users.contains_key(user) { None } else { nobody("user") };
    }
    if let Some(channel) = target.strip_prefix('#') {
        return if workspace.channels.contains_key(channel) { None } else { nobody("channel") };
    }
    if let Some(group) = target.strip_prefix("!subteam^") {
        return if workspace.groups.contains_key(group) { None } else { nobody("user group") };
    }
    if let Some(date) = target.strip_prefix("!date^") {
        return date_problem(inside, date);
    }
    let everyone = ["!here", "!channel", "!everyone"].contains(&target);
    let link = ["http://", "https://", "mailto:", "tel:", "slack://"];
    let known = everyone || link.iter().any(|scheme| target.starts_with(scheme));
    (!known).then(|| format!("a `<` that is not escaped: <{inside}>"))
}

/// `<!date^seconds^tokens^link|fallback>`: the fallback is what older clients show.
fn date_problem(inside: &str, date: &str) -> Option<String> {
    let mut parts = date.split('^');
    let seconds = parts.next().is_some_and(|it| it.parse::<i64>().is_ok());
    let format = parts.next().unwrap_or_default();
    let tokens: Vec<&str> =
        format.split('{').skip(1).map(|it| it.split('}').next().unwrap_or_default()).collect();
    let known = !tokens.is_empty() && tokens.iter().all(|token| DATE_TOKENS.contains(token));
    let fallback = inside.split_once('|').is_some_and(|(_, it)| !it.trim().is_empty());
    let right = seconds && known && fallback;
    (!right).then(|| format!("a date that Slack does not know: <{inside}>"))
}

/// Every text in a tree of blocks that Slack reads as markup.
pub(super) fn texts(value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    gather(value, &mut found);
    found
}

fn gather(value: &Value, found: &mut Vec<String>) {
    if let Some(fields) = value.as_object() {
        let markup = fields.get("type").and_then(Value::as_str) == Some("mrkdwn");
        if let (true, Some(text)) = (markup, fields.get("text").and_then(Value::as_str)) {
            found.push(text.to_owned());
        }
        fields.values().for_each(|value| gather(value, found));
    }
    value.as_array().into_iter().flatten().for_each(|value| gather(value, found));
}

/// The whole of a call or an answer, wherever a secret may hide.
pub(super) fn holds_secret(text: &str, secrets: &[&str]) -> bool {
    let looks = ["xoxb-", "xoxp-", "xapp-", "xoxe."];
    secrets.iter().chain(&looks).any(|secret| text.contains(secret))
}

/// As a person reads it: names for mentions, words for links, the fallback of a date.
pub(super) fn plain(text: &str, workspace: &Workspace) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        shown.push_str(before);
        let Some((inside, behind)) = after.split_once('>') else { break };
        shown.push_str(&spoken(inside, workspace));
        rest = behind;
    }
    shown.push_str(rest);
    shown.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}

fn spoken(inside: &str, workspace: &Workspace) -> String {
    let (target, label) = inside.split_once('|').unwrap_or((inside, ""));
    if !label.is_empty() {
        return label.to_owned();
    }
    let user = target.strip_prefix('@').and_then(|id| workspace.users.get(id));
    let channel = target.strip_prefix('#').and_then(|id| workspace.channels.get(id));
    let group = target.strip_prefix("!subteam^").and_then(|id| workspace.groups.get(id));
    let named = user.map(|it| format!("@{}", it.name));
    let named = named.or(channel.map(|it| format!("#{}", it.name)));
    let named = named.or(group.map(|it| format!("@{}", it.handle)));
    named.unwrap_or_else(|| target.replace('!', "@"))
}
