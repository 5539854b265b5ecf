//! Times as people write them, in the zone they mean.
//!
//! **Invariant:** nothing is filled in silently. A day without a clock time, a time that the clocks
//! skip or double, a zone by its ambiguous letters: each is refused with what could be meant,
//! spelt exactly as one can type it.

use chrono::{
    DateTime, Datelike, Days, Duration, NaiveDate, NaiveDateTime, NaiveTime, Timelike, Utc, Weekday,
};

use crate::domain::time::{Offset, Span, SpanError, Unresolved};
pub use crate::domain::time::{clock, resolve, show, span, typed};
use crate::domain::zone::Zone;

/// No time takes more to write.
const LONGEST: usize = 100;

/// A time that was understood: what the clocks of the zone will show, and the instant.
///
/// Where the clocks go back, `local` and `zone` name two instants; `at` is the one that was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    pub local: NaiveDateTime,
    pub zone: Zone,
    pub at: DateTime<Utc>,
}

/// Why a time was not understood, and what would be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    #[error("A time is missing. For example `tomorrow 10:00` or `2026-12-01 10:00 Europe/Berlin`.")]
    Empty,
    #[error("That is too long for a time. For example `tomorrow 10:00` or `in 3h`.")]
    TooLong,
    #[error(
        "I don't understand the time `{0}`. Say `2026-12-01 10:00 Europe/Berlin`, \
         `tomorrow 10:00`, `tue 10:00` or `in 3h`."
    )]
    Garbled(String),
    #[error("At what time? For example `{0} 10:00`.")]
    NoClock(String),
    #[error("`{0}` counts days, but not to a time of day. Say `{0} 10:00`, or hours: `in 48h`.")]
    NoClockAfterDays(String),
    #[error("`{said}` could be morning or evening. Say `{day}{hour:02}:00`{evening}.")]
    BareHour { said: String, day: String, hour: u32, evening: String },
    #[error("`{0}` is not a time of day. Say `14:30` or `2:30pm`.")]
    NoSuchClock(String),
    #[error("`{0}` can mean two different days. Write the year first: `2026-12-01 10:00`.")]
    DateOrder(String),
    #[error("Midnight belongs to two days. Say `{before}` or `{after}`.")]
    Midnight { before: String, after: String },
    #[error("`{0}` is a different hour for everyone. Say which: for example `tomorrow 16:00`.")]
    EndOfDay(String),
    #[error("{understood} is in the past. The next one is `{next}`.")]
    Past { understood: String, next: String },
    #[error("`{said}` is not one time zone, and not the same all year. Name a city: {likely}.")]
    Abbreviation { said: String, likely: String },
    #[error("I don't know the time zone `{said}`. {hint}")]
    UnknownZone { said: String, hint: String },
    #[error(transparent)]
    Unresolved(#[from] Unresolved),
    #[error(transparent)]
    Length(#[from] SpanError),
}

/// Reads a time; `zone` is meant where the text names none.
pub fn instant(text: &str, now: DateTime<Utc>, zone: Zone) -> Result<Planned, TimeError> {
    let text = straighten(text);
    if text.is_empty() {
        return Err(TimeError::Empty);
    }
    if text.chars().count() > LONGEST {
        return Err(TimeError::TooLong);
    }
    let mut words = words(&text);
    let zone = take_zone(&mut words)?.unwrap_or(zone);
    Asked { said: &text, now, zone }.read(words)
}

/// `15m`, `1h 30m`, `48 h`.
pub fn duration(text: &str) -> Result<Duration, TimeError> {
    Ok(straighten(text).parse::<Span>()?.into())
}

/// `T-48h`, `T+1h`: negative before the start.
pub fn offset(text: &str) -> Result<Duration, TimeError> {
    Ok(straighten(text).parse::<Offset>()?.into())
}

/// What phones and word processors do to plain characters, undone.
fn straighten(text: &str) -> String {
    let straight: String = text
        .chars()
        .filter_map(|c| match c {
            '‐'..='―' | '−' => Some('-'),
            '"' | '\'' | '`' | '‘'..='‟' | '«' | '»' => None,
            ',' | ';' => Some(' '),
            _ if c.is_whitespace() || c.is_control() => Some(' '),
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' => None,
            '\u{feff}' => None,
            _ => Some(c),
        })
        .collect();
    straight.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The words that carry meaning, in lower case; `2026-12-01T10:00` is two.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for word in text.split_whitespace() {
        let lower = word.to_lowercase();
        match lower.split_once('t') {
            Some((date, clock)) if iso_date(date).is_some() => {
                words.extend([date.to_owned(), clock.to_owned()]);
            }
            _ if ["at", "on", "@", "the"].contains(&lower.as_str()) => {}
            _ => words.push(lower),
        }
    }
    words
}

// ---------------------------------------------------------------------------------------------
// Zones

/// Letters that several places share, or that hold for half a year only.
const ABBREVIATIONS: &[(&[&str], &[&str])] = &[
    (&["pst", "pdt", "pt"], &["America/Los_Angeles"]),
    (&["mst", "mdt", "mt"], &["America/Denver", "America/Phoenix"]),
    (&["cst", "cdt", "ct"], &["America/Chicago", "Asia/Shanghai"]),
    (&["est", "edt", "et"], &["America/New_York"]),
    (&["akst", "akdt"], &["America/Anchorage"]),
    (&["hst"], &["Pacific/Honolulu"]),
    (&["brt"], &["America/Sao_Paulo"]),
    (&["gmt"], &["UTC", "Europe/London"]),
    (&["bst"], &["Europe/London", "Asia/Dhaka"]),
    (&["wet", "west"], &["Europe/Lisbon"]),
    (&["cet", "cest", "met", "mez", "mesz"], &["Europe/Berlin", "Europe/Paris"]),
    (&["eet", "eest"], &["Europe/Athens", "Europe/Helsinki"]),
    (&["msk"], &["Europe/Moscow"]),
    (&["sast"], &["Africa/Johannesburg"]),
    (&["ist"], &["Asia/Kolkata", "Europe/Dublin", "Asia/Jerusalem"]),
    (&["jst"], &["Asia/Tokyo"]),
    (&["kst"], &["Asia/Seoul"]),
    (&["sgt"], &["Asia/Singapore"]),
    (&["hkt"], &["Asia/Hong_Kong"]),
    (&["awst"], &["Australia/Perth"]),
    (&["acst", "acdt"], &["Australia/Adelaide", "Australia/Darwin"]),
    (&["aest", "aedt"], &["Australia/Sydney", "Australia/Brisbane"]),
    (&["nzst", "nzdt"], &["Pacific/Auckland"]),
];

/// Takes a zone from the end of the words.
fn take_zone(words: &mut Vec<String>) -> Result<Option<Zone>, TimeError> {
    let Some(last) = words.last() else { return Ok(None) };
    let said = excerpt(last);
    if let Some((_, likely)) = ABBREVIATIONS.iter().find(|(names, _)| names.contains(&&**last)) {
        let likely = likely.iter().map(|zone| format!("`{zone}`")).collect::<Vec<_>>().join(" or ");
        return Err(TimeError::Abbreviation { said: said.to_uppercase(), likely });
    }
    if let Some(zone) = Zone::all().find(|zone| zone.name().eq_ignore_ascii_case(last)) {
        words.pop();
        return Ok(Some(zone));
    }
    let named = last.contains('/') && last.starts_with(char::is_alphabetic);
    match nearest_zone(last) {
        Some((zone, near)) if named || near == Near::City => {
            let hint = format!("Did you mean `{zone}`?");
            Err(TimeError::UnknownZone { said, hint })
        }
        _ if named || last.starts_with("utc") || last.starts_with("gmt") => {
            let hint = "Name a city, such as `Europe/Berlin`, or `UTC`.".to_owned();
            Err(TimeError::UnknownZone { said, hint })
        }
        _ => Ok(None),
    }
}

#[derive(PartialEq)]
enum Near {
    /// The name of the city, without its continent.
    City,
    Spelling,
}

fn nearest_zone(said: &str) -> Option<(Zone, Near)> {
    let city = |zone: &Zone| {
        zone.name().rsplit_once('/').is_some_and(|(_, city)| said.eq_ignore_ascii_case(city))
    };
    if let Some(zone) = Zone::all().find(city) {
        return Some((zone, Near::City));
    }
    Zone::all()
        .map(|zone| {
            (strsim::normalized_damerau_levenshtein(&zone.name().to_lowercase(), said), zone)
        })
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, zone)| (zone, Near::Spelling))
}

// ---------------------------------------------------------------------------------------------
// Day and clock

struct Asked<'a> {
    said: &'a str,
    now: DateTime<Utc>,
    zone: Zone,
}

/// A time of day, as far as it was said.
enum Clock {
    At(NaiveTime),
    Midnight,
}

/// A day, and whether it was said without its year.
struct Day {
    date: NaiveDate,
    yearly: bool,
}

impl Asked<'_> {
    fn read(&self, mut words: Vec<String>) -> Result<Planned, TimeError> {
        if let Some(at) = with_offset(&words) {
            return self.planned(at.with_timezone(&self.zone).naive_local(), at, None);
        }
        if let Some(planned) = self.at_the_earliest(&words) {
            return planned;
        }
        if let Some(at) = self.elapsed(&words)? {
            return self.planned(at.with_timezone(&self.zone).naive_local(), at, None);
        }
        self.refuse_what_differs(&words)?;
        words.retain(|word| word != "in");
        match take_clock(&mut words)? {
            Some(Clock::At(clock)) => {
                let day = self.day(&words, clock).ok_or_else(|| self.garbled())?;
                let local = day.date.and_time(clock);
                let at = resolve(local, self.zone)?;
                self.planned(local, at, Some(&day))
            }
            Some(Clock::Midnight) => Err(self.midnight(&words)),
            None => Err(self.no_clock(&words)),
        }
    }

    fn today(&self) -> NaiveDate {
        self.now.with_timezone(&self.zone).date_naive()
    }

    fn planned(
        &self,
        local: NaiveDateTime,
        at: DateTime<Utc>,
        day: Option<&Day>,
    ) -> Result<Planned, TimeError> {
        if at > self.now {
            return Ok(Planned { local, zone: self.zone, at });
        }
        let understood = show(at, self.zone, self.today().year());
        let yearly = day.is_some_and(|day| day.yearly);
        let next = if yearly { self.next_year(local) } else { self.next_day(local.time()) };
        Err(TimeError::Past { understood, next: typed(next, self.zone) })
    }

    /// The first day on which the clock shows this time, once, and it is still ahead.
    fn next_day(&self, clock: NaiveTime) -> NaiveDateTime {
        let mut days = self.today().iter_days().take(8).map(|day| day.and_time(clock));
        let ahead =
            |local: &NaiveDateTime| resolve(*local, self.zone).is_ok_and(|at| at > self.now);
        let tomorrow = self.today().and_time(clock) + Duration::days(1);
        days.find(ahead).unwrap_or(tomorrow)
    }

    fn next_year(&self, local: NaiveDateTime) -> NaiveDateTime {
        (1..9).find_map(|years| local.with_year(local.year() + years)).unwrap_or(local)
    }

    /// `first tuesday 10:00 after 3d`: as `tuesday 10:00` will be understood in three days, so that
    /// at least so long is left.
    fn at_the_earliest(&self, words: &[String]) -> Option<Result<Planned, TimeError>> {
        let after = words.iter().position(|word| word == "after")?;
        let (when, wait) = (&words[..after], words[after + 1..].join(" "));
        let when = when.strip_prefix(&["first".to_owned()]).unwrap_or(when);
        weekday(when.first()?)?;
        let wait: Duration = wait.parse::<Span>().ok()?.into();
        let now = self.now.checked_add_signed(wait)?;
        Some(Asked { now, ..*self }.read(when.to_vec()))
    }

    /// `in 3h`, `+90 minutes`, `3h`: counted on a stop-watch, so without days.
    fn elapsed(&self, words: &[String]) -> Result<Option<DateTime<Utc>>, TimeError> {
        let text = words.join(" ");
        let signed = text.strip_prefix("in ").or_else(|| text.strip_prefix('+')).unwrap_or(&text);
        let signed = signed.trim_start();
        let one = signed.strip_prefix("an ").or_else(|| signed.strip_prefix("a "));
        let length = one.map_or_else(|| signed.to_owned(), |unit| format!("1 {unit}"));
        let Ok(length) = length.parse::<Span>() else { return Ok(None) };
        let mut units = text.split(|c: char| !c.is_alphabetic());
        if units.any(|unit| unit.starts_with(['d', 'w'])) {
            return Err(TimeError::NoClockAfterDays(excerpt(self.said)));
        }
        let now = self.now.with_nanosecond(0).unwrap_or(self.now);
        Ok(now.checked_add_signed(length.into()))
    }

    fn refuse_what_differs(&self, words: &[String]) -> Result<(), TimeError> {
        let text = words.join(" ");
        let ends = ["end of day", "eod", "cob", "eob", "close of business", "end of business"];
        if let Some(end) = ends.iter().find(|end| format!(" {text} ").contains(&format!(" {end} ")))
        {
            return Err(TimeError::EndOfDay((*end).to_owned()));
        }
        let date = |word: &&String| {
            word.contains(['/', '.']) && word.starts_with(|c: char| c.is_ascii_digit())
        };
        let is_clock = |word: &&String| word.ends_with('m');
        match words.iter().find(|word| date(word) && !is_clock(word)) {
            Some(word) => Err(TimeError::DateOrder(excerpt(word))),
            None => Ok(()),
        }
    }

    fn day(&self, words: &[String], clock: NaiveTime) -> Option<Day> {
        let today = self.today();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let date = match words.as_slice() {
            [] | ["today"] => today,
            ["tomorrow"] => today.checked_add_days(Days::new(1))?,
            ["day", "after", "tomorrow"] => today.checked_add_days(Days::new(2))?,
            ["yesterday"] => today.checked_sub_days(Days::new(1))?,
            ["next", name] => next_week(today, weekday(name)?)?,
            [name] | ["this", name] if weekday(name).is_some() => {
                self.coming(weekday(name)?, clock)?
            }
            [date] if iso_date(date).is_some() => iso_date(date)?,
            _ => return phrase(&words, today),
        };
        Some(Day { date, yearly: false })
    }

    /// The coming one; today counts while the clock is still ahead.
    fn coming(&self, weekday: Weekday, clock: NaiveTime) -> Option<NaiveDate> {
        let today = self.today();
        let days = weekday.days_since(today.weekday());
        let gone = days == 0 && self.now.with_timezone(&self.zone).time() >= clock;
        today.checked_add_days(Days::new(if gone { 7 } else { days.into() }))
    }

    fn garbled(&self) -> TimeError {
        TimeError::Garbled(excerpt(self.said))
    }

    fn midnight(&self, words: &[String]) -> TimeError {
        let Some(day) = self.day(words, NaiveTime::MIN) else { return self.garbled() };
        let first = day.date.max(self.today() + Days::new(u64::from(words.is_empty())));
        let of = |day: Option<NaiveDate>| {
            day.map(|day| typed(day.and_time(NaiveTime::MIN), self.zone)).unwrap_or_default()
        };
        TimeError::Midnight {
            before: of(Some(first)),
            after: of(first.checked_add_days(Days::new(1))),
        }
    }

    fn no_clock(&self, words: &[String]) -> TimeError {
        if self.day(words, NaiveTime::MIN).is_some() && !words.is_empty() {
            return TimeError::NoClock(words.join(" "));
        }
        let Some((last, day)) = words.split_last() else { return self.garbled() };
        match last.parse() {
            Ok(hour) if hour < 24 && self.day(day, NaiveTime::MIN).is_some() => {
                let before =
                    |day: &[String]| day.iter().map(|word| format!("{word} ")).collect::<String>();
                let later = (1..12)
                    .contains(&hour)
                    .then(|| format!(" or `{}{}:00`", before(day), hour + 12));
                let (said, evening) = (excerpt(self.said), later.unwrap_or_default());
                TimeError::BareHour { said, day: before(day), hour, evening }
            }
            _ => self.garbled(),
        }
    }
}

/// `2026-12-01T10:00:00+01:00`, also with a space, without seconds, or with `Z`.
fn with_offset(words: &[String]) -> Option<DateTime<Utc>> {
    let (date, rest) = words.split_first()?;
    iso_date(date)?;
    let text = format!("{date}T{}", rest.concat()).to_uppercase();
    let text = text.strip_suffix('Z').map_or(text.clone(), |text| format!("{text}+00:00"));
    let formats = ["%Y-%m-%dT%H:%M:%S%.f%z", "%Y-%m-%dT%H:%M%z"];
    formats
        .iter()
        .find_map(|format| DateTime::parse_from_str(&text, format).ok())
        .map(|at| at.to_utc())
}

/// Four digits, two, two: chrono alone would also take a year of six digits or a sign.
fn iso_date(text: &str) -> Option<NaiveDate> {
    let shape = text.len() == 10 && text.starts_with(|c: char| c.is_ascii_digit());
    NaiveDate::parse_from_str(text, "%Y-%m-%d").ok().filter(|_| shape)
}

fn weekday(name: &str) -> Option<Weekday> {
    match name {
        "tues" => Some(Weekday::Tue),
        "weds" => Some(Weekday::Wed),
        "thur" | "thurs" => Some(Weekday::Thu),
        name => name.parse().ok(),
    }
}

/// The day of the next calendar week, which begins on Monday. "Next Tuesday", said on a Monday, is
/// not tomorrow; said on a Sunday, it is in two days.
fn next_week(today: NaiveDate, weekday: Weekday) -> Option<NaiveDate> {
    let to_monday = 7 - today.weekday().num_days_from_monday();
    today.checked_add_days(Days::new((to_monday + weekday.num_days_from_monday()).into()))
}

/// `1 dec`, `dec 1 2026`, `2 days`, `1 week`: just these shapes go to the phrase reader, which
/// would also read a lone month or a year, and fill in the rest.
fn phrase(words: &[&str], today: NaiveDate) -> Option<Day> {
    let words: Vec<&str> = words.iter().map(|word| without_ordinal(word)).collect();
    let day = |word: &str| word.len() <= 2 && word.parse().is_ok_and(|day| (1..=31).contains(&day));
    let year = |word: &str| word.len() == 4 && word.parse().is_ok_and(|year: u16| year >= 1970);
    let count = |word: &str| word.len() <= 3 && word.parse::<u16>().is_ok();
    let (text, yearly) = match words.as_slice() {
        [d, month] if day(d) && is_month(month) => (format!("{d} {month}"), true),
        [month, d] if day(d) && is_month(month) => (format!("{d} {month}"), true),
        [d, month, y] if day(d) && is_month(month) && year(y) => {
            (format!("{d} {month} {y}"), false)
        }
        [month, d, y] if day(d) && is_month(month) && year(y) => {
            (format!("{d} {month} {y}"), false)
        }
        [n, unit @ ("day" | "days" | "week" | "weeks")] if count(n) => {
            (format!("{n} {unit}"), false)
        }
        _ => return None,
    };
    let base = today.and_time(NaiveTime::MIN).and_utc();
    let found = interim::parse_date_string(&text, base, interim::Dialect::Uk).ok()?;
    Some(Day { date: found.date_naive(), yearly })
}

fn is_month(word: &str) -> bool {
    word == "sept" || word.parse::<chrono::Month>().is_ok()
}

fn without_ordinal(word: &str) -> &str {
    let endings = ["st", "nd", "rd", "th"];
    let number = endings.iter().find_map(|ending| word.strip_suffix(ending));
    number.filter(|number| number.parse::<u8>().is_ok()).unwrap_or(word)
}

/// Takes the time of day out of the words, wherever it stands.
fn take_clock(words: &mut Vec<String>) -> Result<Option<Clock>, TimeError> {
    for at in 0..words.len() {
        let half = words.get(at + 1).map(|word| word.replace('.', ""));
        let half = half.filter(|half| half == "am" || half == "pm");
        let both = format!("{}{}", words[at], half.as_deref().unwrap_or(""));
        if let Some(clock) = read_clock(&both)? {
            words.drain(at..=at + usize::from(half.is_some()));
            return Ok(Some(clock));
        }
    }
    Ok(None)
}

fn read_clock(word: &str) -> Result<Option<Clock>, TimeError> {
    match word {
        "noon" | "midday" => return Ok(NaiveTime::from_hms_opt(12, 0, 0).map(Clock::At)),
        "midnight" => return Ok(Some(Clock::Midnight)),
        _ => {}
    }
    let am = word.strip_suffix("am").or_else(|| word.strip_suffix("a.m."));
    let pm = word.strip_suffix("pm").or_else(|| word.strip_suffix("p.m."));
    let digits = am.or(pm).unwrap_or(word);
    let half = am.is_some() || pm.is_some();
    let numeric = digits.chars().all(|c| c.is_ascii_digit() || ":.".contains(c));
    if digits.is_empty() || !numeric || !(half || digits.contains(':')) {
        return Ok(None);
    }
    let parts = digits.split([':', '.']).map(|part| part.parse().ok().filter(|_| part.len() < 3));
    let time = parts.collect::<Option<Vec<u32>>>().and_then(|parts| match parts.as_slice() {
        [hour] => Some((*hour, 0, 0)),
        [hour, minute] => Some((*hour, *minute, 0)),
        [hour, minute, second] => Some((*hour, *minute, *second)),
        _ => None,
    });
    let time = time.filter(|(hour, ..)| !half || (1..=12).contains(hour));
    match time {
        Some((24, 0, 0)) => Ok(Some(Clock::Midnight)),
        Some((12, 0, 0)) if am.is_some() => Ok(Some(Clock::Midnight)),
        Some((hour, minute, second)) => {
            let hour = if half { hour % 12 + if pm.is_some() { 12 } else { 0 } } else { hour };
            let clock = NaiveTime::from_hms_opt(hour, minute, second).map(Clock::At);
            clock.map(Some).ok_or_else(|| TimeError::NoSuchClock(excerpt(word)))
        }
        None => Err(TimeError::NoSuchClock(excerpt(word))),
    }
}

/// Enough of a text to recognise it in an answer.
fn excerpt(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    if short.len() < text.len() { format!("{short}…") } else { short }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::zone::{berlin, lord_howe, los_angeles};

    /// Saturday, 21 November 2026, 10:30 in Berlin.
    fn now() -> DateTime<Utc> {
        "2026-11-21T09:30:15.5Z".parse().expect("an instant")
    }

    fn understood(text: &str) -> String {
        let planned = instant(text, now(), berlin()).unwrap_or_else(|why| panic!("{text}: {why}"));
        assert_eq!(planned.at.with_timezone(&planned.zone).naive_local(), planned.local);
        typed(planned.local, planned.zone)
    }

    fn refused(text: &str) -> String {
        instant(text, now(), berlin()).expect_err(text).to_string()
    }

    #[test]
    fn every_form_that_people_write_is_understood() {
        for (text, expected) in [
            ("2026-12-01 10:00", "2026-12-01 10:00 Europe/Berlin"),
            ("2026-12-01T10:00", "2026-12-01 10:00 Europe/Berlin"),
            ("2026-12-01 10:00:30", "2026-12-01 10:00:30 Europe/Berlin"),
            ("2026-12-01 10:00 america/los_angeles", "2026-12-01 10:00 America/Los_Angeles"),
            ("2026-12-01 10:00 utc", "2026-12-01 10:00 UTC"),
            ("2026-12-01T10:00:00-08:00", "2026-12-01 19:00 Europe/Berlin"),
            ("2026-12-01T10:00Z", "2026-12-01 11:00 Europe/Berlin"),
            ("2026-12-01 10:00 +02:00", "2026-12-01 09:00 Europe/Berlin"),
            ("2026-12-01T10:00:00Z America/New_York", "2026-12-01 05:00 America/New_York"),
            ("14:30", "2026-11-21 14:30 Europe/Berlin"),
            ("at 2:30pm", "2026-11-21 14:30 Europe/Berlin"),
            ("today at 11:00", "2026-11-21 11:00 Europe/Berlin"),
            ("tomorrow 10:00", "2026-11-22 10:00 Europe/Berlin"),
            ("10am tomorrow", "2026-11-22 10:00 Europe/Berlin"),
            ("tomorrow at 10 a.m.", "2026-11-22 10:00 Europe/Berlin"),
            ("tomorrow noon", "2026-11-22 12:00 Europe/Berlin"),
            ("tomorrow 12pm", "2026-11-22 12:00 Europe/Berlin"),
            ("tomorrow 00:00", "2026-11-22 00:00 Europe/Berlin"),
            ("the day after tomorrow, 9:15", "2026-11-23 09:15 Europe/Berlin"),
            ("tuesday 10:00", "2026-11-24 10:00 Europe/Berlin"),
            ("On TUE at 10:00", "2026-11-24 10:00 Europe/Berlin"),
            ("thurs 10:00", "2026-11-26 10:00 Europe/Berlin"),
            ("saturday 11:00", "2026-11-21 11:00 Europe/Berlin"),
            ("saturday 10:00", "2026-11-28 10:00 Europe/Berlin"),
            ("next tuesday 10am America/Los_Angeles", "2026-11-24 10:00 America/Los_Angeles"),
            ("first tuesday 10:00 after 3d", "2026-12-01 10:00 Europe/Berlin"),
            ("the first Tuesday at 10:00 after 49 hours", "2026-11-24 10:00 Europe/Berlin"),
            ("sat 10am after 1 week UTC", "2026-11-28 10:00 UTC"),
            ("1 dec 10:00", "2026-12-01 10:00 Europe/Berlin"),
            ("Dec 1st, 10:00", "2026-12-01 10:00 Europe/Berlin"),
            ("dec 1 2026 10:00", "2026-12-01 10:00 Europe/Berlin"),
            ("1 December 2027 at noon", "2027-12-01 12:00 Europe/Berlin"),
            ("in 2 days 10:00", "2026-11-23 10:00 Europe/Berlin"),
            ("in 1 week at 10:00", "2026-11-28 10:00 Europe/Berlin"),
            ("“2026‑12‑01\u{a0}10:00”", "2026-12-01 10:00 Europe/Berlin"),
        ] {
            assert_eq!(understood(text), expected, "{text}");
        }
    }

    #[test]
    fn the_sample_plan_starts_when_its_first_announcement_is_still_ahead() {
        let plan = include_str!("../../config/plans/web-shop-v1.2.0.toml");
        let phrase =
            plan.lines().find_map(|line| line.strip_prefix("start = \"")).expect("a start");
        let phrase = phrase.split('"').next().expect("the text of it");
        for hour in 0..14 * 24 {
            let now = now() + Duration::hours(hour);
            let start = instant(phrase, now, los_angeles()).expect("understood");
            let local = start.local;
            assert_eq!((local.weekday(), local.hour(), local.minute()), (Weekday::Tue, 10, 0));
            let left = start.at - now;
            assert!(left > Duration::hours(48) && left < Duration::hours(242), "{now}: {left}");
        }
    }

    #[test]
    fn stop_watch_times_count_from_now() {
        for text in ["in 3h", "+3h", "in 180 minutes", "3h", "in 3 hours America/New_York"] {
            let planned = instant(text, now(), berlin()).expect(text);
            assert_eq!(planned.at, "2026-11-21T12:30:15Z".parse::<DateTime<Utc>>().expect("utc"));
        }
        assert_eq!(understood("in an hour"), "2026-11-21 11:30:15 Europe/Berlin");
        assert_eq!(understood("in 1h 30m"), "2026-11-21 12:00:15 Europe/Berlin");
    }

    #[test]
    fn next_is_the_next_calendar_week() {
        let monday: DateTime<Utc> = "2026-11-23T09:00:00Z".parse().expect("utc");
        let planned = instant("next tuesday 10:00", monday, berlin()).expect("understood");
        assert_eq!(typed(planned.local, planned.zone), "2026-12-01 10:00 Europe/Berlin");
    }

    #[test]
    fn the_day_is_that_of_the_named_zone() {
        let late: DateTime<Utc> = "2026-11-21T23:30:00Z".parse().expect("utc");
        let planned = instant("tomorrow 10:00 America/Los_Angeles", late, berlin()).expect("known");
        assert_eq!(planned.local.to_string(), "2026-11-22 10:00:00");
        let planned = instant("tomorrow 10:00", late, berlin()).expect("known");
        assert_eq!(planned.local.to_string(), "2026-11-23 10:00:00");
    }

    #[test]
    fn what_is_not_said_is_asked_for() {
        assert_eq!(refused("tomorrow"), "At what time? For example `tomorrow 10:00`.");
        assert_eq!(refused("next tuesday"), "At what time? For example `next tuesday 10:00`.");
        assert_eq!(refused("2026-12-01"), "At what time? For example `2026-12-01 10:00`.");
        assert_eq!(refused("dec 1"), "At what time? For example `dec 1 10:00`.");
        assert_eq!(
            refused("in 2 days"),
            "`in 2 days` counts days, but not to a time of day. \
             Say `in 2 days 10:00`, or hours: `in 48h`."
        );
        assert_eq!(
            refused("tomorrow 10"),
            "`tomorrow 10` could be morning or evening. \
             Say `tomorrow 10:00` or `tomorrow 22:00`."
        );
        assert!(refused("   ").starts_with("A time is missing."));
    }

    #[test]
    fn what_means_two_things_is_refused_with_both() {
        assert_eq!(
            refused("tomorrow midnight"),
            "Midnight belongs to two days. \
             Say `2026-11-22 00:00 Europe/Berlin` or `2026-11-23 00:00 Europe/Berlin`."
        );
        assert!(refused("midnight").contains("`2026-11-22 00:00 Europe/Berlin` or `2026-11-23"));
        assert!(refused("tomorrow 12am").starts_with("Midnight belongs to two days."));
        assert_eq!(
            refused("end of day tomorrow"),
            "`end of day` is a different hour for everyone. \
             Say which: for example `tomorrow 16:00`."
        );
        assert!(refused("01/12 10:00").starts_with("`01/12` can mean two different days."));
        assert!(refused("01.12.2026 10:00").starts_with("`01.12.2026` can mean two"));
    }

    #[test]
    fn zones_are_named_by_their_city() {
        assert_eq!(
            refused("tue 10:00 PST"),
            "`PST` is not one time zone, and not the same all year. \
             Name a city: `America/Los_Angeles`."
        );
        assert!(refused("10:00 cet").contains("`Europe/Berlin` or `Europe/Paris`"));
        assert_eq!(
            refused("tue 10:00 Europe/Berln"),
            "I don't know the time zone `europe/berln`. Did you mean `Europe/Berlin`?"
        );
        assert!(refused("tue 10:00 berlin").ends_with("Did you mean `Europe/Berlin`?"));
        assert!(refused("tue 10:00 Mars/Olympus").ends_with("or `UTC`."));
        assert!(refused("tue 10:00 UTC+1").ends_with("or `UTC`."));
    }

    #[test]
    fn the_past_is_refused_with_what_was_understood_and_what_is_next() {
        assert_eq!(
            refused("10:00"),
            "Sat 21 Nov, 10:00 CET is in the past. \
             The next one is `2026-11-22 10:00 Europe/Berlin`."
        );
        assert_eq!(
            refused("2025-12-01 14:00"),
            "Mon 1 Dec 2025, 14:00 CET is in the past. \
             The next one is `2026-11-21 14:00 Europe/Berlin`."
        );
        assert!(
            refused("1 mar 10:00").ends_with("The next one is `2027-03-01 10:00 Europe/Berlin`.")
        );
        assert!(refused("yesterday 10:00").starts_with("Fri 20 Nov, 10:00 CET is in the past."));
    }

    #[test]
    fn skipped_and_doubled_times_offer_what_can_be_typed() {
        for (text, zone) in [
            ("2027-03-28 02:30", berlin()),
            ("2027-10-31 02:30", berlin()),
            ("2027-03-14 02:30", los_angeles()),
            ("2027-11-07 01:30", los_angeles()),
            ("2027-10-03 02:15", lord_howe()),
            ("2027-04-04 01:45", lord_howe()),
        ] {
            let why = instant(text, now(), zone).expect_err(text).to_string();
            let offers: Vec<&str> = why.split('`').skip(1).step_by(2).collect();
            assert_eq!(offers.len(), 2, "{why}");
            for offer in offers {
                instant(offer, now(), zone).unwrap_or_else(|again| panic!("{offer}: {again}"));
            }
        }
    }

    #[test]
    fn wrong_words_are_shown_with_right_ones() {
        for text in ["soon", "tomorow 10:00", "257 dec 10:00", "december 10:00", "31 feb 10:00"] {
            assert!(refused(text).starts_with("I don't understand the time `"), "{text}");
        }
        assert!(refused("10:00 11:00").starts_with("I don't understand"));
        assert!(refused("tomorrow 25:00").starts_with("`25:00` is not a time of day."));
        assert!(refused("tomorrow 13pm").starts_with("`13pm` is not a time of day."));
        assert!(refused(&"9".repeat(10_000)).starts_with("That is too long for a time."));
    }

    #[test]
    fn lengths_and_offsets_are_read_as_in_plans() {
        assert_eq!(duration("1h 30m"), Ok(Duration::minutes(90)));
        assert_eq!(offset("T–48h"), Ok(Duration::hours(-48)));
        assert_eq!(offset("T+1h"), Ok(Duration::hours(1)));
        assert!(duration("soon").is_err());
    }

    proptest! {
        #[test]
        fn the_exact_form_comes_back(
            seconds in 1i64..400_000_000,
            zone in any::<prop::sample::Index>(),
        ) {
            let zone = Zone::all().nth(zone.index(Zone::all().len())).expect("one of them");
            let at = DateTime::from_timestamp(now().timestamp() + seconds, 0).expect("in range");
            let local = at.with_timezone(&zone).naive_local();
            let name = zone.name().to_lowercase();
            let lettered = ABBREVIATIONS.iter().any(|(names, _)| names.contains(&&*name));
            prop_assume!(!lettered && resolve(local, zone).is_ok());
            prop_assert_eq!(
                instant(&typed(local, zone), now(), berlin()),
                Ok(Planned { local, zone, at })
            );
            let offset = at.with_timezone(&zone).to_rfc3339();
            prop_assert_eq!(instant(&offset, now(), zone).map(|planned| planned.at), Ok(at));
        }

        #[test]
        fn garbage_is_answered_without_panic(text in any::<String>()) {
            let _ = instant(&text, now(), berlin());
        }

        #[test]
        fn near_misses_are_answered_without_panic(
            words in prop::collection::vec(
                prop_oneof![
                    "in|next|tue|dec|1st|midnight|noon|end of day|9999-12-31|\\+|🚀|UTC|at|tomorrow",
                    "[0-9]{1,5}|[0-9]{1,3}(:[0-9]{1,3})?(am|pm|d|w|h)?|2026-1[0-9]-[0-9]{2}",
                ],
                0..6,
            )
        ) {
            if let Err(why) = instant(&words.join(" "), now(), berlin()) {
                prop_assert!(why.to_string().ends_with(['.', '?']), "{}", why);
            }
        }
    }

    #[test]
    fn long_texts_are_answered() {
        for text in ["🚀".repeat(10_000), "tue ".repeat(10_000), "א".repeat(10_000)] {
            assert!(instant(&text, now(), berlin()).is_err());
        }
    }
}
