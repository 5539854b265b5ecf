//! Plans: one TOML file each, in a directory that the configuration names.

use std::fs;
use std::path::Path;

use super::document::Document;
use super::problem::Problem;
use crate::domain::plan::Plan;

/// A plan from which releases can be scheduled.
#[derive(Debug, Clone, PartialEq)]
pub struct PlanFile {
    /// What people call it: the file's name without its ending.
    pub name: String,
    pub file: String,
    pub text: String,
    pub plan: Plan,
}

/// The plan in a text; `file` is only what its problems are told under.
pub fn read_plan(text: &str, file: &str) -> Result<Plan, Vec<Problem>> {
    let mut document = Document::parse(text, file)?;
    match document.read() {
        (Some(plan), problems) if problems.is_empty() => Ok(plan),
        (_, mut problems) => {
            problems.sort_by_key(|problem| (problem.line, problem.column));
            Err(problems)
        }
    }
}

/// The line of a key, as the findings of the lint name it (`stage[1].soak`), or of the nearest
/// thing above it that is there.
pub fn line_of(text: &str, key: &str) -> Option<usize> {
    Document::parse(text, "").ok()?.line_of(key)
}

/// All plans of a directory, by name. A directory that is not there has none.
pub(super) fn in_directory(directory: &Path) -> (Vec<PlanFile>, Vec<Problem>) {
    let (mut plans, mut problems) = (Vec::new(), Vec::new());
    let Ok(entries) = fs::read_dir(directory) else { return (plans, problems) };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut paths: Vec<_> =
        paths.filter(|path| path.extension() == Some("toml".as_ref())).collect();
    paths.sort();
    for path in paths {
        let file = path.display().to_string();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        match fs::read_to_string(&path) {
            Ok(text) => match plan_file(name, file, text) {
                Ok(plan) => plans.push(plan),
                Err(more) => problems.extend(more),
            },
            Err(why) => {
                let what = format!("I cannot read this plan: {why}");
                problems.push(Problem::of_file(&file, what, "make it readable UTF-8"));
            }
        }
    }
    (plans, problems)
}

pub(super) fn plan_file(
    name: String,
    file: String,
    text: String,
) -> Result<PlanFile, Vec<Problem>> {
    let plan = read_plan(&text, &file)?;
    Ok(PlanFile { name, file, text, plan })
}
