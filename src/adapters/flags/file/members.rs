//! The members of a JSON object in the order and the words of its text, so that one can be changed
//! where it stands.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// An object within a text.
pub(super) struct Object<'t> {
    text: &'t str,
    range: Range<usize>,
    members: Vec<(String, &'t RawValue)>,
}

impl<'t> Object<'t> {
    /// Or where it is none, and why.
    pub(super) fn read(text: &'t str, raw: &'t RawValue) -> Result<Self, (usize, String)> {
        let range = place(text, raw);
        let read: Result<Members<'t>, _> = serde_json::from_str(raw.get());
        let Ok(Members(members)) = read else {
            return Err((range.start, "must be an object: `{ … }`".to_owned()));
        };
        for (index, (name, again)) in members.iter().enumerate() {
            if members[..index].iter().any(|(known, _)| known == name) {
                let why = format!("has `{name}` twice");
                return Err((place(text, again).start, why));
            }
        }
        Ok(Self { text, range, members })
    }

    pub(super) fn get(&self, name: &str) -> Option<&'t RawValue> {
        self.members.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    pub(super) fn names(&self) -> Vec<&str> {
        self.members.iter().map(|(name, _)| name.as_str()).collect()
    }

    /// The value in the place of the one that is there, or behind the last one. It is told what
    /// stands before each member here, for its own lines.
    pub(super) fn put(
        &self,
        name: &str,
        value: impl FnOnce(&str) -> String,
    ) -> (Range<usize>, String) {
        let key = serde_json::Value::from(name);
        match (self.get(name), self.members.last()) {
            (Some(old), _) => (place(self.text, old), value(self.space())),
            (None, Some((_, last))) => {
                let (space, end) = (self.space(), place(self.text, last).end);
                (end..end, format!(",{space}{key}: {}", value(space)))
            }
            (None, None) => {
                let outer = self.outer_space();
                let inner = if outer.is_empty() { String::new() } else { format!("{outer}  ") };
                let member = format!("{{{inner}{key}: {}{outer}}}", value(&inner));
                (self.range.clone(), member)
            }
        }
    }

    /// What stands between the brace and the first name: most write the same before each.
    fn space(&self) -> &'t str {
        let inside = &self.text[self.range.start + 1..self.range.end];
        &inside[..inside.find('"').unwrap_or_default()]
    }

    /// A new line as deep as the one on which the object begins; nothing where all is one line.
    fn outer_space(&self) -> String {
        if !self.text.trim_end().contains('\n') {
            return String::new();
        }
        let before = &self.text[..self.range.start];
        let line = &before[before.rfind('\n').map_or(0, |at| at + 1)..];
        let depth = line.len() - line.trim_start().len();
        format!("\n{}", &line[..depth])
    }
}

fn place(text: &str, raw: &RawValue) -> Range<usize> {
    // It borrows from the text, so it lies within.
    let start = raw.get().as_ptr().addr() - text.as_ptr().addr();
    start..start + raw.get().len()
}

/// Line and column from 1; the column counts characters.
pub(super) fn position(text: &str, at: usize) -> (usize, usize) {
    let before = &text[..at];
    let line = before.matches('\n').count() + 1;
    (line, before.chars().rev().take_while(|c| *c != '\n').count() + 1)
}

struct Members<'t>(Vec<(String, &'t RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(InOrder)
    }
}

struct InOrder;

impl<'de> Visitor<'de> for InOrder {
    type Value = Members<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(text: &str, name: &str) -> String {
        let whole: &RawValue = serde_json::from_str(text).expect("JSON");
        let object = Object::read(text, whole).expect("an object");
        let (range, with) = object.put(name, |space| format!("[{}]", space.len()));
        let mut after = text.to_owned();
        after.replace_range(range, &with);
        serde_json::from_str::<serde_json::Value>(&after).expect("still JSON");
        after
    }

    #[test]
    fn a_member_is_put_where_a_hand_would_write_it() {
        assert_eq!(put(r#"{"a":1}"#, "a"), r#"{"a":[0]}"#);
        assert_eq!(put(r#"{"a":1}"#, "b"), r#"{"a":1,"b": [0]}"#);
        assert_eq!(put("{\n  \"a\": 1\n}\n", "b"), "{\n  \"a\": 1,\n  \"b\": [3]\n}\n");
        assert_eq!(put("{}", "b"), r#"{"b": [0]}"#);
        assert_eq!(put("\n{ }\n", "b"), "\n{\n  \"b\": [3]\n}\n");
        assert_eq!(
            put(r#"{ "a": "}\"," , "c":[] }"#, "b"),
            r#"{ "a": "}\"," , "c":[], "b": [1] }"#
        );
        assert_eq!(put("{\"ä\": 1}", "say \"hi\""), "{\"ä\": 1,\"say \\\"hi\\\"\": [0]}");
    }

    #[test]
    fn what_is_no_object_is_shown_where_it_stands() {
        let text = "{\n \"a\": 1, \"a\": [2] }";
        let whole: &RawValue = serde_json::from_str(text).expect("JSON");
        let (at, why) = Object::read(text, whole).err().expect("a key twice");
        assert_eq!((position(text, at), why.as_str()), ((2, 15), "has `a` twice"));
        let list: &RawValue = serde_json::from_str(" [1]").expect("JSON");
        assert!(Object::read(list.get(), list).is_err());
    }
}
