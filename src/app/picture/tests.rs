//! What a picture shows, found again in its dots and in its text.

use chrono::{DateTime, Utc};
use roxmltree::Document;
use tiny_skia::PremultipliedColorU8;

use super::*;

use crate::domain::zone::{Zone, berlin};

fn at(second: i64) -> Time {
    DateTime::<Utc>::from_timestamp(1_767_603_600 + second, 0).expect("a time")
}

/// A wave around a value, a point each 15 seconds for half an hour.
fn wave(around: f64, width: f64) -> Points {
    let value = |index: i64| around + width * (index as f64 / 5.0).sin();
    (0..120).map(|index| (at(index * 15), value(index))).collect()
}

fn chart() -> Chart {
    let mut canary = wave(0.305, 0.02);
    canary.push((at(1800), 0.31));
    let mut baseline = wave(0.30, 0.01);
    baseline.push((at(1800), 0.3));
    Chart {
        title: "Error rate".to_owned(),
        unit: "%".to_owned(),
        canary,
        baseline,
        hold: Some(Limit::Above(0.33)),
        roll_back: Some(Limit::Above(0.6)),
        zone: berlin(),
    }
}

fn empty() -> Chart {
    Chart { canary: Vec::new(), baseline: Vec::new(), ..chart() }
}

fn dots(chart: &Chart) -> Pixmap {
    Pixmap::decode_png(&png(chart)).expect("a PNG")
}

/// How many dots have exactly this colour.
fn count(dots: &Pixmap, colour: RGBColor) -> usize {
    let is = |dot: &&PremultipliedColorU8| {
        (dot.red(), dot.green(), dot.blue()) == (colour.0, colour.1, colour.2)
    };
    dots.pixels().iter().filter(is).count()
}

#[test]
fn a_png_has_the_lines_and_the_limits_in_their_colours() {
    let dots = dots(&chart());
    assert_eq!((dots.width(), dots.height()), (1280, 480));
    assert!(dots.pixels().iter().all(|dot| dot.alpha() == 255), "it brings its own ground");
    for (colour, least) in [(CANARY, 2000), (BASELINE, 1000), (HOLD, 500), (ROLL_BACK, 500)] {
        assert!(count(&dots, colour) > least, "{}: {}", hex(colour), count(&dots, colour));
    }
    assert!(count(&dots, INK) > 100, "its text is drawn, not left out for want of a font");
    let bare = Chart { hold: None, roll_back: None, baseline: Vec::new(), ..chart() };
    let bare = self::dots(&bare);
    for colour in [BASELINE, HOLD, ROLL_BACK] {
        assert_eq!(count(&bare, colour), 0, "{}", hex(colour));
    }
}

#[test]
fn an_svg_is_well_formed_and_says_what_it_shows() {
    let svg = svg(&chart());
    let document = Document::parse(&svg).expect("well-formed");
    let root = document.root_element();
    let said = "Error rate: canary 0.31 %, baseline 0.30 %, hold above 0.33 %, \
                roll back above 0.60 %.";
    assert_eq!(root.attribute("aria-label"), Some(said));
    let texts: Vec<_> = document.descendants().filter(|node| node.has_tag_name("text")).collect();
    let texts: Vec<_> = texts.iter().filter_map(|node| node.text()).map(str::trim).collect();
    for expected in ["Error rate (%)", "canary 0.31", "baseline 0.30", "hold > 0.33", "CET"] {
        assert!(texts.contains(&expected), "{expected}: {texts:?}");
    }
    // It begins at 09:00:00 UTC.
    assert!(texts.contains(&"10:00") && texts.contains(&"10:30"), "{texts:?}");
    for (light, dark) in COLOURS {
        assert!(svg.contains(&format!("=\"{}\"", hex(light))), "{} is not used", hex(light));
        assert!(svg.contains(&format!("{{fill:{}}}", hex(dark))), "{} is missing", hex(dark));
    }
}

#[test]
fn odd_titles_break_nothing() {
    for title in ["<script>&\"'", "a\u{0}b\u{1b}[1m\n", "מדד שגיאות", &"long ".repeat(40), ""]
    {
        let odd = Chart { title: title.to_owned(), unit: title.to_owned(), ..chart() };
        Document::parse(&svg(&odd)).expect("well-formed");
        assert!(svg(&odd).matches("<script").count() == 0);
        assert_eq!(dots(&odd).width(), 1280);
    }
}

#[test]
fn nothing_measured_is_said_so() {
    let nan = Chart { canary: vec![(at(0), f64::NAN)], ..empty() };
    for chart in [empty(), nan] {
        assert!(svg(&chart).contains("\nno data\n"));
        assert_eq!(count(&dots(&chart), HOLD), 0);
    }
    assert!(!svg(&chart()).contains("\nno data\n"));
    let limits = "hold above 0.33 %, roll back above 0.60 %.";
    assert_eq!(sentence(&empty()), format!("Error rate: canary no data, {limits}"));
}

#[test]
fn a_sentence_has_as_many_digits_as_it_needs() {
    let said = |canary: f64, limit: Limit, unit: &str| {
        let canary = vec![(at(0), canary)];
        let (unit, hold) = (unit.to_owned(), Some(limit));
        sentence(&Chart { canary, unit, hold, roll_back: None, ..empty() })
    };
    let above = Limit::Above;
    assert_eq!(said(31.2, above(0.33), "%"), "Error rate: canary 31.2 %, hold above 0.33 %.");
    assert_eq!(said(0.0, above(0.33), "%"), "Error rate: canary 0.00 %, hold above 0.33 %.");
    assert_eq!(said(0.004, above(5.0), "%"), "Error rate: canary 0.0040 %, hold above 5.00 %.");
    assert_eq!(said(1234.5, Limit::Below(1500.0), ""), "Error rate: canary 1234, hold below 1500.");
    assert_eq!(
        said(f64::NAN, above(2.0), "%"),
        "Error rate: canary not a number, hold above 2.00 %."
    );
    assert_eq!(
        said(f64::INFINITY, above(2.0), "%"),
        "Error rate: canary infinite, hold above 2.00 %."
    );
    assert_eq!(said(2.5e12, above(2.0), ""), "Error rate: canary 2.50e12, hold above 2.00.");
}

#[test]
fn what_is_missing_is_a_gap() {
    let mut points: Points = (0..10).map(|index| (at(index * 15), 1.0)).collect();
    assert_eq!(runs(&points).len(), 1);
    points[4].1 = f64::NAN;
    assert_eq!(runs(&points).iter().map(Vec::len).collect::<Vec<_>>(), [4, 5]);
    points.push((at(600), 1.0));
    assert_eq!(runs(&points).iter().map(Vec::len).collect::<Vec<_>>(), [4, 5, 1]);
}

#[test]
fn any_numbers_have_a_place() {
    let odd = [0.0, -0.0, 1e-300, -5.0, 1e300, f64::MAX, f64::MIN, f64::INFINITY, f64::NAN];
    for first in odd {
        for second in odd {
            let canary = vec![(at(0), first), (at(15), second)];
            let hold = Some(Limit::Above(second));
            let chart = Chart { canary, hold, ..empty() };
            Document::parse(&svg(&chart)).expect("well-formed");
            assert!(!sentence(&chart).is_empty());
            // Dots take their time.
            if first.total_cmp(&second).is_eq() || (first, second) == (f64::MAX, f64::MIN) {
                assert_eq!(dots(&chart).width(), 1280);
            }
        }
    }
}

#[test]
fn marks_and_joiners_are_no_boxes() {
    let titled = |title: &str| png(&Chart { title: title.to_owned(), ..chart() });
    assert_eq!(titled("Gro\u{308}\u{200b}\u{ad}ße\u{fe0f}"), titled("Große"));
    assert_ne!(titled("Größe"), titled("Große"));
}

#[test]
fn times_are_round_on_the_clock_of_the_reader() {
    let labels = |from: i64, to: i64, zone: Zone| {
        let frame = Frame { times: seconds(at(from))..seconds(at(to)), values: 0.0..1.0 };
        let (ticks, format) = ticks(&frame, zone);
        let label = |at: &Time| at.with_timezone(&zone).format(format).to_string();
        ticks.iter().map(label).collect::<Vec<_>>().join(" ")
    };
    let utc = Zone::utc();
    assert_eq!(
        labels(0, 30, utc),
        "09:00:00 09:00:05 09:00:10 09:00:15 09:00:20 09:00:25 09:00:30"
    );
    assert_eq!(labels(70, 1800, utc), "09:05 09:10 09:15 09:20 09:25 09:30");
    assert_eq!(labels(0, 86_400, utc), "12:00 18:00 00:00 06:00");
    assert_eq!(
        labels(0, 7200, "Asia/Kathmandu".parse().expect("a zone")),
        "15:00 15:30 16:00 16:30"
    );
    assert_eq!(labels(0, 5 * 86_400, utc), "6 Jan 7 Jan 8 Jan 9 Jan 10 Jan");
    assert!(!labels(0, 400 * 86_400, utc).is_empty());
}

/// `TMINUS_SHOTS=folder` keeps the pictures, to be looked at.
#[test]
fn pictures_to_look_at() {
    let mut red = chart();
    for (index, (_, value)) in red.canary.iter_mut().enumerate().skip(70) {
        *value += (index - 70) as f64 * 0.012;
    }
    let mut gaps = chart();
    gaps.canary.retain(|(at, _)| at.timestamp() % 600 < 420);
    gaps.canary[30].1 = f64::NAN;
    let orders = Chart {
        title: "Orders".to_owned(),
        unit: "per minute".to_owned(),
        canary: wave(204.0, 9.0),
        baseline: wave(210.0, 5.0),
        hold: Some(Limit::Below(189.0)),
        roll_back: Some(Limit::Below(184.0)),
        zone: "America/New_York".parse().expect("a zone"),
    };
    let single = Chart { baseline: Vec::new(), canary: vec![(at(0), 12.0)], ..orders.clone() };
    let all = [
        ("green", chart()),
        ("red", red),
        ("gaps", gaps),
        ("orders", orders),
        ("single", single),
        ("empty", empty()),
    ];
    for (name, chart) in all {
        let (png, svg) = (png(&chart), svg(&chart));
        assert!(png.len() < 200_000 && svg.len() < 200_000, "{name}: {} {}", png.len(), svg.len());
        if let Some(folder) = std::env::var_os("TMINUS_SHOTS").map(std::path::PathBuf::from) {
            std::fs::write(folder.join(format!("metric-{name}.png")), png).expect("a folder");
            std::fs::write(folder.join(format!("metric-{name}.svg")), svg).expect("a folder");
        }
    }
}

#[test]
fn the_page_knows_the_colours_of_the_night() {
    let sheet = include_str!("../../adapters/chat/console/page/console.css");
    for (light, night) in COLOURS {
        let (light, night) = (hex(light), hex(night));
        for what in ["fill", "stroke"] {
            let line = format!(".picture [{what}=\"{light}\"] {{ {what}: {night}; }}");
            assert!(sheet.contains(&line), "{line}");
        }
    }
}
