//! Learning curves as pictures: loss by epoch on training, validation and test rows.

use std::path::Path;

use plotters::coord::types::{RangedCoordf64, RangedCoordu32};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::error::{Error, Result};
use crate::event::EpochReport;
use crate::output::write_atomic;

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordu32, RangedCoordf64>>;
type Drawing = std::result::Result<(), String>;

const SIZE: (u32, u32) = (840, 500);
const FONT: &str = "Helvetica, Arial, sans-serif";
const INK: RGBColor = RGBColor(38, 43, 51);
const SOFT_INK: RGBColor = RGBColor(107, 114, 128);
const GRID: RGBColor = RGBColor(229, 231, 235);

/// One of the curves: its name, colour (told apart by the colour-blind too), and value.
struct Curve {
    name: &'static str,
    color: RGBColor,
    value: fn(&EpochReport) -> Option<f64>,
}

const CURVES: [Curve; 3] = [
    Curve { name: "train", color: RGBColor(0, 114, 178), value: |e| Some(e.train_loss) },
    Curve { name: "validation", color: RGBColor(213, 94, 0), value: |e| e.valid_loss },
    Curve { name: "test", color: RGBColor(0, 158, 115), value: |e| e.test_loss },
];

/// Refuses a path that does not end in `.svg`.
///
/// # Errors
/// [`Error::Usage`] naming the path.
pub fn check_path(path: &Path) -> Result<()> {
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("svg")) {
        return Ok(());
    }
    Err(Error::Usage(format!("--plot writes SVG: `{}` must end in .svg", path.display())))
}

/// Writes the learning curve of a run to an SVG file; members of an ensemble are drawn as lines of
/// the same colour.
///
/// # Errors
/// [`Error::Usage`] when `path` does not end in `.svg`, [`Error::Io`] when it cannot be written.
pub fn learning_curve(
    path: &Path,
    title: &str,
    loss_name: &str,
    epochs: &[EpochReport],
) -> Result<()> {
    check_path(path)?;
    let mut svg = String::new();
    draw(&mut svg, title, loss_name, epochs)
        .map_err(|e| Error::io("draw", path)(std::io::Error::other(e)))?;
    write_atomic(path, svg.as_bytes())
}

fn draw(svg: &mut String, title: &str, loss_name: &str, epochs: &[EpochReport]) -> Drawing {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(text)?;
    let (low, high) = loss_range(epochs);
    let last = epochs.iter().map(|e| e.epoch).max().unwrap_or(1).max(2) as u32;
    let mut chart = ChartBuilder::on(&root)
        .margin_top(18)
        .margin_right(96)
        .margin_bottom(12)
        .margin_left(8)
        .caption(title, (FONT, 20).into_font().style(FontStyle::Bold).color(&INK))
        .x_label_area_size(52)
        .y_label_area_size(72)
        .build_cartesian_2d(1..last, low..high)
        .map_err(text)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(SOFT_INK)
        .label_style((FONT, 15).into_font().color(&SOFT_INK))
        .axis_desc_style((FONT, 16).into_font().color(&INK))
        .x_desc("epoch")
        .y_desc(loss_name)
        .x_labels(last.min(10) as usize)
        .y_labels(7)
        .y_label_formatter(&|y| decimals(*y, high - low))
        .draw()
        .map_err(text)?;
    for curve in &CURVES {
        draw_curve(&mut chart, curve, epochs)?;
    }
    draw_names(&mut chart, epochs, high - low)?;
    drop(chart);
    root.present().map_err(text)
}

fn draw_curve(chart: &mut Chart, curve: &Curve, epochs: &[EpochReport]) -> Drawing {
    for member in epochs.chunk_by(|a, b| a.member == b.member) {
        let points: Vec<(u32, f64)> = member
            .iter()
            .filter_map(|e| Some((e.epoch as u32, (curve.value)(e).filter(|y| y.is_finite())?)))
            .collect();
        // A single epoch has no line, and still a point.
        let radius = if points.len() <= 40 { 3 } else { 0 };
        let dots = points.iter().map(|&at| Circle::new(at, radius, curve.color.filled()));
        chart.draw_series(dots).map_err(text)?;
        let line = LineSeries::new(points, curve.color.stroke_width(2));
        chart.draw_series(line).map_err(text)?;
    }
    Ok(())
}

/// Names each curve at its end, where the eye is, rather than in a box; names that would overlap
/// are moved apart.
fn draw_names(chart: &mut Chart, epochs: &[EpochReport], span: f64) -> Drawing {
    let mut ends: Vec<(&Curve, u32, f64)> = CURVES
        .iter()
        .filter_map(|curve| {
            let mut values = epochs.iter().rev().filter_map(|e| Some((e.epoch, (curve.value)(e)?)));
            let (epoch, y) = values.find(|(_, y)| y.is_finite())?;
            Some((curve, epoch as u32, y))
        })
        .collect();
    ends.sort_by(|a, b| a.2.total_cmp(&b.2));
    let apart = span * 0.048;
    for i in 1..ends.len() {
        ends[i].2 = ends[i].2.max(ends[i - 1].2 + apart);
    }
    for (curve, epoch, y) in ends {
        let style = (FONT, 16)
            .into_font()
            .style(FontStyle::Bold)
            .color(&curve.color)
            .pos(Pos::new(HPos::Left, VPos::Center));
        let name = EmptyElement::at((epoch, y)) + Text::new(curve.name, (10, 0), style);
        chart.plotting_area().draw(&name).map_err(text)?;
    }
    Ok(())
}

/// Smallest and largest finite loss, with a little air.
fn loss_range(epochs: &[EpochReport]) -> (f64, f64) {
    let losses = epochs
        .iter()
        .flat_map(|e| CURVES.iter().filter_map(move |c| (c.value)(e)))
        .filter(|loss| loss.is_finite());
    let (low, high) =
        losses.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
    if low > high {
        return (0.0, 1.0);
    }
    let air = 0.06 * (high - low).max(1e-9 + 0.1 * high.abs());
    ((low - air).max(if low >= 0.0 { 0.0 } else { f64::MIN }), high + air)
}

/// As many decimals as it takes to tell neighbouring labels apart.
fn decimals(y: f64, span: f64) -> String {
    let digits = (1.0 - span.log10().floor()).clamp(0.0, 8.0) as usize;
    format!("{y:.digits$}")
}

fn text<E: std::fmt::Display>(error: E) -> String {
    error.to_string()
}
