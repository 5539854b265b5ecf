//! Reads types from a TOML tree that stays as it is. The crate's own reader takes its tree apart, so
//! that each of several readings begins with a copy.

use std::fmt;
use std::ops::Range;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use toml::Spanned;
use toml::de::{DeFloat, DeString, DeTable, DeValue};

/// What cannot be read, and where it stands.
#[derive(Debug)]
pub(super) struct Misread(Box<(String, Option<Range<usize>>)>);

impl Misread {
    pub(super) fn message(&self) -> &str {
        &self.0.0
    }

    pub(super) fn span(&self) -> Option<Range<usize>> {
        self.0.1.clone()
    }

    /// The innermost place is the one that says most.
    fn within(mut self, span: &Range<usize>) -> Self {
        self.0.1.get_or_insert_with(|| span.clone());
        self
    }
}

impl std::error::Error for Misread {}

impl fmt::Display for Misread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl de::Error for Misread {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(Box::new((message.to_string(), None)))
    }
}

pub(super) fn read<T: DeserializeOwned>(tree: &Spanned<DeTable<'_>>) -> Result<T, Misread> {
    let span = tree.span();
    T::deserialize(Table(tree.get_ref())).map_err(|why| why.within(&span))
}

// ---------------------------------------------------------------------------------------------
// Values

struct Value<'a, 't>(&'a Spanned<DeValue<'t>>);

impl<'de> Deserializer<'de> for Value<'_, '_> {
    type Error = Misread;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misread> {
        let span = self.0.span();
        let read = match self.0.get_ref() {
            DeValue::String(text) => visitor.visit_str(text),
            DeValue::Integer(number) => {
                let (digits, radix) = (number.as_str(), number.radix());
                if let Ok(number) = i64::from_str_radix(digits, radix) {
                    visitor.visit_i64(number)
                } else if let Ok(number) = u64::from_str_radix(digits, radix) {
                    visitor.visit_u64(number)
                } else if let Ok(number) = i128::from_str_radix(digits, radix) {
                    visitor.visit_i128(number)
                } else if let Ok(number) = u128::from_str_radix(digits, radix) {
                    visitor.visit_u128(number)
                } else {
                    Err(de::Error::custom("integer number overflowed"))
                }
            }
            DeValue::Float(number) => match float(number) {
                Some(number) => visitor.visit_f64(number),
                None => Err(de::Error::custom("floating-point number overflowed")),
            },
            DeValue::Boolean(is) => visitor.visit_bool(*is),
            DeValue::Datetime(date) => visitor.visit_string(date.to_string()),
            DeValue::Array(list) => visitor.visit_seq(Items(list.iter())),
            DeValue::Table(entries) => visitor.visit_map(Entries::of(entries)),
        };
        read.map_err(|why| why.within(&span))
    }

    /// What is not there is nothing, so what is there is something.
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misread> {
        let span = self.0.span();
        visitor.visit_some(self).map_err(|why| why.within(&span))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Misread> {
        let span = self.0.span();
        visitor.visit_newtype_struct(self).map_err(|why| why.within(&span))
    }

    /// None of ours brings anything along with its name.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misread> {
        let span = self.0.span();
        let value = self.0.get_ref();
        let read = match value.as_str() {
            Some(name) => visitor.visit_enum(name.into_deserializer()),
            None => Err(de::Error::invalid_type(Unexpected::Other(value.type_str()), &"a string")),
        };
        read.map_err(|why: Misread| why.within(&span))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// A number too great to be one is infinite, and none that somebody wrote.
fn float(number: &DeFloat<'_>) -> Option<f64> {
    let read: f64 = number.as_str().parse().ok()?;
    (read.is_finite() || read.is_nan() || number.as_str().contains("inf")).then_some(read)
}

struct Items<'a, 't>(std::slice::Iter<'a, Spanned<DeValue<'t>>>);

impl<'de> SeqAccess<'de> for Items<'_, '_> {
    type Error = Misread;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Misread> {
        self.0.next().map(|item| seed.deserialize(Value(item))).transpose()
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

// ---------------------------------------------------------------------------------------------
// Tables

/// The whole document.
struct Table<'a, 't>(&'a DeTable<'t>);

impl<'de> Deserializer<'de> for Table<'_, '_> {
    type Error = Misread;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misread> {
        visitor.visit_map(Entries::of(self.0))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}

type Entry<'a, 't> = (&'a Spanned<DeString<'t>>, &'a Spanned<DeValue<'t>>);

struct Entries<'a, 't> {
    left: Box<dyn ExactSizeIterator<Item = Entry<'a, 't>> + 'a>,
    value: Option<&'a Spanned<DeValue<'t>>>,
}

impl<'a, 't> Entries<'a, 't> {
    fn of(table: &'a DeTable<'t>) -> Self {
        Self { left: Box::new(table.iter()), value: None }
    }
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = Misread;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Misread> {
        let Some((key, value)) = self.left.next() else { return Ok(None) };
        self.value = Some(value);
        let name: StrDeserializer<'_, Misread> = key.get_ref().as_ref().into_deserializer();
        seed.deserialize(name).map(Some).map_err(|why| why.within(&key.span()))
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Misread> {
        let value = self.value.take().expect("a value is asked for after its key");
        seed.deserialize(Value(value)).map_err(|why| why.within(&value.span()))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Written {
        #[serde(default)]
        text: Option<String>,
        #[serde(default)]
        small: u8,
        #[serde(default)]
        big: u64,
        #[serde(default)]
        number: f64,
        #[serde(default)]
        is: bool,
        #[serde(default)]
        pair: (i64, i64),
        #[serde(default)]
        inner: BTreeMap<String, Inner>,
        #[serde(default)]
        list: Vec<Choice>,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Inner {
        needed: Wrapped,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Wrapped(i64);

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    enum Choice {
        Plain,
        Other,
    }

    /// What toml's own reader says, and where.
    fn library(text: &str) -> Result<Written, (String, Option<Range<usize>>)> {
        toml::from_str(text).map_err(|why| (why.message().to_owned(), why.span()))
    }

    fn ours(text: &str) -> Result<Written, (String, Option<Range<usize>>)> {
        let tree = DeTable::parse(text).expect("it is TOML");
        read(&tree).map_err(|why| (why.message().to_owned(), why.span()))
    }

    #[test]
    fn it_reads_what_toml_itself_reads() {
        for text in [
            "",
            "text = \"a\\tb\"\nsmall = 0xff\nbig = 18_446_744_073_709_551_615\nis = true",
            "number = 1e3\npair = [-1, 0o17]\n",
            "number = inf",
            "number = -inf",
            "[inner.a]\nneeded = 1\n[inner.b]\nneeded = -2",
            "list = [\"plain\", \"other\"]",
            "inner = { a = { needed = 1 } }\nlist = []",
        ] {
            assert!(ours(text).is_ok(), "{text}: {:?}", ours(text));
            assert_eq!(ours(text), library(text), "{text}");
        }
    }

    #[test]
    fn it_refuses_what_toml_itself_refuses_and_says_where() {
        for text in [
            "text = 5",
            "small = 256",
            "small = -1",
            "small = 99999999999999999999999999999999999999999",
            "number = 1e999",
            "number = \"1\"",
            "is = \"yes\"",
            "pair = [1]",
            "pair = { a = 1 }",
            "unknown = 1",
            "[inner]\na = 1",
            "[inner.a]\n",
            "[inner.a]\nneeded = \"1\"",
            "big = 18446744073709551616",
            "text = 99999999999999999999",
            "text = -99999999999999999999999999999999999999",
            "list = [\"plain\", \"none\"]",
            "list = 1",
        ] {
            assert!(ours(text).is_err(), "{text}: {:?}", ours(text));
            assert_eq!(ours(text), library(text), "{text}");
        }
        for text in ["list = [1]", "list = [{ plain = 1 }]", "list = [{ }]"] {
            let (message, span) = ours(text).expect_err("it is no name");
            assert!(message.ends_with("expected a string"), "{message}");
            assert_eq!(span, Some(8..text.len() - 1), "{text}");
        }
    }
}
