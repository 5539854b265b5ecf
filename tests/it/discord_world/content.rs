//! What a message may hold: the limits across fields, which the specification does not have.

use std::collections::BTreeSet;

use serde_json::Value;

use super::realm::{Attachment, Content};
use super::refusal::{Problem, Refusal, form, refuse};
use super::schema::length;

const LONGEST: i64 = 2_000;
const EMBEDS: i64 = 6_000;
const UPLOAD: usize = 10 * 1024 * 1024;
pub(super) const EPHEMERAL: u64 = 1 << 6;
const COMPONENTS_V2: u64 = 1 << 15;

/// The problems of a body that creates or changes a message.
pub(super) fn check(body: &Value, files: &[Attachment]) -> Result<(), Refusal> {
    let mut found = Vec::new();
    if body["content"].as_str().is_some_and(|text| length(text) > LONGEST) {
        let message = format!("Must be {LONGEST} or fewer in length.");
        found.push(Problem::new("content", "BASE_TYPE_MAX_LENGTH", message));
    }
    embeds(&body["embeds"], &mut found);
    if body["flags"].as_u64().unwrap_or_default() & COMPONENTS_V2 != 0 {
        let message = "the stand-in has no components of the second kind";
        found.push(Problem::new("flags", "UNKNOWN_FLAG", message));
    }
    components(&body["components"], &mut found);
    mentions(&body["allowed_mentions"], &mut found);
    attachments(&body["attachments"], files, &mut found);
    if files.iter().map(|it| it.bytes.len()).sum::<usize>() > UPLOAD {
        found.push(Problem::new("files", "FILE_TOO_LARGE", "more than 10 MiB"));
    }
    if found.is_empty() { Ok(()) } else { Err(form(&found)) }
}

fn list(value: &Value) -> impl Iterator<Item = (usize, &Value)> {
    value.as_array().into_iter().flatten().enumerate()
}

fn text_length(value: &Value) -> i64 {
    value.as_str().map_or(0, length)
}

fn embeds(embeds: &Value, found: &mut Vec<Problem>) {
    let mut total = 0;
    for (number, embed) in list(embeds) {
        let own = text_length(&embed["title"]) + text_length(&embed["description"]);
        let edges = text_length(&embed["footer"]["text"]) + text_length(&embed["author"]["name"]);
        let mut fields = 0;
        for (index, field) in list(&embed["fields"]) {
            for name in ["name", "value"] {
                let size = text_length(&field[name]);
                fields += size;
                if size == 0 {
                    let at = format!("embeds/{number}/fields/{index}/{name}");
                    found.push(Problem::new(&at, "BASE_TYPE_REQUIRED", "This field is required"));
                }
            }
        }
        if list(&embed["fields"]).count() > 25 {
            let at = format!("embeds/{number}/fields");
            found.push(Problem::new(&at, "BASE_TYPE_MAX_LENGTH", "Must be 25 or fewer in length."));
        }
        for (name, most) in [("title", 256), ("description", 4_096)] {
            if text_length(&embed[name]) > most {
                let message = format!("Must be {most} or fewer in length.");
                let at = format!("embeds/{number}/{name}");
                found.push(Problem::new(&at, "BASE_TYPE_MAX_LENGTH", message));
            }
        }
        if embed["color"].as_i64().is_some_and(|it| !(0..=0x00ff_ffff).contains(&it)) {
            let at = format!("embeds/{number}/color");
            found.push(Problem::new(&at, "NUMBER_TYPE_MAX", "int value should be a colour"));
        }
        if let Some(url) = embed["url"].as_str()
            && !reqwest::Url::parse(url).is_ok_and(|it| ["http", "https"].contains(&it.scheme()))
        {
            let at = format!("embeds/{number}/url");
            found.push(Problem::new(&at, "URL_TYPE_INVALID_URL", "Not a well formed URL."));
        }
        let sum = own + edges + fields;
        if sum == 0 && embed["image"].is_null() && embed["thumbnail"].is_null() {
            let at = format!("embeds/{number}");
            found.push(Problem::new(&at, "BASE_TYPE_REQUIRED", "an embed with nothing in it"));
        }
        total += sum;
    }
    if total > EMBEDS {
        let message = "Embed size exceeds maximum size of 6000";
        found.push(Problem::new("embeds", "MAX_EMBED_SIZE_EXCEEDED", message));
    }
}

fn components(rows: &Value, found: &mut Vec<Problem>) {
    if list(rows).count() > 5 {
        let message = "Must be 5 or fewer in length.";
        found.push(Problem::new("components", "BASE_TYPE_MAX_LENGTH", message));
    }
    let mut ids = BTreeSet::new();
    for (number, row) in list(rows) {
        let at = format!("components/{number}");
        if row["type"] != 1 {
            let message = "only rows stand at the top of such a message";
            found.push(Problem::new(&at, "UNION_TYPE_CHOICES", message));
            continue;
        }
        let selects = list(&row["components"]).filter(|(_, it)| it["type"] != 2).count();
        if selects > 0 && list(&row["components"]).count() > 1 {
            let message = "a menu fills its row";
            found.push(Problem::new(&at, "COMPONENT_LAYOUT_WIDTH_EXCEEDED", message));
        }
        for (index, element) in list(&row["components"]) {
            let at = format!("{at}/components/{index}");
            let id = element["custom_id"].as_str();
            if id.is_some_and(|id| !ids.insert(id)) {
                let message = "Component custom id cannot be duplicated";
                found.push(Problem::new(&at, "COMPONENT_CUSTOM_ID_DUPLICATED", message));
            }
            if element["type"] == 2 {
                button(element, &at, found)
            } else {
                menu(element, &at, found)
            }
        }
    }
}

fn button(button: &Value, at: &str, found: &mut Vec<Problem>) {
    let mut complain = |message: &str| {
        found.push(Problem::new(at, "BUTTON_COMPONENT_INVALID", message));
    };
    let (id, url) = (!button["custom_id"].is_null(), !button["url"].is_null());
    match button["style"].as_u64() {
        Some(1..=4) if !id || url => complain("A custom id and no url are required"),
        Some(5) if id || !url => complain("A url and no custom id are required"),
        Some(1..=5) => {}
        Some(_) | None => complain("a style that a release bot does not use"),
    }
    if text_length(&button["label"]) == 0 && button["emoji"].is_null() {
        complain("A label or an emoji is required");
    }
}

fn menu(menu: &Value, at: &str, found: &mut Vec<Problem>) {
    let mut complain = |code, message: &str| found.push(Problem::new(at, code, message));
    let values: Vec<&Value> = list(&menu["options"]).map(|(_, it)| &it["value"]).collect();
    if (1..values.len()).any(|number| values[..number].contains(&values[number])) {
        complain("SELECT_COMPONENT_OPTION_VALUE_DUPLICATED", "two options have one value");
    }
    let least = menu["min_values"].as_u64().unwrap_or(1);
    let most = menu["max_values"].as_u64().unwrap_or(1);
    let chosen = list(&menu["options"]).filter(|(_, it)| it["default"] == true).count() as u64;
    if least > most || (menu["type"] == 3 && most > values.len() as u64) || chosen > most {
        complain("BASE_TYPE_BAD_LENGTH", "more values than options, or than are allowed");
    }
}

fn mentions(allowed: &Value, found: &mut Vec<Problem>) {
    for kind in ["users", "roles"] {
        let parsed = list(&allowed["parse"]).any(|(_, it)| it == kind);
        if parsed && list(&allowed[kind]).count() > 0 {
            let message = format!("parse:[\"{kind}\"] and {kind} are mutually exclusive");
            found.push(Problem::new("allowed_mentions", "MESSAGE_ALLOWED_MENTIONS", message));
        }
    }
}

fn attachments(named: &Value, files: &[Attachment], found: &mut Vec<Problem>) {
    for (number, file) in files.iter().enumerate() {
        let twice = files[..number].iter().any(|it| it.id == file.id);
        if twice {
            found.push(Problem::new("files", "FILE_DUPLICATED", "two files with one number"));
        }
    }
    let named: Vec<String> = list(named).map(|(_, it)| number(&it["id"])).collect();
    let lost = files.iter().filter(|it| !named.is_empty() && !named.contains(&it.id));
    for file in lost {
        let message = format!("`attachments` has no {}", file.id);
        found.push(Problem::new("attachments", "ATTACHMENT_NOT_FOUND", message));
    }
}

/// An id, as text or as a number.
fn number(id: &Value) -> String {
    id.as_str().map_or_else(|| id.to_string(), str::to_owned)
}

/// What it would be, given what it was: an edit leaves alone what it does not name.
pub(super) fn applied(
    before: &Content,
    body: &Value,
    mut files: Vec<Attachment>,
    mut id: impl FnMut() -> String,
) -> Result<Content, Refusal> {
    let mut content = before.clone();
    if let Some(text) = body.get("content") {
        text.as_str().unwrap_or_default().clone_into(&mut content.text);
    }
    for (name, part) in [("embeds", &mut content.embeds), ("components", &mut content.components)] {
        if let Some(given) = body.get(name) {
            *part = given.as_array().cloned().unwrap_or_default();
        }
    }
    if let Some(kept) = body["attachments"].as_array() {
        content.attachments.retain(|own| kept.iter().any(|it| number(&it["id"]) == own.id));
    }
    for file in &mut files {
        let told = list(&body["attachments"]).find(|(_, it)| number(&it["id"]) == file.id);
        if let Some(name) = told.and_then(|(_, it)| it["filename"].as_str()) {
            name.clone_into(&mut file.name);
        }
        file.id = id();
    }
    content.attachments.extend(files);
    if content.attachments.len() > 10 {
        let message = "Must be 10 or fewer in length.";
        return Err(form(&[Problem::new("attachments", "BASE_TYPE_MAX_LENGTH", message)]));
    }
    if content.is_empty() {
        return Err(refuse(50006, "an empty message"));
    }
    Ok(content)
}

/// A form: its own limits, beside those of the schema.
pub(super) fn modal(body: &Value) -> Result<(), Refusal> {
    let mut found = Vec::new();
    if list(&body["components"]).count() > 5 {
        found.push(Problem::new("data/components", "BASE_TYPE_BAD_LENGTH", "between 1 and 5"));
    }
    let mut ids = BTreeSet::new();
    for (number, row) in list(&body["components"]) {
        let at = format!("data/components/{number}");
        if row["type"] != 1 {
            let message = "the client of the bot loses the values of these: rows of text inputs";
            found.push(Problem::new(&at, "UNION_TYPE_CHOICES", message));
        }
        if list(&row["components"]).count() > 1 {
            found.push(Problem::new(&at, "BASE_TYPE_MAX_LENGTH", "one text input in a row"));
        }
        for (_, input) in list(&row["components"]) {
            if !ids.insert(input["custom_id"].as_str().unwrap_or_default()) {
                let message = "Component custom id cannot be duplicated";
                found.push(Problem::new(&at, "COMPONENT_CUSTOM_ID_DUPLICATED", message));
            }
            if input["label"].is_null() {
                found.push(Problem::new(&at, "BASE_TYPE_REQUIRED", "This field is required"));
            }
            let most = input["max_length"].as_i64().unwrap_or(4_000);
            if text_length(&input["value"]) > most
                || input["min_length"].as_i64().unwrap_or(0) > most
            {
                let message = "longer than it may be";
                found.push(Problem::new(&at, "BASE_TYPE_MAX_LENGTH", message));
            }
        }
    }
    if found.is_empty() { Ok(()) } else { Err(form(&found)) }
}
