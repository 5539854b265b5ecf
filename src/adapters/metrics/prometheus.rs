//! Prometheus, and what speaks as it does: VictoriaMetrics, Thanos, Mimir.
//!
//! They differ where it matters. A ratio of nothing to nothing is `NaN` to Prometheus and no series
//! to VictoriaMetrics, which also keeps the last 30 seconds to itself (`-search.latencyOffset`): the
//! points then end that much earlier. Those that ask several stores can leave out one that is down;
//! they are told not to.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use reqwest::Url;
use serde::Deserialize;
use tracing::debug;

use super::http::{Address, Answer, Door};
use super::{instant, unix};
use crate::ports::{Failure, Metrics, Question, Series};

/// Prometheus refuses to answer with more points than this.
const MOST_POINTS: u32 = 11_000;
/// Finer than this, times are not written.
const FINEST: Duration = Duration::from_millis(1);

pub struct Prometheus {
    door: Door,
    url: Url,
}

impl Prometheus {
    /// The url is where its own page is; `/api/v1` is added.
    pub fn new(name: &str, address: &Address) -> Result<Self, Failure> {
        let door = Door::new(name, address)?;
        let mut url = door.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v1", "query_range"]);
        }
        Ok(Self { door, url })
    }

    /// Asks for the number one.
    pub(super) async fn greet(&self) -> Result<(), Failure> {
        let now = SystemTime::now();
        let query = "vector(1)".to_owned();
        let one = Question { query, from: now, to: now, step: Duration::from_secs(1) };
        let series = self.read(&one).await?;
        match series.first().and_then(|series| series.points.last()) {
            Some((_, 1.0)) => Ok(()),
            // VictoriaMetrics shows nothing of the last 30 seconds.
            None if series.is_empty() => Ok(()),
            Some(_) | None => Err(self.door.odd("does not count as Prometheus does")),
        }
    }

    fn understood(&self, answer: &Answer) -> Result<Vec<Series>, Failure> {
        let said: Said = match serde_json::from_slice(&answer.body) {
            Ok(said) => said,
            Err(_) if !answer.status.is_success() => return Err(self.door.refused(answer, None)),
            Err(_) => {
                let begins: String =
                    String::from_utf8_lossy(&answer.body).chars().take(80).collect();
                let begins = self.door.quoted(&begins);
                let why = format!("does not answer as Prometheus does, but with \"{begins}\"");
                return Err(self.door.odd(&why));
            }
        };
        for warning in &said.warnings {
            debug!("a source of metrics warns: {}", self.door.quoted(warning));
        }
        if said.status != "success" || !answer.status.is_success() {
            let why = format!("{}: {}", said.error_type, said.error);
            return Err(self.door.refused(answer, Some(&why)));
        }
        let data = said.data.ok_or_else(|| self.door.odd("answers without data"))?;
        if data.result_type != "matrix" {
            let why =
                format!("answers with a {}, not a matrix", self.door.quoted(&data.result_type));
            return Err(self.door.odd(&why));
        }
        let lines: Result<Vec<Series>, String> = data.result.into_iter().map(series).collect();
        let mut lines = lines.map_err(|why| self.door.odd(&self.door.quoted(&why)))?;
        lines.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(lines)
    }
}

#[async_trait]
impl Metrics for Prometheus {
    async fn read(&self, question: &Question) -> Result<Vec<Series>, Failure> {
        let range = question.to.duration_since(question.from);
        let range = range.map_err(|_| Failure::permanent("the question ends before it begins"))?;
        let step = step(range, question.step);
        let form = [
            ("query", question.query.clone()),
            ("start", seconds(question.to - whole_steps(range, step))),
            ("end", seconds(question.to)),
            ("step", format!("{:.3}", step.as_secs_f64())),
            ("timeout", format!("{}ms", self.door.timeout.as_millis())),
            // To Thanos and to VictoriaMetrics; others do not look at it.
            ("partial_response", "false".to_owned()),
            ("deny_partial_response", "1".to_owned()),
        ];
        let answer = self.door.ask(self.door.post(self.url.clone()).form(&form)).await?;
        self.understood(&answer)
    }
}

/// The one that was asked for, or the finest that fits into one answer.
fn step(range: Duration, wanted: Duration) -> Duration {
    let fits = range / (MOST_POINTS - 1);
    let widened = Duration::from_millis(u64::try_from(fits.as_millis()).unwrap_or(u64::MAX));
    let widened = if widened < fits { widened + FINEST } else { widened };
    wanted.max(widened).max(FINEST)
}

/// Points are counted from the start, and the last of them should be the present.
fn whole_steps(range: Duration, step: Duration) -> Duration {
    let count = range.as_millis() / step.as_millis();
    step * u32::try_from(count).unwrap_or(u32::MAX)
}

fn seconds(at: SystemTime) -> String {
    format!("{:.3}", unix(at))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Said {
    status: String,
    data: Option<Data>,
    #[serde(default)]
    error_type: String,
    #[serde(default)]
    error: String,
    #[serde(default)]
    warnings: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    result_type: String,
    result: Vec<Line>,
}

#[derive(Deserialize)]
struct Line {
    metric: BTreeMap<String, String>,
    #[serde(default)]
    values: Vec<(f64, String)>,
    /// Native histograms, which are not numbers.
    #[serde(default)]
    histograms: Vec<serde::de::IgnoredAny>,
}

fn series(line: Line) -> Result<Series, String> {
    let name = name(&line.metric);
    if !line.histograms.is_empty() {
        return Err(format!(
            "answers with a histogram for {name}, not with numbers: \
             ask for `histogram_quantile(0.99, …)`"
        ));
    }
    let point = |(at, value): (f64, String)| {
        let at = instant(at).ok_or_else(|| format!("answers with the time {at}"))?;
        let value = value.parse().map_err(|_| format!("answers with the number \"{value}\""))?;
        Ok((at, value))
    };
    let points = line.values.into_iter().map(point).collect::<Result<_, String>>()?;
    Ok(Series { name, points })
}

/// As one would write it in a query: `up{code="500", pod="a"}`.
fn name(labels: &BTreeMap<String, String>) -> String {
    let own = labels.get("__name__").map(String::as_str).unwrap_or_default();
    let escaped = |text: &str| text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let others = labels.iter().filter(|(key, _)| *key != "__name__");
    let others: Vec<_> =
        others.map(|(key, value)| format!("{key}=\"{}\"", escaped(value))).collect();
    match others.is_empty() {
        true => own.to_owned(),
        false => format!("{own}{{{}}}", others.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_kept_until_there_would_be_too_many_points() {
        let (second, hour) = (Duration::from_secs(1), Duration::from_secs(3600));
        assert_eq!(step(hour, second), second);
        assert_eq!(step(hour, Duration::ZERO), Duration::from_millis(328));
        assert_eq!(step(Duration::ZERO, Duration::ZERO), FINEST);
        for range in
            [hour * 4, hour * 24 * 365, Duration::from_millis(11_000_001), hour * 1_000_000]
        {
            let step = step(range, second);
            let points = whole_steps(range, step).as_millis() / step.as_millis() + 1;
            assert!(points <= u128::from(MOST_POINTS), "{range:?}: {points}");
            assert!(range < second * 11_000 || points > 10_000, "{range:?}: {points}");
        }
    }

    #[test]
    fn a_series_is_called_as_in_a_query() {
        let named = |labels: &[(&str, &str)]| {
            let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
            name(&labels.iter().map(owned).collect())
        };
        assert_eq!(named(&[]), "");
        assert_eq!(named(&[("__name__", "up")]), "up");
        assert_eq!(named(&[("pod", "a"), ("code", "500")]), r#"{code="500", pod="a"}"#);
        let odd = named(&[("__name__", "up"), ("path", "a\"\\\nb")]);
        assert_eq!(odd, r#"up{path="a\"\\\nb"}"#);
    }
}
