//! Two kinds of charts, as SVG that follows the reader's colour scheme.

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::ratios::whole;
use crate::statistics::Spread;

const WIDTH: u32 = 860;
const PAPER: RGBColor = RGBColor(255, 255, 255);
const INK: RGBColor = RGBColor(31, 35, 40);
const GRID: RGBColor = RGBColor(216, 222, 228);
const SERIES: [RGBColor; 5] = [
    RGBColor(9, 105, 218),
    RGBColor(191, 135, 0),
    RGBColor(26, 127, 55),
    RGBColor(130, 80, 223),
    RGBColor(191, 57, 137),
];
/// What each of the colours above is in the dark.
const DARK: [(RGBColor, &str); 8] = [
    (PAPER, "#0d1117"),
    (INK, "#e6edf3"),
    (GRID, "#30363d"),
    (SERIES[0], "#58a6ff"),
    (SERIES[1], "#d29922"),
    (SERIES[2], "#3fb950"),
    (SERIES[3], "#a371f7"),
    (SERIES[4], "#db61a2"),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b, X> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<X, RangedCoordf64>>;

/// Horizontal bars, side by side for each series, with the range of the rounds.
pub(super) struct Bars<'a> {
    pub(super) title: &'a str,
    pub(super) series: &'a [&'a str],
    pub(super) bars: Vec<Bar>,
}

/// One label and a number for each series.
pub(super) struct Bar {
    label: String,
    values: Vec<Spread>,
}

impl Bar {
    pub(super) fn new(label: String, values: Vec<Spread>) -> Self {
        Self { label: label.replace('`', ""), values }
    }
}

/// Lines over a logarithmic axis.
pub(super) struct Lines {
    pub(super) title: &'static str,
    pub(super) lines: Vec<Line>,
}

pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) points: Vec<(f64, Spread)>,
}

impl Bars<'_> {
    pub(super) fn svg(&self) -> anyhow::Result<String> {
        let thickness = if self.series.len() > 1 { 42 } else { 28 };
        let height = 90 + thickness * u32::try_from(self.bars.len())?;
        svg(height, |area| self.draw(area))
    }

    fn draw(&self, area: &Area) -> anyhow::Result<()> {
        let most = self.bars.iter().flat_map(|bar| &bar.values).map(|value| value.max).fold(0.0, f64::max);
        let rows = f64::from(u32::try_from(self.bars.len())?);
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, text(16))
            .margin(12)
            .set_label_area_size(LabelAreaPosition::Left, 270)
            .set_label_area_size(LabelAreaPosition::Bottom, 28)
            .build_cartesian_2d(0.0..most * 1.12, rows..0.0)
            .map_err(failed)?;
        let mut mesh = chart.configure_mesh();
        mesh.disable_y_mesh().disable_y_axis().light_line_style(TRANSPARENT).bold_line_style(GRID).axis_style(GRID);
        mesh.x_label_style(text(12))
            .x_labels(8)
            .x_label_formatter(&|value| format!("{value:.0}"))
            .draw()
            .map_err(failed)?;
        for (row, bar) in (0_u32..).zip(&self.bars) {
            self.draw_bar(area, &mut chart, f64::from(row), bar)?;
        }
        if self.series.len() > 1 {
            self.draw_legend(area)?;
        }
        Ok(())
    }

    fn draw_bar(&self, area: &Area, chart: &mut Chart<RangedCoordf64>, row: f64, bar: &Bar) -> anyhow::Result<()> {
        let (x, y) = chart.backend_coord(&(0.0, row + 0.5));
        let label = text(13).pos(Pos::new(HPos::Right, VPos::Center));
        area.draw(&Text::new(bar.label.clone(), (x - 10, y), label)).map_err(failed)?;
        let share = 0.76 / f64::from(u32::try_from(bar.values.len())?);
        for ((number, value), colour) in (0_u32..).zip(&bar.values).zip(SERIES) {
            let top = row + 0.12 + share * f64::from(number);
            let body = Rectangle::new([(0.0, top), (value.median.max(0.0), top + share * 0.88)], colour.filled());
            let middle = top + share * 0.44;
            let range = PathElement::new([(value.min.max(0.0), middle), (value.max.max(0.0), middle)], INK);
            chart.draw_series([body]).map_err(failed)?;
            chart.draw_series([range]).map_err(failed)?;
            let (x, y) = chart.backend_coord(&(value.max.max(0.0), middle));
            let style = text(12).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw(&Text::new(whole(value.median), (x + 6, y), style)).map_err(failed)?;
        }
        Ok(())
    }

    fn draw_legend(&self, area: &Area) -> anyhow::Result<()> {
        let (_, height) = area.dim_in_pixel();
        for ((at, name), colour) in (0_i32..).zip(self.series).zip(SERIES) {
            let (x, y) = (24 + at * 130, i32::try_from(height)? - 24);
            area.draw(&Rectangle::new([(x, y - 6), (x + 12, y + 6)], colour.filled())).map_err(failed)?;
            let style = text(12).pos(Pos::new(HPos::Left, VPos::Center));
            area.draw(&Text::new((*name).to_owned(), (x + 18, y), style)).map_err(failed)?;
        }
        Ok(())
    }
}

impl Lines {
    pub(super) fn svg(&self) -> anyhow::Result<String> {
        svg(380, |area| self.draw(area))
    }

    fn draw(&self, area: &Area) -> anyhow::Result<()> {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let most = points().map(|(_, value)| value.max).fold(0.0, f64::max);
        let (first, last) = points().fold((f64::MAX, 1.0_f64), |(low, high), (x, _)| (low.min(*x), high.max(*x)));
        let mut chart = ChartBuilder::on(area)
            .caption(self.title, text(16))
            .margin(12)
            .margin_right(180)
            .set_label_area_size(LabelAreaPosition::Left, 50)
            .set_label_area_size(LabelAreaPosition::Bottom, 30)
            .build_cartesian_2d(
                (first * 0.9..last * 1.1).log_scale().with_key_points(vec![5.0, 50.0, 500.0]),
                0.0..most * 1.1,
            )
            .map_err(failed)?;
        let mut mesh = chart.configure_mesh();
        mesh.light_line_style(TRANSPARENT).bold_line_style(GRID).axis_style(GRID);
        mesh.x_label_style(text(12)).y_label_style(text(12)).x_label_formatter(&|value| format!("{value:.0}"));
        mesh.y_label_formatter(&|value| format!("{value:.0}")).draw().map_err(failed)?;
        let mut ends = Vec::new();
        for (line, colour) in self.lines.iter().zip(SERIES) {
            let mut path = line.points.iter().map(|(x, value)| (*x, value.median));
            chart.draw_series(LineSeries::new(path.clone(), colour.stroke_width(2))).map_err(failed)?;
            chart.draw_series(path.clone().map(|point| Circle::new(point, 4, colour.filled()))).map_err(failed)?;
            let ranges =
                line.points.iter().map(|(x, value)| PathElement::new([(*x, value.min), (*x, value.max)], colour));
            chart.draw_series(ranges).map_err(failed)?;
            if let Some(last) = path.next_back() {
                ends.push((chart.backend_coord(&last), format!("{}, {:.0}", line.name, last.1), colour));
            }
        }
        draw_ends(area, ends)
    }
}

/// What each line is, where it ends; one below the other where lines end close together.
fn draw_ends(area: &Area, mut ends: Vec<((i32, i32), String, RGBColor)>) -> anyhow::Result<()> {
    ends.sort_by_key(|((_, y), ..)| *y);
    let mut free = i32::MIN;
    for ((x, y), what, colour) in ends {
        let y = y.max(free);
        free = y + 16;
        let style = text(13).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw(&Circle::new((x + 14, y), 3, colour.filled())).map_err(failed)?;
        area.draw(&Text::new(what, (x + 22, y), style)).map_err(failed)?;
    }
    Ok(())
}

fn text(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

fn svg(height: u32, draw: impl FnOnce(&Area) -> anyhow::Result<()>) -> anyhow::Result<String> {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (WIDTH, height)).into_drawing_area();
        area.fill(&PAPER).map_err(failed)?;
        draw(&area)?;
        area.present().map_err(failed)?;
    }
    Ok(with_dark_colours(&svg))
}

/// A rule outranks an attribute: in the dark each colour becomes another.
fn with_dark_colours(svg: &str) -> String {
    let rules = DARK.map(|(RGBColor(r, g, b), dark)| {
        let light = format!("#{r:02X}{g:02X}{b:02X}");
        format!("[fill=\"{light}\"]{{fill:{dark}}}[stroke=\"{light}\"]{{stroke:{dark}}}")
    });
    let style = format!("<style>@media (prefers-color-scheme: dark){{{}}}</style>\n", rules.concat());
    match svg.find(">\n") {
        Some(end) => format!("{}{style}{}", &svg[..end + 2], &svg[end + 2..]),
        None => svg.to_owned(),
    }
}

fn failed(error: impl std::fmt::Display) -> anyhow::Error {
    anyhow!("cannot draw: {error}")
}
