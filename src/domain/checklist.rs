//! The checklist: sections of items, each with an owner and a state. No launch without a green one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::ids::{ItemId, PersonId, slug};
use super::plan::{EvidenceKind, ItemPhase, Plan, PlannedItem};
use super::policy::Policy;
use super::time::Time;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Item {
    pub id: ItemId,
    pub section: String,
    pub section_title: String,
    pub name: String,
    pub owner: Option<PersonId>,
    pub evidence: Option<EvidenceKind>,
    pub limit: Option<Limit>,
    pub phase: ItemPhase,
    pub state: ItemState,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum ItemState {
    Open,
    Passed { by: String, at: Time, link: Option<String>, note: Option<String> },
    Failed { by: String, at: Time, link: Option<String>, note: Option<String> },
    Waived { by: String, at: Time, why: String },
}

impl ItemState {
    pub fn is_green(&self) -> bool {
        match self {
            Self::Passed { .. } | Self::Waived { .. } => true,
            Self::Open | Self::Failed { .. } => false,
        }
    }
}

/// What somebody says of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    Pass,
    Fail,
    Waive,
    Reopen,
}

/// `lighthouse > 90`, `LCP < 2.5 s`: by what a reported number is judged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Limit {
    pub name: String,
    pub above: bool,
    pub value: f64,
    pub unit: String,
}

impl Limit {
    /// Not a number is never within a limit.
    pub fn holds(&self, value: f64) -> bool {
        if self.above { value > self.value } else { value < self.value }
    }
}

/// What a unit is in the smallest of its kind: milliseconds, bytes.
const UNITS: [(&str, &str, f64); 12] = [
    ("ms", "time", 1.0),
    ("s", "time", 1_000.0),
    ("min", "time", 60_000.0),
    ("B", "size", 1.0),
    ("KB", "size", 1_000.0),
    ("kB", "size", 1_000.0),
    ("MB", "size", 1_000_000.0),
    ("GB", "size", 1_000_000_000.0),
    ("KiB", "size", 1_024.0),
    ("MiB", "size", 1_048_576.0),
    ("GiB", "size", 1_073_741_824.0),
    ("%", "share", 1.0),
];

fn unit(name: &str) -> Option<(&'static str, f64)> {
    let known = UNITS.iter().find(|(known, _, _)| *known == name)?;
    Some((known.1, known.2))
}

/// A number as people and programs write it. What could be read in two ways is not read.
pub fn plain_number(said: &str) -> Result<f64, String> {
    let wrong = || format!("`{}` is not a number.", super::words::excerpt(said));
    let said = said.trim();
    if let Some((_, after)) = said.split_once(',')
        && (after.len() == 3 || said.contains('.'))
    {
        let shown = super::words::excerpt(said);
        return Err(format!("`{shown}` can be read in two ways. Write it without the comma."));
    }
    let number: f64 = said.replace(',', ".").parse().map_err(|_| wrong())?;
    if number.is_finite() { Ok(number) } else { Err(wrong()) }
}

impl Limit {
    /// What was measured, in the limit's own unit: `2.1`, `2100 ms` for `LCP < 2.5 s`.
    pub fn read(&self, said: &str) -> Result<f64, String> {
        let said = said.trim();
        let of_number = |c: char| c.is_ascii_digit() || ".,-+eE".contains(c);
        let end = said.find(|c| !of_number(c)).unwrap_or(said.len());
        let (number, given) = said.split_at(end);
        let (number, given) = (plain_number(number), given.trim());
        if given.is_empty() || given == self.unit {
            return number.map_err(|_| plain_number(said).err().unwrap_or_default());
        }
        match (number, unit(given), unit(&self.unit)) {
            (Ok(number), Some((kind, factor)), Some((wanted, by))) if kind == wanted => {
                Ok(number * factor / by)
            }
            (Ok(_), _, _) => {
                let given = super::words::excerpt(given);
                let wanted = match self.unit.as_str() {
                    "" => "a number without a unit".to_owned(),
                    unit => format!("a number in {unit}"),
                };
                Err(format!("{self} takes {wanted}, and not `{given}`."))
            }
            (Err(_), _, _) => Err(plain_number(said).err().unwrap_or_default()),
        }
    }
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a limit: write for example `LCP < 2.5 s`");
        let at = text.find(['<', '>']).ok_or_else(wrong)?;
        let (name, rest) = text.split_at(at);
        let above = rest.starts_with('>');
        let rest = rest[1..].trim();
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let value: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        let name = name.trim().to_owned();
        let own = rest[digits..].trim();
        if name.is_empty() || own.contains(['<', '>', '=']) {
            return Err(wrong());
        }
        Ok(Self { name, above, value, unit: own.to_owned() })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.above { '>' } else { '<' };
        write!(f, "{} {sign} {}", self.name, self.value)?;
        if self.unit.is_empty() { Ok(()) } else { write!(f, " {}", self.unit) }
    }
}

impl TryFrom<String> for Limit {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Limit> for String {
    fn from(limit: Limit) -> Self {
        limit.to_string()
    }
}

/// The item that a successful `rollback --dry-run` settles.
pub const REHEARSAL: &str = "rollback-readiness/rollback-rehearsed";

/// The checklist that a plan opens with: the library's sections that it chose, its own items, and
/// what policy insists on.
pub fn opened(plan: &Plan, policy: &Policy) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    for section in &plan.checklist.sections {
        if let Some(library) = policy.checklist.get(section) {
            items.extend(library.items.iter().map(|item| open(item, section, policy)));
        }
    }
    items.extend(plan.checklist.items.iter().map(|item| open(item, &item.section, policy)));
    if policy.rules.rehearse_rollback && !items.iter().any(|item| item.id.as_str() == REHEARSAL) {
        items.push(rehearsal(plan, policy));
    }
    items.dedup_by(|later, earlier| later.id == earlier.id);
    items
}

fn open(item: &PlannedItem, section: &str, policy: &Policy) -> Item {
    Item {
        id: ItemId::new(format!("{section}/{}", slug(&item.name))),
        section: section.to_owned(),
        section_title: section_title(section, policy),
        name: item.name.clone(),
        owner: item.owner.clone(),
        evidence: item.evidence,
        limit: item.limit.clone(),
        phase: item.phase,
        state: ItemState::Open,
    }
}

fn rehearsal(plan: &Plan, policy: &Policy) -> Item {
    Item {
        id: ItemId::from(REHEARSAL),
        section: "rollback-readiness".into(),
        section_title: section_title("rollback-readiness", policy),
        name: "Rollback rehearsed".into(),
        owner: plan.release.deployer.clone(),
        evidence: Some(EvidenceKind::RollbackRehearsal),
        limit: None,
        phase: ItemPhase::Before,
        state: ItemState::Open,
    }
}

fn section_title(section: &str, policy: &Policy) -> String {
    match policy.checklist.get(section) {
        Some(known) => known.title.clone(),
        None => section.replace('-', " "),
    }
}

/// How many of the plan's sections are green before the launch: `5/6 sections passed`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    pub passed: usize,
    pub sections: usize,
}

/// Counts sections by their items that are due before the launch.
pub fn tally(items: &[Item]) -> Tally {
    let mut sections: Vec<(&str, bool)> = Vec::new();
    for item in items.iter().filter(|item| item.phase <= ItemPhase::T30m) {
        match sections.iter_mut().find(|(name, _)| *name == item.section) {
            Some((_, green)) => *green &= item.state.is_green(),
            None => sections.push((&item.section, item.state.is_green())),
        }
    }
    Tally { passed: sections.iter().filter(|(_, green)| *green).count(), sections: sections.len() }
}

/// What stands between the checklist and green.
pub fn missing(items: &[Item]) -> impl Iterator<Item = &Item> {
    items.iter().filter(|item| item.phase <= ItemPhase::T30m && !item.state.is_green())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each limit of the library, with what is within it and what is not.
    #[test]
    fn a_number_is_judged_in_the_unit_in_which_it_was_measured() {
        let cases = [
            ("lighthouse > 90", vec!["91", "90.5"], vec!["90", "12"]),
            (
                "LCP < 2.5 s",
                vec!["2.4", "2,4", "2.4 s", "2400 ms", "0.03 min"],
                vec!["2.5", "2600ms"],
            ),
            ("INP < 200 ms", vec!["199", "0.19 s"], vec!["200", "0.2 s", "1 s"]),
            ("CLS < 0.1", vec!["0.09", "0"], vec!["0.1", "1"]),
            (
                "bundle < 500 KB",
                vec!["499", "499000 B", "0.4 MB", "480 KiB"],
                vec!["500", "0.5 MB"],
            ),
            ("api p99 < 200 ms", vec!["187"], vec!["250", "0.2 s"]),
            ("adoption > 20 %", vec!["21", "20.5 %"], vec!["20", "3%"]),
        ];
        for (limit, within, beyond) in cases {
            let limit: Limit = limit.parse().expect("a limit");
            for said in within {
                assert!(limit.holds(limit.read(said).expect(said)), "{said} for {limit}");
            }
            for said in beyond {
                assert!(!limit.holds(limit.read(said).expect(said)), "{said} for {limit}");
            }
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_or_in_none_is_not_read() {
        let limit: Limit = "LCP < 2.5 s".parse().expect("a limit");
        for said in
            ["", "soon", "NaN", "inf", "-inf", "1,200", "1.200,5", "2 KB", "2 %", "s", "2 3"]
        {
            assert!(limit.read(said).is_err(), "{said}: {:?}", limit.read(said));
        }
        let plain: Limit = "CLS < 0.1".parse().expect("a limit");
        let why = plain.read("5 ms").expect_err("it has no unit");
        assert_eq!(why, "CLS < 0.1 takes a number without a unit, and not `ms`.");
    }
}
