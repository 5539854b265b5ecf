//! Discord's markup as the bot writes it: mentions, times, and whom a message rings for.

use std::collections::BTreeSet;

use chrono::DateTime;
use serde_json::Value;

use super::realm::Realm;

/// What stands between `<` and `>`, where it is one of Discord's own marks.
fn marks(text: &str) -> Vec<&str> {
    let parts = text.split('<').skip(1).filter_map(|it| Some(it.split_once('>')?.0));
    parts.filter(|it| ["@", "#", "t:"].iter().any(|mark| it.starts_with(mark))).collect()
}

/// What Discord would show as it was not meant.
pub(super) fn problems(text: &str, realm: &Realm) -> Vec<String> {
    let mut found = Vec::new();
    for mark in marks(text) {
        let known = if let Some(role) = mark.strip_prefix("@&") {
            realm.guilds.values().any(|it| it.roles.contains_key(role))
        } else if let Some(user) = mark.strip_prefix('@') {
            realm.users.contains_key(user.trim_start_matches('!'))
        } else if let Some(channel) = mark.strip_prefix('#') {
            realm.channels.contains_key(channel) || realm.gone.contains(channel)
        } else {
            time(mark).is_some()
        };
        if !known {
            found.push(format!("<{mark}> names nothing that there is"));
        }
    }
    found
}

fn time(mark: &str) -> Option<String> {
    let (seconds, style) = mark.strip_prefix("t:")?.split_once(':').unwrap_or((&mark[2..], "f"));
    let at = DateTime::from_timestamp(seconds.parse().ok()?, 0)?;
    let format = match style {
        "t" => "%H:%M",
        "T" => "%H:%M:%S",
        "d" => "%d/%m/%Y",
        "D" => "%-d %B %Y",
        "f" => "%-d %B %Y %H:%M",
        "F" => "%A, %-d %B %Y %H:%M",
        // How long it is from now depends on when one looks.
        "R" => "(relative to %Y-%m-%d %H:%M)",
        _ => return None,
    };
    Some(at.format(format).to_string())
}

/// As a person reads it: names for mentions, and times in UTC.
pub(super) fn plain(text: &str, realm: &Realm) -> String {
    let mut shown = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('<') {
        shown.push_str(before);
        let Some((inside, behind)) = after.split_once('>') else {
            shown.push('<');
            rest = after;
            continue;
        };
        match spoken(inside, realm) {
            Some(words) => {
                shown.push_str(&words);
                rest = behind;
            }
            None => {
                shown.push('<');
                rest = after;
            }
        }
    }
    shown.push_str(rest);
    shown
}

fn spoken(inside: &str, realm: &Realm) -> Option<String> {
    if let Some(role) = inside.strip_prefix("@&") {
        let role = realm.guilds.values().find_map(|it| it.roles.get(role))?;
        return Some(format!("@{}", role.name));
    }
    if let Some(user) = inside.strip_prefix('@') {
        return Some(format!("@{}", realm.users.get(user)?.name));
    }
    if let Some(channel) = inside.strip_prefix('#') {
        return Some(format!("#{}", realm.channels.get(channel)?.name));
    }
    time(inside)
}

/// Without the signs that make it bold or code, and without the backslashes before others.
pub(super) fn bare(text: &str) -> String {
    let mut shown = String::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if letters.peek().is_some_and(char::is_ascii_punctuation) => {
                shown.extend(letters.next());
            }
            '*' | '`' => {}
            other => shown.push(other),
        }
    }
    shown
}

/// Whom the message rings for; `everyone` needs a permission, and so do roles that are not open.
pub(super) fn pings(text: &str, allowed: &Value, may_all: bool, realm: &Realm) -> BTreeSet<String> {
    let parse = |kind: &str| {
        // Without the field everything rings.
        let listed = allowed["parse"].as_array();
        listed.map_or(!allowed.is_object(), |it| it.iter().any(|own| own == kind))
    };
    let named = |list: &str, id: &str| {
        allowed[list].as_array().is_some_and(|it| it.iter().any(|own| own == id))
    };
    let mut found = BTreeSet::new();
    for mark in marks(text) {
        if let Some(role) = mark.strip_prefix("@&") {
            let open = realm
                .guilds
                .values()
                .any(|it| it.roles.get(role).is_some_and(|role| role.mentionable || may_all));
            if open && (parse("roles") || named("roles", role)) {
                found.insert(role.to_owned());
            }
        } else if let Some(user) = mark.strip_prefix('@')
            && (parse("users") || named("users", user))
        {
            found.insert(user.to_owned());
        }
    }
    let loud = ["@everyone", "@here"].iter().any(|it| text.contains(it));
    if loud && may_all && parse("everyone") {
        found.insert("everyone".to_owned());
    }
    found
}
