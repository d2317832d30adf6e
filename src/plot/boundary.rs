//! Where a model of two features draws the line, and how its anchors got to where they are.

use ndarray::Array2;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

use super::{COLORS, Drawing, FONT, INK, SOFT_INK, text};
use crate::error::{Error, Result};

type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

const SIZE: (u32, u32) = (860, 660);

/// The colour of anchors, unlike those of the classes.
const PATH: RGBColor = RGBColor(0, 120, 88);

/// Shades of the background from one class to the other.
const SHADES: usize = 9;

/// What [`boundary`] draws, in the units of the axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Boundary {
    /// What stands above.
    pub title: String,
    /// Names of the axes.
    pub axes: [String; 2],
    /// Names of the classes: negative, positive.
    pub classes: [String; 2],
    /// Smallest and largest value on each axis.
    pub ranges: [(f64, f64); 2],
    /// Probability of the positive class on a grid over the ranges `[y, x]`, from their smallest
    /// values to their largest.
    pub probability: Array2<f64>,
    /// Training rows: x, y, and whether they are of the positive class.
    pub points: Vec<(f64, f64, bool)>,
    /// Where each anchor was, from its start to its end.
    pub paths: Vec<Vec<(f64, f64)>>,
}

/// Draws the decision boundary of a model of two features over its training rows, with the way of its
/// anchors.
///
/// Returns the picture as SVG.
///
/// # Errors
/// [`Error::Io`] where the picture cannot be drawn.
pub fn boundary(picture: &Boundary) -> Result<String> {
    let mut svg = String::new();
    let path = std::path::Path::new(&picture.title);
    draw(&mut svg, picture).map_err(|e| Error::io("draw", path)(std::io::Error::other(e)))?;
    Ok(svg)
}

fn draw(svg: &mut String, picture: &Boundary) -> Drawing {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE).map_err(text)?;
    let [(left, right), (bottom, top)] = picture.ranges;
    let mut chart = ChartBuilder::on(&root)
        .margin_top(16)
        .margin_right(190)
        .margin_bottom(10)
        .margin_left(8)
        .caption(&picture.title, (FONT, 20).into_font().style(FontStyle::Bold).color(&INK))
        .x_label_area_size(48)
        .y_label_area_size(60)
        .build_cartesian_2d(left..right, bottom..top)
        .map_err(text)?;
    draw_shades(&mut chart, picture)?;
    for class in [false, true] {
        let points = picture.points.iter().filter(|point| point.2 == class);
        let style = color_of(class).mix(0.55).filled();
        let dots = points.map(|&(x, y, _)| Circle::new((x, y), 2, style));
        chart.draw_series(dots).map_err(text)?;
    }
    let line = contour(picture).into_iter();
    let line = line.map(|ends| PathElement::new(ends.to_vec(), INK.stroke_width(2)));
    chart.draw_series(line).map_err(text)?;
    draw_paths(&mut chart, picture)?;
    // Last, so that the axes are not painted over.
    chart
        .configure_mesh()
        .disable_mesh()
        .axis_style(SOFT_INK)
        .label_style((FONT, 14).into_font().color(&SOFT_INK))
        .axis_desc_style((FONT, 15).into_font().color(&INK))
        .x_desc(&picture.axes[0])
        .y_desc(&picture.axes[1])
        .x_labels(7)
        .y_labels(7)
        .draw()
        .map_err(text)?;
    drop(chart);
    draw_legend(&root, picture)?;
    root.present().map_err(text)
}

fn color_of(positive: bool) -> RGBColor {
    COLORS[usize::from(positive)]
}

/// Tints the plane by the probability; neighbours of one shade are one rectangle.
fn draw_shades(chart: &mut Chart, picture: &Boundary) -> Drawing {
    let (rows, columns) = picture.probability.dim();
    for (row, line) in picture.probability.rows().into_iter().enumerate() {
        let shades: Vec<usize> = line.iter().map(|&p| shade(p)).collect();
        let mut column = 0;
        for run in shades.chunk_by(|a, b| a == b) {
            let end = column + run.len();
            // A grid value stands for the cell around it.
            let edge = |at: usize, n: usize, axis: usize| {
                let place = (at as f64 - 0.5) / (n - 1) as f64;
                along(picture.ranges[axis], place.clamp(0.0, 1.0))
            };
            let corners = [
                (edge(column, columns, 0), edge(row, rows, 1)),
                (edge(end, columns, 0), edge(row + 1, rows, 1)),
            ];
            let tint = Rectangle::new(corners, tint(run[0]).filled());
            chart.draw_series(std::iter::once(tint)).map_err(text)?;
            column = end;
        }
    }
    Ok(())
}

fn shade(probability: f64) -> usize {
    (probability.clamp(0.0, 1.0) * SHADES as f64).min(SHADES as f64 - 1.0) as usize
}

fn tint(shade: usize) -> RGBColor {
    let lean = 2.0 * shade as f64 / (SHADES - 1) as f64 - 1.0;
    let color = color_of(lean > 0.0);
    let weight = 0.30 * lean.abs();
    let mix = |channel: u8| (255.0 + weight * (f64::from(channel) - 255.0)).round() as u8;
    RGBColor(mix(color.0), mix(color.1), mix(color.2))
}

fn along((from, to): (f64, f64), place: f64) -> f64 {
    from + (to - from) * place
}

/// The line where both classes are equally likely: marching squares, a stretch a cell and crossing.
fn contour(picture: &Boundary) -> Vec<[(f64, f64); 2]> {
    let grid = &picture.probability;
    let (rows, columns) = grid.dim();
    let at = |x: f64, y: f64| {
        let [xs, ys] = picture.ranges;
        (along(xs, x / (columns - 1) as f64), along(ys, y / (rows - 1) as f64))
    };
    let mut stretches = Vec::new();
    for row in 0..rows.saturating_sub(1) {
        for column in 0..columns.saturating_sub(1) {
            // The corners in a circle; an edge joins each to the next.
            let corners = [(0, 0), (1, 0), (1, 1), (0, 1)];
            let value = |(dx, dy): (usize, usize)| grid[[row + dy, column + dx]] - 0.5;
            let crossing = |i: usize| {
                let (from, to) = (corners[i], corners[(i + 1) % 4]);
                let (a, b) = (value(from), value(to));
                ((a > 0.0) != (b > 0.0)).then(|| {
                    let share = a / (a - b);
                    let step = |from: usize, to: usize| along((from as f64, to as f64), share);
                    at(column as f64 + step(from.0, to.0), row as f64 + step(from.1, to.1))
                })
            };
            let crossings: Vec<(f64, f64)> = (0..4).filter_map(crossing).collect();
            stretches.extend(crossings.chunks_exact(2).map(|pair| [pair[0], pair[1]]));
        }
    }
    stretches
}

/// The way of each anchor: a ring at its start, a disc at its end.
fn draw_paths(chart: &mut Chart, picture: &Boundary) -> Drawing {
    for path in &picture.paths {
        for (color, width) in [(WHITE, 4), (PATH, 2)] {
            let line = PathElement::new(path.clone(), color.stroke_width(width));
            chart.draw_series(std::iter::once(line)).map_err(text)?;
        }
    }
    for path in &picture.paths {
        let (Some(&start), Some(&end)) = (path.first(), path.last()) else { continue };
        let discs = [
            Circle::new(start, 4, WHITE.filled()),
            Circle::new(start, 4, PATH.stroke_width(2)),
            Circle::new(end, 7, WHITE.filled()),
            Circle::new(end, 6, PATH.filled()),
        ];
        chart.draw_series(discs).map_err(text)?;
    }
    Ok(())
}

fn draw_legend(
    root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    picture: &Boundary,
) -> Drawing {
    let x = SIZE.0 as i32 - 172;
    let style = (FONT, 14).into_font().color(&INK);
    let classes = [false, true].map(|class| {
        let name = format!("class {}", picture.classes[usize::from(class)]);
        (name, vec![(4, color_of(class).filled())])
    });
    let start = vec![(4, WHITE.filled()), (4, PATH.stroke_width(2))];
    let anchors = [
        ("anchor, at the start".to_owned(), start),
        ("anchor, at the end".to_owned(), vec![(6, PATH.filled())]),
    ];
    let mut y = 72;
    for (name, marks) in classes.into_iter().chain(anchors) {
        for (radius, style) in marks {
            root.draw(&Circle::new((x + 8, y), radius, style)).map_err(text)?;
        }
        root.draw(&Text::new(name, (x + 24, y - 7), style.clone())).map_err(text)?;
        y += 28;
    }
    for (name, color) in [("its way", PATH), ("boundary", INK)] {
        let stroke = PathElement::new([(x, y), (x + 16, y)], color.stroke_width(2));
        root.draw(&stroke).map_err(text)?;
        root.draw(&Text::new(name.to_owned(), (x + 24, y - 7), style.clone())).map_err(text)?;
        y += 28;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture() -> Boundary {
        Boundary {
            title: "a plane".into(),
            axes: ["across".into(), "up".into()],
            classes: ["no".into(), "yes".into()],
            ranges: [(0.0, 4.0), (-1.0, 1.0)],
            probability: Array2::from_shape_fn((11, 21), |(_, x)| x as f64 / 20.0 + 0.01),
            points: vec![(1.0, 0.0, false), (3.0, 0.0, true)],
            paths: vec![vec![(1.0, 0.0), (2.0, 0.5)]],
        }
    }

    #[test]
    fn the_boundary_is_where_both_classes_are_as_likely() {
        let stretches = contour(&picture());
        assert_eq!(stretches.len(), 10, "one a row of cells");
        let ends = stretches.concat();
        assert!(ends.iter().all(|(x, _)| (x - 4.0 * 0.49).abs() < 1e-9), "{ends:?}");
    }

    #[test]
    fn the_picture_has_both_classes_and_the_anchors() {
        let svg = boundary(&picture()).expect("it can be drawn");
        for word in ["a plane", "across", "up", "class no", "class yes", "at the end", "#007858"] {
            assert!(svg.contains(word), "{word}");
        }
    }
}
