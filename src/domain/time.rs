//! Local times and zones, lengths of time, and how both are shown.
//!
//! One compact style everywhere: two units at most, cut rather than rounded. `90 s`, `2 min 10 s`,
//! `45 min`, `22 h 10 min`, `3 d 4 h`. Plans write lengths as `45m`, `1h 30m`, `72h`, and moments
//! around the start as `T-48h`, `T+1h`.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Datelike, Duration, NaiveDateTime, SecondsFormat, TimeZone, Utc};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::zone::Zone;

/// An instant. The log stores it in UTC.
pub type Time = DateTime<Utc>;

// ---------------------------------------------------------------------------------------------
// From local time to UTC

/// A local time that does not name one instant. It says what does, as one could type it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    #[error(
        "{local} does not exist in {zone}: the clocks go forward over it. \
         Say `{earlier}` or `{later}`."
    )]
    Gap { local: String, zone: Zone, earlier: String, later: String },
    #[error(
        "{local} happens twice in {zone}: the clocks go back over it. \
         Say `{first}` for the first time, `{second}` for the second."
    )]
    Fold { local: String, zone: Zone, first: String, second: String },
    #[error("{local} is beyond the calendar that I know. Say a date such as `2026-12-01 10:00`.")]
    Beyond { local: String },
}

/// The instant at which the clocks of a zone show this.
pub fn resolve(local: NaiveDateTime, zone: Zone) -> Result<DateTime<Utc>, Unresolved> {
    if !(1900..=9999).contains(&local.year()) {
        return Err(Unresolved::Beyond { local: local.to_string() });
    }
    let found = zone.from_local_datetime(&local);
    if let Some(only) = found.single() {
        return Ok(only.to_utc());
    }
    let named = written(local);
    match (found.earliest(), found.latest()) {
        (Some(first), Some(second)) => Err(Unresolved::Fold {
            local: named,
            zone,
            first: first.to_rfc3339_opts(SecondsFormat::Secs, false),
            second: second.to_rfc3339_opts(SecondsFormat::Secs, false),
        }),
        _ => {
            let width = zone.gap(&local).map_or(Duration::hours(1), |(width, _)| width);
            let typed = |local| typed(local, zone);
            let (earlier, later) = (typed(local - width), typed(local + width));
            Err(Unresolved::Gap { local: named, zone, earlier, later })
        }
    }
}

/// The same, where somebody has to have one: of two the first, and where the clocks skip it, the first
/// that they show after it.
pub fn first_at(local: NaiveDateTime, zone: Zone) -> DateTime<Utc> {
    let found = zone.from_local_datetime(&local).earliest().map(|at| at.to_utc());
    let after = || zone.gap(&local).map(|(_, end)| end);
    found.or_else(after).unwrap_or_else(|| local.and_utc())
}

/// A local time exactly as one types it: `2026-12-01 10:00 Europe/Berlin`.
pub fn typed(local: NaiveDateTime, zone: Zone) -> String {
    format!("{} {zone}", written(local))
}

fn written(local: NaiveDateTime) -> String {
    let whole_minute = local.and_utc().timestamp() % 60 == 0;
    let format = if whole_minute { "%Y-%m-%d %H:%M" } else { "%Y-%m-%d %H:%M:%S" };
    local.format(format).to_string()
}

// ---------------------------------------------------------------------------------------------
// As people read it

/// `Tue 15 Dec, 10:00 PST`, with the year where it is not the year that is meant anyway.
pub fn show(at: DateTime<Utc>, zone: Zone, this_year: i32) -> String {
    let local = at.with_timezone(&zone);
    let day = if local.year() == this_year { "%a %-d %b" } else { "%a %-d %b %Y" };
    format!("{}, {} {}", local.format(day), local.format("%H:%M"), abbreviation(at, zone))
}

/// Zones without letters of their own are shown by their offset: `UTC+03`.
fn abbreviation(at: DateTime<Utc>, zone: Zone) -> String {
    let name = at.with_timezone(&zone).format("%Z").to_string();
    if name.starts_with(['+', '-']) { format!("UTC{name}") } else { name }
}

/// `10:05`.
pub fn clock(at: DateTime<Utc>, zone: Zone) -> String {
    at.with_timezone(&zone).format("%H:%M").to_string()
}

/// `90 s`, `2 min 10 s`, `45 min`, `22 h 10 min`, `3 d 4 h`; the sign is the caller's to say.
pub fn span(length: Duration) -> String {
    let seconds = length.num_seconds().unsigned_abs();
    let (big, unit, small, rest) = match seconds {
        0..120 => return format!("{seconds} s"),
        120..3_600 => (seconds / 60, "min", seconds % 60, "s"),
        3_600..172_800 => (seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        172_800.. => (seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    };
    if small == 0 { format!("{big} {unit}") } else { format!("{big} {unit} {small} {rest}") }
}

/// How long something took.
pub fn took(length: Duration) -> String {
    if length < Duration::seconds(1) { "under 1 s".to_owned() } else { span(length) }
}

// ---------------------------------------------------------------------------------------------
// Lengths, as plans write them

/// A length of time, never negative: `15m`, `1h 30m`, `72h`, `7d`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(into = "String")]
pub struct Span(u32);

/// What is wrong with a length, or with a moment around the start.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    #[error("A length of time is missing. For example `15m` or `1h 30m`.")]
    Empty,
    #[error("`{0}` has no unit. Say `{0}m`, `{0}h` or `{0}d`.")]
    NoUnit(String),
    #[error("`{0}` is not a unit of time here. Use s, m, h, d or w: `15m`, `1h 30m`, `7d`.")]
    Unit(String),
    #[error("`{0}` is not a length of time. For example `15m`, `1h 30m` or `72h`.")]
    Garbled(String),
    #[error("That is too long. At most ten years are understood: `3650d`.")]
    TooLong,
    #[error("`{0}` does not say before or after the start. Say `T-{0}` or `T+{0}`.")]
    NoSign(String),
}

impl Span {
    const LONGEST: u64 = 3_650 * 86_400;

    pub const fn seconds(seconds: u32) -> Self {
        Self(seconds)
    }

    pub const fn minutes(minutes: u16) -> Self {
        Self(minutes as u32 * 60)
    }

    pub const fn hours(hours: u16) -> Self {
        Self(hours as u32 * 3_600)
    }

    pub const fn as_seconds(self) -> i64 {
        self.0 as i64
    }

    pub const fn duration(self) -> Duration {
        Duration::seconds(self.as_seconds())
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.duration()
    }
}

impl From<Span> for std::time::Duration {
    fn from(span: Span) -> Self {
        Self::from_secs(span.0.into())
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(SpanError::Empty);
        }
        let mut seconds: u64 = 0;
        while !rest.is_empty() {
            let (part, after) = first_part(rest)?;
            seconds = seconds.saturating_add(part);
            let after = after.trim_start_matches([' ', ',']);
            rest = after.strip_prefix("and ").unwrap_or(after).trim_start();
        }
        let fits = Some(seconds).filter(|seconds| *seconds <= Self::LONGEST);
        fits.and_then(|seconds| u32::try_from(seconds).ok()).map(Self).ok_or(SpanError::TooLong)
    }
}

/// One number with its unit, in seconds, and what follows it.
fn first_part(text: &str) -> Result<(u64, &str), SpanError> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, after) = text.split_at(digits);
    if number.is_empty() {
        return Err(SpanError::Garbled(excerpt(text)));
    }
    let after = after.trim_start();
    let letters = after.len() - after.trim_start_matches(char::is_alphabetic).len();
    let (unit, after) = after.split_at(letters);
    if unit.is_empty() {
        return Err(match after.is_empty() {
            true => SpanError::NoUnit(excerpt(number)),
            false => SpanError::Garbled(excerpt(text)),
        });
    }
    let number: u64 = number.parse().map_err(|_| SpanError::TooLong)?;
    Ok((number.saturating_mul(unit_seconds(unit)?), after))
}

fn unit_seconds(unit: &str) -> Result<u64, SpanError> {
    match unit.to_ascii_lowercase().as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" => Ok(1),
        "m" | "min" | "mins" | "minute" | "minutes" => Ok(60),
        "h" | "hr" | "hrs" | "hour" | "hours" => Ok(3_600),
        "d" | "day" | "days" => Ok(86_400),
        "w" | "week" | "weeks" => Ok(7 * 86_400),
        _ => Err(SpanError::Unit(excerpt(unit))),
    }
}

/// Enough of a text to recognise it in an answer.
fn excerpt(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

impl fmt::Display for Span {
    /// Hours up to three days, since people say T-48h and 72h; days only when they are whole.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 72 * 3_600 && self.0.is_multiple_of(86_400) {
            return write!(f, "{}d", self.0 / 86_400);
        }
        let parts = [(self.0 / 3_600, 'h'), (self.0 % 3_600 / 60, 'm'), (self.0 % 60, 's')];
        let parts: Vec<_> = parts.iter().filter(|(number, _)| *number > 0).collect();
        if parts.is_empty() {
            return f.write_str("0s");
        }
        let parts = parts.iter().map(|(number, unit)| format!("{number}{unit}"));
        f.write_str(&parts.collect::<Vec<_>>().join(" "))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(SpanVisitor)
    }
}

struct SpanVisitor;

impl Visitor<'_> for SpanVisitor {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a length of time")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Span, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Span, E> {
        self.visit_str(&number.to_string())
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

/// A moment around the start of a release: `T-48h`, `T+1h`, `T-0`.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct Offset(i64);

impl Offset {
    pub fn before(span: Span) -> Self {
        Self(-span.as_seconds())
    }

    pub fn after(span: Span) -> Self {
        Self(span.as_seconds())
    }

    pub fn as_seconds(self) -> i64 {
        self.0
    }

    pub fn duration(self) -> Duration {
        Duration::seconds(self.0)
    }
}

impl From<Offset> for Duration {
    fn from(offset: Offset) -> Self {
        Self::seconds(offset.0)
    }
}

impl FromStr for Offset {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let text = text.trim();
        let rest = text.strip_prefix(['T', 't']).unwrap_or(text).trim_start();
        let length = |rest: &str| match rest.trim() {
            "0" => Ok(Span::default()),
            rest => rest.parse(),
        };
        if let Some(rest) = rest.strip_prefix(['-', '−', '–']) {
            return Ok(Self::before(length(rest)?));
        }
        if let Some(rest) = rest.strip_prefix('+') {
            return Ok(Self::after(length(rest)?));
        }
        match rest {
            "" if text.is_empty() => Err(SpanError::Empty),
            "" | "0" => Ok(Self::default()),
            _ => rest.parse::<Span>().and_then(|_| Err(SpanError::NoSign(excerpt(rest)))),
        }
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 > 0 { '+' } else { '-' };
        match u32::try_from(self.0.unsigned_abs()).unwrap_or(u32::MAX) {
            0 => f.write_str("T-0"),
            length => write!(f, "T{sign}{}", Span(length)),
        }
    }
}

impl TryFrom<String> for Offset {
    type Error = SpanError;

    fn try_from(text: String) -> Result<Self, SpanError> {
        text.parse()
    }
}

impl From<Offset> for String {
    fn from(offset: Offset) -> Self {
        offset.to_string()
    }
}

#[cfg(test)]
mod tests {
    use chrono::NaiveDate;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::zone::{berlin, lord_howe, los_angeles};

    fn local(text: &str) -> NaiveDateTime {
        NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").expect("a local time")
    }

    fn utc(text: &str) -> DateTime<Utc> {
        text.parse().expect("an instant")
    }

    fn refused(text: &str, zone: Zone) -> String {
        resolve(local(text), zone).expect_err("must be refused").to_string()
    }

    #[test]
    fn what_took_no_time_at_all_took_some() {
        assert_eq!(took(Duration::milliseconds(200)), "under 1 s");
        assert_eq!(took(Duration::milliseconds(1_200)), "1 s");
        assert_eq!(span(Duration::zero()), "0 s", "a length that somebody planned");
    }

    #[test]
    fn ordinary_local_times_resolve_in_summer_and_in_winter() {
        assert_eq!(resolve(local("2026-07-01 10:00"), berlin()), Ok(utc("2026-07-01T08:00:00Z")));
        assert_eq!(resolve(local("2026-12-01 10:00"), berlin()), Ok(utc("2026-12-01T09:00:00Z")));
        assert_eq!(
            resolve(local("2026-12-15 10:00"), los_angeles()),
            Ok(utc("2026-12-15T18:00:00Z"))
        );
    }

    #[test]
    fn a_skipped_time_names_both_neighbours() {
        assert_eq!(
            refused("2026-03-29 02:30", berlin()),
            "2026-03-29 02:30 does not exist in Europe/Berlin: the clocks go forward over it. \
             Say `2026-03-29 01:30 Europe/Berlin` or `2026-03-29 03:30 Europe/Berlin`."
        );
        assert!(
            refused("2026-03-08 02:00", los_angeles())
                .contains("`2026-03-08 01:00 America/Los_Angeles` or `2026-03-08 03:00 Am")
        );
        assert!(
            refused("2026-10-04 02:15", lord_howe())
                .contains("`2026-10-04 01:45 Australia/Lord_Howe` or `2026-10-04 02:45 Au")
        );
        assert!(
            refused("2011-12-30 10:00", "Pacific/Apia".parse().expect("a zone"))
                .contains("`2011-12-29 10:00 Pacific/Apia` or `2011-12-31 10:00 Pacific/Apia`")
        );
    }

    #[test]
    fn a_doubled_time_names_both_instants() {
        assert_eq!(
            refused("2026-10-25 02:30", berlin()),
            "2026-10-25 02:30 happens twice in Europe/Berlin: the clocks go back over it. \
             Say `2026-10-25T02:30:00+02:00` for the first time, \
             `2026-10-25T02:30:00+01:00` for the second."
        );
        assert!(refused("2026-11-01 01:30", los_angeles()).contains(
            "`2026-11-01T01:30:00-07:00` for the first time, `2026-11-01T01:30:00-08:00`"
        ));
        assert!(refused("2026-04-05 01:45", lord_howe()).contains(
            "`2026-04-05T01:45:00+11:00` for the first time, `2026-04-05T01:45:00+10:30`"
        ));
    }

    #[test]
    fn times_are_shown_in_the_zone_with_the_year_where_it_matters() {
        let at = utc("2026-12-15T18:00:00Z");
        assert_eq!(show(at, los_angeles(), 2026), "Tue 15 Dec, 10:00 PST");
        assert_eq!(show(at, los_angeles(), 2025), "Tue 15 Dec 2026, 10:00 PST");
        assert_eq!(
            show(at, "America/Sao_Paulo".parse().expect("a zone"), 2026),
            "Tue 15 Dec, 15:00 UTC-03"
        );
        assert_eq!(clock(at, berlin()), "19:00");
    }

    #[test]
    fn lengths_are_shown_in_two_units() {
        let shown = |seconds| span(Duration::seconds(seconds));
        assert_eq!([shown(0), shown(41), shown(90)], ["0 s", "41 s", "90 s"]);
        assert_eq!([shown(130), shown(2_700)], ["2 min 10 s", "45 min"]);
        assert_eq!([shown(79_859), shown(7_200)], ["22 h 10 min", "2 h"]);
        assert_eq!([shown(273_600), shown(172_800), shown(-90)], ["3 d 4 h", "2 d", "90 s"]);
    }

    #[test]
    fn lengths_are_read_and_written_in_one_style() {
        for (text, written) in [
            ("15m", "15m"),
            ("1h 30m", "1h 30m"),
            ("1h30m", "1h 30m"),
            ("48 h", "48h"),
            ("72h", "72h"),
            ("3 days", "72h"),
            ("1w", "7d"),
            ("90s", "1m 30s"),
            ("1 hour and 5 minutes", "1h 5m"),
            ("0s", "0s"),
        ] {
            assert_eq!(text.parse::<Span>().map(|s| s.to_string()), Ok(written.into()), "{text}");
        }
    }

    #[test]
    fn a_wrong_length_says_what_is_right() {
        let said = |text: &str| text.parse::<Span>().expect_err(text).to_string();
        assert_eq!(said("15"), "`15` has no unit. Say `15m`, `15h` or `15d`.");
        assert!(said("2 months").starts_with("`months` is not a unit of time here."));
        assert!(said("soon").starts_with("`soon` is not a length of time."));
        assert!(said(" ").starts_with("A length of time is missing."));
        assert!(said("99999999999999999999h").starts_with("That is too long."));
        assert!(said("11000d").starts_with("That is too long."));
    }

    #[test]
    fn offsets_say_before_or_after() {
        for (text, seconds, written) in [
            ("T-48h", -172_800, "T-48h"),
            ("t−1h", -3_600, "T-1h"),
            ("T+1h", 3_600, "T+1h"),
            ("-15m", -900, "T-15m"),
            ("T-0", 0, "T-0"),
            ("T", 0, "T-0"),
        ] {
            let offset: Offset = text.parse().expect(text);
            assert_eq!((offset.as_seconds(), offset.to_string().as_str()), (seconds, written));
        }
        let said = "48h".parse::<Offset>().expect_err("no sign").to_string();
        assert_eq!(said, "`48h` does not say before or after the start. Say `T-48h` or `T+48h`.");
    }

    proptest! {
        #[test]
        fn resolving_never_panics(
            days in -800_000i32..2_000_000,
            seconds in 0u32..86_400,
            zone in any::<prop::sample::Index>(),
        ) {
            let zone = Zone::all().nth(zone.index(Zone::all().len())).expect("one of them");
            let day = NaiveDate::from_num_days_from_ce_opt(days).expect("in range");
            let local = day.and_time(chrono::NaiveTime::MIN) + Duration::seconds(seconds.into());
            match resolve(local, zone) {
                Ok(at) => prop_assert_eq!(at.with_timezone(&zone).naive_local(), local),
                Err(why) => prop_assert!(why.to_string().ends_with('.')),
            }
        }

        #[test]
        fn lengths_and_offsets_survive_writing(seconds in 0u32..300_000_000) {
            let span = Span::seconds(seconds);
            prop_assert_eq!(span.to_string().parse(), Ok(span));
            for offset in [Offset::before(span), Offset::after(span)] {
                prop_assert_eq!(offset.to_string().parse(), Ok(offset));
            }
        }

        #[test]
        fn garbage_is_refused_without_panic(text in any::<String>()) {
            let _ = text.parse::<Span>();
            let _ = text.parse::<Offset>();
        }
    }
}
