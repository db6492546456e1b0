//! Pictures, as SVG: dark on a light ground of their own, so that they can be read on pages of either kind.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
/// What the names of rows, or the labels of the vertical axis, need.
const LEFT: f64 = 170.0;
/// What a value behind the longest bar needs.
const RIGHT: f64 = 110.0;
const TOP: f64 = 50.0;
const ROW: f64 = 17.0;

/// How values become lengths.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    Linear,
    /// Each line of the grid is ten times the one before.
    Logarithmic,
}

pub(crate) struct Group {
    pub(crate) title: String,
    pub(crate) rows: Vec<Row>,
}

pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) colour: &'static str,
    pub(crate) value: f64,
    /// The end of a thin line from the value on.
    pub(crate) up_to: Option<f64>,
    /// What stands at the end.
    pub(crate) text: String,
}

pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) colour: &'static str,
    pub(crate) points: Vec<(f64, f64)>,
}

/// Groups of horizontal bars; on a logarithmic scale, where a bar's length says nothing, dots.
pub(crate) fn bars(title: &str, axis: &str, scale: Scale, label: fn(f64) -> String, groups: &[Group]) -> String {
    let rows = groups.iter().flat_map(|group| &group.rows);
    let values: Vec<f64> = rows.flat_map(|row| [Some(row.value), row.up_to]).flatten().collect();
    let (ticks, across) = scaled(scale, &values, LEFT, WIDTH - RIGHT);
    let height = groups.iter().map(|group| 26.0 + ROW * group.rows.len() as f64).sum::<f64>();
    let bottom = TOP + height + 8.0;
    let mut svg = head(title, bottom + 46.0);
    for tick in &ticks {
        vertical_grid(&mut svg, across(*tick), bottom, &label(*tick));
    }
    caption(&mut svg, (LEFT + WIDTH - RIGHT) / 2.0, bottom + 36.0, axis);
    let mut y = TOP;
    for group in groups {
        y += 20.0;
        text(&mut svg, 14.0, y, "start", r#"font-weight="bold""#, &group.title);
        y += 6.0;
        for row in &group.rows {
            let (x, middle, colour) = (across(row.value), y + ROW / 2.0, row.colour);
            text(&mut svg, LEFT - 8.0, middle + 4.0, "end", r#"font-size="11""#, &row.name);
            match scale {
                Scale::Linear => {
                    let (top, width, thick) = (y + 2.0, (x - LEFT).max(1.0), ROW - 4.0);
                    let _ = writeln!(
                        svg,
                        r#"<rect x="{LEFT}" y="{top:.1}" width="{width:.1}" height="{thick}" fill="{colour}"/>"#
                    );
                }
                Scale::Logarithmic => {
                    let _ = writeln!(svg, r#"<circle cx="{x:.1}" cy="{middle:.1}" r="4.5" fill="{colour}"/>"#);
                }
            }
            let end = row.up_to.map_or(x, &across);
            if row.up_to.is_some() {
                let path = format!("M{x:.1} {middle:.1}H{end:.1}M{end:.1} {:.1}v8", middle - 4.0);
                let _ = writeln!(svg, r#"<path d="{path}" stroke="{colour}" stroke-width="2"/>"#);
            }
            text(&mut svg, end + 8.0, middle + 4.0, "start", r#"font-size="11""#, &row.text);
            y += ROW;
        }
    }
    svg + "</svg>\n"
}

/// Lines over a logarithmic grid, with a legend below.
pub(crate) fn lines(title: &str, axes: [&str; 2], labels: [fn(f64) -> String; 2], lines: &[Line]) -> String {
    let (left, right, bottom) = (80.0, WIDTH - 40.0, TOP + 320.0);
    let points = || lines.iter().flat_map(|line| &line.points);
    let (across_ticks, across) =
        scaled(Scale::Logarithmic, &points().map(|point| point.0).collect::<Vec<_>>(), left, right);
    let (up_ticks, up) =
        scaled(Scale::Logarithmic, &points().map(|point| point.1).collect::<Vec<_>>(), bottom, TOP + 20.0);
    let legend_rows = lines.len().div_ceil(3) as f64;
    let mut svg = head(title, bottom + 60.0 + 20.0 * legend_rows);
    for tick in across_ticks {
        vertical_grid(&mut svg, across(tick), bottom, &labels[0](tick));
    }
    for tick in up_ticks {
        let y = up(tick);
        let _ = writeln!(svg, r##"<path d="M{left} {y:.1}H{right}" stroke="#ddd"/>"##);
        text(&mut svg, left - 8.0, y + 4.0, "end", r#"font-size="11""#, &labels[1](tick));
    }
    caption(&mut svg, (left + right) / 2.0, bottom + 36.0, axes[0]);
    text(&mut svg, 14.0, TOP + 4.0, "start", r#"font-size="12""#, axes[1]);
    for (number, line) in lines.iter().enumerate() {
        let colour = line.colour;
        let mut path = String::new();
        for (x, y) in &line.points {
            let (x, y) = (across(*x), up(*y));
            let _ = write!(path, "{}{x:.1} {y:.1}", if path.is_empty() { "M" } else { "L" });
            let _ = writeln!(svg, r#"<circle cx="{x:.1}" cy="{y:.1}" r="4" fill="{colour}"/>"#);
        }
        let _ = writeln!(svg, r#"<path d="{path}" stroke="{colour}" stroke-width="2" fill="none"/>"#);
        let (x, y) = (left + 215.0 * (number % 3) as f64, bottom + 60.0 + 20.0 * (number / 3) as f64);
        let _ = writeln!(svg, r#"<path d="M{x} {:.1}h22" stroke="{colour}" stroke-width="4"/>"#, y - 4.0);
        text(&mut svg, x + 30.0, y, "start", r#"font-size="12""#, &line.name);
    }
    svg + "</svg>\n"
}

/// The lines of a grid, and where values are between `from` and `to`.
fn scaled(scale: Scale, values: &[f64], from: f64, to: f64) -> (Vec<f64>, impl Fn(f64) -> f64 + use<>) {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(1.0, f64::max);
    let ticks: Vec<f64> = match scale {
        Scale::Linear => {
            let power = 10_f64.powf(most.log10().floor());
            let step = [0.2, 0.5, 1.0, 2.0].map(|part| part * power).into_iter().find(|step| most / step <= 6.0);
            let step = step.unwrap_or(2.0 * power);
            (0..=(most / step).floor() as i32).map(|number| f64::from(number) * step).collect()
        }
        Scale::Logarithmic => {
            let (first, last) = (least.log10().floor() as i32, most.log10().ceil() as i32);
            (first..=last.max(first + 1)).map(|power| 10_f64.powi(power)).collect()
        }
    };
    let place = move |value: f64| match scale {
        Scale::Linear => value,
        Scale::Logarithmic => value.log10(),
    };
    let end = if scale == Scale::Linear { most } else { ticks.last().copied().unwrap_or(most) };
    let (low, high) = (place(ticks.first().copied().unwrap_or(least)), place(end));
    (ticks, move |value| from + (place(value) - low) / (high - low) * (to - from))
}

fn head(title: &str, height: f64) -> String {
    let size = format!(r#"viewBox="0 0 {WIDTH} {height:.0}" width="{WIDTH}" height="{height:.0}""#);
    let letters = r##"font-family="system-ui, sans-serif" font-size="13" fill="#222""##;
    let ground = r##"<rect width="100%" height="100%" rx="6" fill="#fafafa" stroke="#ccc"/>"##;
    let mut svg = format!("<svg xmlns=\"http://www.w3.org/2000/svg\" {size} {letters}>\n{ground}\n");
    text(&mut svg, 14.0, 28.0, "start", r#"font-size="16" font-weight="bold""#, title);
    svg
}

fn vertical_grid(svg: &mut String, x: f64, bottom: f64, label: &str) {
    let _ = writeln!(svg, r##"<path d="M{x:.1} {TOP}V{bottom:.1}" stroke="#ddd"/>"##);
    text(svg, x, bottom + 16.0, "middle", r#"font-size="11""#, label);
}

fn caption(svg: &mut String, x: f64, y: f64, words: &str) {
    text(svg, x, y, "middle", r#"font-size="12""#, words);
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, style: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(svg, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}" {style}>{words}</text>"#);
}
