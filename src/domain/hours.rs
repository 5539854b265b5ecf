//! The hours of the week in which somebody is there: `Mon–Thu 09–17, Fri 09–12`.

use std::fmt;
use std::str::FromStr;

use chrono::{Datelike, Duration, NaiveDate, NaiveTime, Weekday};
use serde::{Deserialize, Serialize};

use super::time::{Time, first_at};
use super::zone::Zone;

/// Local time, in a zone that is said beside it. An end is not part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hours {
    /// As it was written.
    text: String,
    open: Vec<Open>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Open {
    days: Vec<Weekday>,
    /// Minutes since midnight.
    from: u32,
    until: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HoursError {
    #[error("`{0}` names no hours of the week: write them such as `Mon–Fri 09–17`")]
    Unclear(String),
    #[error("I know no day `{0}`: write `Mon`, `Mon–Fri`, `Sat, Sun` or `daily`")]
    Day(String),
    #[error("`{0}` is no time of the day: write hours such as `09–17` or `09:30–17:00`")]
    Clock(String),
    #[error("`{0}` ends before it begins: write two, such as `Mon 22–24, Tue 00–06`")]
    Backwards(String),
}

/// What people write between two ends.
const DASHES: [char; 3] = ['–', '-', '—'];
const MIDNIGHT: u32 = 24 * 60;

impl Hours {
    /// The first instant from then on that lies within.
    pub fn next(&self, at: Time, zone: Zone) -> Time {
        let today = at.with_timezone(&zone).date_naive();
        // A week on, each of the days has come; a clock that goes forward may have swallowed one.
        let days = today.iter_days().take(15);
        let mut starts = days.filter_map(|day| self.on(day, at, zone));
        starts.next().unwrap_or(at)
    }

    /// The same on one day.
    fn on(&self, day: NaiveDate, at: Time, zone: Zone) -> Option<Time> {
        let open = self.open.iter().filter(|open| open.days.contains(&day.weekday()));
        let left = open.filter_map(|open| {
            let minute = |minutes: u32| {
                let midnight = day.and_time(NaiveTime::MIN);
                first_at(midnight + Duration::minutes(minutes.into()), zone)
            };
            let (from, until) = (minute(open.from), minute(open.until));
            (at < until && from < until).then_some(from.max(at))
        });
        left.min()
    }
}

impl FromStr for Hours {
    type Err = HoursError;

    fn from_str(text: &str) -> Result<Self, HoursError> {
        let text = text.trim();
        let unclear = || HoursError::Unclear(text.to_owned());
        let (mut open, mut days) = (Vec::new(), Vec::new());
        for part in text.split(',').map(str::trim) {
            // `Sat, Sun 10–16`: a day without hours has those of the next.
            let at = part.find(|c: char| c.is_ascii_digit()).unwrap_or(part.len());
            let (named, hours) = part.split_at(at);
            days.extend(read_days(named.trim())?);
            if hours.is_empty() {
                continue;
            }
            let (from, until) = hours.split_once(DASHES).ok_or_else(unclear)?;
            let (from, until) = (clock(from.trim())?, clock(until.trim())?);
            if from >= until {
                return Err(HoursError::Backwards(part.to_owned()));
            }
            open.push(Open { days: std::mem::take(&mut days), from, until });
        }
        let named = open.iter().all(|open| !open.days.is_empty());
        let complete = named && days.is_empty() && !open.is_empty();
        complete.then(|| Self { text: text.to_owned(), open }).ok_or_else(unclear)
    }
}

const WEEK: [Weekday; 7] = [
    Weekday::Mon,
    Weekday::Tue,
    Weekday::Wed,
    Weekday::Thu,
    Weekday::Fri,
    Weekday::Sat,
    Weekday::Sun,
];

/// A day, the days from one to another, or all of them.
fn read_days(text: &str) -> Result<Vec<Weekday>, HoursError> {
    let day = |name: &str| {
        name.trim().parse::<Weekday>().map_err(|_| HoursError::Day(name.trim().to_owned()))
    };
    if text.is_empty() {
        return Ok(Vec::new());
    }
    if text.eq_ignore_ascii_case("daily") {
        return Ok(WEEK.to_vec());
    }
    let Some((first, last)) = text.split_once(DASHES) else { return Ok(vec![day(text)?]) };
    let (first, last) = (day(first)?, day(last)?);
    let days = WEEK.into_iter().cycle().skip_while(|day| *day != first);
    let length = (7 + last.num_days_from_monday() - first.num_days_from_monday()) % 7 + 1;
    Ok(days.take(length as usize).collect())
}

/// `09`, `9:30` or `24`, in minutes since midnight.
fn clock(text: &str) -> Result<u32, HoursError> {
    let (hour, minute) = text.split_once(':').unwrap_or((text, "0"));
    let number = |text: &str| text.parse::<u32>().ok().filter(|_| text.len() <= 2);
    let read = number(hour).zip(number(minute)).filter(|(_, minute)| *minute < 60);
    let minutes = read.map(|(hour, minute)| hour * 60 + minute).filter(|all| *all <= MIDNIGHT);
    minutes.ok_or_else(|| HoursError::Clock(text.to_owned()))
}

impl TryFrom<String> for Hours {
    type Error = HoursError;

    fn try_from(text: String) -> Result<Self, HoursError> {
        text.parse()
    }
}

impl From<Hours> for String {
    fn from(hours: Hours) -> Self {
        hours.text
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::zone::{berlin, los_angeles};

    fn hours(text: &str) -> Hours {
        text.parse().unwrap_or_else(|why| panic!("{text}: {why}"))
    }

    /// The next opening as Berlin's clocks show it.
    fn next(text: &str, at: &str) -> String {
        let at = chrono::NaiveDateTime::parse_from_str(at, "%Y-%m-%d %H:%M").expect("a time");
        let at = first_at(at, berlin());
        let next = hours(text).next(at, berlin()).with_timezone(&berlin());
        next.format("%a %-d %b %H:%M").to_string()
    }

    #[test]
    fn what_lies_within_is_now_and_what_does_not_waits_for_the_next_opening() {
        let office = "Mon–Fri 09–17";
        assert_eq!(next(office, "2026-12-15 10:00"), "Tue 15 Dec 10:00");
        assert_eq!(next(office, "2026-12-15 08:59"), "Tue 15 Dec 09:00");
        assert_eq!(next(office, "2026-12-15 17:00"), "Wed 16 Dec 09:00", "the end is outside");
        assert_eq!(next(office, "2026-12-18 17:30"), "Mon 21 Dec 09:00", "over the weekend");
        let two = "Mon-Thu 09-17, Fri 9-12:30, Sat, Sun 14-15";
        assert_eq!(next(two, "2026-12-18 12:29"), "Fri 18 Dec 12:29");
        assert_eq!(next(two, "2026-12-18 12:30"), "Sat 19 Dec 14:00");
        assert_eq!(next(two, "2026-12-19 15:00"), "Sun 20 Dec 14:00");
        assert_eq!(next("daily 00–24", "2026-12-20 23:59"), "Sun 20 Dec 23:59");
        assert_eq!(next("Sat–Mon 10-11", "2026-12-16 00:00"), "Sat 19 Dec 10:00");
        assert_eq!(next("Wed 10-11", "2026-12-16 11:00"), "Wed 23 Dec 10:00", "a week on");
    }

    #[test]
    fn a_clock_that_is_changed_opens_at_the_first_moment_that_there_is() {
        // From 02:00 to 03:00 there is nothing that night.
        assert_eq!(next("Sun 02:30–05", "2026-03-29 00:00"), "Sun 29 Mar 03:00");
        assert_eq!(next("Sun 02–03", "2026-03-29 00:00"), "Sun 5 Apr 02:00");
        let zone = los_angeles();
        let at: Time = "2026-11-01T07:00:00Z".parse().expect("a time");
        // 01:30 comes twice: the first one.
        let first = hours("Sun 01:30–03").next(at, zone);
        assert_eq!(first.to_rfc3339(), "2026-11-01T08:30:00+00:00");
    }

    #[test]
    fn what_cannot_be_meant_says_what_would_be_right() {
        for (text, why) in [
            ("", "write them such as `Mon–Fri 09–17`"),
            ("Mon–Fri", "write them such as `Mon–Fri 09–17`"),
            ("09–17", "write them such as `Mon–Fri 09–17`"),
            ("Mon–Fri 09", "write them such as `Mon–Fri 09–17`"),
            ("workdays 09–17", "no day `workdays`"),
            ("Mon–Fry 09–17", "no day `Fry`"),
            ("Mon–Fri 09–25", "`25` is no time of the day"),
            ("Mon–Fri 9:75–10", "`9:75` is no time of the day"),
            ("Mon–Fri 9–5", "ends before it begins"),
            ("Mon 22–06", "`Mon 22–24, Tue 00–06`"),
            ("Mon 9–17, Tue", "write them such as"),
        ] {
            let told = text.parse::<Hours>().map(|_| ()).expect_err(text).to_string();
            assert!(told.contains(why), "{text}: {told}");
        }
        assert_eq!(hours(" Mon - fri 9 - 17 ").to_string(), "Mon - fri 9 - 17");
    }

    proptest! {
        #[test]
        fn the_next_opening_is_never_before_and_lies_within(minutes in 0_i64..1_000_000) {
            let at = Time::UNIX_EPOCH + Duration::minutes(minutes) + Duration::days(20_000);
            let hours = hours("Mon–Thu 09–17, Fri 09–12");
            let next = hours.next(at, berlin());
            prop_assert!(next >= at && next - at <= Duration::days(4));
            prop_assert_eq!(hours.next(next, berlin()), next, "it is open then");
        }
    }
}
