//! Learning curves as pictures: loss by epoch on the rows of one run, or on the test rows of several;
//! decision boundaries.

mod boundary;
mod panels;
mod png;

pub use boundary::{Boundary, boundary};
pub use panels::{Panel, panels};
pub use png::save_both;

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

/// The largest loss that is drawn: the span from its negative has to be a number too.
const LARGEST: f64 = 1e300;

/// Colours the colour-blind tell apart too (Okabe and Ito 2008), in order of use.
const COLORS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
];

/// The curves of one run: a name and a value of each epoch.
type Curve = (&'static str, fn(&EpochReport) -> Option<f64>);

const CURVES: [Curve; 3] = [
    ("train", |e| Some(e.train_loss)),
    ("validation", |e| e.valid_loss),
    ("test", |e| e.test_loss),
];

/// One line of a picture: losses by epoch, a stretch for each member of an ensemble.
struct Line<'a> {
    name: &'a str,
    color: RGBColor,
    stretches: Vec<Vec<(u32, f64)>>,
}

impl<'a> Line<'a> {
    /// The line of one curve; losses that are not finite, or nearly so, are left out.
    fn new(
        name: &'a str,
        color: RGBColor,
        epochs: &[EpochReport],
        value: fn(&EpochReport) -> Option<f64>,
    ) -> Self {
        let point =
            |e: &EpochReport| Some((e.epoch as u32, value(e).filter(|y| y.abs() <= LARGEST)?));
        let stretches = epochs
            .chunk_by(|a, b| a.member == b.member)
            .map(|member| member.iter().filter_map(point).collect())
            .collect();
        Self { name, color, stretches }
    }

    fn points(&self) -> impl Iterator<Item = (u32, f64)> {
        self.stretches.iter().flatten().copied()
    }
}

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
    let lines: Vec<Line> = CURVES
        .iter()
        .zip(COLORS)
        .map(|(&(name, value), color)| Line::new(name, color, epochs, value))
        .collect();
    write(path, title, loss_name, &lines)
}

/// Writes the test losses of several runs to one SVG file, a line a run, in the order given.
///
/// ```no_run
/// # use llfm::event::EpochReport;
/// # let (fm, jo): (Vec<EpochReport>, Vec<EpochReport>) = Default::default();
/// let path = std::path::Path::new("methods.svg");
/// llfm::plot::test_losses(path, "LETTER", "softmax loss", &[("fm", &fm), ("llfm-jo", &jo)])?;
/// # Ok::<(), llfm::Error>(())
/// ```
///
/// # Errors
/// As [`learning_curve`].
pub fn test_losses(
    path: &Path,
    title: &str,
    loss_name: &str,
    runs: &[(&str, &[EpochReport])],
) -> Result<()> {
    let lines: Vec<Line> = runs
        .iter()
        .zip(COLORS.into_iter().cycle())
        .map(|(&(name, epochs), color)| Line::new(name, color, epochs, |e| e.test_loss))
        .collect();
    write(path, title, loss_name, &lines)
}

fn write(path: &Path, title: &str, loss_name: &str, lines: &[Line]) -> Result<()> {
    check_path(path)?;
    let mut svg = String::new();
    draw(&mut svg, title, loss_name, lines)
        .map_err(|e| Error::io("draw", path)(std::io::Error::other(e)))?;
    write_atomic(path, svg.as_bytes())
}

fn draw(svg: &mut String, title: &str, loss_name: &str, lines: &[Line]) -> Drawing {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(text)?;
    let (low, high) = loss_range(lines);
    let last = lines.iter().flat_map(Line::points).map(|(epoch, _)| epoch).max();
    let last = last.unwrap_or(1).max(2);
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
    for line in lines {
        draw_line(&mut chart, line)?;
    }
    draw_names(&mut chart, lines, high - low)?;
    drop(chart);
    root.present().map_err(text)
}

fn draw_line(chart: &mut Chart, line: &Line) -> Drawing {
    for points in &line.stretches {
        // A single epoch has no line, and still a point.
        let radius = if points.len() <= 40 { 3 } else { 0 };
        let dots = points.iter().map(|&at| Circle::new(at, radius, line.color.filled()));
        chart.draw_series(dots).map_err(text)?;
        let series = LineSeries::new(points.iter().copied(), line.color.stroke_width(2));
        chart.draw_series(series).map_err(text)?;
    }
    Ok(())
}

/// Names each line at its end, where the eye is, rather than in a box; names that would overlap
/// are moved apart.
fn draw_names(chart: &mut Chart, lines: &[Line], span: f64) -> Drawing {
    let mut ends: Vec<(&Line, u32, f64)> = lines
        .iter()
        .filter_map(|line| line.points().last().map(|(epoch, y)| (line, epoch, y)))
        .collect();
    ends.sort_by(|a, b| a.2.total_cmp(&b.2));
    let apart = span * 0.048;
    for i in 1..ends.len() {
        ends[i].2 = ends[i].2.max(ends[i - 1].2 + apart);
    }
    for (line, epoch, y) in ends {
        let style = (FONT, 16)
            .into_font()
            .style(FontStyle::Bold)
            .color(&line.color)
            .pos(Pos::new(HPos::Left, VPos::Center));
        let name = EmptyElement::at((epoch, y)) + Text::new(line.name.to_owned(), (10, 0), style);
        chart.plotting_area().draw(&name).map_err(text)?;
    }
    Ok(())
}

/// Smallest and largest loss, with a little air.
fn loss_range(lines: &[Line]) -> (f64, f64) {
    let losses = lines.iter().flat_map(Line::points).map(|(_, loss)| loss);
    let (low, high) =
        losses.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), x| (l.min(x), h.max(x)));
    if low > high {
        return (0.0, 1.0);
    }
    let air = 0.06 * (high - low).max(1e-9 + 0.1 * high.abs());
    (if low >= 0.0 { (low - air).max(0.0) } else { low - air }, high + air)
}

/// As many decimals as it takes to tell neighbouring labels apart.
fn decimals(y: f64, span: f64) -> String {
    if span >= 1e9 {
        return format!("{y:.1e}");
    }
    let digits = (1.0 - span.log10().floor()).clamp(0.0, 8.0) as usize;
    format!("{y:.digits$}")
}

fn text<E: std::fmt::Display>(error: E) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Epochs from 1 with the given test losses.
    fn epochs(member: usize, test_losses: &[f64]) -> Vec<EpochReport> {
        let report = |(i, &loss): (usize, &f64)| EpochReport {
            member,
            epoch: i + 1,
            epochs: test_losses.len(),
            train_loss: loss / 2.0,
            objective: loss / 2.0,
            valid_loss: None,
            valid_metric: None,
            test_loss: Some(loss),
            mean_active: 1.0,
            dead_anchors: 0,
            learning_rate: 0.1,
            seconds: 1.0,
        };
        test_losses.iter().enumerate().map(report).collect()
    }

    /// The picture as text.
    fn drawn(make: impl FnOnce(&Path) -> Result<()>) -> String {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("picture.svg");
        make(&path).expect("the picture can be drawn");
        std::fs::read_to_string(path).expect("SVG is text")
    }

    #[test]
    fn every_run_has_its_line_name_and_colour() {
        let (one, two) = (epochs(0, &[0.9, 0.5, 0.4]), epochs(0, &[0.8, 0.2, 0.1]));
        let runs = [("fm", one.as_slice()), ("llfm-jo", two.as_slice())];
        let svg = drawn(|path| test_losses(path, "letter", "softmax loss", &runs));
        assert_eq!(n_lines(&svg), 2);
        for word in ["letter", "softmax loss", "epoch", "fm", "llfm-jo", "#0072B2", "#D55E00"] {
            assert!(svg.contains(word), "{word}");
        }
        assert!(!svg.contains("train"), "only test losses are drawn");
    }

    #[test]
    fn members_of_an_ensemble_are_lines_of_their_own() {
        let both = [epochs(0, &[0.9, 0.5]), epochs(1, &[0.8, 0.4])].concat();
        let svg = drawn(|path| learning_curve(path, "t", "loss", &both));
        assert_eq!(n_lines(&svg), 4, "train and test of two members");
        assert!(!svg.contains("validation"), "a curve without values has no name");
    }

    /// Lines of losses: axes and grid are thinner.
    fn n_lines(svg: &str) -> usize {
        svg.matches("stroke-width=\"2\" points").count()
    }

    #[test]
    fn losses_whose_span_is_not_finite_are_left_out() {
        for far in [[1e308, -1e308], [1e300, -1e300], [f64::MAX, 1.0]] {
            let svg = drawn(|path| test_losses(path, "t", "loss", &[("fm", &epochs(0, &far))]));
            assert!(svg.len() < 100_000 && !svg.contains("NaN") && !svg.contains("inf"), "{far:?}");
        }
    }

    #[test]
    fn losses_that_are_not_finite_are_left_out() {
        let diverged = epochs(0, &[1.0, f64::INFINITY, f64::NAN]);
        let svg = drawn(|path| test_losses(path, "t", "loss", &[("fm", &diverged)]));
        assert!(svg.contains("fm") && !svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn only_svg_is_written() {
        let refused = test_losses(Path::new("a.png"), "t", "loss", &[]);
        assert!(matches!(refused, Err(Error::Usage(text)) if text.contains(".svg")));
    }
}
