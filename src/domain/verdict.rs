//! Go or no-go: computed, never typed. Go only if every seat said go, the checklist is green and no
//! automatic no-go applies.

use serde::{Deserialize, Serialize};

use super::checklist;
use super::command::Vote;
use super::ids::{ItemId, PersonId, Role};
use super::plan::{EvidenceKind, Finding};
use super::policy::Policy;
use super::state::Release;

/// One thing that stands between a release and go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum Reason {
    /// Silence is no-go.
    Silent {
        role: Role,
    },
    SaidNoGo {
        role: Role,
        by: PersonId,
        why: String,
    },
    /// Whoever asked for the release cannot be its only approver.
    OnlyTheRequester {
        by: PersonId,
    },
    ItemOpen {
        item: ItemId,
        section: String,
        name: String,
        owner: Option<PersonId>,
    },
    ItemFailed {
        item: ItemId,
        section: String,
        name: String,
        owner: Option<PersonId>,
    },
    EvidenceFailed {
        kind: EvidenceKind,
        note: Option<String>,
    },
    EvidenceMissing {
        kind: EvidenceKind,
    },
    /// Nothing starts in a freeze.
    Frozen {
        until: super::time::Time,
        why: String,
    },
}

impl Reason {
    /// The word by which `override` names it.
    pub fn obstacle(&self) -> String {
        match self {
            Self::Silent { role } | Self::SaidNoGo { role, .. } => format!("seat:{role}"),
            Self::OnlyTheRequester { .. } => "seat:requester".into(),
            Self::ItemOpen { item, .. } | Self::ItemFailed { item, .. } => format!("item:{item}"),
            Self::EvidenceFailed { kind, .. } | Self::EvidenceMissing { kind } => {
                format!("evidence:{}", kind.name())
            }
            Self::Frozen { .. } => "freeze".into(),
        }
    }
}

/// Why it is not go; empty means go.
pub fn reasons(release: &Release, policy: &Policy) -> Vec<Reason> {
    let mut reasons = silent_or_against(release);
    reasons.extend(only_the_requester(release));
    reasons.extend(open_items(release));
    reasons.extend(findings(release, policy));
    if let Some((until, why)) = &release.frozen {
        reasons.push(Reason::Frozen { until: *until, why: why.clone() });
    }
    // Looked at after each event of a release that waits: rarely is there anything to name.
    if !release.overrides.is_empty() {
        reasons.retain(|reason| !release.is_overridden(&reason.obstacle()));
    }
    reasons
}

fn silent_or_against(release: &Release) -> Vec<Reason> {
    let of_seat = |seat: &super::state::Seat| {
        let role = seat.role.clone();
        match seat.vote(release.poll_revision) {
            None => Some(Reason::Silent { role }),
            Some(ballot) => match &ballot.vote {
                Vote::Go => None,
                Vote::NoGo { reason } => {
                    Some(Reason::SaidNoGo { role, by: ballot.by.clone(), why: reason.clone() })
                }
            },
        }
    };
    release.seats.iter().filter_map(of_seat).collect()
}

fn only_the_requester(release: &Release) -> Option<Reason> {
    let requester = release.requester.as_ref()?;
    let mut voters =
        release.seats.iter().filter_map(|seat| seat.vote(release.poll_revision)).map(|b| &b.by);
    let first = voters.next()?;
    let alone = first == requester && voters.all(|voter| voter == requester);
    alone.then(|| Reason::OnlyTheRequester { by: requester.clone() })
}

fn open_items(release: &Release) -> impl Iterator<Item = Reason> {
    checklist::missing(&release.items).map(|item| {
        let (id, section) = (item.id.clone(), item.section_title.clone());
        let (name, owner) = (item.name.clone(), item.owner.clone());
        match item.state {
            checklist::ItemState::Failed { .. } => {
                Reason::ItemFailed { item: id, section, name, owner }
            }
            checklist::ItemState::Open
            | checklist::ItemState::Passed { .. }
            | checklist::ItemState::Waived { .. } => {
                Reason::ItemOpen { item: id, section, name, owner }
            }
        }
    })
}

/// A failed finding is no-go whether or not an item of the checklist asks for it.
fn findings(release: &Release, policy: &Policy) -> impl Iterator<Item = Reason> {
    EvidenceKind::ALL.into_iter().filter_map(|kind| match release.evidence.get(&kind) {
        Some(found) if found.report.result == Finding::Fail => {
            Some(Reason::EvidenceFailed { kind, note: found.report.note.clone() })
        }
        Some(_) => None,
        None => policy
            .rules
            .required_evidence
            .contains(&kind)
            .then_some(Reason::EvidenceMissing { kind }),
    })
}
