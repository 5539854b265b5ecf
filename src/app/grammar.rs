//! The one grammar, for every mouth: `/release <verb> …` in a chat, the command line, the API. The
//! types are the definition; help, completion and what platforms register are read back from them.

mod guide;
mod tokens;
mod wrong;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::LazyLock;

use clap::builder::PossibleValuesParser;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, FromArgMatches, Subcommand, ValueEnum};

pub use self::guide::{Group, Guide, examples, groups, specification};
pub use self::tokens::{line, text};
pub use self::wrong::{Wrong, nearest};
use crate::domain::plan::EvidenceKind;
pub use crate::ports::{Argument, Choose, CommandSpec, Type};

/// What can be said. The first line of each comment is its line in the help, the rest its depth;
/// `after_help` holds examples, a line each. RELEASE may be left out everywhere: then this room's release is
/// meant, else the only open one.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Verb {
    /// Put a release on the calendar
    ///
    /// A plan is called by its file, its version or its service. Without a time, the start that the
    /// plan names is taken. A time without a zone is in the plan's zone. The answer repeats the
    /// start in full, so that nobody is surprised.
    #[command(after_help = "schedule web-shop-v1.2.0 tue 10:00")]
    Schedule {
        /// A plan, by its file, version or service
        #[arg(value_name = "PLAN")]
        plan: Option<String>,
        /// The start: `2026-12-15 10:00 Europe/Berlin`, `tomorrow 10:00`, `in 3h`
        #[arg(value_name = "WHEN")]
        when: Vec<String>,
        /// The day of the start, where a calendar gives it: `2026-12-15`
        #[arg(long, value_name = "DAY")]
        on: Option<String>,
        /// The time of day of the start: `10:00`
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
        /// Another captain than the plan names
        #[arg(long, value_name = "PERSON")]
        captain: Option<String>,
        /// Another version than the plan names
        #[arg(long, value_name = "VERSION")]
        version: Option<String>,
        /// Another title than the plan names
        #[arg(long, value_name = "TITLE")]
        title: Option<String>,
        /// The digest of what is deployed; votes are bound to it
        #[arg(long, value_name = "DIGEST")]
        artifact: Option<String>,
    },
    /// Schedule a release with a form
    #[command(after_help = "new")]
    New,
    /// List the releases, the open ones first
    #[command(after_help = "list")]
    List,
    /// Say where a release stands, and what it waits for, on whom, since when
    #[command(after_help = "status v1.2.0")]
    Status {
        /// `v1.2.0`, `web-shop`, `web-shop v1.2.0`, or in full `web-shop/production/v1.2.0`
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
    },
    /// Show what happens next, and when
    ///
    /// Without a release: everything that is due, of all of them.
    #[command(after_help = "agenda v1.2.0")]
    Agenda {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
    },
    /// Move the start
    ///
    /// A small move keeps the votes and tells the voters; a larger one asks everybody again. Policy
    /// says how much is small: two hours, if it says nothing.
    #[command(after_help = "reschedule v1.2.0 tue 12:30 --reason \"hotline is short-staffed\"")]
    Reschedule {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
        /// The new start: `2026-12-15 10:00 Europe/Berlin`, `tomorrow 10:00`, `in 3h`
        #[arg(value_name = "WHEN")]
        when: Vec<String>,
        /// Why it moves
        #[arg(long, value_name = "REASON")]
        reason: Option<String>,
    },
    /// Call a release off before anything was deployed
    ///
    /// Once something is deployed, `rollback` takes it back instead.
    #[command(alias = "cancel", after_help = "scrub v1.2.0 the scanner found a leak")]
    Scrub {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
        /// Why
        #[arg(value_name = "REASON")]
        reason: Vec<String>,
    },
    /// Give a release another plan
    ///
    /// A change of scope, stages or artifact makes earlier votes stale, and asks again.
    #[command(after_help = "edit v1.2.0 web-shop-v1.2.0")]
    Edit {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
        /// The plan, by its file
        #[arg(value_name = "PLAN")]
        plan: Option<String>,
    },
    /// Show the checklist, or tick, fail, waive or reopen an item
    ///
    /// An item is named by any part of its name that fits it alone. To fail or to waive one takes a
    /// reason. An item with a limit, such as `LCP < 2.5 s`, is judged by --value, or passed with a
    /// --link to where it was measured.
    #[command(
        after_help = "checklist v1.2.0 pass rollback-rehearsed --link https://ci.example/7\n\
        checklist v1.2.0 pass page-weight --value 2.1\n\
        checklist v1.2.0 fail page-weight --reason \"a new font came in\"\n\
        checklist v1.2.0 waive page-weight --reason \"an internal page\"\n\
        checklist v1.2.0 reopen page-weight"
    )]
    Checklist {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
        /// What to do
        #[arg(value_name = "ACT", value_enum)]
        act: Option<Act>,
        /// The item
        #[arg(value_name = "ITEM")]
        item: Vec<String>,
        /// The item, too
        #[arg(long = "item", value_name = "ITEM", hide = true)]
        named: Option<String>,
        /// Why
        #[arg(long, value_name = "REASON")]
        reason: Option<String>,
        /// Where it can be seen
        #[arg(long, value_name = "URL")]
        link: Option<String>,
        /// The number that was measured
        #[arg(long, value_name = "NUMBER")]
        value: Option<String>,
    },
    /// Report what was found, as CI does
    ///
    /// A failed finding is no-go by itself, whoever has signed.
    #[command(after_help = "evidence v1.2.0 staging pass --link https://ci.example/812\n\
        evidence v1.2.0 security-scan pass-with-warnings --note \"two of low severity\"\n\
        evidence v1.2.0 tests fail --note \"checkout fails\"")]
    Evidence {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
        /// What was looked at
        #[arg(value_name = "KIND",
            value_parser = PossibleValuesParser::new(EvidenceKind::ALL.map(EvidenceKind::name)))]
        kind: Option<String>,
        /// What was found
        #[arg(value_name = "RESULT", value_enum)]
        result: Option<Found>,
        /// Where it can be seen
        #[arg(long, value_name = "URL")]
        link: Option<String>,
        /// A word about it
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// Report a number that stages are judged by, as CI does
    ///
    /// The configuration names it, as a query with `source = "ci"`. What is not reported, or too
    /// long ago, holds the stage.
    #[command(after_help = "metric v1.2.0 error-rate 0.31\n\
        metric v1.2.0 error-rate 0.31 --baseline 0.30\n\
        metric v1.2.0 p95 187 --of /checkout")]
    Metric {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
        /// What was measured
        #[arg(value_name = "QUERY")]
        query: Option<String>,
        /// The number
        #[arg(value_name = "NUMBER", allow_negative_numbers = true)]
        value: Option<String>,
        /// The same of the stable group
        #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
        baseline: Option<String>,
        /// Which one of several: an endpoint, for example
        #[arg(long, value_name = "LINE")]
        of: Option<String>,
    },
    /// Sign GO for your seat
    ///
    /// Only if you hold several seats you have to say which: `--as qa`. A vote can be changed until
    /// the start.
    #[command(after_help = "go v1.2.0 --as qa")]
    Go {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
        /// The seat
        #[arg(long = "as", value_name = "ROLE")]
        role: Option<String>,
        /// The poll that was shown
        #[arg(long, value_name = "N", hide = true)]
        revision: Option<u32>,
    },
    /// Sign NO-GO for your seat, with the reason
    #[command(alias = "nogo", after_help = "no-go v1.2.0 hotline is short-staffed until noon")]
    NoGo {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
        /// Why, so that somebody can do something about it
        #[arg(value_name = "REASON")]
        reason: Vec<String>,
        /// Why, too
        #[arg(long = "reason", value_name = "REASON", hide = true)]
        because: Option<String>,
        /// The seat
        #[arg(long = "as", value_name = "ROLE")]
        role: Option<String>,
        /// The poll that was shown
        #[arg(long, value_name = "N", hide = true)]
        revision: Option<u32>,
    },
    /// Show the roles: who is in them, and what they may do
    #[command(after_help = "roles")]
    Roles,
    /// Start the rollout, from T-0 on and only on GO
    ///
    /// I never start a deploy by myself: at T-0 I offer it, and a person says so.
    #[command(after_help = "start v1.2.0")]
    Start {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
        /// The plan that was shown
        #[arg(long, value_name = "N", hide = true)]
        revision: Option<u32>,
    },
    /// Post an update to the war room
    #[command(after_help = "update v1.2.0 cache is warm, errors flat")]
    Update {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
        /// What happened
        #[arg(value_name = "TEXT")]
        text: Vec<String>,
    },
    /// Go on to the next stage
    ///
    /// Or approve it, where the stage waits for several roles.
    #[command(after_help = "advance v1.2.0")]
    Advance {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
        /// The stage that was shown, counted from 1
        #[arg(long, value_name = "N", hide = true)]
        stage: Option<u32>,
    },
    /// Stop the next step from beginning; anybody may
    ///
    /// What runs finishes. A false alarm costs minutes: hold first, look then.
    #[command(after_help = "hold v1.2.0 p95 doubled on pod 2")]
    Hold {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
        /// Why
        #[arg(value_name = "REASON")]
        reason: Vec<String>,
    },
    /// Lift the hold
    #[command(after_help = "resume v1.2.0")]
    Resume {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
    },
    /// Declare red what no metric shows: wrong data, a hole, a wave of complaints
    ///
    /// As if the numbers had been red for their time: it is rolled back by itself where the plan
    /// says so, and on-call is asked otherwise.
    #[command(after_help = "red v1.2.0 orders are written twice")]
    Red {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
        /// Why
        #[arg(value_name = "REASON")]
        reason: Vec<String>,
    },
    /// Go back to the share of the stage before, and wait there
    ///
    /// Only where a stage sets a share: canary, blue-green and feature-flag.
    #[command(after_help = "step-back v1.2.0")]
    StepBack {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
    },
    /// Run the step that failed once more
    ///
    /// Where nobody can tell how it ended, it may have run already: that is asked about first.
    #[command(after_help = "retry v1.2.0")]
    Retry {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
        /// The run that was shown
        #[arg(long, value_name = "RUN", hide = true)]
        run: Option<String>,
        /// The attempt that may have worked, and is repeated nevertheless
        #[arg(long, value_name = "ATTEMPT", hide = true)]
        despite: Option<u32>,
    },
    /// Say how a step ended that failed, or that nobody could tell
    #[command(after_help = "outcome v1.2.0 worked pod 2 answers with v1.2.0")]
    Outcome {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
        /// How it ended
        #[arg(value_name = "ENDED", value_enum)]
        ended: Option<Ended>,
        /// How you know
        #[arg(value_name = "REASON")]
        reason: Vec<String>,
        /// The run that was shown
        #[arg(long, value_name = "RUN", hide = true)]
        run: Option<String>,
    },
    /// Run the smoke tests once more
    #[command(after_help = "verify v1.2.0")]
    Verify {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
    },
    /// Close a release that is rolled out, before its watch ends
    #[command(after_help = "complete v1.2.0")]
    Complete {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
    },
    /// Go back to the last good version; asks once, with every step
    ///
    /// Works from every stage, while it is watched, and afterwards until a newer version is live.
    /// It stops what runs first. With --dry-run it proves the mechanism and changes nothing.
    #[command(
        after_help = "rollback v1.2.0 --reason \"checkout fails\"\nrollback v1.2.0 --dry-run"
    )]
    Rollback {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
        /// Prove that it would work, and change nothing
        #[arg(long)]
        dry_run: bool,
        /// Why
        #[arg(long, value_name = "REASON")]
        reason: Option<String>,
        /// From which version, as it was shown
        #[arg(long, value_name = "VERSION", hide = true)]
        from: Option<String>,
        /// To which version, as it was shown
        #[arg(long, value_name = "VERSION", hide = true)]
        to: Option<String>,
        /// It was asked for twice
        #[arg(long, hide = true)]
        confirmed: bool,
    },
    /// Keep a version from being deployed
    #[command(after_help = "lock v1.2.0 corrupts carts, see WEB-460")]
    Lock {
        /// The version
        #[arg(value_name = "VERSION")]
        version: Option<String>,
        /// Why
        #[arg(value_name = "REASON")]
        reason: Vec<String>,
        /// Where: `service/environment`
        #[arg(long, value_name = "TARGET")]
        target: Option<String>,
    },
    /// Let a locked version be deployed again
    ///
    /// A version that was rolled back is locked until somebody says why it is safe now.
    #[command(after_help = "unlock v1.2.0 WEB-460 is mended and tested")]
    Unlock {
        /// The version
        #[arg(value_name = "VERSION")]
        version: Option<String>,
        /// Why it is safe now
        #[arg(value_name = "REASON")]
        reason: Vec<String>,
        /// Where: `service/environment`
        #[arg(long, value_name = "TARGET")]
        target: Option<String>,
    },
    /// List, add or lift freezes, in which nothing starts
    #[command(after_help = "freeze list")]
    Freeze {
        #[command(subcommand)]
        freeze: Option<Freeze>,
    },
    /// List feature flags, look at one, open it, switch it off, or say that it is gone
    #[command(after_help = "flag list")]
    Flag {
        #[command(subcommand)]
        flag: Option<Flag>,
    },
    /// Overrule one thing that stands in the way, on the record
    ///
    /// Policy says who may. `status` names the obstacles: `seat:qa`, `item:…`, `evidence:staging`,
    /// `freeze`.
    #[command(after_help = "override v1.2.0 seat:support hotline agreed by phone")]
    Override {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
        /// What stands in the way
        #[arg(value_name = "OBSTACLE")]
        obstacle: Option<String>,
        /// Why
        #[arg(value_name = "REASON")]
        reason: Vec<String>,
    },
    /// Accept a risk of the plan, by name
    #[command(after_help = "accept v1.2.0 slow search --reason \"fixed next week\"")]
    Accept {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
        /// The risk
        #[arg(value_name = "RISK")]
        risk: Vec<String>,
        /// Why
        #[arg(long, value_name = "REASON")]
        reason: Option<String>,
    },
    /// Make somebody else the captain
    #[command(after_help = "handover v1.2.0 john")]
    Handover {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
        /// The new captain
        #[arg(value_name = "PERSON")]
        person: Option<String>,
    },
    /// Keep the war room open
    #[command(after_help = "keep v1.2.0")]
    Keep {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
    },
    /// Tell everybody who hears of this release; `preview` shows what is still to be sent
    ///
    /// `announce v1.2.0 preview` sends nothing: it shows each announcement that is still ahead, when
    /// it goes out, to whom, and how it would read if it went out now.
    #[command(after_help = "announce v1.2.0 search is slower for an hour\nannounce v1.2.0 preview")]
    Announce {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
        /// What to tell
        #[arg(value_name = "TEXT")]
        text: Vec<String>,
    },
    /// Run an action that the operator allows from chat
    #[command(after_help = "run v1.2.0 health\nrun v1.2.0 restart pod=2")]
    Run {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
        /// The action
        #[arg(value_name = "ACTION")]
        action: Option<String>,
        /// Its arguments: `pod=2`
        #[arg(value_name = "NAME=VALUE")]
        with: Vec<String>,
    },
    /// Show who is on call
    #[command(after_help = "oncall")]
    Oncall,
    /// Show the release notes
    #[command(after_help = "notes v1.2.0 --technical")]
    Notes {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
        /// The ones for engineers
        #[arg(long)]
        technical: bool,
    },
    /// Show the plan as a document
    #[command(after_help = "plan v1.2.0")]
    Plan {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
    },
    /// Show how it went
    #[command(after_help = "report v1.2.0")]
    Report {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
    },
    /// Show the last entries of the log
    #[command(after_help = "audit v1.2.0 --last 20")]
    Audit {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
        /// How many
        #[arg(long, value_name = "N")]
        last: Option<u32>,
    },
    /// Show a document: plan, checklist, rollback, notes, report
    #[command(after_help = "document v1.2.0 rollback")]
    Document {
        /// The release
        #[arg(value_name = "RELEASE")]
        release: Option<String>,
        /// Which
        #[arg(value_name = "KIND", value_enum)]
        kind: Option<Paper>,
    },
    /// Explain all verbs, or one in depth
    #[command(after_help = "help rollback")]
    Help {
        /// The verb
        #[arg(value_name = "VERB")]
        verb: Vec<String>,
    },
}

/// What to do with the freezes.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Freeze {
    /// List the freezes
    #[command(after_help = "freeze list")]
    List,
    /// Keep everything from starting for a while
    #[command(after_help = "freeze add \"fri 18:00\" \"mon 08:00\" weekend --service web-shop")]
    Add {
        /// When it begins, in quotes
        #[arg(value_name = "FROM")]
        from: Option<String>,
        /// When it ends, in quotes
        #[arg(value_name = "UNTIL")]
        until: Option<String>,
        /// Why
        #[arg(value_name = "REASON")]
        reason: Vec<String>,
        /// Only this service
        #[arg(long, value_name = "SERVICE")]
        service: Option<String>,
        /// Only this environment
        #[arg(long, value_name = "ENVIRONMENT")]
        environment: Option<String>,
    },
    /// End a freeze early
    #[command(after_help = "freeze lift freeze-1 the fix cannot wait")]
    Lift {
        /// The freeze
        #[arg(value_name = "FREEZE")]
        id: Option<String>,
        /// Why
        #[arg(value_name = "REASON")]
        reason: Vec<String>,
    },
}

/// What to do with the feature flags.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Flag {
    /// List the flags of all releases: how far each is open, whose it is, when it expires
    #[command(after_help = "flag list")]
    List,
    /// Show all that is known of a flag
    #[command(after_help = "flag show new_dashboard")]
    Show {
        /// The flag
        #[arg(value_name = "FLAG")]
        name: Option<String>,
    },
    /// Open a flag for a share of everybody
    ///
    /// For its owner and for the captain. While a release opens it stage by stage, its plan says how
    /// far: `advance` and `step-back` move it. To set another share, `hold` the release first.
    #[command(after_help = "flag set new_dashboard 25%")]
    Set {
        /// The flag
        #[arg(value_name = "FLAG")]
        name: Option<String>,
        /// The share in percent: `25%`
        #[arg(value_name = "SHARE")]
        share: Vec<String>,
    },
    /// Switch a flag off for everybody; asks once
    ///
    /// For its owner, the captain, whoever is on call and whoever may roll back. A release that is
    /// opening it is put on hold. Its provider has it in moments; its clients follow within their
    /// own poll interval.
    #[command(after_help = "flag kill new_dashboard")]
    Kill {
        /// The flag
        #[arg(value_name = "FLAG")]
        name: Option<String>,
        /// It was asked for twice
        #[arg(long, hide = true)]
        confirmed: bool,
    },
    /// Say that a flag is gone from the code; until then its owner is reminded
    #[command(after_help = "flag clean new_dashboard")]
    Clean {
        /// The flag
        #[arg(value_name = "FLAG")]
        name: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Act {
    Show,
    Pass,
    Fail,
    Waive,
    Reopen,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Found {
    Pass,
    PassWithWarnings,
    Fail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Ended {
    Worked,
    Failed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Paper {
    Plan,
    Checklist,
    Rollback,
    Notes,
    TechnicalNotes,
    Report,
}

impl Paper {
    /// As one types it, and what its file is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Checklist => "checklist",
            Self::Rollback => "rollback",
            Self::Notes => "notes",
            Self::TechnicalNotes => "technical-notes",
            Self::Report => "report",
        }
    }
}

/// The grammar as clap knows it; `release` stands for whatever is typed before the verb.
pub fn command() -> &'static clap::Command {
    static COMMAND: LazyLock<clap::Command> = LazyLock::new(|| {
        let plain = |sub: clap::Command| {
            let subs: Vec<String> =
                sub.get_subcommands().map(|inner| inner.get_name().to_owned()).collect();
            let sub = sub.disable_help_flag(true).disable_help_subcommand(true);
            subs.into_iter().fold(sub, |sub, inner| {
                sub.mut_subcommand(inner, |inner| inner.disable_help_flag(true))
            })
        };
        let command = Verb::augment_subcommands(clap::Command::new("release"))
            .no_binary_name(true)
            .disable_help_flag(true)
            .disable_help_subcommand(true)
            .subcommand_required(true)
            .mut_subcommands(plain);
        let mut command = command;
        command.build();
        command
    });
    &COMMAND
}

/// Reads what was typed after `/release`. A first word is taken for a release if it looks like one.
pub fn parse(line: &str) -> Result<Verb, Wrong> {
    Ok(read(line, &looks_like_a_release)?.verb)
}

/// A verb, and the words that say it in full.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    pub verb: Verb,
    pub words: Vec<String>,
}

/// Reads what was typed, where `is_release` tells a release from the first word of a text.
pub fn read(line: &str, is_release: &dyn Fn(&str) -> bool) -> Result<Said, Wrong> {
    let mut words = tokens::split(line);
    if words.first().is_some_and(|word| word == "/release" || word == "release") {
        words.remove(0);
    }
    let spec = find_verb(&mut words)?;
    let help = |word: &String| word == "--help" || word == "-h";
    if words[1..].iter().any(help) {
        words = vec!["help".into(), words[0].clone()];
    } else {
        words = tokens::arrange(&words, spec, is_release)?;
    }
    let matches = matches(&words)?;
    let verb = Verb::from_arg_matches(&matches).map_err(|why| Wrong::of_clap(&words, &why))?;
    Ok(Said { verb, words })
}

/// Puts the answers of a form, or what somebody chose, into a line. Names are those of the fields.
pub fn fill(words: &[String], fields: &BTreeMap<String, String>) -> Result<Vec<String>, Wrong> {
    let matches = matches(words)?;
    Ok(written(command(), &matches, fields))
}

/// The words that say what clap understood.
pub fn say(matches: &ArgMatches) -> Vec<String> {
    written(command(), matches, &BTreeMap::new())
}

/// A line by the names of what is given in it, for platforms on which nothing has a place: the
/// verb, and each argument with its value.
pub fn named(line: &str) -> Option<(String, Vec<(String, String)>)> {
    let said = read(line, &looks_like_a_release).ok()?;
    let whole = matches(&said.words).ok()?;
    let (mut name, mut inner) = whole.subcommand()?;
    let mut spec = command().find_subcommand(name)?;
    let mut verb = name.to_owned();
    while let Some(next) = inner.subcommand() {
        (name, inner) = next;
        spec = spec.find_subcommand(name)?;
        verb = format!("{verb} {name}");
    }
    let given = spec.get_arguments().filter_map(|arg| {
        let value = match takes_value(arg) {
            true => values_of(arg, inner).join(" "),
            false => option(arg, inner, None).first().map(|_| "True".to_owned())?,
        };
        (!value.is_empty()).then(|| (name_of(arg).to_owned(), value))
    });
    Some((verb, given.collect()))
}

/// The name of an argument in a form.
fn name_of(arg: &Arg) -> &str {
    arg.get_long().unwrap_or(arg.get_id().as_str())
}

fn written(
    command: &clap::Command,
    matches: &ArgMatches,
    fields: &BTreeMap<String, String>,
) -> Vec<String> {
    let Some((name, inner)) = matches.subcommand() else { return Vec::new() };
    let spec = command.find_subcommand(name).expect("clap found it there");
    let mut words = vec![name.to_owned()];
    if inner.subcommand_name().is_some() {
        words.extend(written(spec, inner, fields));
        return words;
    }
    for arg in spec.get_arguments().filter(|arg| !arg.is_positional()) {
        // A hidden twin, such as `--reason` where the reason is the rest of the line.
        let twin =
            spec.get_positionals().any(|place| arg.get_long() == Some(place.get_id().as_str()));
        let filled = fields.get(name_of(arg)).filter(|_| !twin);
        words.extend(option(arg, inner, filled));
    }
    let places = places(spec, inner, fields);
    // What begins with a dash would be taken for an option.
    if places.iter().any(|word| word.starts_with('-')) {
        words.push("--".into());
    }
    words.extend(places);
    words
}

/// What has a place, with an empty word where something is left out before something else.
fn places(
    spec: &clap::Command,
    matches: &ArgMatches,
    fields: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut places = Vec::new();
    for arg in spec.get_positionals() {
        let values = match fields.get(arg.get_id().as_str()).map(|value| value.trim()) {
            Some(value) if arg.get_value_names() == Some(&["NAME=VALUE".into()]) => {
                tokens::split(value)
            }
            Some(value) => vec![value.to_owned()],
            None => values_of(arg, matches),
        };
        places.push(if values.is_empty() { vec![String::new()] } else { values });
    }
    while places.last().is_some_and(|values| values.iter().all(String::is_empty)) {
        places.pop();
    }
    places.into_iter().flatten().collect()
}

fn option(arg: &Arg, matches: &ArgMatches, filled: Option<&String>) -> Vec<String> {
    let Some(long) = arg.get_long() else { return Vec::new() };
    let filled = filled.map(|value| value.trim().to_owned());
    if !arg.get_action().takes_values() {
        let set = match filled {
            Some(value) => value == "true",
            None => matches.try_get_one(arg.get_id().as_str()).ok().flatten() == Some(&true),
        };
        return if set { vec![format!("--{long}")] } else { Vec::new() };
    }
    let value = filled.or_else(|| values_of(arg, matches).pop()).filter(|value| !value.is_empty());
    value.map(|value| format!("--{long}={value}")).into_iter().collect()
}

fn values_of(arg: &Arg, matches: &ArgMatches) -> Vec<String> {
    let raw = matches.try_get_raw(arg.get_id().as_str()).ok().flatten();
    raw.into_iter().flatten().map(|word| word.to_string_lossy().into_owned()).collect()
}

fn matches(words: &[String]) -> Result<ArgMatches, Wrong> {
    thread_local! {
        // Copying the whole grammar costs far more than reading a line by it.
        static OWN: RefCell<clap::Command> = RefCell::new(command().clone());
    }
    // An empty word holds the place of an argument that was left out.
    let read = OWN.with_borrow_mut(|command| command.try_get_matches_from_mut(words));
    read.map_err(|why| match why.kind() == ErrorKind::MissingSubcommand {
        true => Wrong::Nothing,
        false => Wrong::of_clap(words, &why),
    })
}

/// The command of the first words, which may be two: `freeze add`.
fn innermost<'a>(spec: &'a clap::Command, words: &[String]) -> (&'a clap::Command, usize) {
    match words.get(1).and_then(|word| spec.find_subcommand(word.to_lowercase())) {
        Some(inner) => (inner, 2),
        None => (spec, 1),
    }
}

/// Finds the verb in the first word, and writes it there in full.
fn find_verb(words: &mut Vec<String>) -> Result<&'static clap::Command, Wrong> {
    let Some(first) = words.first() else { return Err(Wrong::Nothing) };
    let said = first.to_lowercase();
    let no_go = said == "no" && words.get(1).is_some_and(|next| next.eq_ignore_ascii_case("go"));
    if no_go {
        words.remove(1);
        words[0] = "no-go".into();
    }
    let said = if no_go { "no-go".to_owned() } else { said };
    match command().find_subcommand(&said) {
        Some(spec) => {
            words[0] = spec.get_name().to_owned();
            Ok(spec)
        }
        None => Err(Wrong::unknown_verb(&words[0])),
    }
}

/// `v1.2.0`, `1.2.0`, `web-shop/production/v1.2.0#1`.
pub fn looks_like_a_release(word: &str) -> bool {
    let version = |text: &str| {
        let marked = text.starts_with('v');
        let digits = text.trim_start_matches('v');
        let dots = text.matches('.').count();
        digits.starts_with(|c: char| c.is_ascii_digit())
            && crate::domain::ids::is_version(text)
            && (dots >= 2 || (marked && dots >= 1))
    };
    let parts: Vec<&str> = word.split('/').collect();
    match parts.as_slice() {
        _ if word.contains(' ') => false,
        [version_alone] => version(version_alone),
        [service, environment, last] => {
            let of_version = last.split('#').next().unwrap_or_default();
            crate::domain::ids::is_slug(service)
                && crate::domain::ids::is_slug(environment)
                && crate::domain::ids::is_version(of_version)
        }
        _ => false,
    }
}

fn takes_value(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::Set | ArgAction::Append)
}

#[cfg(test)]
mod tests;
