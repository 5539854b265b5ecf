//! One measurement as a small picture: the canary, what it is compared with, and the limits.
//!
//! It is drawn in one way, as SVG and as dots. Nothing is told by colour alone: the lines have names,
//! weights and dashes of their own, and `sentence` says it all in words. The SVG is for `<img>`,
//! where its own style sheet follows the reader's dark scheme.

mod dots;

use std::fmt::Write as _;
use std::ops::Range;

use chrono::{Duration, Offset, TimeZone};
use plotters::coord::Shift;
use plotters::coord::ranged1d::Ranged;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use tiny_skia::Pixmap;

use self::dots::Dots;
use crate::domain::time::Time;
use crate::domain::zone::Zone;

/// What a picture shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Chart {
    /// "Error rate".
    pub title: String,
    /// "%", or nothing.
    pub unit: String,
    pub canary: Points,
    pub baseline: Points,
    pub hold: Option<Limit>,
    pub roll_back: Option<Limit>,
    /// For the axis of time.
    pub zone: Zone,
}

/// In the order of time. What is no number leaves a gap.
pub type Points = Vec<(Time, f64)>;

/// Where a measurement leaves what is good.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Limit {
    Above(f64),
    Below(f64),
}

impl Limit {
    fn value(self) -> f64 {
        match self {
            Self::Above(value) | Self::Below(value) => value,
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Above(_) => "above",
            Self::Below(_) => "below",
        }
    }

    fn sign(self) -> char {
        match self {
            Self::Above(_) => '>',
            Self::Below(_) => '<',
        }
    }
}

/// In CSS pixels; the PNG has twice as many each way.
pub const SIZE: (u32, u32) = (640, 240);
const DOTS: u32 = 2;

// ---------------------------------------------------------------------------------------------
// In words

/// The picture for those who do not see it: "Error rate: canary 0.31 %, baseline 0.30 %, hold
/// above 0.33 %, roll back above 0.60 %."
pub fn sentence(chart: &Chart) -> String {
    let digits = digits(chart);
    let amount = |value: f64| match chart.unit.as_str() {
        unit if unit.is_empty() || !value.is_finite() => number(value, digits),
        unit => format!("{} {unit}", number(value, digits)),
    };
    let line = |name: &str, points: &Points| match points.last() {
        Some((_, value)) => format!("{name} {}", amount(*value)),
        None => format!("{name} no data"),
    };
    let mut parts = vec![line("canary", &chart.canary)];
    if !chart.baseline.is_empty() {
        parts.push(line("baseline", &chart.baseline));
    }
    let limits = [("hold", chart.hold), ("roll back", chart.roll_back)];
    parts.extend(limits.into_iter().filter_map(|(deed, limit)| {
        let limit = limit?;
        Some(format!("{deed} {} {}", limit.word(), amount(limit.value())))
    }));
    format!("{}: {}.", chart.title, parts.join(", "))
}

/// As many places as the greatest number shown needs, and for a smaller one two that count.
fn number(value: f64, digits: usize) -> String {
    if value.is_nan() {
        return "not a number".to_owned();
    }
    if value.is_infinite() {
        return "infinite".to_owned();
    }
    if value.abs() >= 1e9 || (value != 0.0 && value.abs() < 1e-6) {
        return format!("{value:.2e}");
    }
    let own = if value == 0.0 { 0 } else { places(value) };
    format!("{value:.*}", digits.max(own))
}

fn places(value: f64) -> usize {
    let whole = value.abs().log10().floor();
    let wanted = if whole < 0.0 { 1.0 - whole } else { 2.0 - whole };
    // From 0 to 7, so nothing is lost.
    wanted.clamp(0.0, 7.0) as usize
}

fn digits(chart: &Chart) -> usize {
    let most = shown(chart).fold(0.0_f64, |most, value| most.max(value.abs()));
    if most == 0.0 { 0 } else { places(most) }
}

/// Beyond that nothing else would be seen.
fn has_place(value: f64) -> bool {
    value.abs() < 1e15
}

/// Every number that a place in the picture is needed for.
fn shown(chart: &Chart) -> impl Iterator<Item = f64> {
    let points = chart.canary.iter().chain(&chart.baseline).map(|(_, value)| *value);
    let limits = [chart.hold, chart.roll_back].into_iter().flatten().map(Limit::value);
    points.chain(limits).filter(|value| has_place(*value))
}

// ---------------------------------------------------------------------------------------------
// As PNG and SVG

/// For platforms that take files. It brings its own light ground.
pub fn png(chart: &Chart) -> Vec<u8> {
    let mut dots = Pixmap::new(SIZE.0 * DOTS, SIZE.1 * DOTS).expect("the size is not zero");
    {
        let area = Dots::on(&mut dots, SHEET).into_drawing_area();
        draw(&Sheet { area: &area, chart }).expect("a pixmap takes all that is drawn");
    }
    dots.encode_png().expect("a Vec takes all that is written")
}

/// For pages.
pub fn svg(chart: &Chart) -> String {
    let mut drawn = String::new();
    let (width, height) = SHEET;
    {
        let area = SVGBackend::with_string(&mut drawn, SHEET).into_drawing_area();
        draw(&Sheet { area: &area, chart }).expect("a String takes all that is drawn");
    }
    let body = drawn.split_once('>').map_or("", |(_, body)| body);
    let mut dark = String::new();
    for (light, night) in COLOURS {
        let (light, night) = (hex(light), hex(night));
        write!(dark, "[fill=\"{light}\"]{{fill:{night}}}[stroke=\"{light}\"]{{stroke:{night}}}")
            .expect("a String takes all that is written");
    }
    let says = escaped(&sentence(chart));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" \
         viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{says}\">\n\
         <title>{says}</title>\n\
         <style>polyline{{stroke-linejoin:round;stroke-linecap:round}}rect{{stroke-width:{FINE}}}\
         @media(prefers-color-scheme:dark){{{dark}}}</style>{body}",
        SIZE.0, SIZE.1
    )
}

fn escaped(text: &str) -> String {
    let plain = printable(text);
    let plain = plain.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    plain.replace('"', "&quot;")
}

/// XML has no place for control characters, however they are written.
fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() && !matches!(c, '\u{fffe}' | '\u{ffff}')).collect()
}

// ---------------------------------------------------------------------------------------------
// Drawing

/// Places are whole numbers to the plotting crate, so it is given a sheet that is finer than ours.
const FINE: i32 = 10;
const SHEET: (u32, u32) = (SIZE.0 * FINE as u32, SIZE.1 * FINE as u32);

const GROUND: RGBColor = RGBColor(0xff, 0xff, 0xff);
const FRAME: RGBColor = RGBColor(0xda, 0xde, 0xdf);
const GRID: RGBColor = RGBColor(0xe9, 0xec, 0xed);
const INK: RGBColor = RGBColor(0x1c, 0x22, 0x26);
const SOFT: RGBColor = RGBColor(0x55, 0x60, 0x6a);
const CANARY: RGBColor = RGBColor(0x00, 0x72, 0xb2);
const BASELINE: RGBColor = RGBColor(0x7b, 0x85, 0x8d);
const HOLD: RGBColor = RGBColor(0xb2, 0x6b, 0x00);
const ROLL_BACK: RGBColor = RGBColor(0xa3, 0x16, 0x1b);

/// By day and by night. Those of the lines differ in lightness too, for eyes that miss a hue.
const COLOURS: [(RGBColor, RGBColor); 9] = [
    (GROUND, RGBColor(0x1c, 0x21, 0x25)),
    (FRAME, RGBColor(0x2f, 0x36, 0x3b)),
    (GRID, RGBColor(0x2b, 0x32, 0x37)),
    (INK, RGBColor(0xe4, 0xe8, 0xea)),
    (SOFT, RGBColor(0xa4, 0xaf, 0xb7)),
    (CANARY, RGBColor(0x56, 0xb4, 0xe9)),
    (BASELINE, RGBColor(0x8f, 0x9a, 0xa3)),
    (HOLD, RGBColor(0xf0, 0xb3, 0x57)),
    (ROLL_BACK, RGBColor(0xff, 0x8a, 0x80)),
];

fn hex(colour: RGBColor) -> String {
    format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2)
}

const LEFT: i32 = 56;
const RIGHT: i32 = 522;
const TOP: i32 = 50;
const BOTTOM: i32 = 206;

type Drawn<B> = Result<(), DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

struct Sheet<'a, B: DrawingBackend> {
    area: &'a DrawingArea<B, Shift>,
    chart: &'a Chart,
}

fn draw<B: DrawingBackend>(sheet: &Sheet<'_, B>) -> Drawn<B> {
    sheet.area.fill(&GROUND)?;
    let edge = [(FINE / 2, FINE / 2), (fine(640) - FINE / 2, fine(240) - FINE / 2)];
    sheet.area.draw(&Rectangle::new(edge, FRAME.stroke_width(FINE as u32)))?;
    let title = match sheet.chart.unit.as_str() {
        "" => short(&sheet.chart.title, 34),
        unit => format!("{} ({})", short(&sheet.chart.title, 30), short(unit, 12)),
    };
    sheet.text(&title, (16, 26), 16, INK, HPos::Left)?;
    sheet.legend()?;
    match Frame::of(sheet.chart) {
        Some(frame) => sheet.plot(&frame),
        None => sheet.text("no data", (320, 128), 16, SOFT, HPos::Center),
    }
}

/// What the axes span.
struct Frame {
    times: Range<f64>,
    values: Range<f64>,
}

impl Frame {
    fn of(chart: &Chart) -> Option<Self> {
        let all = chart.canary.iter().chain(&chart.baseline);
        let times = all.filter(|(_, value)| has_place(*value)).map(|(at, _)| seconds(*at));
        let times = spanned(times)?;
        let values = spanned(shown(chart))?;
        let most = values.end.abs().max(values.start.abs());
        let room = match values.end - values.start {
            _ if most < 1e-9 => 1.0,
            span if span < most * 1e-6 => most * 0.5,
            span => span * 0.12,
        };
        // Zero is the ground of what is never negative, unless it is far away.
        let low = match values.start >= 0.0 && values.start <= values.end / 2.0 {
            true => 0.0,
            false => values.start - room,
        };
        let pause = if times.start < times.end { 0.0 } else { 30.0 };
        let times = times.start - pause..times.end + pause;
        Some(Self { times, values: low..values.end + room })
    }

    fn y(&self, value: f64) -> i32 {
        let share = (value - self.values.start) / (self.values.end - self.values.start);
        BOTTOM - (share * f64::from(BOTTOM - TOP)).round() as i32
    }

    fn x(&self, seconds: f64) -> i32 {
        let share = (seconds - self.times.start) / (self.times.end - self.times.start);
        LEFT + (share * f64::from(RIGHT - LEFT)).round() as i32
    }
}

fn spanned(values: impl Iterator<Item = f64>) -> Option<Range<f64>> {
    values.fold(None, |span: Option<Range<f64>>, value| match span {
        Some(span) => Some(span.start.min(value)..span.end.max(value)),
        None => Some(value..value),
    })
}

fn seconds(at: Time) -> f64 {
    at.timestamp_millis() as f64 / 1000.0
}

fn fine(place: i32) -> i32 {
    place * FINE
}

fn short(text: &str, most: usize) -> String {
    let text = printable(text);
    match text.char_indices().nth(most) {
        Some(_) => text.chars().take(most - 1).chain(['…']).collect(),
        None => text,
    }
}

type Plot<B> = DrawingArea<B, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

impl<B: DrawingBackend> Sheet<'_, B> {
    fn text(
        &self,
        text: &str,
        (x, y): (i32, i32),
        size: i32,
        colour: RGBColor,
        from: HPos,
    ) -> Drawn<B> {
        let style = ("system-ui, sans-serif", fine(size)).into_text_style(self.area);
        let style = style.color(&colour).pos(Pos::new(from, VPos::Center));
        self.area.draw(&Text::new(text.to_owned(), (fine(x), fine(y)), style))
    }

    /// The lines by name, with their newest numbers.
    fn legend(&self) -> Drawn<B> {
        let (chart, digits) = (self.chart, digits(self.chart));
        let lines =
            [("canary", &chart.canary, CANARY, 30), ("baseline", &chart.baseline, BASELINE, 18)];
        for ((name, points, colour, width), x) in lines.into_iter().zip([354, 494]) {
            if name == "baseline" && points.is_empty() {
                continue;
            }
            let last = points.last();
            let last = last.map_or_else(|| "no data".into(), |(_, value)| number(*value, digits));
            let sample = vec![(fine(x), fine(26)), (fine(x + 18), fine(26))];
            self.area.draw(&PathElement::new(sample, colour.stroke_width(width)))?;
            self.text(&format!("{name} {last}"), (x + 25, 26), 13, INK, HPos::Left)?;
        }
        Ok(())
    }

    fn plot(&self, frame: &Frame) -> Drawn<B> {
        let (x, y) = (fine(LEFT)..fine(RIGHT), fine(BOTTOM)..fine(TOP));
        let coordinates = Cartesian2d::new(frame.times.clone(), frame.values.clone(), (x, y));
        let plot: Plot<B> = self.area.clone().apply_coord_spec(coordinates);
        self.zones(frame, &plot)?;
        self.values(frame, &plot)?;
        self.times(frame)?;
        self.limits(frame, &plot)?;
        line(&plot, &self.chart.baseline, BASELINE, 18)?;
        line(&plot, &self.chart.canary, CANARY, 30)
    }

    /// A breath of colour behind what is beyond a limit.
    fn zones(&self, frame: &Frame, plot: &Plot<B>) -> Drawn<B> {
        let (low, high) = (frame.values.start, frame.values.end);
        let zone = |limit: Limit, until: Option<Limit>, colour: RGBColor| {
            let end = match limit {
                Limit::Above(_) => high,
                Limit::Below(_) => low,
            };
            let until = until.filter(|until| until.sign() == limit.sign());
            let end = until.map_or(end, Limit::value);
            let corners = [(frame.times.start, limit.value()), (frame.times.end, end)];
            let zone = Rectangle::new(corners, colour.mix(0.07).filled());
            match has_place(limit.value()) && has_place(end) {
                true => plot.draw(&zone),
                false => Ok(()),
            }
        };
        if let Some(hold) = self.chart.hold {
            zone(hold, self.chart.roll_back, HOLD)?;
        }
        self.chart.roll_back.map_or(Ok(()), |limit| zone(limit, None, ROLL_BACK))
    }

    fn values(&self, frame: &Frame, plot: &Plot<B>) -> Drawn<B> {
        let ticks = RangedCoordf64::from(frame.values.clone()).key_points(5);
        let most = ticks.iter().fold(0.0_f64, |most, tick| most.max(tick.abs()));
        let step = ticks.windows(2).map(|two| two[1] - two[0]).fold(most, f64::min);
        let digits = if step < 1.0 { places(step).saturating_sub(1).max(1) } else { 0 };
        for tick in ticks {
            let grid = vec![(frame.times.start, tick), (frame.times.end, tick)];
            plot.draw(&PathElement::new(grid, GRID.stroke_width(10)))?;
            let text = match tick.abs() >= 1e9 {
                true => format!("{tick:.1e}"),
                false => format!("{tick:.digits$}"),
            };
            self.text(&text, (LEFT - 8, frame.y(tick)), 12, SOFT, HPos::Right)?;
        }
        Ok(())
    }

    fn times(&self, frame: &Frame) -> Drawn<B> {
        let (ticks, format) = ticks(frame, self.chart.zone);
        for at in ticks {
            let x = frame.x(seconds(at));
            let mark = vec![(fine(x), fine(BOTTOM)), (fine(x), fine(BOTTOM + 4))];
            self.area.draw(&PathElement::new(mark, SOFT.stroke_width(10)))?;
            let text = at.with_timezone(&self.chart.zone).format(format).to_string();
            self.text(&text, (x, BOTTOM + 15), 12, SOFT, HPos::Center)?;
        }
        let ground = vec![(fine(LEFT), fine(BOTTOM)), (fine(RIGHT), fine(BOTTOM))];
        self.area.draw(&PathElement::new(ground, SOFT.stroke_width(10)))?;
        let zone = moment(frame.times.end).with_timezone(&self.chart.zone).format("%Z").to_string();
        self.text(&zone, (624, BOTTOM + 15), 12, SOFT, HPos::Right)
    }

    fn limits(&self, frame: &Frame, plot: &Plot<B>) -> Drawn<B> {
        let digits = digits(self.chart);
        let limits = [
            ("hold", self.chart.hold, HOLD, (4, 4)),
            ("roll back", self.chart.roll_back, ROLL_BACK, (9, 4)),
        ];
        let known = limits.into_iter().filter_map(|(name, limit, colour, dashes)| {
            let limit = limit.filter(|limit| has_place(limit.value()))?;
            Some((name, limit, colour, dashes, frame.y(limit.value())))
        });
        let mut known: Vec<_> = known.collect();
        known.sort_by_key(|(.., y)| *y);
        let mut free = TOP - 8;
        for (name, limit, colour, (dash, gap), y) in known {
            let ends = [frame.times.start, frame.times.end].map(|at| (at, limit.value()));
            let style = colour.stroke_width(16);
            let dashes = DashedLineSeries::new(ends, fine(dash), fine(gap), style);
            dashes.into_iter().try_for_each(|dash| plot.draw(&dash))?;
            // Two that are near each other still have names that can be read.
            let at = y.max(free);
            free = at + 15;
            let text = format!("{name} {} {}", limit.sign(), number(limit.value(), digits));
            self.text(&text, (RIGHT + 7, at), 12, colour, HPos::Left)?;
        }
        Ok(())
    }
}

/// A line with its gaps; what stands alone in one, and the newest number, are dots.
fn line<B: DrawingBackend>(
    plot: &Plot<B>,
    points: &Points,
    colour: RGBColor,
    width: u32,
) -> Drawn<B> {
    let runs = runs(points);
    for run in &runs {
        let style = colour.stroke_width(width);
        plot.draw(&PathElement::new(run.clone(), style))?;
    }
    let alone = runs.iter().filter(|run| run.len() == 1).flatten();
    let newest = runs.last().and_then(|run| run.last());
    for dot in alone.chain(newest) {
        plot.draw(&Circle::new(*dot, fine(3) + width as i32 / 3, colour.filled()))?;
    }
    Ok(())
}

/// Where numbers are missing, nothing is drawn between those that are there.
fn runs(points: &Points) -> Vec<Vec<(f64, f64)>> {
    let mut steps: Vec<f64> =
        points.windows(2).map(|two| seconds(two[1].0) - seconds(two[0].0)).collect();
    steps.sort_by(f64::total_cmp);
    let usual = steps.get(steps.len() / 2).copied().unwrap_or_default();
    let mut runs: Vec<Vec<(f64, f64)>> = Vec::new();
    let mut before: Option<f64> = None;
    for (at, value) in points {
        let at = seconds(*at);
        if !has_place(*value) {
            before = None;
            continue;
        }
        match (before, runs.last_mut()) {
            (Some(before), Some(run)) if at - before <= usual * 3.0 => run.push((at, *value)),
            (Some(_) | None, Some(_) | None) => runs.push(vec![(at, *value)]),
        }
        before = Some(at);
    }
    runs
}

// ---------------------------------------------------------------------------------------------
// The axis of time

/// At most this many labels fit side by side.
const MOST_TICKS: i64 = 7;
const STEPS: [i64; 20] = [
    1, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10_800, 21_600, 43_200, 86_400,
    172_800, 604_800, 2_592_000,
];

fn moment(seconds: f64) -> Time {
    chrono::Utc.timestamp_millis_opt((seconds * 1000.0) as i64).single().unwrap_or_default()
}

/// Round times on the clock of the zone, and how they are written.
fn ticks(frame: &Frame, zone: Zone) -> (Vec<Time>, &'static str) {
    let (start, end) = (moment(frame.times.start), moment(frame.times.end));
    let span = (end - start).num_seconds();
    let fits = |step: &&i64| span / **step < MOST_TICKS;
    let step = STEPS.iter().find(fits).copied().unwrap_or(span / MOST_TICKS + 1);
    let format = match step {
        ..60 => "%H:%M:%S",
        60..86_400 => "%H:%M",
        86_400.. => "%-d %b",
    };
    let offset = i64::from(start.with_timezone(&zone).offset().fix().local_minus_utc());
    let first = start.timestamp() + (-(start.timestamp() + offset)).rem_euclid(step);
    let first = moment(first as f64);
    let each = |index: i64| first + Duration::seconds(step * index);
    let ticks = (0..=MOST_TICKS).map(each);
    (ticks.filter(|at| *at >= start && *at <= end).collect(), format)
}

#[cfg(test)]
mod tests;
