//! The plans that can be scheduled by name.

use std::path::{Path, PathBuf};
use std::sync::RwLock;

use crate::domain::plan::Plan;

/// Reads a plan from its file's name and text, or says what is wrong with it, line by line.
pub type ReadPlan = fn(&str, &str) -> Result<Plan, Vec<String>>;

/// Plans that came with the program, and those of the operator's folder, which win.
pub struct PlanShelf {
    embedded: Vec<(String, String)>,
    directory: Option<PathBuf>,
    read: ReadPlan,
    /// Names as they were last seen, for completion, which must not touch the disk.
    seen: RwLock<Vec<String>>,
}

/// Why a plan was not found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoPlan {
    Unknown { said: String, known: Vec<String> },
    Several { said: String, known: Vec<String> },
    Unreadable { name: String, problems: Vec<String> },
}

impl PlanShelf {
    pub fn new(
        embedded: Vec<(String, String)>,
        directory: Option<PathBuf>,
        read: ReadPlan,
    ) -> Self {
        let shelf = Self { embedded, directory, read, seen: RwLock::default() };
        shelf.files();
        shelf
    }

    /// The names, as they were last seen.
    pub fn names(&self) -> Vec<String> {
        self.seen.read().expect("never held in a panic").clone()
    }

    /// By the file's name, by version, or by service.
    pub fn find(&self, said: &str) -> Result<Plan, NoPlan> {
        let files = self.files();
        let wanted = said.trim().trim_end_matches(".toml");
        if let Some((name, text)) = files.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted))
        {
            return self.parse(name, text);
        }
        let plans = files.iter().filter_map(|(name, text)| {
            Some((name.clone(), (self.read)(&file_name(name), text).ok()?))
        });
        let plans: Vec<(String, Plan)> = plans.collect();
        let fits = |by: fn(&Plan) -> &str| -> Vec<&(String, Plan)> {
            plans.iter().filter(|(_, plan)| by(plan).eq_ignore_ascii_case(wanted)).collect()
        };
        let by_version = fits(|plan| &plan.release.version);
        let found = match by_version.is_empty() {
            true => fits(|plan| &plan.release.service),
            false => by_version,
        };
        let names = |list: &[&(String, Plan)]| list.iter().map(|(name, _)| name.clone()).collect();
        match found.as_slice() {
            [(_, plan)] => Ok(plan.clone()),
            [] => Err(NoPlan::Unknown {
                said: said.to_owned(),
                known: files.into_iter().map(|(name, _)| name).collect(),
            }),
            several => Err(NoPlan::Several { said: said.to_owned(), known: names(several) }),
        }
    }

    fn parse(&self, name: &str, text: &str) -> Result<Plan, NoPlan> {
        (self.read)(&file_name(name), text)
            .map_err(|problems| NoPlan::Unreadable { name: file_name(name), problems })
    }

    /// Every plan by its name, and remembers the names.
    fn files(&self) -> Vec<(String, String)> {
        let mut files = self.directory.as_deref().map(read_folder).unwrap_or_default();
        for (name, text) in &self.embedded {
            if !files.iter().any(|(known, _)| known == name) {
                files.push((name.clone(), text.clone()));
            }
        }
        files.sort();
        let names = files.iter().map(|(name, _)| name.clone()).collect();
        *self.seen.write().expect("never held in a panic") = names;
        files
    }
}

fn file_name(name: &str) -> String {
    format!("{name}.toml")
}

fn read_folder(folder: &Path) -> Vec<(String, String)> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let plan = |path: PathBuf| {
        let toml = path.extension().is_some_and(|ending| ending == "toml");
        let name = path.file_stem().filter(|_| toml)?.to_str()?.to_owned();
        Some((name, std::fs::read_to_string(&path).ok()?))
    };
    entries.filter_map(|entry| plan(entry.ok()?.path())).collect()
}
