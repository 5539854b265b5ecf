//! The deploy backends: which action goes to which, and what may fill a placeholder.

pub mod flag_command;
pub mod program;
pub mod webhook;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::adapters::fill::fill_with;
use crate::ports::{Deployer, Failure, Line, Ran, Run, Sighting};

pub use crate::adapters::output::Mask;
pub use flag_command::{FlagCommand, FlagCommands};
pub use program::{Program, ProgramAction};
pub use webhook::{Ending, Webhook, WebhookAction};

/// Every action that there is, by name, whichever backend carries it out.
pub struct Backends {
    program: Program,
    webhook: Webhook,
    /// Actions that are there without a section of their own.
    built_in: BTreeMap<String, Arc<dyn Deployer>>,
}

impl Backends {
    /// Refuses a name that both backends claim: nobody could tell which one a plan meant.
    pub fn new(program: Program, webhook: Webhook) -> Result<Self, Failure> {
        let both = webhook.actions().find(|name| program.knows(name)).map(str::to_owned);
        match both {
            Some(name) => Err(Failure::permanent(format!(
                "action `{name}` has both a command and a url: remove one from [actions.{name}]"
            ))),
            None => Ok(Self { program, webhook, built_in: BTreeMap::new() }),
        }
    }

    /// Adds a backend for actions that the program itself brings.
    pub fn with(mut self, actions: &[&str], by: Arc<dyn Deployer>) -> Result<Self, Failure> {
        for name in actions {
            if self.backend(name).is_ok() {
                return Err(Failure::permanent(format!(
                    "`{name}` is an action of the program itself: give [actions.{name}] another name"
                )));
            }
            self.built_in.insert((*name).to_owned(), by.clone());
        }
        Ok(self)
    }

    /// Whether `stop` can end what this action started; a confirmation has to say if it cannot.
    pub fn can_stop(&self, action: &str) -> bool {
        self.program.knows(action) || self.built_in.contains_key(action)
    }

    /// Takes the callbacks of the webhook backend.
    pub fn router(&self) -> axum::Router {
        self.webhook.router()
    }

    fn backend(&self, action: &str) -> Result<&dyn Deployer, Failure> {
        if self.program.knows(action) {
            Ok(&self.program)
        } else if self.webhook.knows(action) {
            Ok(&self.webhook)
        } else if let Some(built_in) = self.built_in.get(action) {
            Ok(built_in.as_ref())
        } else {
            let names: Vec<_> = self.program.actions().chain(self.webhook.actions()).collect();
            Err(unknown_action(action, &names))
        }
    }
}

#[async_trait]
impl Deployer for Backends {
    async fn run(&self, run: &Run, line: &Line<'_>) -> Result<Ran, Failure> {
        self.backend(&run.action)?.run(run, line).await
    }

    async fn stop(&self, run: &Run) -> Result<(), Failure> {
        self.backend(&run.action)?.stop(run).await
    }

    async fn look(&self, run: &Run) -> Result<Sighting, Failure> {
        self.backend(&run.action)?.look(run).await
    }
}

fn unknown_action(action: &str, names: &[&str]) -> Failure {
    let known = match names {
        [] => "none is configured".to_owned(),
        names => format!("configured are {}", names.join(", ")),
    };
    Failure::permanent(format!("there is no action `{action}`: {known}; add [actions.{action}]"))
}

// ---------------------------------------------------------------------------------------------
// Placeholders

const LONGEST_VALUE: usize = 200;
const HARMLESS: &str = "._-+:@/=%,~#^";

/// Fills each `{name}` of a text. Braces around anything but a name stay as they are, so that JSON
/// and Go templates can be arguments. Values that the text does not ask for are ignored.
fn fill(text: &str, action: &str, with: &BTreeMap<String, String>) -> Result<String, Failure> {
    fill_with(text, |name| {
        let value = with.get(name).ok_or_else(|| missing(action, name, with))?;
        check(action, name, value)?;
        Ok(value.clone())
    })
}

fn missing(action: &str, name: &str, with: &BTreeMap<String, String>) -> Failure {
    let given: Vec<_> = with.keys().map(String::as_str).collect();
    let given = if given.is_empty() { "nothing".to_owned() } else { given.join(", ") };
    Failure::permanent(format!(
        "action `{action}` needs a value for `{{{name}}}`, and the step gives {given}"
    ))
}

/// A value may not turn into an option, a path out of its place or a second line, whatever the
/// program does with it. The rules refuse the same before anything is run; what reaches this is a
/// plan that was scheduled before they did.
fn check(action: &str, name: &str, value: &str) -> Result<(), Failure> {
    let odd = |c: char| !(c.is_ascii_alphanumeric() || HARMLESS.contains(c));
    let wrong = if value.is_empty() {
        "is empty".to_owned()
    } else if value.chars().count() > LONGEST_VALUE {
        format!("is longer than {LONGEST_VALUE} characters")
    } else if value.starts_with('-') {
        "begins with `-`".to_owned()
    } else if value.split(['/', '=', ':', ',']).any(|part| part == "..") {
        "has `..` as a part of a path".to_owned()
    } else if let Some(c) = value.chars().find(|c| odd(*c)) {
        format!("holds `{}`", c.escape_debug())
    } else {
        return Ok(());
    };
    let shown: String = value.chars().take(40).flat_map(char::escape_debug).collect();
    Err(Failure::permanent(format!(
        "`{{{name}}}` of action `{action}` {wrong}: \"{shown}\"; allowed are 1 to {LONGEST_VALUE} \
         letters (a-z), digits and {HARMLESS}, no `-` in front and no `..` part"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(value: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("version".to_owned(), value.to_owned())])
    }

    #[test]
    fn a_placeholder_is_filled_and_other_braces_stay() {
        let fill = |text| fill(text, "a", &with("v1.2.0")).expect("a good value");
        assert_eq!(fill("--version={version}"), "--version=v1.2.0");
        assert_eq!(fill("{version}{version}"), "v1.2.0v1.2.0");
        assert_eq!(fill(r#"{"status":{"abort":true}}"#), r#"{"status":{"abort":true}}"#);
        assert_eq!(fill("{{.Name}} {} { {version"), "{{.Name}} {} { {version");
    }

    #[test]
    fn a_value_cannot_become_anything_else() {
        let traversal = ["..", "../..", "a/../b", "x=../y", "a/.."];
        let odd = ["--help", "-x", "", "a b", "a\nb", "a\0b", "$(id)", "`id`", "a;b", "a\u{202e}b"];
        for value in traversal.into_iter().chain(odd) {
            let refused = fill("{version}", "a", &with(value)).expect_err(value);
            assert!(matches!(refused, Failure::Permanent { .. }), "{value:?}");
            assert!(refused.to_string().contains("`{version}` of action `a`"), "{refused}");
            assert!(!refused.to_string().contains(['\n', '\0']), "{refused:?}");
        }
        assert!(fill("{version}", "a", &with(&"x".repeat(201))).is_err());
        assert!(fill("{version}", "a", &with(&"x".repeat(200))).is_ok());
        for value in ["v1.2.0", "web-shop/production/v1.2.0#1", "a..b", "sha256:ab@x=1,y"] {
            assert!(fill("{version}", "a", &with(value)).is_ok(), "{value}");
        }
    }

    /// What is decided must not be refused later, and an adapter trusts nobody: the rule is said
    /// twice, and is one rule.
    #[test]
    fn the_rules_and_the_backends_refuse_the_same_values() {
        let all = ('\0'..='\u{2fff}').map(|c| format!("a{c}b"));
        let more = ["", "-x", "--", "..", "a/..", "../a", "x=..", "a:..:b", "a,..", "a..b", "..."];
        let long = [200, 201].map(|length| "x".repeat(length));
        for value in all.chain(more.map(str::to_owned)).chain(long) {
            let refused = check("a", "version", &value).is_err();
            assert_eq!(crate::domain::argument::wrong(&value).is_some(), refused, "{value:?}");
        }
    }

    #[test]
    fn a_missing_value_is_named() {
        let refused = fill("{pod}", "deploy", &with("v1")).expect_err("nobody gave a pod");
        assert_eq!(
            refused.to_string(),
            "action `deploy` needs a value for `{pod}`, and the step gives version"
        );
    }
}
