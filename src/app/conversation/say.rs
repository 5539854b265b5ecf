//! The answers' words: templates in `messages/`, named `answer-*.md`.

use serde::Serialize;

use super::find::Unclear;
use super::prefix::OURS;
use super::shelf::NoPlan;
use super::turn::Stop;
use crate::app::grammar::{self, Guide, Paper, Wrong};
use crate::app::markup;
use crate::app::messages::Messages;
use crate::domain::flag;
use crate::domain::plan::RollbackPlan;
use crate::domain::policy::Policy;
use crate::domain::registry::{self, Record};
use crate::domain::report::step_name;
use crate::domain::rollout::how_it_ended;
use crate::domain::state::{Release, RunRecord};
use crate::domain::time::span;
use crate::domain::words;
use crate::ports::{Block, Button, File, Form, Message, Reply, Style, Tone};

#[derive(Clone, Copy)]
pub(super) struct Words<'a>(pub &'a Messages);

#[derive(Serialize)]
struct WrongLine<'a> {
    what: &'a str,
    example: Option<String>,
}

#[derive(Serialize)]
struct Confirm<'a> {
    name: String,
    from: &'a str,
    to: &'a str,
    stale: bool,
    steps: Vec<&'a str>,
    /// What is switched off by itself.
    kills: Vec<&'a str>,
    flags: Vec<&'a str>,
    takes: Option<String>,
    rto: String,
    running: bool,
    database: Option<&'a str>,
    constraints: &'a [String],
}

#[derive(Serialize)]
struct ConfirmKill<'a> {
    flag: &'a str,
    provider: &'a str,
    purpose: &'a str,
    share: Option<String>,
    title: Option<String>,
}

#[derive(Serialize)]
struct ConfirmRetry<'a> {
    stale: bool,
    step: &'a str,
    why: String,
    attempt: u32,
    action: &'a str,
    version: &'a str,
}

impl Words<'_> {
    pub(super) fn blocks(self, name: &str, context: &impl Serialize) -> Vec<Block> {
        markup::parse(&self.0.render(name, context))
    }

    pub(super) fn message(self, tone: Tone, name: &str, context: &impl Serialize) -> Message {
        Message { tone, body: self.blocks(name, context), ..Message::default() }
    }

    /// What is not right, and a line that would be.
    pub(super) fn wrong(self, what: &str, example: Option<&str>) -> Message {
        let prefixed = |example: &str| match example.starts_with('/') {
            true => example.to_owned(),
            false => format!("{OURS} {example}"),
        };
        let line = WrongLine { what, example: example.map(prefixed) };
        self.message(Tone::Warning, "answer-wrong.md", &line)
    }

    pub(super) fn unclear(self, unclear: &Unclear, offered: Vec<Button>) -> Message {
        let (name, said) = match unclear {
            Unclear::Unknown { said, .. } => ("answer-unknown-release.md", said.as_str()),
            Unclear::Several(_) => ("answer-which-release.md", ""),
            Unclear::NoneAtAll => ("answer-no-release.md", ""),
        };
        #[derive(Serialize)]
        struct Said<'a> {
            said: &'a str,
            known: usize,
        }
        let context = Said { said, known: offered.len() };
        let mut message = self.message(Tone::Warning, name, &context);
        message.buttons = offered.into_iter().map(|button| vec![button]).collect();
        message
    }

    pub(super) fn plan_problems(self, name: &str, problems: &[String]) -> Message {
        #[derive(Serialize)]
        struct Problems<'a> {
            name: &'a str,
            problems: &'a [String],
        }
        self.message(Tone::Bad, "answer-plan-problems.md", &Problems { name, problems })
    }

    /// All verbs by what they are for, or one in depth.
    pub(super) fn help(self, verb: &str) -> Result<Message, Stop> {
        #[derive(Serialize)]
        struct Section {
            title: &'static str,
            verbs: Vec<Guide>,
        }
        #[derive(Serialize)]
        struct All {
            groups: Vec<Section>,
        }
        if verb.is_empty() {
            let groups = grammar::groups().iter().map(|group| Section {
                title: group.title,
                verbs: group.verbs.iter().filter_map(|verb| Guide::of(verb)).collect(),
            });
            let all = All { groups: groups.collect() };
            return Ok(self.message(Tone::Plain, "answer-help.md", &all));
        }
        let verb = verb.to_lowercase();
        match Guide::of(verb.trim_start_matches('/')) {
            Some(guide) => Ok(self.message(Tone::Plain, "answer-help-verb.md", &guide)),
            None => {
                let wrong = grammar::parse(&verb).err().unwrap_or(Wrong::Nothing);
                Err(Box::new(Reply::Private(super::turn::misunderstood(self, &wrong))))
            }
        }
    }

    /// A document as a message: a long one begins there, and is a file as a whole.
    pub(super) fn document(
        self,
        (mut body, file): (Vec<Block>, Option<File>),
        version: &str,
        paper: Paper,
    ) -> Message {
        #[derive(Serialize)]
        struct Cut {
            file: String,
            command: String,
        }
        if let Some(file) = &file {
            let command = format!("tminus document {} {version}", paper.name());
            body.extend(self.blocks("answer-cut.md", &Cut { file: file.name.clone(), command }));
        }
        Message { body, files: file.into_iter().collect(), ..Message::default() }
    }

    /// What a rollback will do, in full, before it does.
    pub(super) fn confirm(
        self,
        release: &Release,
        plan: &RollbackPlan,
        stale: bool,
        command: String,
        policy: &Policy,
    ) -> Form {
        let head = &release.plan.release;
        let kills = flag::to_kill(&release.plan, policy);
        let kills: Vec<_> = kills
            .filter(|(_, flag, _)| flag::may_be_open(release, flag))
            .map(|(_, flag, _)| flag.name.as_str())
            .collect();
        let others = release.plan.flags.iter().map(|flag| flag.name.as_str());
        let others = others.filter(|name| !kills.contains(name)).collect();
        let confirm = Confirm {
            name: format!("{} {}", release.plan.name(), head.environment),
            from: &head.version,
            to: &plan.to,
            stale,
            steps: flag::steps_back(plan).iter().map(|step| step.name.as_str()).collect(),
            kills,
            flags: others,
            takes: plan.full.or(plan.traffic_back).map(|takes| span(takes.duration())),
            rto: span(plan.rto.duration()),
            running: release.running().next().is_some(),
            database: plan.database.as_deref(),
            constraints: &plan.constraints,
        };
        Form {
            title: format!("Roll back {}", release.title()),
            text: self.blocks("answer-confirm-rollback.md", &confirm),
            command,
            fields: Vec::new(),
            submit: format!("Roll back to {}", plan.to),
            style: Style::Danger,
        }
    }

    /// What switching a flag off will do, before it does.
    pub(super) fn confirm_kill(
        self,
        record: &Record,
        governing: Option<&Release>,
        command: String,
    ) -> Form {
        let confirm = ConfirmKill {
            flag: &record.name,
            provider: record.provider.as_deref().unwrap_or_default(),
            purpose: &record.purpose,
            share: record.share.as_ref().map(|share| registry::share_text(share.percent)),
            title: governing.filter(|release| release.held.is_none()).map(Release::title),
        };
        Form {
            title: format!("Switch off {}", record.name),
            text: self.blocks("answer-confirm-kill.md", &confirm),
            command,
            fields: Vec::new(),
            submit: "Kill flag".into(),
            style: Style::Danger,
        }
    }

    /// What running a step again would mean that may have run already.
    pub(super) fn confirm_retry(
        self,
        release: &Release,
        run: &RunRecord,
        stale: bool,
        command: String,
    ) -> Form {
        let step = step_name(release, &run.step);
        let confirm = ConfirmRetry {
            stale,
            step: &step,
            why: how_it_ended(run),
            attempt: run.attempt,
            action: run.action.as_str(),
            version: &release.plan.release.version,
        };
        Form {
            title: format!("Run {step} again"),
            text: self.blocks("answer-confirm-retry.md", &confirm),
            command,
            fields: Vec::new(),
            submit: "Run it again".into(),
            style: Style::Danger,
        }
    }
}

/// Why a plan was not found, as a sentence.
pub(super) fn no_plan(why: &NoPlan) -> String {
    let names = |known: &[String]| {
        let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
        words::or(&known)
    };
    match why {
        NoPlan::Unknown { said, known } if known.is_empty() => {
            format!(
                "I don't know the plan `{}`, and there are no plan files.",
                words::excerpt(said)
            )
        }
        NoPlan::Unknown { said, known } => {
            format!("I don't know the plan `{}`. Say {}.", words::excerpt(said), names(known))
        }
        NoPlan::Several { said, known } => {
            format!("`{said}` fits several plans. Say {}.", names(known))
        }
        NoPlan::Unreadable { name, .. } => format!("The plan `{name}` cannot be read."),
    }
}
