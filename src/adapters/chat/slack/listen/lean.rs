//! What Slack posts as JSON, without the blocks that stand in it. Each press brings the message that
//! it was on: most of what comes, and ours.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

const PASSED_OVER: [&str; 2] = ["blocks", "attachments"];

/// Everything else is there, known to us or not.
pub(super) fn read(json: &str) -> serde_json::Result<Value> {
    serde_json::from_str(json).map(|Lean(value)| value)
}

struct Lean(Value);

impl<'de> Deserialize<'de> for Lean {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, is: bool) -> Result<Value, E> {
        Ok(is.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Lean(value)) = seq.next_element()? {
            all.push(value);
        }
        Ok(all.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut fields = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if PASSED_OVER.contains(&name.as_str()) {
                map.next_value::<IgnoredAny>()?;
            } else {
                let Lean(value) = map.next_value()?;
                fields.insert(name, value);
            }
        }
        Ok(fields.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_is_there_but_the_blocks() -> serde_json::Result<()> {
        let message = |blocks: Option<Value>| {
            let mut message = json!({
                "ts": "1.2", "text": "“Größe” 🚀\n", "n": [1, -2, 0.5, true, null, {}, [], u64::MAX],
            });
            if let Some(blocks) = blocks {
                message["blocks"] = blocks.clone();
                message["attachments"] = json!([{"id": 1, "blocks": blocks}]);
            }
            json!({"type": "block_actions", "message": message, "view": {"state": {"values": {}}}})
        };
        let posted = message(Some(json!([{"type": "section", "blocks": ["}", 7]}])));
        assert_eq!(read(&posted.to_string())?, message(None));
        assert_eq!(read(&message(None).to_string())?, message(None));
        Ok(())
    }

    #[test]
    fn half_of_it_is_an_error_and_depth_exhausts_nothing() {
        for wrong in ["", "{", r#"{"blocks": [}"#, r#"{"blocks": ["#, "{} {}"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(read(&deep).is_err());
        let passed_over = read(&format!(r#"{{"blocks": {deep}, "ok": true}}"#));
        assert_eq!(passed_over.expect("nobody descends"), json!({"ok": true}));
    }
}
