//! Reads types from a TOML tree that stays as it is. The crate's own reader takes its tree apart, so
//! that each of several readings begins with a copy.

use std::fmt;
use std::ops::Range;

use serde::de::value::StrDeserializer;
use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, MapAccess,
    SeqAccess, VariantAccess, Visitor,
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
    T::deserialize(Table { entries: tree.get_ref(), span: &span }).map_err(|why| why.within(&span))
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
                match (i64::from_str_radix(digits, radix), u64::from_str_radix(digits, radix)) {
                    (Ok(number), _) => visitor.visit_i64(number),
                    (Err(_), Ok(number)) => visitor.visit_u64(number),
                    (Err(_), Err(_)) => Err(de::Error::custom("integer number overflowed")),
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

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misread> {
        let span = self.0.span();
        let read = match self.0.get_ref() {
            DeValue::String(text) => visitor.visit_enum(text.as_ref().into_deserializer()),
            DeValue::Table(entries) => {
                Table { entries, span: &span }.deserialize_enum(name, variants, visitor)
            }
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Array(_) => Err(de::Error::custom("wanted string or table")),
        };
        read.map_err(|why| why.within(&span))
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

/// A table that has a place of its own: the whole document, or a choice with what belongs to it.
struct Table<'a, 't> {
    entries: &'a DeTable<'t>,
    span: &'a Range<usize>,
}

impl<'de> Deserializer<'de> for Table<'_, '_> {
    type Error = Misread;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Misread> {
        visitor.visit_map(Entries::of(self.entries))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misread> {
        let mut entries = self.entries.iter();
        match (entries.next(), entries.next()) {
            (Some((key, value)), None) => visitor.visit_enum(Choice { key, value: Value(value) }),
            (Some(_), Some(_)) | (None, _) => {
                let why: Misread = de::Error::custom("wanted a table with exactly one entry");
                Err(why.within(self.span))
            }
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct identifier ignored_any
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
        named(key, seed).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Misread> {
        let value = self.value.take().expect("a value is asked for after its key");
        seed.deserialize(Value(value)).map_err(|why| why.within(&value.span()))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.left.len())
    }
}

fn named<'de, S: DeserializeSeed<'de>>(
    key: &Spanned<DeString<'_>>,
    seed: S,
) -> Result<S::Value, Misread> {
    let name: StrDeserializer<'_, Misread> = key.get_ref().as_ref().into_deserializer();
    seed.deserialize(name).map_err(|why| why.within(&key.span()))
}

/// `{ env = "NAME" }` where one of several is chosen by its name.
struct Choice<'a, 't> {
    key: &'a Spanned<DeString<'t>>,
    value: Value<'a, 't>,
}

impl<'de, 'a, 't> EnumAccess<'de> for Choice<'a, 't> {
    type Error = Misread;
    type Variant = Value<'a, 't>;

    fn variant_seed<S: DeserializeSeed<'de>>(
        self,
        seed: S,
    ) -> Result<(S::Value, Value<'a, 't>), Misread> {
        Ok((named(self.key, seed)?, self.value))
    }
}

impl<'de> VariantAccess<'de> for Value<'_, '_> {
    type Error = Misread;

    fn unit_variant(self) -> Result<(), Misread> {
        de::Deserialize::deserialize(self)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Misread> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Misread> {
        self.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Misread> {
        self.deserialize_any(visitor)
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
        Number(i64),
        Both(i64, i64),
        Full { needed: i64 },
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
            "list = [\"plain\", { number = 1 }, { both = [1, 2] }, { full = { needed = 3 } }]",
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
            "list = [\"plain\", \"other\"]",
            "list = [{ number = \"1\" }]",
            "list = [{ other = 1 }]",
            "list = [{ full = { } }]",
            "list = [1]",
            "list = 1",
        ] {
            assert!(ours(text).is_err(), "{text}: {:?}", ours(text));
            assert_eq!(ours(text), library(text), "{text}");
        }
        // These are told apart there.
        for text in ["list = [{ }]", "list = [{ number = 1, full = 2 }]"] {
            let (message, span) = ours(text).expect_err("it is no choice");
            assert_eq!(message, "wanted a table with exactly one entry");
            assert_eq!(span, library(text).expect_err("it is none there").1, "{text}");
        }
    }
}
