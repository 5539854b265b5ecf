//! The arguments of a call, however they were sent, held against what is documented.

use std::sync::LazyLock;

use serde_json::{Map, Value};

static METHODS: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../specs/slack/slack_method_args.json"))
        .expect("the published arguments are JSON")
});

/// Documented, though the published types do not have them.
const ALSO: &[(&str, &str, &str)] = &[("files.getUploadURLExternal", "alt_txt", "string")];

#[derive(Clone, Debug, Default)]
pub(super) struct Args {
    pub(super) values: Map<String, Value>,
    json: bool,
}

impl Args {
    /// A body that cannot be read names Slack's own error for it.
    pub(super) fn read(query: &str, kind: &str, body: &[u8]) -> Result<Self, &'static str> {
        let mut values = form(query.as_bytes());
        let json = kind.starts_with("application/json");
        if json {
            let body: Value = serde_json::from_slice(body).map_err(|_| "invalid_json")?;
            let Value::Object(body) = body else { return Err("json_not_object") };
            values.extend(body.into_iter().filter(|(_, value)| !value.is_null()));
        } else if kind.starts_with("application/x-www-form-urlencoded") {
            values.extend(form(body));
        } else if !body.is_empty() {
            return Err("invalid_post_type");
        }
        Ok(Self { values, json })
    }

    pub(super) fn of(values: Map<String, Value>) -> Self {
        Self { values, json: true }
    }

    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.values.get(name).and_then(Value::as_str).unwrap_or_default()
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        let value = self.values.get(name);
        value == Some(&Value::Bool(true)) || ["true", "1"].contains(&self.text(name))
    }

    pub(super) fn number(&self, name: &str) -> Option<usize> {
        let value = self.values.get(name)?;
        let number = value.as_u64().or_else(|| value.as_str()?.parse().ok())?;
        usize::try_from(number).ok()
    }

    /// An array or object; in a form it is JSON within a string, and JSON bodies may do that too.
    pub(super) fn tree(&self, name: &str) -> Option<Result<Value, ()>> {
        let value = self.values.get(name)?;
        let Some(text) = value.as_str() else { return Some(Ok(value.clone())) };
        Some(serde_json::from_str(text).map_err(|_| ()))
    }

    /// What is wrong with them, and Slack's error for it.
    pub(super) fn check(&self, method: &str) -> Option<(&'static str, String)> {
        let alternatives = METHODS["methods"][method]["alts"].as_array()?;
        for (name, value) in &self.values {
            let Some(spec) = spec(method, alternatives, name) else {
                return Some(("invalid_arg_name", format!("`{name}` is not documented")));
            };
            if let Some(wrong) = self.mistyped(name, value, &spec) {
                return Some(("invalid_arguments", wrong));
            }
        }
        let wanted = |alternative: &Value| -> Vec<String> {
            let fields = alternative.as_object().into_iter().flatten();
            let needed = fields.filter(|(_, spec)| spec["o"] != true);
            needed.map(|(name, _)| name.clone()).collect()
        };
        let first = wanted(alternatives.first()?);
        let mut always = first.iter().filter(|name| {
            alternatives.iter().all(|alternative| wanted(alternative).contains(name))
        });
        let missing = always.find(|name| !self.values.contains_key(*name));
        missing.map(|name| ("invalid_arguments", format!("`{name}` is missing")))
    }

    fn mistyped(&self, name: &str, value: &Value, spec: &Value) -> Option<String> {
        let types: Vec<&str> =
            spec["t"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        let text = value.as_str();
        let fits = |wanted: &str| match wanted {
            "string" => text.is_some(),
            "number" => value.is_number() || text.is_some_and(|it| it.parse::<f64>().is_ok()),
            "boolean" => {
                value.is_boolean()
                    || text.is_some_and(|it| ["true", "false", "0", "1"].contains(&it))
            }
            "array" => value.is_array() || text.is_some_and(|it| it.starts_with('[')),
            "object" => value.is_object() || text.is_some_and(|it| it.starts_with('{')),
            other => panic!("a type that the specification does not use: {other}"),
        };
        if !types.iter().any(|wanted| fits(wanted)) {
            return Some(format!("`{name}` should be {}", types.join(" or ")));
        }
        let choices = spec["e"].as_array()?;
        let known = choices.is_empty() || choices.contains(value);
        (!known).then(|| format!("`{name}` should be one of {choices:?}"))
    }
}

/// The union over the alternatives: which of them was meant is for the method itself to say.
fn spec(method: &str, alternatives: &[Value], name: &str) -> Option<Value> {
    let also = ALSO.iter().find(|(of, also, _)| *of == method && *also == name);
    if let Some((_, _, kind)) = also {
        return Some(serde_json::json!({"t": [kind]}));
    }
    alternatives.iter().find_map(|alternative| alternative.get(name)).cloned()
}

pub(super) fn is_documented(method: &str) -> bool {
    METHODS["methods"].get(method).is_some()
}

pub(super) fn form(bytes: &[u8]) -> Map<String, Value> {
    let pairs = form_urlencoded::parse(bytes);
    pairs.map(|(name, value)| (name.into_owned(), Value::String(value.into_owned()))).collect()
}
