//! Pictures, as SVG: dark on a light ground of their own, so that they can be read on pages of either kind.

use std::error::Error;

use plotters::coord::ranged1d::{AsRangedCoord, ValueFormatter};
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

const WIDTH: u32 = 760;
const ROW: u32 = 20;
/// Title, axis and its description.
const AROUND: u32 = 110;
const GROUND: RGBColor = RGBColor(250, 250, 250);
const GRID: RGBColor = RGBColor(221, 221, 221);
const INK: RGBColor = RGBColor(34, 34, 34);

/// How values become lengths.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    Linear,
    Logarithmic,
}

pub(crate) struct Group {
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
}

pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) colour: RGBColor,
    pub(crate) value: f64,
    /// The end of a thin line from the value on.
    pub(crate) up_to: Option<f64>,
    /// What stands at the end.
    pub(crate) text: String,
}

/// A value that none can pass.
pub(crate) struct Limit {
    pub(crate) name: &'static str,
    pub(crate) value: f64,
}

pub(crate) struct Bars<'a> {
    pub(crate) title: String,
    pub(crate) axis: &'a str,
    pub(crate) scale: Scale,
    pub(crate) label: fn(f64) -> String,
    pub(crate) limit: Option<Limit>,
    pub(crate) groups: Vec<Group>,
}

pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) colour: RGBColor,
    pub(crate) points: Vec<(f64, f64)>,
}

pub(crate) struct Lines<'a> {
    pub(crate) title: &'a str,
    pub(crate) axes: [&'a str; 2],
    pub(crate) labels: [fn(f64) -> String; 2],
    pub(crate) lines: Vec<Line>,
}

impl Bars<'_> {
    /// Groups of horizontal bars; on a logarithmic scale, where a bar's length says nothing, dots.
    pub(crate) fn svg(&self) -> String {
        let rows = self.groups.iter().flat_map(|group| &group.rows);
        let values = rows.flat_map(|row| [Some(row.value), row.up_to]).flatten();
        let (least, most) = ends(values.chain(self.limit.as_ref().map(|limit| limit.value)));
        match self.scale {
            Scale::Linear => self.drawn(0.0, 0.0..most * 1.15),
            Scale::Logarithmic => self.drawn(power_up_to(least), (power_up_to(least)..most * 8.0).log_scale()),
        }
        .expect("a picture")
    }

    /// With the values of `across`, from `left` on. What a row says is written after its end, so there is room for it.
    fn drawn<X>(&self, left: f64, across: X) -> Result<String, Box<dyn Error>>
    where
        X: AsRangedCoord<Value = f64, CoordDescType: ValueFormatter<f64>>,
    {
        // The title of each group needs a row, too.
        let rows = self.groups.iter().map(|group| 1 + group.rows.len()).sum::<usize>();
        let height = AROUND + ROW * u32::try_from(rows)?;
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
            area.fill(&GROUND)?;
            let mut chart = ChartBuilder::on(&area)
                .caption(&self.title, letters(22).color(&INK))
                .margin(12)
                .margin_right(30)
                .x_label_area_size(46)
                .y_label_area_size(200)
                .build_cartesian_2d(across, rows as f64..0.0)?;
            let label = |value: &f64| (self.label)(*value);
            let mut mesh = chart.configure_mesh();
            mesh.disable_y_mesh().light_line_style(TRANSPARENT).bold_line_style(GRID).axis_style(GRID);
            mesh.x_desc(self.axis).x_label_formatter(&label).y_labels(0);
            mesh.label_style(letters(15).color(&INK)).draw()?;
            // The library's own labels stand at ticks. These are moved by so many pixels from a place.
            let say = |chart: &ChartContext<'_, _, Cartesian2d<X::CoordDescType, RangedCoordf64>>,
                       words: &str,
                       place,
                       by,
                       anchor| {
                let (x, y) = chart.backend_coord(&place);
                let style = letters(15).color(&INK).pos(Pos::new(anchor, VPos::Center));
                area.draw(&Text::new(words, (x + by, y), style))
            };
            if let Some(Limit { name, value }) = &self.limit {
                chart.draw_series(DashedLineSeries::new([(*value, rows as f64), (*value, 0.0)], 4, 3, INK.into()))?;
                say(&chart, name, (*value, 0.5), 4, HPos::Left)?;
            }
            let mut at = 0.0;
            for group in &self.groups {
                say(&chart, &group.title, (left, at + 0.5), -190, HPos::Left)?;
                at += 1.0;
                for row in &group.rows {
                    let (middle, colour) = (at + 0.5, row.colour);
                    let end = row.up_to.unwrap_or(row.value);
                    match self.scale {
                        Scale::Linear => {
                            let bar = [(left, at + 0.12), (row.value, at + 0.88)];
                            chart.draw_series([Rectangle::new(bar, colour.filled())])?;
                        }
                        Scale::Logarithmic => {
                            chart.draw_series([Circle::new((row.value, middle), 4, colour.filled())])?;
                            chart.draw_series(LineSeries::new(
                                [(row.value, middle), (end, middle)],
                                colour.stroke_width(2),
                            ))?;
                        }
                    }
                    say(&chart, &row.name, (left, middle), -8, HPos::Right)?;
                    say(&chart, &row.text, (end, middle), 8, HPos::Left)?;
                    at += 1.0;
                }
            }
            area.present()?;
        }
        Ok(svg)
    }
}

impl Lines<'_> {
    /// Lines over a logarithmic grid.
    pub(crate) fn svg(&self) -> String {
        self.drawn().expect("a picture")
    }

    fn drawn(&self) -> Result<String, Box<dyn Error>> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let (first, last) = ends(points().map(|point| point.0));
        let (least, most) = ends(points().map(|point| point.1));
        let (across, up) = ((first..last).log_scale(), (power_up_to(least)..most * 2.0).log_scale());
        let mut svg = String::new();
        {
            let area = SVGBackend::with_string(&mut svg, (WIDTH, 460)).into_drawing_area();
            area.fill(&GROUND)?;
            let mut chart = ChartBuilder::on(&area)
                .caption(self.title, letters(22).color(&INK))
                .margin(12)
                .margin_right(40)
                .x_label_area_size(46)
                .y_label_area_size(70)
                .build_cartesian_2d(across, up)?;
            let [x, y] = self.labels.map(|label| move |value: &f64| label(*value));
            let mut mesh = chart.configure_mesh();
            mesh.light_line_style(TRANSPARENT).bold_line_style(GRID).axis_style(GRID);
            mesh.x_desc(self.axes[0]).x_label_formatter(&x);
            mesh.y_desc(self.axes[1]).y_label_formatter(&y);
            mesh.label_style(letters(15).color(&INK)).draw()?;
            for line in &self.lines {
                let style = line.colour.stroke_width(2);
                let drawn = chart.draw_series(LineSeries::new(line.points.iter().copied(), style).point_size(4))?;
                drawn.label(&line.name).legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], style));
            }
            let mut legend = chart.configure_series_labels();
            // Between those that walk through all sessions, which end at the top, and the others.
            legend.position(SeriesLabelPosition::MiddleRight).background_style(GROUND).border_style(GRID);
            legend.label_font(letters(15).color(&INK)).draw()?;
            area.present()?;
        }
        Ok(svg)
    }
}

fn letters(size: u32) -> TextStyle<'static> {
    ("system-ui, sans-serif", size).into()
}

/// The least and the largest.
fn ends(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, 0.0), |(least, most), value| (least.min(value), most.max(value)))
}

/// The power of ten that is not above the value.
fn power_up_to(value: f64) -> f64 {
    10_f64.powf(value.log10().floor())
}
