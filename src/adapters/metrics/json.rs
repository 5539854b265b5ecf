//! An address that answers with JSON: the query is the way to one number in it.
//!
//! The way is a JSON pointer (`/errors/rate`), or names with dots between them (`errors.rate`); `.`
//! is the answer itself. `null` means that there is no measurement. The number is of the present,
//! unless a second way leads to the time at which it was measured.

use std::time::SystemTime;

use async_trait::async_trait;
use chrono::DateTime;
use serde_json::Value;

use super::http::{Address, Door};
use super::told_instant;
use crate::ports::{Failure, Metrics, Question, Series};

#[derive(Debug, Clone)]
pub struct Target {
    pub address: Address,
    /// The way to when the numbers were measured: seconds since 1970, or as RFC 3339 writes it.
    pub time: Option<String>,
}

pub struct Json {
    door: Door,
    time: Option<String>,
}

impl Json {
    pub fn new(name: &str, target: &Target) -> Result<Self, Failure> {
        Ok(Self { door: Door::new(name, &target.address)?, time: target.time.clone() })
    }

    /// It answers, and what it answers is JSON, with a time where one is told.
    pub(super) async fn greet(&self) -> Result<(), Failure> {
        let document = self.document().await?;
        self.measured_at(&document).map(|_| ())
    }

    async fn document(&self) -> Result<Value, Failure> {
        let answer = self.door.ask(self.door.get(self.door.url.clone())).await?;
        if !answer.status.is_success() {
            return Err(self.door.refused(&answer, None));
        }
        serde_json::from_slice(&answer.body).map_err(|why| {
            self.door
                .odd(&format!("does not answer with JSON: {}", self.door.quoted(&why.to_string())))
        })
    }

    fn measured_at(&self, document: &Value) -> Result<SystemTime, Failure> {
        let Some(way) = &self.time else { return Ok(SystemTime::now()) };
        let told = match self.at(document, way)? {
            Value::Number(seconds) => {
                told_instant(seconds.as_f64().unwrap_or(f64::NAN)).map_err(Some)
            }
            Value::String(text) => {
                DateTime::parse_from_rfc3339(text).map(SystemTime::from).map_err(|_| None)
            }
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => Err(None),
        };
        told.map_err(|why| match why {
            Some(why) => self.door.odd(&format!("has no time at `{way}`: {why}")),
            None => self.door.odd(&format!(
                "has no time at `{way}`: give seconds since 1970, or `2026-01-31T09:00:00Z`"
            )),
        })
    }

    fn at<'d>(&self, document: &'d Value, way: &str) -> Result<&'d Value, Failure> {
        follow(document, way).map_err(|why| self.door.odd(&self.door.quoted(&why)))
    }
}

#[async_trait]
impl Metrics for Json {
    async fn read(&self, question: &Question) -> Result<Vec<Series>, Failure> {
        let document = self.document().await?;
        let way = question.query.trim();
        let found = self.at(&document, way)?;
        if found.is_null() {
            return Ok(Vec::new());
        }
        let value = found.as_f64().ok_or_else(|| {
            let why = format!("has {} at `{way}`, not a number", shown(found));
            self.door.odd(&self.door.quoted(&why))
        })?;
        let at = self.measured_at(&document)?;
        Ok(vec![Series { name: String::new(), points: vec![(at, value)] }])
    }
}

/// Goes one name after the other; where there is none, says what there would be.
fn follow<'d>(document: &'d Value, way: &str) -> Result<&'d Value, String> {
    let mut at = document;
    for name in names(way) {
        let next = match at {
            Value::Object(fields) => fields.get(&name),
            Value::Array(items) => name.parse::<usize>().ok().and_then(|index| items.get(index)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        };
        at = next.ok_or_else(|| format!("has no `{name}` on the way to `{way}`: {}", there(at)))?;
    }
    Ok(at)
}

fn names(way: &str) -> Vec<String> {
    match way.strip_prefix('/') {
        Some(pointer) => {
            let name = |name: &str| name.replace("~1", "/").replace("~0", "~");
            pointer.split('/').map(name).collect()
        }
        None => way.split('.').filter(|name| !name.is_empty()).map(str::to_owned).collect(),
    }
}

fn there(value: &Value) -> String {
    if let Some(fields) = value.as_object().filter(|fields| !fields.is_empty()) {
        let names: Vec<_> = fields.keys().take(10).map(String::as_str).collect();
        return format!("there is {}", names.join(", "));
    }
    match value.as_array() {
        Some(items) => format!("there are {} items", items.len()),
        None => format!("there is {}", shown(value)),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => {
            format!("the text \"{}\"", text.chars().take(40).collect::<String>())
        }
        Value::Null => "null".to_owned(),
        Value::Bool(is) => is.to_string(),
        Value::Number(number) => format!("the number {number}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_way_leads_somewhere_or_says_where_it_ends() {
        let document = json!({"a": {"b.c": [1, {"d/e": 2}]}, "n": 3});
        let at = |way| follow(&document, way).cloned();
        assert_eq!(at("/a/b.c/0"), Ok(json!(1)));
        assert_eq!(at("/a/b.c/1/d~1e"), Ok(json!(2)));
        assert_eq!(at("n"), Ok(json!(3)));
        assert_eq!(at("."), Ok(document.clone()));
        assert_eq!(at("a.b.c"), Err("has no `b` on the way to `a.b.c`: there is b.c".to_owned()));
        assert_eq!(
            at("/a/b.c/7"),
            Err("has no `7` on the way to `/a/b.c/7`: there are 2 items".to_owned())
        );
        assert_eq!(at("n.x"), Err("has no `x` on the way to `n.x`: there is the number 3".into()));
    }
}
