//! A line as Discord's own client would send it: through the commands that the bot registered.

use serde_json::{Value, json};

use super::payloads;
use super::permissions::{USE_APPLICATION_COMMANDS, in_channel};
use super::realm::{Channel, Realm};
use super::schema::length;
use super::state::State;

const SUBCOMMAND: u64 = 1;
const GROUP: u64 = 2;

/// A command that was found, and what was typed for each of its options.
pub(super) struct Typed {
    command: Value,
    /// Groups and sub-commands, outermost first.
    path: Vec<Value>,
    options: Vec<Value>,
    given: Vec<(Value, String)>,
}

/// Finds the command, and gives each word to an option. `name:value` and `--name value` say which;
/// words without a name fill the options in their order, as with the tabulator key.
pub(super) fn read(state: &State, user: &str, channel: &str, line: &str) -> Result<Typed, String> {
    let words = words(line);
    let mut words = words.iter().map(String::as_str).peekable();
    let name = words.next().and_then(|it| it.strip_prefix('/')).unwrap_or_default().to_owned();
    let channel = &state.realm.channels[channel];
    let command = registered(state, channel, &name)
        .ok_or_else(|| format!("no command /{name} is registered here"))?;
    may_use(&state.realm, channel, user, &command)?;
    let (mut path, mut options) = (Vec::new(), list(&command["options"]));
    while let Some(next) = words.peek() {
        let inner = options.iter().find(|it| is_inner(it) && it["name"] == **next).cloned();
        let Some(inner) = inner else { break };
        words.next();
        options = list(&inner["options"]);
        path.push(inner);
    }
    if options.iter().any(is_inner) {
        let known: Vec<&str> = options.iter().filter_map(|it| it["name"].as_str()).collect();
        let said = words.next().unwrap_or("nothing");
        return Err(format!("/{name} has {known:?}, not {said:?}"));
    }
    let given = fill(&options, words.map(str::to_owned).collect())?;
    Ok(Typed { command, path, options, given })
}

fn is_inner(option: &Value) -> bool {
    matches!(option["type"].as_u64(), Some(SUBCOMMAND | GROUP))
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

/// The guild's own stands before the one that is registered everywhere.
fn registered(state: &State, channel: &Channel, name: &str) -> Option<Value> {
    let in_guild = channel.guild.as_ref().and_then(|it| state.commands.get(it));
    let everywhere = state.commands.get("");
    let mut all = in_guild.into_iter().chain(everywhere).flatten();
    let private = channel.guild.is_none();
    all.find(|it| {
        let contexts = it["contexts"].as_array();
        let here = contexts.is_none_or(|list| list.contains(&json!(u8::from(private))));
        let barred = private && it["dm_permission"] == false;
        it["name"] == name && it["type"] == 1 && here && !barred
    })
    .cloned()
}

fn may_use(realm: &Realm, channel: &Channel, user: &str, command: &Value) -> Result<(), String> {
    if channel.guild.is_none() {
        return Ok(());
    }
    let has = in_channel(realm, channel, user);
    let needed = command["default_member_permissions"].as_str().and_then(|it| it.parse().ok());
    let needed = needed.unwrap_or(0_u64) | USE_APPLICATION_COMMANDS;
    if has & needed == needed { Ok(()) } else { Err("this member may not use it".to_owned()) }
}

/// Quotes keep words together, and stay where a word goes on behind them.
fn words(line: &str) -> Vec<String> {
    let (mut found, mut word, mut quoted, mut begun) = (Vec::new(), String::new(), false, false);
    for letter in line.chars() {
        match letter {
            '"' => (quoted, begun) = (!quoted, true),
            ' ' if !quoted => {
                if begun {
                    found.push(std::mem::take(&mut word));
                }
                begun = false;
            }
            other => {
                word.push(other);
                begun = true;
            }
        }
    }
    if begun {
        found.push(word);
    }
    found
}

fn fill(options: &[Value], words: Vec<String>) -> Result<Vec<(Value, String)>, String> {
    let mut given: Vec<(Value, String)> = Vec::new();
    let mut words = words.into_iter().peekable();
    // Whether further words without a name belong to the last option.
    let mut open = false;
    while let Some(word) = words.next() {
        let named = options.iter().find(|it| {
            let name = it["name"].as_str().unwrap_or_default();
            word.split_once(':').is_some_and(|(own, _)| own == name)
        });
        if let Some(option) = named {
            let value = word.split_once(':').map_or("", |(_, value)| value);
            given.push((option.clone(), value.to_owned()));
            open = option["type"] == 3;
        } else if let Some(flag) = word.strip_prefix("--") {
            let (name, value) = flag.split_once('=').map_or((flag, None), |it| (it.0, Some(it.1)));
            let option = options.iter().find(|it| it["name"] == name);
            let option = option.ok_or_else(|| format!("there is no option {name:?}"))?;
            let value = match value {
                Some(value) => value.to_owned(),
                None if option["type"] == 5 => "true".to_owned(),
                None => words.next().ok_or_else(|| format!("{name:?} needs a value"))?,
            };
            given.push((option.clone(), value));
            open = false;
        } else if open {
            let last = given.last_mut().expect("one is open");
            last.1 = format!("{} {word}", last.1).trim().to_owned();
        } else {
            let free = |it: &&Value| !given.iter().any(|(own, _)| own["name"] == it["name"]);
            let mut left = options.iter().filter(free);
            let option = left.next().ok_or_else(|| format!("nothing takes {word:?}"))?;
            open = left.next().is_none() && option["type"] == 3;
            given.push((option.clone(), word));
        }
    }
    Ok(given)
}

impl Typed {
    /// `data` of the interaction; an error is what the client would say below the line.
    pub(super) fn data(&self, realm: &Realm, channel: &Channel) -> Result<Value, String> {
        for option in &self.options {
            let there = self.given.iter().any(|(own, _)| own["name"] == option["name"]);
            if option["required"] == true && !there {
                return Err(format!("{} is required", option["name"]));
            }
        }
        let mut values = Vec::new();
        let mut named = Vec::new();
        for (option, text) in &self.given {
            if values.iter().any(|it: &Value| it["name"] == option["name"]) {
                return Err(format!("{} is given twice", option["name"]));
            }
            let value = value(realm, channel, option, text)?;
            if matches!(option["type"].as_u64(), Some(6..=9)) {
                named.extend(value.as_str().map(str::to_owned));
            }
            values.push(json!({"name": option["name"], "type": option["type"], "value": value}));
        }
        let mut data = self.nested(channel, values);
        if !named.is_empty() {
            data["resolved"] = payloads::resolved(realm, channel.guild.as_deref(), &named);
        }
        Ok(data)
    }

    /// The same while it is typed: nothing is checked, and the last option has the cursor.
    pub(super) fn unfinished(&self, channel: &Channel, focused: usize) -> Value {
        let values = self.given.iter().enumerate().map(|(number, (option, text))| {
            let mut value = json!({"name": option["name"], "type": option["type"], "value": text});
            if number == focused {
                value["focused"] = json!(true);
            } else if option["type"] == 5 {
                value["value"] = json!(text == "true");
            }
            value
        });
        self.nested(channel, values.collect())
    }

    /// Where the bot completes, among the options that were typed.
    pub(super) fn completed(&self) -> Vec<usize> {
        let own = |number: &usize| self.given[*number].0["autocomplete"] == true;
        (0..self.given.len()).filter(own).collect()
    }

    fn nested(&self, channel: &Channel, values: Vec<Value>) -> Value {
        let inner = self.path.iter().rev().fold(values, |below, it| {
            vec![json!({"name": it["name"], "type": it["type"], "options": below})]
        });
        let mut data = json!({
            "id": self.command["id"], "name": self.command["name"], "type": 1,
        });
        if !inner.is_empty() {
            data["options"] = json!(inner);
        }
        if self.command["guild_id"].is_string() {
            data["guild_id"] = json!(channel.guild);
        }
        data
    }
}

fn value(realm: &Realm, channel: &Channel, option: &Value, text: &str) -> Result<Value, String> {
    let name = option["name"].as_str().unwrap_or_default();
    if let Some(choices) = option["choices"].as_array() {
        let chosen = choices.iter().find(|it| it["name"] == text || said(&it["value"]) == text);
        let known = || choices.iter().map(|it| said(&it["name"])).collect::<Vec<_>>().join(", ");
        return chosen
            .map(|it| it["value"].clone())
            .ok_or_else(|| format!("{name} is one of {}, not {text:?}", known()));
    }
    let wrong = |what: &str| format!("{name} is {what}, not {text:?}");
    match option["type"].as_u64().unwrap_or_default() {
        3 => string(option, text),
        4 => {
            let number: i64 = text.parse().map_err(|_| wrong("a whole number"))?;
            within(option, number as f64).then(|| json!(number)).ok_or_else(|| wrong("in range"))
        }
        5 => text.parse::<bool>().map(Value::from).map_err(|_| wrong("true or false")),
        kind @ 6..=9 => {
            entity(realm, channel, kind, text).map(Value::from).ok_or_else(|| wrong("known"))
        }
        10 => {
            let number: f64 = text.parse().map_err(|_| wrong("a number"))?;
            within(option, number).then(|| json!(number)).ok_or_else(|| wrong("in range"))
        }
        other => Err(format!("{name}: nobody can type an option of type {other}")),
    }
}

fn said(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn string(option: &Value, text: &str) -> Result<Value, String> {
    let size = length(text);
    let short = option["min_length"].as_i64().unwrap_or(1);
    let long = option["max_length"].as_i64().unwrap_or(6_000);
    if (short..=long).contains(&size) {
        return Ok(json!(text));
    }
    Err(format!("{} has between {short} and {long} letters, not {size}", option["name"]))
}

fn within(option: &Value, number: f64) -> bool {
    let least = option["min_value"].as_f64().unwrap_or(f64::MIN);
    let most = option["max_value"].as_f64().unwrap_or(f64::MAX);
    (least..=most).contains(&number)
}

fn entity(realm: &Realm, channel: &Channel, kind: u64, text: &str) -> Option<String> {
    let name = text.trim_start_matches(['@', '#']);
    let user = || realm.users.values().find(|it| it.name == name || it.id == name);
    let role = || {
        let guild = &realm.guilds[channel.guild.as_ref()?];
        guild.roles.values().find(|it| it.name == name || it.id == name)
    };
    match kind {
        6 => user().map(|it| it.id.clone()),
        7 => {
            let own = |it: &&Channel| it.guild == channel.guild;
            let mut all = realm.channels.values().filter(own);
            all.find(|it| it.name == name || it.id == name).map(|it| it.id.clone())
        }
        8 => role().map(|it| it.id.clone()),
        _ => role().map(|it| it.id.clone()).or_else(|| user().map(|it| it.id.clone())),
    }
}
