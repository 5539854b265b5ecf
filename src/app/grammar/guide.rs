//! The help, and the neutral description that a platform registers: read back from the grammar.

use std::any::TypeId;

use super::command;
use crate::ports::{Argument, Choose, CommandSpec, Type};

/// Verbs that belong together, in the order in which a release needs them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Group {
    pub title: &'static str,
    pub verbs: &'static [&'static str],
}

const GROUPS: [Group; 6] = [
    Group {
        title: "Plan it",
        verbs: &["schedule", "new", "reschedule", "edit", "scrub", "handover", "announce"],
    },
    Group {
        title: "Before T-0",
        verbs: &["go", "no-go", "roles", "checklist", "evidence", "accept", "override", "freeze"],
    },
    Group {
        title: "Rollout",
        verbs: &[
            "start", "update", "metric", "advance", "hold", "resume", "retry", "outcome", "run",
            "flag",
        ],
    },
    Group { title: "Go back", verbs: &["rollback", "red", "step-back", "lock", "unlock"] },
    Group { title: "Afterwards", verbs: &["verify", "complete", "keep", "report", "notes"] },
    Group {
        title: "Look",
        verbs: &["status", "list", "agenda", "oncall", "plan", "document", "audit", "help"],
    },
];

pub fn groups() -> &'static [Group] {
    &GROUPS
}

/// What the help says of one verb.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Guide {
    pub name: String,
    pub usage: String,
    pub about: String,
    /// More than one line, if there is more to say.
    pub depth: String,
    pub example: String,
    /// What else can be said with it, a line each.
    pub more: Vec<String>,
    /// Each argument with what it means.
    pub arguments: Vec<(String, String)>,
    /// What stands behind it, such as `freeze add`, each with a guide of its own.
    pub parts: Vec<Guide>,
}

impl Guide {
    /// Of a verb, or of one with its second word: `freeze add`.
    pub fn of(verb: &str) -> Option<Self> {
        let spec = find(verb)?;
        let about = spec.get_about().map(ToString::to_string).unwrap_or_default();
        let long = spec.get_long_about().map(ToString::to_string).unwrap_or_default();
        let depth = long.strip_prefix(&about).unwrap_or(&long).trim().to_owned();
        let shown = spec.get_arguments().filter(|arg| !arg.is_hide_set());
        let arguments = shown.map(|arg| {
            let mut help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let choices = arg.get_possible_values();
            if takes_choice(arg) && !choices.is_empty() {
                let names: Vec<_> =
                    choices.iter().map(|choice| format!("`{}`", choice.get_name())).collect();
                help = format!("{help}: {}", crate::domain::words::or(&names));
            }
            (place_of(arg), help)
        });
        let arguments = arguments.collect();
        let name = canonical(verb)?;
        let parts = spec.get_subcommands().map(|part| format!("{name} {}", part.get_name()));
        let parts = parts.filter_map(|part| Self::of(&part)).collect();
        Some(Self {
            usage: usage(&name, spec),
            about,
            depth,
            example: example(spec),
            more: examples(spec).skip(1).collect(),
            name,
            arguments,
            parts,
        })
    }
}

fn canonical(verb: &str) -> Option<String> {
    let mut words = verb.split_whitespace();
    let outer = command().find_subcommand(words.next()?)?;
    match words.next() {
        Some(word) => {
            let inner = outer.find_subcommand(word)?;
            Some(format!("{} {}", outer.get_name(), inner.get_name()))
        }
        None => Some(outer.get_name().to_owned()),
    }
}

fn find(verb: &str) -> Option<&'static clap::Command> {
    let mut words = verb.split_whitespace();
    let outer = command().find_subcommand(words.next()?)?;
    match words.next() {
        Some(word) => outer.find_subcommand(word),
        None => Some(outer),
    }
}

/// Lines that could be sent, the most useful first.
pub fn examples(spec: &clap::Command) -> impl Iterator<Item = String> + use<> {
    let lines = spec.get_after_help().map(ToString::to_string).unwrap_or_default();
    lines.lines().map(str::to_owned).collect::<Vec<_>>().into_iter()
}

fn example(spec: &clap::Command) -> String {
    examples(spec).next().unwrap_or_default()
}

pub(super) fn example_of(verb: &str) -> Option<String> {
    find(verb).map(example)
}

fn value_name(arg: &clap::Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    names.first().map(ToString::to_string).unwrap_or_default()
}

fn place_of(arg: &clap::Arg) -> String {
    match arg.get_long() {
        Some(long) if takes_choice(arg) => format!("--{long} {}", value_name(arg)),
        Some(long) => format!("--{long}"),
        None => value_name(arg),
    }
}

fn takes_choice(arg: &clap::Arg) -> bool {
    arg.get_action().takes_values()
}

fn usage(name: &str, spec: &clap::Command) -> String {
    let mut usage = name.to_owned();
    let subs: Vec<_> = spec.get_subcommands().map(clap::Command::get_name).collect();
    if !subs.is_empty() {
        usage = format!("{usage} {}", subs.join("|"));
    }
    for arg in spec.get_arguments().filter(|arg| !arg.is_hide_set()) {
        let more = if is_many(arg) { "…" } else { "" };
        let place = format!("{}{more}", place_of(arg));
        let needed = arg.is_positional() && is_needed(name, arg.get_id().as_str());
        usage = if needed { format!("{usage} {place}") } else { format!("{usage} [{place}]") };
    }
    usage
}

pub(super) fn is_many(arg: &clap::Arg) -> bool {
    arg.get_num_args().is_some_and(|range| range.max_values() > 1)
}

/// What a verb cannot do without. A chat asks for it with a form.
pub(super) fn is_needed(verb: &str, argument: &str) -> bool {
    const NEEDED: &[(&str, &[&str])] = &[
        ("schedule", &["plan"]),
        ("reschedule", &["when"]),
        ("scrub", &["reason"]),
        ("edit", &["plan"]),
        ("evidence", &["kind", "result"]),
        ("metric", &["query", "value"]),
        ("no-go", &["reason"]),
        ("update", &["text"]),
        ("hold", &["reason"]),
        ("red", &["reason"]),
        ("outcome", &["ended", "reason"]),
        ("lock", &["version", "reason"]),
        ("unlock", &["version", "reason"]),
        ("freeze add", &["from", "until", "reason"]),
        ("freeze lift", &["id", "reason"]),
        ("override", &["obstacle", "reason"]),
        ("accept", &["risk", "reason"]),
        ("handover", &["person"]),
        ("announce", &["text"]),
        ("run", &["action"]),
        ("document", &["kind"]),
    ];
    NEEDED.iter().any(|(known, names)| *known == verb && names.contains(&argument))
}

/// What a platform that takes few commands may put behind another word. Discord takes twenty-five.
const FAR: [&str; 19] = [
    "new", "edit", "evidence", "lock", "unlock", "override", "accept", "handover", "keep", "run",
    "oncall", "notes", "plan", "audit", "document", "verify", "roles", "complete", "metric",
];

/// Every command with its arguments, hidden ones left out.
pub fn specification() -> Vec<CommandSpec> {
    let mut specs = Vec::new();
    for outer in command().get_subcommands() {
        let inner: Vec<_> = outer.get_subcommands().collect();
        if inner.is_empty() {
            specs.push(spec(outer.get_name().to_owned(), outer));
        }
        for sub in inner {
            specs.push(spec(format!("{} {}", outer.get_name(), sub.get_name()), sub));
        }
    }
    specs
}

fn spec(name: String, of: &clap::Command) -> CommandSpec {
    let about = of.get_about().map(ToString::to_string).unwrap_or_default();
    let shown = of.get_arguments().filter(|arg| !arg.is_hide_set());
    let arguments = shown
        .map(|arg| Argument {
            name: super::name_of(arg).to_owned(),
            about: arg.get_help().map(ToString::to_string).unwrap_or_default(),
            kind: type_of(arg),
            required: is_needed(&name, arg.get_id().as_str()),
            positional: arg.is_positional(),
            rest: is_many(arg),
            completes: choose(arg),
        })
        .collect();
    let near = !FAR.contains(&name.as_str());
    CommandSpec { about, example: example(of), near, arguments, name }
}

fn type_of(arg: &clap::Arg) -> Type {
    if !takes_choice(arg) {
        return Type::Bool;
    }
    if is_many(arg) && value_name(arg) == "NAME=VALUE" {
        return Type::Words;
    }
    let choices = arg.get_possible_values();
    if !choices.is_empty() {
        return Type::Choice(choices.iter().map(|choice| choice.get_name().to_owned()).collect());
    }
    if arg.get_value_parser().type_id() == TypeId::of::<u32>() { Type::Int } else { Type::String }
}

fn choose(arg: &clap::Arg) -> Option<Choose> {
    match value_name(arg).as_str() {
        "RELEASE" => Some(Choose::Release),
        "PLAN" => Some(Choose::Plan),
        "ROLE" => Some(Choose::Role),
        "ITEM" => Some(Choose::Item),
        "ACTION" => Some(Choose::Action),
        "PERSON" => Some(Choose::Person),
        "FREEZE" => Some(Choose::Freeze),
        "FLAG" => Some(Choose::Flag),
        "VERB" => Some(Choose::Verb),
        _ => None,
    }
}
