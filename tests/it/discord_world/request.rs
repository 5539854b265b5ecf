//! A call as it came: its operation, the ids in its path, its body and the files with it.

use std::collections::BTreeMap;

use form_urlencoded::parse;
use serde_json::Value;

use super::realm::Attachment;
use super::refusal::{Problem, Refusal, form, one, plain, refuse};
use super::schema::{self, API, is_snowflake};

#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) operation: String,
    /// With the ids of the places and none of the others: what shares a bucket.
    pub(super) bucket: String,
    pub(super) path: String,
    ids: BTreeMap<String, String>,
    query: BTreeMap<String, String>,
    pub(super) body: Value,
    pub(super) files: Vec<Attachment>,
}

impl Request {
    /// What comes by another road than the loopback: the body of an answer over HTTP.
    pub(super) fn of(operation: &str, body: Value, files: Vec<Attachment>) -> Self {
        Self {
            operation: operation.to_owned(),
            bucket: String::new(),
            path: String::new(),
            ids: BTreeMap::new(),
            query: BTreeMap::new(),
            body,
            files,
        }
    }

    /// An id of the path, by its name there.
    pub(super) fn id(&self, name: &str) -> &str {
        self.ids.get(name).map(String::as_str).unwrap_or_default()
    }

    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(name).map(String::as_str)
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_default()
    }

    pub(super) fn gives(&self, name: &str) -> bool {
        self.body.get(name).is_some()
    }
}

/// The raw parts of a call.
pub(super) struct Raw<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) query: &'a str,
    pub(super) content_type: &'a str,
    pub(super) body: &'a [u8],
}

/// Which operation this is, before anything in it is judged.
pub(super) fn find(raw: &Raw<'_>) -> Result<Request, Refusal> {
    let Some(path) = raw.path.strip_prefix("/api/v10/") else {
        let why = format!("{}: version 10 is at /api/v10", raw.path);
        return Err(plain(404, "Not Found", why));
    };
    let paths = API["paths"].as_object().expect("a map of paths");
    let fitting = paths.keys().filter_map(|template| Some((template, matched(template, path)?)));
    // A word fits better than a name that stands for anything.
    let best = fitting.min_by_key(|(_, ids)| ids.len());
    let Some((template, ids)) = best else {
        return Err(plain(404, "Not Found", format!("there is no /{path}")));
    };
    let method = raw.method.to_ascii_lowercase();
    let operation = &API["paths"][template][&method];
    let Some(name) = operation["operationId"].as_str() else {
        let why = format!("{method} {template} is not a call of a release bot");
        return Err(plain(405, "Method Not Allowed", why));
    };
    let query = parse(raw.query.as_bytes()).filter(|(name, _)| !name.is_empty());
    let query = query.map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    Ok(Request {
        operation: name.to_owned(),
        bucket: bucket(&method, template, &ids),
        path: format!("/{path}"),
        ids,
        query,
        body: Value::Null,
        files: Vec::new(),
    })
}

fn matched(template: &str, path: &str) -> Option<BTreeMap<String, String>> {
    let (wanted, given) = (template.trim_matches('/').split('/'), path.split('/'));
    if wanted.clone().count() != given.clone().count() {
        return None;
    }
    let mut ids = BTreeMap::new();
    for (wanted, given) in wanted.zip(given) {
        match wanted.strip_prefix('{').and_then(|it| it.strip_suffix('}')) {
            Some(name) => drop(ids.insert(name.to_owned(), given.to_owned())),
            None if wanted == given => {}
            None => return None,
        }
    }
    Some(ids)
}

/// Buckets are per channel, guild and webhook; other ids share one.
fn bucket(method: &str, template: &str, ids: &BTreeMap<String, String>) -> String {
    let mut shown = format!("{method} {template}");
    for name in ["channel_id", "guild_id", "webhook_id", "webhook_token", "interaction_id"] {
        if let Some(id) = ids.get(name) {
            shown = shown.replace(&format!("{{{name}}}"), id);
        }
    }
    shown
}

/// Reads what came with it, and holds all of it against the specification.
pub(super) fn read(request: &mut Request, raw: &Raw<'_>) -> Result<(), Refusal> {
    for (name, id) in &request.ids {
        if name.ends_with("_id") && !is_snowflake(id) {
            let message = format!("Value {id:?} is not snowflake.");
            return Err(one(name, "NUMBER_TYPE_COERCE", message));
        }
    }
    let spec = specification(&request.operation);
    questions(request, &spec["query"])?;
    let schema = &spec["body"]["application/json"];
    if schema.is_null() {
        let empty = raw.body.is_empty() || raw.body == b"{}" || raw.body == b"null";
        let why = || format!("{}: takes no body", request.operation);
        return if empty { Ok(()) } else { Err(refuse(50109, why())) };
    }
    let (body, files) = contents(raw)?;
    let problems = schema::problems(schema, &body);
    if !problems.is_empty() {
        return Err(form(&problems));
    }
    (request.body, request.files) = (body, files);
    Ok(())
}

fn specification(operation: &str) -> &'static Value {
    let paths = API["paths"].as_object().into_iter().flat_map(|it| it.values());
    let mut all = paths.flat_map(|it| it.as_object().into_iter().flat_map(|it| it.values()));
    all.find(|it| it["operationId"] == operation).expect("it was found there")
}

fn questions(request: &Request, known: &Value) -> Result<(), Refusal> {
    for (name, value) in &request.query {
        let schema = &known[name]["schema"];
        if schema.is_null() {
            let message = "Discord knows no such question, and would ignore it";
            return Err(one(name, "UNKNOWN_FIELD", message));
        }
        let typed = match (value.parse::<u64>(), value.as_str()) {
            (Ok(number), _) if schema["type"] == "integer" => Value::from(number),
            (_, "true" | "1") => Value::from(true),
            (_, "false" | "0") => Value::from(false),
            (_, text) => Value::from(text),
        };
        let problems = schema::problems(schema, &typed);
        if schema["type"] != "boolean" && !problems.is_empty() {
            let told = problems.iter().map(|it| Problem { at: name.clone(), ..it.clone() });
            return Err(form(&told.collect::<Vec<_>>()));
        }
    }
    Ok(())
}

fn contents(raw: &Raw<'_>) -> Result<(Value, Vec<Attachment>), Refusal> {
    let read = |bytes: &[u8]| {
        serde_json::from_slice::<Value>(bytes)
            .map_err(|why| refuse(50109, format!("a body that is no JSON: {why}")))
    };
    if let Some((_, boundary)) = raw.content_type.split_once("boundary=") {
        let mut files = Vec::new();
        let mut body = Value::Object(serde_json::Map::new());
        for part in parts(raw.body, boundary.trim_matches('"')) {
            if part.name == "payload_json" {
                body = read(part.bytes)?;
            } else if let Some(file) = part.file() {
                files.push(file);
            } else {
                return Err(one(&part.name, "UNKNOWN_FIELD", "files are called files[n]"));
            }
        }
        return Ok((body, files));
    }
    if !raw.content_type.starts_with("application/json") {
        let why = format!("`Content-Type: {}` for a body", raw.content_type);
        return Err(refuse(50109, why));
    }
    Ok((read(raw.body)?, Vec::new()))
}

struct Part<'a> {
    name: String,
    filename: Option<String>,
    media: String,
    bytes: &'a [u8],
}

impl Part<'_> {
    fn file(&self) -> Option<Attachment> {
        let number = self.name.strip_prefix("files[")?.strip_suffix(']')?;
        number.parse::<u8>().ok()?;
        Some(Attachment {
            id: number.to_owned(),
            name: self.filename.clone()?,
            media: self.media.clone(),
            bytes: self.bytes.to_vec(),
        })
    }
}

fn parts<'a>(body: &'a [u8], boundary: &str) -> Vec<Part<'a>> {
    let line = format!("--{boundary}");
    let mut found = Vec::new();
    let mut rest = body;
    while let Some(start) = position(rest, line.as_bytes()) {
        rest = &rest[start + line.len()..];
        let end = position(rest, format!("\r\n{line}").as_bytes());
        let (Some(end), Some(head)) = (end, position(rest, b"\r\n\r\n")) else { break };
        if head > end {
            break;
        }
        let header = String::from_utf8_lossy(&rest[..head]).into_owned();
        let quoted = |name: &str| {
            let (_, after) = header.split_once(&format!(" {name}=\""))?;
            Some(after.split('"').next().unwrap_or_default().to_owned())
        };
        let media = header.lines().find_map(|it| {
            let (name, value) = it.split_once(':')?;
            name.eq_ignore_ascii_case("content-type").then(|| value.trim().to_owned())
        });
        found.push(Part {
            name: quoted("name").unwrap_or_default(),
            filename: quoted("filename"),
            media: media.unwrap_or_else(|| "application/octet-stream".to_owned()),
            bytes: &rest[head + 4..end],
        });
        rest = &rest[end + 2..];
    }
    found
}

fn position(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|it| it == what)
}
