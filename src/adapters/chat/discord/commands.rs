//! `/release` as Discord knows it: made from what can be said, registered where it changed, and
//! turned back into the line that one would have typed.
//!
//! Discord takes twenty-five subcommands. What is said to be near stands directly under the command,
//! what has two words is a group, and what then does not fit is in the group `more`.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use serenity::http::Route;
use serenity::model::id::{ApplicationId, CommandId, GuildId};
use tracing::info;

use super::api::{Fault, Twice, id_at, text};
use super::render::cut;
use super::settings::Registration;
use super::{Discord, render};
use crate::ports::{Argument, Block, CommandSpec, Completion, Failure, Inline, Message, Type};

/// The command, without its slash.
pub(super) const NAME: &str = "release";
const ABOUT: &str = "Plan, announce, decide, roll out and roll back a release";
/// Of subcommands, options and choices.
const MOST: usize = 25;
const DESCRIPTION: usize = 100;
const MORE: &str = "more";

/// What can be said, and how words become a line.
#[derive(Clone)]
pub struct Commands {
    specs: Vec<CommandSpec>,
    line: fn(&[String]) -> String,
    named: Named,
}

/// A line by the names of what is given in it: the command, and each argument with its value.
pub type Named = fn(&str) -> Option<(String, Vec<(String, String)>)>;

impl Commands {
    pub fn new(specs: Vec<CommandSpec>, line: fn(&[String]) -> String, named: Named) -> Self {
        Self { specs, line, named }
    }

    /// A message whose commands read as one types them here, by the names of their options.
    pub(super) fn typed_here(&self, message: &Message) -> Message {
        let words = |inlines: &[Inline]| inlines.iter().map(|it| self.inline(it)).collect();
        let all = |items: &[Vec<Inline>]| items.iter().map(|it| words(it)).collect();
        let block = |block: &Block| match block {
            Block::Heading(inlines) => Block::Heading(words(inlines)),
            Block::Paragraph(inlines) => Block::Paragraph(words(inlines)),
            Block::Quote(inlines) => Block::Quote(words(inlines)),
            Block::List(items) => Block::List(all(items)),
            Block::Table { head, rows } => {
                Block::Table { head: all(head), rows: rows.iter().map(|row| all(row)).collect() }
            }
            Block::Code(text) => Block::Code(text.clone()),
        };
        Message { body: message.body.iter().map(block).collect(), ..message.clone() }
    }

    fn inline(&self, inline: &Inline) -> Inline {
        let words = |inner: &[Inline]| inner.iter().map(|it| self.inline(it)).collect();
        match inline {
            Inline::Strong(inner) => Inline::Strong(words(inner)),
            Inline::Emphasis(inner) => Inline::Emphasis(words(inner)),
            Inline::Code(text) => Inline::Code(self.by_name(text).unwrap_or_else(|| text.clone())),
            Inline::Text(_)
            | Inline::Break
            | Inline::Link { .. }
            | Inline::Time { .. }
            | Inline::Mention { .. }
            | Inline::Channel { .. } => inline.clone(),
        }
    }

    /// `/release no-go v1.2.0 --as qa "why"` as `/release no-go release:v1.2.0 as:qa reason:why`:
    /// Discord takes nothing else. What shows a command's form, and not a command, stays.
    pub(super) fn by_name(&self, text: &str) -> Option<String> {
        let said = text.strip_prefix('/')?.strip_prefix(NAME)?.strip_prefix(' ')?;
        if said.contains('[') {
            return None;
        }
        let (name, given) = (self.named)(said)?;
        let spec = self.specs.iter().find(|spec| spec.name == name)?;
        let is_far = self.near_and_far().1.iter().any(|far| far.name == name);
        let more = if is_far { format!("{MORE} ") } else { String::new() };
        let mut typed = format!("/{NAME} {more}{name}");
        for (option, value) in given {
            spec.arguments.iter().find(|argument| argument.name == option)?;
            typed.push_str(&format!(" {option}:{value}"));
        }
        Some(typed)
    }

    /// The whole command, as it is registered.
    pub(super) fn registration(&self, scope: Registration) -> Value {
        let mut body = json!({
            "name": NAME, "type": 1, "description": ABOUT, "options": self.tree(),
        });
        if scope == Registration::Global {
            // In a server: there are no rooms and no roles in a private conversation.
            body["contexts"] = json!([0]);
        }
        body
    }

    fn tree(&self) -> Vec<Value> {
        let (near, far) = self.near_and_far();
        let mut tree: Vec<_> = near.iter().map(|spec| subcommand(&spec.name, spec)).collect();
        let mut groups: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for spec in &self.specs {
            if let Some((group, name)) = spec.name.split_once(' ') {
                groups.entry(group).or_default().push(subcommand(name, spec));
            }
        }
        for (name, options) in groups {
            let names: Vec<_> = options.iter().map(|each| text(each, "/name")).collect();
            let about = format!("{name}: {}", names.join(", "));
            tree.push(json!({
                "type": 2, "name": name, "description": cut(&about, DESCRIPTION),
                "options": options,
            }));
        }
        if !far.is_empty() {
            let options: Vec<_> = far.iter().map(|spec| subcommand(&spec.name, spec)).collect();
            tree.push(json!({
                "type": 2, "name": MORE, "description": "What is needed less often",
                "options": options,
            }));
        }
        tree
    }

    /// The commands of one word: those directly under the command, and those that do not fit there.
    fn near_and_far(&self) -> (Vec<&CommandSpec>, Vec<&CommandSpec>) {
        let (single, double): (Vec<_>, Vec<_>) =
            self.specs.iter().partition(|spec| !spec.name.contains(' '));
        let groups: std::collections::BTreeSet<_> =
            double.iter().filter_map(|spec| spec.name.split(' ').next()).collect();
        if single.len() + groups.len() <= MOST {
            return (single, Vec::new());
        }
        let room = MOST.saturating_sub(groups.len() + 1);
        let (mut near, mut far): (Vec<_>, Vec<_>) = single.into_iter().partition(|spec| spec.near);
        far.splice(0..0, near.split_off(room.min(near.len())));
        (near, far)
    }

    /// What was chosen, as the line that says the same.
    pub(super) fn line_of(&self, data: &Value) -> Option<String> {
        let (spec, given) = self.chosen(data)?;
        let mut words: Vec<String> = spec.name.split(' ').map(str::to_owned).collect();
        for argument in spec.arguments.iter().filter(|argument| !argument.positional) {
            let Some(value) = given.get(argument.name.as_str()) else { continue };
            match argument.kind {
                Type::Bool if value == "true" => words.push(format!("--{}", argument.name)),
                Type::Bool => {}
                Type::String | Type::Int | Type::Choice(_) | Type::Words => {
                    words.push(format!("--{}={value}", argument.name));
                }
            }
        }
        let mut rest = String::new();
        let mut places = Vec::new();
        for argument in spec.arguments.iter().filter(|argument| argument.positional) {
            let value = given.get(argument.name.as_str()).cloned().unwrap_or_default();
            match argument.kind {
                Type::Words => rest = value,
                Type::String | Type::Int | Type::Bool | Type::Choice(_) => places.push(value),
            }
        }
        // An empty word keeps the place of what was left out before something else.
        while rest.is_empty() && places.last().is_some_and(String::is_empty) {
            places.pop();
        }
        words.extend(places);
        let line = (self.line)(&words);
        Some(if rest.is_empty() { line } else { format!("{line} {rest}") })
    }

    /// What has been typed of the option that is being filled in, as the beginning of a line.
    pub(super) fn begun(&self, data: &Value) -> Option<Begun> {
        let (spec, given) = self.chosen(data)?;
        let focused = options_of(data).find(|option| option["focused"] == true)?;
        let argument = spec.arguments.iter().find(|it| it.name == text(&focused, "/name"))?;
        let partial = value_of(&focused).unwrap_or_default().trim().replace(' ', "-");
        let mut before = vec![spec.name.clone()];
        for place in spec.arguments.iter().filter(|place| place.positional) {
            if place.name == argument.name {
                break;
            }
            before.extend(stand_in(place, given.get(place.name.as_str())));
        }
        if !argument.positional {
            before.push(format!("--{}", argument.name));
        }
        let before = format!("{} ", before.join(" "));
        Some(Begun { line: format!("{before}{partial}"), before })
    }

    fn chosen(&self, data: &Value) -> Option<(&CommandSpec, BTreeMap<String, String>)> {
        let outer = &data["options"][0];
        let (first, inner) = (text(outer, "/name"), text(&outer["options"][0], "/name"));
        let name = match outer["type"].as_u64()? {
            2 if first == MORE => inner.to_owned(),
            2 => format!("{first} {inner}"),
            _ => first.to_owned(),
        };
        let spec = self.specs.iter().find(|spec| spec.name == name)?;
        let given = options_of(data)
            .filter_map(|option| Some((text(&option, "/name").to_owned(), value_of(&option)?)));
        Some((spec, given.collect()))
    }
}

/// A line up to what is being typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Begun {
    pub(super) line: String,
    before: String,
}

impl Begun {
    /// What Discord offers: the word that is chosen, and what it is.
    pub(super) fn choices(&self, found: Vec<Completion>) -> Vec<Value> {
        let word = |completion: &Completion| {
            let word = completion.text.strip_prefix(&self.before)?.to_owned();
            let fits = (1..=DESCRIPTION).contains(&render::length(&word));
            (fits && !word.starts_with("--")).then_some(word)
        };
        let choice = |completion: Completion| {
            let word = word(&completion)?;
            let name = match completion.about.trim() {
                "" => word.clone(),
                about => format!("{word} — {about}"),
            };
            Some(json!({"name": cut(&name, DESCRIPTION), "value": word}))
        };
        found.into_iter().filter_map(choice).take(MOST).collect()
    }
}

/// A word in the place of an argument before the one that is being filled in. What may be left out
/// is; a choice that is not made yet counts as its first.
fn stand_in(place: &Argument, given: Option<&String>) -> Option<String> {
    match (given, &place.kind) {
        (Some(value), _) if !value.contains(char::is_whitespace) => Some(value.clone()),
        (Some(_), _) => Some("…".to_owned()),
        (None, Type::Choice(choices)) => choices.first().cloned(),
        (None, Type::String | Type::Int | Type::Bool | Type::Words) => None,
    }
}

/// The options of the subcommand that was chosen.
fn options_of(data: &Value) -> impl Iterator<Item = Value> + use<> {
    let outer = &data["options"][0];
    let of = if outer["type"] == 2 { &outer["options"][0]["options"] } else { &outer["options"] };
    of.as_array().cloned().unwrap_or_default().into_iter()
}

fn value_of(option: &Value) -> Option<String> {
    match &option["value"] {
        Value::String(text) => Some(text.trim().to_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(bool) => Some(bool.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn subcommand(name: &str, spec: &CommandSpec) -> Value {
    let mut arguments: Vec<&Argument> = spec.arguments.iter().collect();
    // Discord is told that none is required, since a form asks for what is missing; what is needed
    // stands first nevertheless.
    arguments.sort_by_key(|argument| !argument.required);
    let options: Vec<_> = arguments.into_iter().take(MOST).map(option).collect();
    json!({
        "type": 1, "name": name, "description": about(&spec.about), "options": options,
    })
}

fn option(argument: &Argument) -> Value {
    let kind = match argument.kind {
        Type::String | Type::Choice(_) | Type::Words => 3,
        Type::Int => 4,
        Type::Bool => 5,
    };
    let mut option = json!({
        "type": kind, "name": argument.name, "description": about(&argument.about),
        "required": false,
    });
    match &argument.kind {
        Type::Choice(choices) if choices.len() <= MOST => {
            let choice = |choice: &String| json!({"name": choice, "value": choice});
            option["choices"] = choices.iter().map(choice).collect();
        }
        Type::Int => option["min_value"] = json!(0),
        Type::String | Type::Choice(_) | Type::Words => {
            if argument.completes.is_some() {
                option["autocomplete"] = json!(true);
            }
        }
        Type::Bool => {}
    }
    option
}

fn about(text: &str) -> String {
    let plain = text.replace('`', "");
    match plain.trim() {
        "" => "…".to_owned(),
        plain => cut(plain, DESCRIPTION),
    }
}

/// A command without what Discord adds to it, so that two can be compared.
fn essence(command: &Value) -> Value {
    const KEPT: [&str; 8] = [
        "name",
        "description",
        "type",
        "required",
        "autocomplete",
        "min_value",
        "choices",
        "options",
    ];
    let mut bare = json!({});
    for name in KEPT {
        let value = match &command[name] {
            Value::Null | Value::Bool(false) => continue,
            Value::Array(all) if all.is_empty() => continue,
            Value::Array(all) if name == "options" => all.iter().map(essence).collect(),
            Value::Array(all) => all
                .iter()
                .map(|choice| json!({"name": choice["name"], "value": choice["value"]}))
                .collect(),
            Value::Number(number) => json!(number.as_f64()),
            other @ (Value::Bool(_) | Value::String(_) | Value::Object(_)) => other.clone(),
        };
        bare[name] = value;
    }
    bare
}

impl Discord {
    /// Where it stands, and whether it is as it should be.
    pub(super) async fn is_registered(&self) -> Result<bool, Fault> {
        let scope = self.settings.registration;
        let known = self.known_command(scope).await?;
        let wanted = essence(&self.commands.registration(scope));
        Ok(known.is_some_and(|known| essence(&known) == wanted))
    }

    /// Writes only what is not so already: Discord takes two hundred new commands a day.
    pub(super) async fn register(&self) -> Result<(), Failure> {
        let what = "The slash command was not registered";
        let written = self.write_command().await;
        written.map_err(|fault| fault.failure(what, Twice::Harmless))
    }

    async fn write_command(&self) -> Result<(), Fault> {
        let scope = self.settings.registration;
        let wanted = self.commands.registration(scope);
        match self.known_command(scope).await? {
            None => {
                self.api.post(self.all_commands(scope), &wanted).await?;
                info!("/{NAME} is registered");
            }
            Some(known) if essence(&known) != essence(&wanted) => {
                if let Some(id) = id_at(&known, "/id") {
                    self.api.patch(self.command(scope, id), &wanted).await?;
                    info!("/{NAME} is registered anew, since it has changed");
                }
            }
            Some(_) => {}
        }
        // In both places it would be offered twice.
        let other = match scope {
            Registration::Guild => Registration::Global,
            Registration::Global => Registration::Guild,
        };
        if let Some(id) = self.known_command(other).await?.and_then(|known| id_at(&known, "/id")) {
            self.api.delete(self.command(other, id)).await?;
            info!("/{NAME} was registered in two places, and is in one now");
        }
        Ok(())
    }

    async fn known_command(&self, scope: Registration) -> Result<Option<Value>, Fault> {
        let known = self.api.get(self.all_commands(scope)).await?;
        let mut all = known.as_array().cloned().unwrap_or_default().into_iter();
        Ok(all.find(|it| text(it, "/name") == NAME && it["type"].as_u64().unwrap_or(1) == 1))
    }

    fn all_commands(&self, scope: Registration) -> Route<'static> {
        let application_id = ApplicationId::new(self.settings.application);
        match scope {
            Registration::Guild => {
                let guild_id = GuildId::new(self.settings.guild);
                Route::GuildCommands { application_id, guild_id }
            }
            Registration::Global => Route::Commands { application_id },
        }
    }

    fn command(&self, scope: Registration, id: u64) -> Route<'static> {
        let application_id = ApplicationId::new(self.settings.application);
        let command_id = CommandId::new(id);
        match scope {
            Registration::Guild => {
                let guild_id = GuildId::new(self.settings.guild);
                Route::GuildCommand { application_id, guild_id, command_id }
            }
            Registration::Global => Route::Command { application_id, command_id },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argument(name: &str, kind: Type, positional: bool) -> Argument {
        let about = format!("The {name}");
        Argument {
            name: name.into(),
            about,
            kind,
            required: false,
            positional,
            rest: false,
            completes: None,
        }
    }

    fn spec(name: &str, arguments: Vec<Argument>) -> CommandSpec {
        CommandSpec {
            name: name.into(),
            about: "What".into(),
            example: String::new(),
            near: !name.starts_with("verb-1"),
            arguments,
        }
    }

    fn commands() -> Commands {
        let act = Type::Choice(vec!["show".into(), "pass".into()]);
        let specs = vec![
            spec(
                "check",
                vec![
                    argument("release", Type::String, true),
                    argument("act", act, true),
                    argument("item", Type::String, true),
                    argument("dry-run", Type::Bool, false),
                    argument("last", Type::Int, false),
                ],
            ),
            spec("freeze add", vec![argument("from", Type::String, true)]),
            spec(
                "run",
                vec![argument("action", Type::String, true), argument("with", Type::Words, true)],
            ),
        ];
        let line = |words: &[String]| {
            let quoted = words.iter().map(|word| match word.contains(' ') || word.is_empty() {
                true => format!("\"{word}\""),
                false => word.clone(),
            });
            quoted.collect::<Vec<_>>().join(" ")
        };
        Commands::new(specs, line, |line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), vec![("from".to_owned(), value.to_owned())]))
        })
    }

    #[test]
    fn what_a_message_says_to_type_names_its_options() {
        let typed = commands().by_name("/release freeze add fri");
        assert_eq!(typed.as_deref(), Some("/release freeze add from:fri"));
        for other in ["/release check fri", "/release freeze add [FROM]", "/releases x y", "sh x y"]
        {
            assert_eq!(commands().by_name(other), None, "{other}");
        }
    }

    fn chosen(name: &str, options: Value) -> Value {
        json!({"name": "release", "options": [{"type": 1, "name": name, "options": options}]})
    }

    #[test]
    fn what_is_chosen_is_the_line_that_one_would_have_typed() {
        let options = json!([
            {"name": "item", "type": 3, "value": "the pages"}, {"name": "last", "value": 7},
            {"name": "act", "value": "pass"}, {"name": "dry-run", "value": true},
        ]);
        let line = commands().line_of(&chosen("check", options));
        assert_eq!(line.as_deref(), Some("check --dry-run --last=7 \"\" pass \"the pages\""));
        let bare = commands().line_of(&chosen("check", json!([])));
        assert_eq!(bare.as_deref(), Some("check"));
        let pairs = json!([{"name": "with", "value": "pod=2 zone=eu"}]);
        let line = commands().line_of(&chosen("run", pairs));
        assert_eq!(line.as_deref(), Some("run \"\" pod=2 zone=eu"));
        assert_eq!(commands().line_of(&chosen("gone", json!([]))), None);
    }

    #[test]
    fn a_group_is_two_words_and_more_is_none() {
        let grouped = |group: &str, name: &str| {
            json!({"options": [{"type": 2, "name": group, "options": [
                {"type": 1, "name": name, "options": [{"name": "from", "value": "fri"}]},
            ]}]})
        };
        let line = commands().line_of(&grouped("freeze", "add"));
        assert_eq!(line.as_deref(), Some("freeze add fri"));
        assert_eq!(commands().line_of(&grouped("more", "check")).as_deref(), Some("check"));
    }

    #[test]
    fn what_is_being_typed_is_completed_in_its_place() {
        let options = json!([
            {"name": "release", "value": "v1"}, {"name": "item", "value": "roll ba", "focused": true},
        ]);
        let begun = commands().begun(&chosen("check", options)).expect("something is focused");
        assert_eq!(begun.line, "check v1 show roll-ba");
        let completion =
            |text: &str, about: &str| Completion { text: text.into(), about: about.into() };
        let found = vec![
            completion("check v1 show roll-back", "The way back"),
            completion("check v1 show --last", "How many"),
        ];
        let choices = begun.choices(found);
        assert_eq!(choices, [json!({"name": "roll-back — The way back", "value": "roll-back"})]);
    }

    #[test]
    fn more_commands_than_fit_go_into_a_group_and_what_is_near_stays_near() {
        let mut specs: Vec<_> = (0..30).map(|n| spec(&format!("verb-{n}"), Vec::new())).collect();
        specs.push(spec("help", Vec::new()));
        specs.push(spec("freeze add", Vec::new()));
        let commands = Commands { specs, ..commands() };
        let tree = commands.tree();
        assert!(tree.len() <= MOST);
        let names: Vec<_> = tree.iter().map(|each| text(each, "/name")).collect();
        assert!(names.contains(&"help") && names.contains(&"verb-0") && names.contains(&"freeze"));
        let more = tree.iter().find(|each| text(each, "/name") == MORE).expect("a group");
        let inner = more["options"].as_array().expect("its commands").len();
        assert_eq!(inner + tree.len() - 2, 31, "each is there once");
    }

    #[test]
    fn what_discord_adds_is_no_difference_and_a_changed_word_is() {
        let wanted = commands().registration(Registration::Guild);
        let mut known = wanted.clone();
        known["id"] = json!("5");
        known["version"] = json!("6");
        known["nsfw"] = json!(false);
        known["options"][0]["options"][0]["required"] = Value::Null;
        assert_eq!(essence(&known), essence(&wanted));
        known["options"][0]["options"][1]["choices"][0]["name"] = json!("Show");
        assert_ne!(essence(&known), essence(&wanted));
    }
}
