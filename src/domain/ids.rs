//! Names of things. Parsed at the edge, trusted inside.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        // A map is asked with a word as somebody said it.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    )*};
}

names! {
    /// A person of the policy, under whatever accounts they act.
    PersonId
    /// A seat in the poll and a set of rights: `qa`, `engineering`, `on-call`.
    Role
    /// `service/environment/version#attempt`.
    ReleaseId
    /// An item of the checklist: `section/name-in-short`.
    ItemId
    /// An announcement: `t-48h`, `t-1h`, or one that the plan adds.
    AnnouncementId
    /// The name of an action that the operator declared.
    ActionName
    /// One try of one step: the idempotency key that the backend gets.
    RunId
    FreezeId
    /// A flag at its provider: `unleash/checkout`, or `checkout` where nobody here keeps it.
    FlagId
}

impl ReleaseId {
    pub fn of(service: &str, environment: &str, version: &str, attempt: u32) -> Self {
        Self(format!("{service}/{environment}/{version}#{attempt}"))
    }
}

impl FlagId {
    pub fn of(provider: Option<&str>, flag: &str) -> Self {
        match provider {
            Some(provider) => Self(format!("{provider}/{flag}")),
            None => Self(flag.to_owned()),
        }
    }
}

/// Who somebody is on one platform: `platform/tenant/user`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    pub platform: String,
    pub tenant: String,
    pub user: String,
}

impl Account {
    pub fn new(platform: &str, tenant: &str, user: &str) -> Self {
        Self { platform: platform.into(), tenant: tenant.into(), user: user.into() }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.platform, self.tenant, self.user)
    }
}

impl FromStr for Account {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, '/');
        match (parts.next(), parts.next(), parts.next()) {
            (Some(platform), Some(tenant), Some(user))
                if ![platform, tenant, user].contains(&"") =>
            {
                Ok(Self::new(platform, tenant, user))
            }
            _ => Err(format!("`{text}` is not an account: write platform/tenant/user")),
        }
    }
}

impl Serialize for Account {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Account {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Lower-case letters, digits and dashes: fit for a channel name, a path and a metric label.
pub fn is_slug(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 60
        && !text.starts_with('-')
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// A version as it may be handed to a program: it can be neither an option nor a path.
pub fn is_version(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 60
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._+-".contains(&b))
        && !text.contains("..")
}

/// What is left of a text when only a slug may be: for ids made from names that people chose.
pub fn slug(text: &str) -> String {
    let mut slug = String::new();
    for c in text.chars().flat_map(char::to_lowercase) {
        if c.is_ascii_alphanumeric() {
            slug.push(c);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.truncate(60);
    slug.trim_end_matches('-').to_owned()
}
