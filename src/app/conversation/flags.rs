//! `flag` in a conversation: what is asked of the rules, and what is missing or confirmed before.

use std::collections::BTreeMap;

use super::forms::{Draft, choice, line_field};
use super::turn::{Meant, Turn, Understood, ask, given};
use crate::app::grammar::{self, Flag, text};
use crate::app::reads;
use crate::domain::command::Command;
use crate::domain::ids::FlagId;
use crate::domain::registry;
use crate::domain::words;
use crate::ports::{Field, Reply};

impl Turn<'_> {
    pub(super) fn flag(&self, flag: Option<&Flag>) -> Understood {
        match flag {
            None | Some(Flag::List) => Ok(Meant::Say(reads::flags(&self.look()))),
            Some(Flag::Show { name }) => self.show_flag(given(name)),
            Some(Flag::Set { name, share }) => self.set_flag(given(name), &text(share)),
            Some(Flag::Kill { name, confirmed }) => self.kill_flag(given(name), *confirmed),
            Some(Flag::Clean { name }) => {
                let flag = self.which_flag("Clean up", given(name))?;
                ask(Command::CleanFlag { flag })
            }
        }
    }

    /// As it was said: the rules know which is meant, and turn down what none is called.
    fn which_flag(&self, verb: &str, name: Option<&str>) -> Understood<FlagId> {
        let draft = Draft::new(&format!("{verb} a flag"), verb, vec![self.flag_field(name)]);
        self.complete(None, draft)?;
        Ok(FlagId::from(name.unwrap_or_default()))
    }

    fn flag_field(&self, name: Option<&str>) -> Field {
        let known = self.state.house.flags.values().filter(|record| record.cleaned.is_none());
        let known: Vec<_> =
            known.map(|record| (record.id.to_string(), record.name.clone())).collect();
        let found = name.and_then(|name| registry::find(&self.state.house, name).ok());
        let value = found.map_or_else(|| name.unwrap_or_default().into(), |one| one.id.to_string());
        match known.is_empty() {
            true => line_field("name", "Flag", &value, true),
            false => Field { value, ..choice("name", "Flag", &known) },
        }
    }

    fn show_flag(&self, name: Option<&str>) -> Understood {
        let flag = self.which_flag("Show", name)?;
        match registry::find(&self.state.house, flag.as_str()) {
            Ok(record) => Ok(Meant::Say(reads::flag(&self.look(), record))),
            Err(why) => Err(self.wrong_line(&why.to_string())),
        }
    }

    fn set_flag(&self, name: Option<&str>, share: &str) -> Understood {
        let draft = || {
            let share = Field {
                hint: "25%".into(),
                ..line_field("share", "Share in percent", share, true)
            };
            Draft::new("Open a flag", "Set", vec![self.flag_field(name), share])
        };
        self.complete(None, draft())?;
        let Some(percent) = percent(share) else {
            let what = format!("`{}` is no share. Say one such as `25%`.", words::excerpt(share));
            return Err(self.wrong(None, draft(), &what));
        };
        ask(Command::SetFlag { flag: FlagId::from(name.unwrap_or_default()), percent })
    }

    /// Confirmed once. Who may not is refused at once, on record, rather than after a dialog.
    fn kill_flag(&self, name: Option<&str>, confirmed: bool) -> Understood {
        let flag = self.which_flag("Kill", name)?;
        let known = registry::find(&self.state.house, flag.as_str()).ok();
        let known = known.filter(|record| registry::may_kill(self.state, self.by, record).is_ok());
        let under_way = |record: &registry::Record| {
            record.change.as_ref().is_some_and(|change| change.percent.is_none())
        };
        match known.filter(|record| !confirmed && !under_way(record)) {
            None => ask(Command::KillFlag { flag }),
            Some(record) => {
                let filled = BTreeMap::from([
                    ("name".to_owned(), record.id.to_string()),
                    ("confirmed".to_owned(), "true".to_owned()),
                ]);
                let words = grammar::fill(&self.said.words, &filled).unwrap_or_default();
                let governing = registry::governing(self.state, record);
                let line = grammar::line(&words);
                Err(Box::new(Reply::Form(self.words.confirm_kill(record, governing, line))))
            }
        }
    }
}

/// `25%`, `25 %`, `0.5`, and as it is written where the comma parts.
fn percent(said: &str) -> Option<f64> {
    let number = said.trim().trim_end_matches('%').trim_end().replace(',', ".");
    let plain = number.chars().all(|c| c.is_ascii_digit() || c == '.');
    number.parse().ok().filter(|_| plain)
}

#[cfg(test)]
mod tests {
    use super::percent;

    #[test]
    fn a_share_is_written_as_people_write_it() {
        for (said, share) in [("25%", 25.0), ("25 %", 25.0), ("0,5%", 0.5), ("100", 100.0)] {
            assert_eq!(percent(said), Some(share), "{said}");
        }
        for said in ["", "%", "-5%", "1e1", "NaN", "inf", "half", "٥", "25%%x"] {
            assert_eq!(percent(said), None, "{said}");
        }
    }
}
