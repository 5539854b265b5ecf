//! Files in three steps: ask for an address, send the bytes there, say where they belong.

use serde_json::{Value, json};

use super::{Answer, Request, wrong};
use crate::slack_world::state::Upload;
use crate::slack_world::workspace::{BOT_USER, Content, Message};

pub(super) fn upload_url(request: &mut Request) -> Answer {
    let name = request.text("filename").to_owned();
    let length = request.args.number("length").unwrap_or(0);
    if name.is_empty() || length == 0 {
        return Err(wrong("missing_argument", "`filename` and a `length` above 0"));
    }
    if request.text("alt_txt").chars().count() > 1000 {
        return Err(wrong("alt_txt_too_large", "1000 characters at most"));
    }
    let id = format!("F{:09}", request.state.serial());
    request.state.uploads.insert(id.clone(), Upload { name, length, bytes: None });
    let url = format!("{}/upload/{id}", request.base);
    Ok(json!({"upload_url": url, "file_id": id}))
}

pub(super) fn complete(request: &mut Request) -> Answer {
    let Some(Ok(Value::Array(files))) = request.args.tree("files") else {
        return Err(wrong("invalid_arguments", "`files` is a list of {id, title}"));
    };
    let mut shown = Vec::new();
    for file in &files {
        let id = file["id"].as_str().unwrap_or_default();
        let Some(upload) = request.state.uploads.get(id).filter(|it| it.bytes.is_some()) else {
            return Err(wrong("file_not_found", format!("{id} was never uploaded")));
        };
        let title = file["title"].as_str().unwrap_or(&upload.name);
        let (name, size) = (&upload.name, upload.length);
        shown.push(json!({
            "id": id, "title": title, "name": name, "user": BOT_USER, "size": size,
        }));
    }
    if request.text("channel_id").is_empty() {
        return Ok(json!({"files": shown}));
    }
    let id = request.open("channel_id")?.id.clone();
    let ts = request.state.ts(request.now);
    let text = request.text("initial_comment").to_owned();
    let thread = request.text("thread_ts").to_owned();
    if !thread.is_empty() && request.state.workspace.channels[&id].message(&thread).is_none() {
        return Err(wrong("invalid_arguments", "`thread_ts` is not there"));
    }
    let content = Content { text, ..Content::default() };
    let mut message = Message::new(BOT_USER, &ts, content, request.now);
    message.thread_ts = (!thread.is_empty()).then_some(thread);
    message.files = shown.clone();
    request.channel_mut(&id).messages.push(message);
    request.state.seen_in(&id, request.now);
    Ok(json!({"files": shown}))
}
