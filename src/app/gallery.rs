//! The pictures of what was measured, drawn from what the log kept of it. They are the same at each
//! try, and after each restart; where a source was remembered for only since a restart, the axis of
//! time begins there.

use chrono::DateTime;

use super::picture::{self, Chart, Limit, Points};
use super::replay;
use crate::domain::event::{Event, Happened};
use crate::domain::health;
use crate::domain::ids::slug;
use crate::domain::metric::{self, Judged, Trace};
use crate::domain::policy::Policy;
use crate::domain::state::Release;
use crate::ports::Picture;
use crate::store::Entry;

/// More than these nobody compares, and no platform takes beside one message.
const MOST: usize = 8;

/// What the last of these entries that kept something saw. Their names are those of the entry that
/// asked for them, so that no two of a room are alike.
pub fn charts(
    release: &Release,
    policy: &Policy,
    entries: &[Entry],
    seq: u64,
) -> Vec<(String, Chart)> {
    let Some((metrics, traces)) = entries.iter().rev().find_map(seen) else {
        return Vec::new();
    };
    let drawn = traces.iter().take(MOST).filter_map(|trace| {
        let judged = metrics.iter().find(|judged| judged.name == trace.name)?;
        let name = format!("{}-{seq}.png", slug(&trace.name));
        Some((name, chart(release, policy, judged, trace)))
    });
    drawn.collect()
}

/// Costs some milliseconds each.
pub fn draw(charts: Vec<(String, Chart)>) -> Vec<Picture> {
    let picture = |(name, chart): (String, Chart)| Picture {
        name,
        alt: picture::sentence(&chart),
        svg: picture::svg(&chart),
        png: picture::png(&chart),
    };
    charts.into_iter().map(picture).collect()
}

fn seen(entry: &Entry) -> Option<(Vec<Judged>, Vec<Trace>)> {
    let event = replay::event_of(entry).ok()?;
    let Event::Release { did: Happened::Measured { metrics, traces, .. }, .. } = event else {
        return None;
    };
    (!traces.is_empty()).then_some((metrics, traces))
}

fn chart(release: &Release, policy: &Policy, judged: &Judged, trace: &Trace) -> Chart {
    Chart {
        title: health::title(judged, policy),
        unit: health::unit(judged, policy).trim().to_owned(),
        canary: points(&trace.canary),
        baseline: points(&trace.baseline),
        hold: trace.hold.map(limit),
        roll_back: trace.roll_back.map(limit),
        zone: release.start.zone,
    }
}

fn points(kept: &[(i64, Option<f64>)]) -> Points {
    let point = |(at, value): &(i64, Option<f64>)| {
        Some((DateTime::from_timestamp(*at, 0)?, value.unwrap_or(f64::NAN)))
    };
    kept.iter().filter_map(point).collect()
}

fn limit(limit: metric::Limit) -> Limit {
    match limit {
        metric::Limit::Above(value) => Limit::Above(value),
        metric::Limit::Below(value) => Limit::Below(value),
    }
}
