//! Buttons, menus and text inputs as a hand finds them: by what is written on them.

use serde_json::{Value, json};

fn elements(rows: &[Value]) -> impl Iterator<Item = &Value> {
    rows.iter().flat_map(|row| row["components"].as_array().into_iter().flatten())
}

pub(super) fn button(rows: &[Value], label: &str) -> Option<Value> {
    let fits = |it: &&Value| it["type"] == 2 && it["label"] == label;
    elements(rows).find(fits).cloned()
}

/// The menu with this placeholder or custom id.
pub(super) fn menu(rows: &[Value], name: &str) -> Option<Value> {
    let fits =
        |it: &&Value| it["type"] != 2 && (it["placeholder"] == name || it["custom_id"] == name);
    elements(rows).find(fits).cloned()
}

/// The value of the option with this label.
pub(super) fn option(menu: &Value, label: &str) -> Option<Value> {
    let mut options = menu["options"].as_array()?.iter();
    let found = options.find(|it| it["label"] == label || it["value"] == label)?;
    Some(found["value"].clone())
}

/// What a form sends: each input with what was typed, or with what stood there.
pub(super) fn values(modal: &Value, fields: &[(&str, &str)]) -> Result<Value, String> {
    let none = Vec::new();
    let rows = modal["components"].as_array().unwrap_or(&none);
    let named = |input: &Value, name: &str| input["label"] == name || input["custom_id"] == name;
    for (name, _) in fields {
        if !elements(rows).any(|it| named(it, name)) {
            return Err(format!("there is no field {name:?}"));
        }
    }
    let mut filled = Vec::new();
    for (number, input) in elements(rows).enumerate() {
        let given = fields.iter().find(|(name, _)| named(input, name)).map(|it| it.1);
        let value = given.or(input["value"].as_str()).unwrap_or_default();
        let size = crate::discord_world::schema::length(value);
        let least = input["min_length"].as_i64().unwrap_or(0);
        let most = input["max_length"].as_i64().unwrap_or(4_000);
        if value.is_empty() && input["required"] != false {
            return Err(format!("{} is required", input["label"]));
        }
        if size > most || (size < least && !value.is_empty()) {
            return Err(format!("{} has between {least} and {most} letters", input["label"]));
        }
        let input = json!({
            "type": 4, "id": number * 2 + 2, "custom_id": input["custom_id"], "value": value,
        });
        filled.push(json!({"type": 1, "id": number * 2 + 1, "components": [input]}));
    }
    Ok(json!({"custom_id": modal["custom_id"], "components": filled}))
}
