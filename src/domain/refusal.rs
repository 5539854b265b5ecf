//! Why a request was turned down: a sentence for the person who asked, kept in the log. It says
//! what was wrong and what would be right.

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    #[error(
        "I don't know the account `{account}`. Ask the operator to link it to a person in the \
         configuration, under [people]."
    )]
    UnknownAccount { account: String },
    #[error("Guests cannot act on releases. Ask a member of the team.")]
    Guest,
    #[error(
        "Your account is deactivated, so I take nothing from it. If you are still on the team, ask \
         an administrator to activate it again."
    )]
    Gone,
    #[error(
        "{platform} did not tell me who you are, so I took nothing from you. Try again in a minute. \
         Whom the configuration names can hold and roll back meanwhile."
    )]
    NotSure { platform: String },
    #[error(
        "This release lives on several platforms, and I know you on one only. Ask the operator to \
         link `{account}` to a person in the configuration, under [people]."
    )]
    NotLinked { account: String },
    #[error("You may not {deed}: that is for {roles}.")]
    NotYours { deed: String, roles: String },
    #[error("A machine cannot do this: it takes a person.")]
    NotForMachines,
    #[error("I don't know the release {release}. `list` shows the ones I know.")]
    UnknownRelease { release: String },
    #[error("{what} is not in the plan or the policy. {hint}")]
    UnknownName { what: String, hint: String },

    // Scheduling.
    #[error("This plan cannot be scheduled: {}", problems.join(" "))]
    PlanRefused { problems: Vec<String> },
    #[error("{time} is in the past. Give a time that lies ahead.")]
    InThePast { time: String },
    #[error("{release} is already open ({phase}). Reschedule or scrub it instead.")]
    AlreadyOpen { release: String, phase: String },
    #[error("{version} is already live on {target}.")]
    AlreadyLive { version: String, target: String },
    #[error("{target} is frozen until {until}: {reason}. {hint}")]
    Frozen { target: String, until: String, reason: String, hint: String },
    #[error("{version} is locked on {target}: {reason}. {hint}")]
    Locked { version: String, target: String, reason: String, hint: String },

    // Phases.
    #[error(
        "{release} ended on {ended} and is filed away: it can be read, but not changed any more. \
         Schedule a new release instead."
    )]
    Filed { release: String, ended: String },
    #[error("{release} is {phase}. {hint}")]
    WrongPhase { release: String, phase: String, hint: String },
    #[error("{release} is on hold: {reason}. {hint}")]
    OnHold { release: String, reason: String, hint: String },
    #[error("{release} is not on hold.")]
    NotOnHold { release: String },
    #[error("That button is out of date: {was}. {hint}")]
    Stale { was: String, hint: String },

    // The poll.
    #[error("You can't sign for {role}: that seat belongs to {members}.{yours}")]
    NotYourSeat { role: String, members: String, yours: String },
    #[error("You hold no seat in this poll. Its seats: {seats}.")]
    NoSeat { seats: String },
    #[error(
        "You hold several seats here: {seats}. Say which one, for example `go --as {example}`."
    )]
    WhichSeat { seats: String, example: String },
    #[error("You have signed for {role} already, and a person signs for one role per release.")]
    OneSeat { role: String },
    #[error(
        "{item} is settled by evidence. {how} Or say how you know: `checklist pass --item {id} \
         --reason \"…\"` or `--link`."
    )]
    NeedsEvidence { item: String, id: String, how: String },
    #[error("{link} is not a link. Give one that begins with https:// or http://.")]
    NotALink { link: String },
    #[error("{item} is looked at after the deploy; it cannot be ticked before.")]
    TooEarlyToTick { item: String },
    #[error("A no-go needs its reason, so that somebody can do something about it.")]
    NeedsReason,

    // Start.
    #[error("It is not go yet: {}", reasons.join(" "))]
    NotGo { reasons: Vec<String> },
    #[error(
        "T-0 is at {at}. To start earlier, reschedule: a move of up to {keeps} keeps the votes."
    )]
    TooEarly { at: String, keeps: String },
    #[error("The time to start ended at {until}. Reschedule it, or scrub it.")]
    TooLate { until: String },
    #[error("{other} is {phase} on {target}. One at a time: wait until it has settled.")]
    TargetBusy { other: String, phase: String, target: String },

    // The rollout.
    #[error(
        "It soaks until {until}; what is watched needs that time. Hold or roll back at any time."
    )]
    StillSoaking { until: String },
    #[error("The rollout does not go on: {why}. {hint}")]
    NotGreen { why: String, hint: String },
    #[error("{step} runs since {since}. Wait for it, hold, or roll back.")]
    StillRunning { step: String, since: String },
    #[error(
        "{step} {why}. Say `retry`, or `outcome worked` if you know that it did, or roll back."
    )]
    Unsettled { step: String, why: String },
    #[error("Nothing here waits for that. {hint}")]
    NothingToDo { hint: String },
    #[error("The action {action} cannot be run from chat: the operator has not allowed it.")]
    ActionNotForChat { action: String },
    #[error("Several providers keep a flag {flag}. Say which: {known}.")]
    WhichFlag { flag: String, known: String },
    #[error("{provider} cannot open {flag} for {share} %. {right}")]
    BadShare { flag: String, provider: String, share: String, right: String },
    #[error(
        "Nobody here can reach the flag {flag}. Add who keeps it to the configuration: {section}."
    )]
    NobodyKeeps { flag: String, section: String },
    #[error("The argument {name} of {action} {wrong} {right}")]
    BadArgument { action: String, name: String, wrong: String, right: String },
    #[error("Nothing was deployed yet, so there is nothing to roll back. To call it off: `scrub`.")]
    NothingToRollBack,
    #[error("{newer} is live on {target} by now. Roll that one back first.")]
    NewerIsLive { newer: String, target: String },
    #[error("{text} is longer than {limit} characters. Say it shorter, or link to it.")]
    TooLong { text: String, limit: usize },
    #[error(
        "I was away when you asked for `{said}`. Look where things stand now (`status`), and ask \
         again if you still mean it."
    )]
    CameTooLate { said: String },
    #[error(
        "The id {id} was used for another request already, and nothing changed. Send this one \
         under an id of its own."
    )]
    IdTaken { id: String },
}
