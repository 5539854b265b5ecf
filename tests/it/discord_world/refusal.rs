//! Discord's errors: their numbers, their words, and whether the bot is to blame.

use serde_json::{Value, json};

/// The number, the HTTP status, the words.
const WORDS: &[(u32, u16, &str)] = &[
    (10003, 404, "Unknown Channel"),
    (10004, 404, "Unknown Guild"),
    (10007, 404, "Unknown Member"),
    (10008, 404, "Unknown Message"),
    (10009, 404, "Unknown Permission Overwrite"),
    (10011, 404, "Unknown Role"),
    (10013, 404, "Unknown User"),
    (10015, 404, "Unknown Webhook"),
    (10062, 404, "Unknown interaction"),
    (10063, 404, "Unknown application command"),
    (20028, 429, "The write action you are performing on the channel has hit the write rate limit"),
    (30003, 400, "Maximum number of pins reached for the channel (250)"),
    (30013, 400, "Maximum number of guild channels reached (500)"),
    (30032, 400, "Maximum number of application commands reached (100)"),
    (40060, 400, "Interaction has already been acknowledged."),
    (50001, 403, "Missing Access"),
    (50003, 403, "Cannot execute action on a DM channel"),
    (50005, 403, "Cannot edit a message authored by another user"),
    (50006, 400, "Cannot send an empty message"),
    (50007, 403, "Cannot send messages to this user"),
    (50008, 400, "Cannot send messages in a non-text channel"),
    (50013, 403, "Missing Permissions"),
    (50021, 403, "Cannot execute action on a system message"),
    (50024, 400, "Cannot execute action on this channel type"),
    (50027, 401, "Invalid Webhook Token"),
    (50035, 400, "Invalid Form Body"),
    (50083, 400, "Thread is archived"),
    (50109, 400, "The request body contains invalid JSON."),
    (160004, 400, "A thread has already been created for this message"),
];

/// One line of a form that cannot be accepted.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Problem {
    /// `embeds/0/title`.
    pub(super) at: String,
    pub(super) code: &'static str,
    pub(super) message: String,
}

impl Problem {
    pub(super) fn new(at: &str, code: &'static str, message: impl Into<String>) -> Self {
        Self { at: at.trim_matches('/').to_owned(), code, message: message.into() }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) body: Value,
    /// What the bot should have known; none where the world has changed under it.
    pub(super) blame: Option<String>,
}

/// The bot should have known better.
pub(super) fn refuse(code: u32, why: impl Into<String>) -> Refusal {
    Refusal { blame: Some(why.into()), ..circumstance(code) }
}

/// Nobody's mistake: something was deleted, or is full.
pub(super) fn circumstance(code: u32) -> Refusal {
    let found = WORDS.iter().find(|(number, _, _)| *number == code);
    let (_, status, message) = found.expect("an error that Discord documents");
    Refusal { status: *status, body: json!({"message": message, "code": code}), blame: None }
}

/// Refused before anything was looked at: `401: Unauthorized`.
pub(super) fn plain(status: u16, words: &str, why: impl Into<String>) -> Refusal {
    let body = json!({"message": format!("{status}: {words}"), "code": 0});
    Refusal { status, body, blame: Some(why.into()) }
}

pub(super) fn form(problems: &[Problem]) -> Refusal {
    let mut errors = json!({});
    for problem in problems {
        let mut place = &mut errors;
        for step in problem.at.split('/').filter(|it| !it.is_empty()) {
            place = &mut place[step];
        }
        let line = json!({"code": problem.code, "message": problem.message});
        match place["_errors"].as_array_mut() {
            Some(lines) => lines.push(line),
            None => place["_errors"] = json!([line]),
        }
    }
    let told = problems.iter().map(|it| format!("{}: {}", it.at, it.message));
    let mut refusal = refuse(50035, told.collect::<Vec<_>>().join("; "));
    refusal.body["errors"] = errors;
    refusal
}

pub(super) fn one(at: &str, code: &'static str, message: impl Into<String>) -> Refusal {
    form(&[Problem::new(at, code, message)])
}
