//! Block Kit: the published schema, and the rules that it does not hold.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use serde_json::Value;

static SCHEMA: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../specs/slack/blockkit.schema.json"))
        .expect("the published schema is JSON")
});

/// All the text of one message: Slack refuses somewhat above this, and does not say where.
const MOST_TEXT: usize = 13_000;

/// What is wrong with it, each with its place as Slack's own answers have it.
pub(super) fn problems(definition: &str, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(&SCHEMA["definitions"][definition], value, "", &mut found);
    found
}

pub(super) fn message_problems(blocks: &Value) -> Vec<String> {
    let Some(list) = blocks.as_array() else { return vec!["must be an array".to_owned()] };
    let mut found = Vec::new();
    if list.len() > 50 {
        found.push("no more than 50 items allowed [json-pointer:/blocks]".to_owned());
    }
    for (number, block) in list.iter().enumerate() {
        let at = format!("/blocks/{number}");
        walk(&SCHEMA["definitions"]["KnownBlock"], block, &at, &mut found);
    }
    found.extend(twins(list));
    found.extend(list.iter().flat_map(own_rules));
    found
}

pub(super) fn view_problems(view: &Value) -> Vec<String> {
    let definition = match view["type"].as_str() {
        Some("modal") => "ModalView",
        Some("home") => "HomeView",
        _ => return vec!["unsupported type [json-pointer:/view/type]".to_owned()],
    };
    let mut found = problems(definition, view);
    let none = Vec::new();
    let list = view["blocks"].as_array().unwrap_or(&none);
    found.extend(twins(list));
    found.extend(list.iter().flat_map(own_rules));
    let asks = list.iter().any(|block| block["type"] == "input");
    if asks && definition == "ModalView" && view["submit"].is_null() {
        found.push("a modal with inputs needs `submit` [json-pointer:/view/submit]".to_owned());
    }
    found
}

/// All that is written in it, for the limit on the whole.
pub(super) fn too_long(blocks: &Value) -> bool {
    fn count(value: &Value) -> usize {
        let own = value.get("text").and_then(Value::as_str).map_or(0, length);
        let fields = value.as_object().into_iter().flat_map(|it| it.values());
        own + fields.chain(value.as_array().into_iter().flatten()).map(count).sum::<usize>()
    }
    count(blocks) > MOST_TEXT
}

/// As JavaScript counts: an emoji outside of the first plane is two.
pub(super) fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

fn twins(blocks: &[Value]) -> Vec<String> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for block in blocks {
        let id = block["block_id"].as_str();
        if id.is_some_and(|id| !seen.insert(id)) {
            found.push(format!("`block_id` {id:?} already exists"));
        }
        let mut actions = BTreeSet::new();
        for element in elements(block) {
            let id = element["action_id"].as_str();
            if id.is_some_and(|id| !actions.insert(id)) {
                found.push(format!("`action_id` {id:?} already exists in this block"));
            }
        }
    }
    found
}

/// Whatever in a block can be pressed, picked or filled in.
pub(super) fn elements(block: &Value) -> Vec<&Value> {
    let list = block["elements"].as_array().into_iter().flatten();
    let single = [&block["accessory"], &block["element"]];
    list.chain(single).filter(|element| element["type"].is_string()).collect()
}

fn own_rules(block: &Value) -> Vec<String> {
    let mut found = Vec::new();
    if block["type"] == "section" && block["text"].is_null() && block["fields"].is_null() {
        found.push("a section needs `text` or `fields`".to_owned());
    }
    if block["fields"].as_array().is_some_and(Vec::is_empty) {
        found.push("`fields` must have an item".to_owned());
    }
    let interactive = ["actions", "input"].contains(&block["type"].as_str().unwrap_or_default());
    for element in elements(block) {
        let acts = interactive || element["type"] == "button";
        if acts && element["action_id"].is_null() {
            found.push(format!("a {} without `action_id` cannot be told apart", element["type"]));
        }
        found.extend(choice_problem(element));
        let date = element["initial_date"].as_str();
        if date.is_some_and(|it| chrono::NaiveDate::parse_from_str(it, "%Y-%m-%d").is_err()) {
            found.push("`initial_date` should be YYYY-MM-DD".to_owned());
        }
        let time = element["initial_time"].as_str();
        if time.is_some_and(|it| chrono::NaiveTime::parse_from_str(it, "%H:%M").is_err()) {
            found.push("`initial_time` should be HH:mm".to_owned());
        }
    }
    found
}

fn choice_problem(element: &Value) -> Option<String> {
    let options = element["options"].as_array()?;
    if options.is_empty() {
        return Some("`options` must have an item".to_owned());
    }
    let initial = &element["initial_option"];
    let known = initial.is_null() || options.contains(initial);
    (!known).then(|| "`initial_option` must be one of `options`".to_owned())
}

fn walk(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let schema = resolved(schema);
    if let Some(choices) = schema["anyOf"].as_array() {
        return choose(choices, value, at, found);
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        walk(part, value, at, found);
    }
    let mut complain = |what: String| found.push(format!("{what} [json-pointer:{at}]"));
    if let Some(kind) = schema["type"].as_str().filter(|kind| !is_a(kind, value)) {
        return complain(format!("must be a {kind}"));
    }
    if !schema["const"].is_null() && schema["const"] != *value {
        complain(format!("must be {}", schema["const"]));
    }
    if schema["enum"].as_array().is_some_and(|choices| !choices.contains(value)) {
        complain(format!("must be one of {}", schema["enum"]));
    }
    if let Some(size) = size(value) {
        let limit = |name: &str| schema[name].as_u64().and_then(|it| usize::try_from(it).ok());
        let (least, most) = if value.is_string() {
            (limit("minLength"), limit("maxLength"))
        } else {
            (limit("minItems"), limit("maxItems"))
        };
        if most.is_some_and(|most| size > most) {
            complain(format!("must be less than {} long, is {size}", most.unwrap_or(0) + 1));
        }
        if least.is_some_and(|least| size < least) {
            complain("must not be empty".to_owned());
        }
    }
    for (number, item) in value.as_array().into_iter().flatten().enumerate() {
        walk(&schema["items"], item, &format!("{at}/{number}"), found);
    }
    fields(schema, value, at, found);
}

fn fields(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    let Some(given) = value.as_object() else { return };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if !given.contains_key(name) {
            found.push(format!("missing required field: {name} [json-pointer:{at}]"));
        }
    }
    for (name, value) in given {
        let at = format!("{at}/{name}");
        let known = &schema["properties"][name];
        if !known.is_null() {
            walk(known, value, &at, found);
        } else if schema["additionalProperties"] == false {
            found.push(format!("invalid additional property: {name} [json-pointer:{at}]"));
        }
    }
}

/// Of several shapes, the one that names this `type`; else the one that fits best.
fn choose(choices: &[Value], value: &Value, at: &str, found: &mut Vec<String>) {
    let flat: Vec<&Value> = choices.iter().flat_map(flattened).collect();
    let kind = &value["type"];
    let named = |it: &&Value| !kind.is_null() && it["properties"]["type"]["const"] == *kind;
    let named: Vec<&Value> = flat.iter().copied().filter(|it| named(it)).collect();
    let typed = flat.iter().all(|it| !it["properties"]["type"]["const"].is_null());
    if named.is_empty() && typed {
        return found.push(format!("unsupported type: {kind} [json-pointer:{at}]"));
    }
    let candidates = if named.is_empty() { flat } else { named };
    let complaints = candidates.into_iter().map(|candidate| {
        let mut own = Vec::new();
        walk(candidate, value, at, &mut own);
        own
    });
    found.extend(complaints.min_by_key(Vec::len).unwrap_or_default());
}

fn flattened(schema: &Value) -> Vec<&Value> {
    let schema = resolved(schema);
    match schema["anyOf"].as_array() {
        Some(choices) => choices.iter().flat_map(flattened).collect(),
        None => vec![schema],
    }
}

fn resolved(schema: &Value) -> &Value {
    let Some(name) = schema["$ref"].as_str() else { return schema };
    let name = name.rsplit('/').next().expect("a split has a last part");
    let found = &SCHEMA["definitions"][name];
    if found.is_null() { schema } else { resolved(found) }
}

fn is_a(kind: &str, value: &Value) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "number" | "integer" => value.is_number(),
        other => panic!("a type that the schema does not use: {other}"),
    }
}

fn size(value: &Value) -> Option<usize> {
    value.as_str().map(length).or_else(|| value.as_array().map(Vec::len))
}
