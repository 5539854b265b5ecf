//! The dots of a picture: a backend of plotters that draws on a pixmap.

use std::convert::Infallible;
use std::sync::LazyLock;

use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
};
use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, Transform,
};
use ttf_parser::{Face, OutlineBuilder};
use unicode_width::UnicodeWidthChar;

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

/// `Ubuntu` has Latin, Greek and Cyrillic letters.
static FONT: LazyLock<Face<'static>> = LazyLock::new(|| {
    Face::parse(epaint_default_fonts::UBUNTU_LIGHT, 0).expect("the font that is compiled in is one")
});

/// A plotting crate's text is this much greater than the em of its letters.
const EMS: f64 = 1.24;

/// A sheet over a pixmap.
pub(super) struct Dots<'a> {
    pixmap: &'a mut Pixmap,
    sheet: (u32, u32),
    to_dots: Transform,
}

impl<'a> Dots<'a> {
    pub(super) fn on(pixmap: &'a mut Pixmap, sheet: (u32, u32)) -> Self {
        let across = pixmap.width() as f32 / sheet.0 as f32;
        let down = pixmap.height() as f32 / sheet.1 as f32;
        Self { pixmap, sheet, to_dots: Transform::from_scale(across, down) }
    }

    /// Nothing is drawn of what has no extent.
    fn fill(&mut self, path: Option<Path>, colour: BackendColor) {
        if let Some(path) = path {
            let paint = paint(colour);
            self.pixmap.fill_path(&path, &paint, FillRule::Winding, self.to_dots, None);
        }
    }

    fn stroke(&mut self, path: Option<Path>, style: &impl BackendStyle) {
        let stroke = Stroke {
            width: style.stroke_width() as f32,
            line_cap: LineCap::Round,
            line_join: LineJoin::Round,
            ..Stroke::default()
        };
        if let Some(path) = path {
            let paint = paint(style.color());
            self.pixmap.stroke_path(&path, &paint, &stroke, self.to_dots, None);
        }
    }
}

fn paint(colour: BackendColor) -> Paint<'static> {
    let mut paint = Paint::default();
    let (red, green, blue) = colour.rgb;
    paint.set_color(Color::from_rgba8(red, green, blue, (colour.alpha * 255.0).round() as u8));
    paint
}

fn place((x, y): BackendCoord) -> (f32, f32) {
    (x as f32, y as f32)
}

fn rectangle(one: BackendCoord, other: BackendCoord) -> Option<Path> {
    let ((left, top), (right, bottom)) = (place(one), place(other));
    Rect::from_ltrb(left, top, right, bottom).map(PathBuilder::from_rect)
}

fn through(points: impl IntoIterator<Item = BackendCoord>) -> PathBuilder {
    let mut path = PathBuilder::new();
    for (x, y) in points.into_iter().map(place) {
        match path.is_empty() {
            true => path.move_to(x, y),
            false => path.line_to(x, y),
        }
    }
    path
}

impl DrawingBackend for Dots<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.sheet
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, colour: BackendColor) -> Drawn {
        self.fill(rectangle((x, y), (x + 1, y + 1)), colour);
        Ok(())
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        one: BackendCoord,
        other: BackendCoord,
        style: &S,
        filled: bool,
    ) -> Drawn {
        match filled {
            true => self.fill(rectangle(one, other), style.color()),
            false => self.stroke(rectangle(one, other), style),
        }
        Ok(())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        points: I,
        style: &S,
    ) -> Drawn {
        self.stroke(through(points).finish(), style);
        Ok(())
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        centre: BackendCoord,
        radius: u32,
        style: &S,
        filled: bool,
    ) -> Drawn {
        let (x, y) = place(centre);
        let circle = PathBuilder::from_circle(x, y, radius as f32);
        match filled {
            true => self.fill(circle, style.color()),
            false => self.stroke(circle, style),
        }
        Ok(())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        corners: I,
        style: &S,
    ) -> Drawn {
        let mut path = through(corners);
        path.close();
        self.fill(path.finish(), style.color());
        Ok(())
    }

    /// Where an SVG of plotters has it.
    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, at: BackendCoord) -> Drawn {
        let em = (style.size() / EMS) as f32;
        let (mut letters, width) = Letters::of(text, em);
        let (x, y) = place(at);
        let left = match style.anchor().h_pos {
            HPos::Left => x,
            HPos::Center => x - width / 2.0,
            HPos::Right => x - width,
        };
        let line = match style.anchor().v_pos {
            VPos::Top => y + em * 0.76,
            VPos::Center => y + em * 0.25,
            VPos::Bottom => y - em * 0.25,
        };
        letters = letters.and_then(|path| path.transform(Transform::from_translate(left, line)));
        self.fill(letters, style.color());
        Ok(())
    }
}

/// Marks and joiners have no place of their own, and the font has none of them.
fn has_place(letter: char) -> bool {
    letter != '\u{ad}' && letter.width() != Some(0)
}

/// The outline of letters, from where a line of text begins.
struct Letters {
    path: PathBuilder,
    /// Dots for each unit of the font.
    scale: f32,
    /// Where the next letter begins.
    pen: f32,
}

impl Letters {
    /// With the width of the whole.
    fn of(text: &str, em: f32) -> (Option<Path>, f32) {
        let scale = em / f32::from(FONT.units_per_em());
        let mut letters = Self { path: PathBuilder::new(), scale, pen: 0.0 };
        for letter in text.chars().filter(|letter| has_place(*letter)) {
            let glyph = FONT.glyph_index(letter).unwrap_or_default();
            // A space has no outline.
            FONT.outline_glyph(glyph, &mut letters);
            letters.pen += f32::from(FONT.glyph_hor_advance(glyph).unwrap_or_default()) * scale;
        }
        (letters.path.finish(), letters.pen)
    }

    fn place(&self, x: f32, y: f32) -> (f32, f32) {
        (self.pen + x * self.scale, -y * self.scale)
    }
}

impl OutlineBuilder for Letters {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.place(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.place(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.place(x1, y1), self.place(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2)) = (self.place(x1, y1), self.place(x2, y2));
        let (x, y) = self.place(x, y);
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}
