//! Stub until merged.
use super::plan::Plan;
use super::policy::Policy;
use super::state::Start;
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts {
    pub overlapping: Vec<String>,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Refuse,
    Warn,
    Hint,
}
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    pub severity: Severity,
    pub what: String,
    pub mend: String,
}
pub fn lint(_: &Plan, _: &Policy, _: Option<&Start>, _: &Facts) -> Vec<Finding> {
    Vec::new()
}
