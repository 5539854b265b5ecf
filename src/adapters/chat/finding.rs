//! What a look at a platform found, and whether its clock and ours agree.

use std::time::SystemTime;

use reqwest::header::{DATE, HeaderMap};

/// Signatures count for five minutes; a machine of ours must tell the time better than that.
const SKEW: u64 = 60;

/// What was looked at, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub what: String,
    pub trouble: Option<String>,
}

pub(super) fn good(what: impl Into<String>) -> Finding {
    Finding { what: what.into(), trouble: None }
}

pub(super) fn bad(what: impl Into<String>, trouble: impl Into<String>) -> Finding {
    Finding { what: what.into(), trouble: Some(trouble.into()) }
}

/// By what an answer of the platform says of the time.
pub(super) fn clock(platform: &str, headers: &HeaderMap) -> Finding {
    let what = format!("the clock, beside {platform}'s");
    let theirs = headers.get(DATE).and_then(|value| value.to_str().ok());
    let theirs = theirs.and_then(|text| chrono::DateTime::parse_from_rfc2822(text).ok());
    let Some(theirs) = theirs else { return good(what) };
    let ours = chrono::DateTime::<chrono::Utc>::from(SystemTime::now());
    let skew = (ours.timestamp() - theirs.timestamp()).unsigned_abs();
    match skew <= SKEW {
        true => good(what),
        false => bad(what, format!("{skew} s apart: let this machine set its clock by NTP")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_off_is_told() {
        let mut headers = HeaderMap::new();
        assert_eq!(clock("Slack", &headers).trouble, None);
        headers.insert(DATE, "Wed, 21 Oct 2015 07:28:00 GMT".parse().expect("ASCII"));
        assert!(clock("Slack", &headers).trouble.expect("years apart").contains("NTP"));
        let now = chrono::Utc::now().to_rfc2822();
        headers.insert(DATE, now.parse().expect("ASCII"));
        assert_eq!(clock("Slack", &headers), good("the clock, beside Slack's"));
    }
}
