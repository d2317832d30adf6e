//! Small multiples: the test loss by epoch of several methods, a panel a set.

use plotters::coord::Shift;
use plotters::prelude::*;

use super::{COLORS, Drawing, FONT, GRID, INK, Line, SOFT_INK, decimals, loss_range, text};
use crate::error::{Error, Result};

const PANEL: (u32, u32) = (380, 280);
const HEAD: u32 = 56;

/// One panel.
#[derive(Debug, Clone, PartialEq)]
pub struct Panel {
    /// What stands above it.
    pub title: String,
    /// What the y axis is.
    pub loss_name: String,
    /// The loss after each epoch, by name; a loss that is not finite is left out.
    pub curves: Vec<(String, Vec<f64>)>,
}

/// Draws panels beside and below one another, with one legend: a name has the same colour in all.
///
/// Returns the picture as SVG.
///
/// # Errors
/// [`Error::Io`] where the picture cannot be drawn.
pub fn panels(title: &str, panels: &[Panel]) -> Result<String> {
    let mut svg = String::new();
    draw(&mut svg, title, panels)
        .map_err(|e| Error::io("draw", std::path::Path::new(title))(std::io::Error::other(e)))?;
    Ok(svg)
}

fn draw(svg: &mut String, title: &str, panels: &[Panel]) -> Drawing {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in panels.iter().flat_map(|panel| &panel.curves) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let columns = match panels.len() {
        0 | 1 => 1,
        2 | 4 => 2,
        _ => 3,
    };
    let rows = panels.len().div_ceil(columns).max(1);
    let size = (PANEL.0 * columns as u32, HEAD + PANEL.1 * rows as u32);
    let root = SVGBackend::with_string(svg, size).into_drawing_area();
    root.fill(&WHITE).map_err(text)?;
    let (head, body) = root.split_vertically(HEAD);
    draw_head(&head, title, &names)?;
    for (panel, area) in panels.iter().zip(body.split_evenly((rows, columns))) {
        draw_panel(&area, panel, &names)?;
    }
    root.present().map_err(text)
}

/// The title, and below it each name beside a stroke of its colour.
fn draw_head(head: &DrawingArea<SVGBackend<'_>, Shift>, title: &str, names: &[&str]) -> Drawing {
    let style = (FONT, 18).into_font().style(FontStyle::Bold).color(&INK);
    head.draw(&Text::new(title.to_owned(), (16, 12), style)).map_err(text)?;
    let mut x = 16;
    for (name, color) in names.iter().zip(COLORS.into_iter().cycle()) {
        let stroke = PathElement::new([(x, 45), (x + 26, 45)], color.stroke_width(3));
        head.draw(&stroke).map_err(text)?;
        let style = (FONT, 14).into_font().color(&INK);
        head.draw(&Text::new((*name).to_owned(), (x + 32, 39), style)).map_err(text)?;
        x += 56 + 9 * name.chars().count() as i32;
    }
    Ok(())
}

fn draw_panel(area: &DrawingArea<SVGBackend<'_>, Shift>, panel: &Panel, names: &[&str]) -> Drawing {
    let lines: Vec<Line> =
        panel.curves.iter().map(|(name, losses)| line(name, losses, names)).collect();
    let (low, high) = loss_range(&lines);
    let last = panel.curves.iter().map(|(_, losses)| losses.len() as u32).max().unwrap_or(1).max(2);
    let mut chart = ChartBuilder::on(area)
        .margin_top(10)
        .margin_right(18)
        .margin_left(6)
        .margin_bottom(4)
        .caption(&panel.title, (FONT, 15).into_font().style(FontStyle::Bold).color(&INK))
        .x_label_area_size(38)
        .y_label_area_size(62)
        .build_cartesian_2d(1..last, low..high)
        .map_err(text)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(GRID)
        .axis_style(SOFT_INK)
        .label_style((FONT, 12).into_font().color(&SOFT_INK))
        .axis_desc_style((FONT, 13).into_font().color(&INK))
        .x_desc("epoch")
        .y_desc(&panel.loss_name)
        .x_labels(last.min(8) as usize)
        .y_labels(5)
        .y_label_formatter(&|y| decimals(*y, high - low))
        .draw()
        .map_err(text)?;
    for line in &lines {
        for points in &line.stretches {
            // A single epoch has no line, and still a point.
            let dots = points.iter().filter(|_| points.len() == 1);
            let dots = dots.map(|&at| Circle::new(at, 3, line.color.filled()));
            chart.draw_series(dots).map_err(text)?;
            let series = LineSeries::new(points.iter().copied(), line.color.stroke_width(2));
            chart.draw_series(series).map_err(text)?;
        }
    }
    Ok(())
}

fn line<'a>(name: &'a str, losses: &[f64], names: &[&str]) -> Line<'a> {
    let place = names.iter().position(|other| *other == name).unwrap_or(0);
    let points = losses.iter().enumerate().filter(|(_, loss)| loss.is_finite());
    let points = points.map(|(i, &loss)| (i as u32 + 1, loss)).collect();
    Line { name, color: COLORS[place % COLORS.len()], stretches: vec![points] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_same_colour_in_every_panel() {
        let panel = |title: &str, names: &[&str]| Panel {
            title: title.into(),
            loss_name: "loss".into(),
            curves: names.iter().map(|&name| (name.into(), vec![0.5, f64::NAN, 0.3])).collect(),
        };
        let svg = panels("all", &[panel("one", &["fm", "jo"]), panel("two", &["jo"])])
            .expect("it can be drawn");
        let lines = |color: &str| {
            svg.matches(&format!("stroke=\"{color}\" stroke-width=\"2\" points")).count()
        };
        assert_eq!((lines("#0072B2"), lines("#D55E00")), (1, 2), "{svg}");
        assert!(!svg.contains("NaN"));
    }
}
