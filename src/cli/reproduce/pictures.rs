//! The figures: the papers' Figure 1, and the boundary of a model of two features.

use std::path::Path;

use llfm::Result;
use llfm::backend::Device;
use llfm::config::Method;
use llfm::data::{Dataset, Features, Targets};
use llfm::experiment::Prepared;
use llfm::plot::{self, Boundary, Panel};
use llfm::predict::Scorer;
use ndarray::Array2;

use super::record::{Cell, Record};
use super::runs::Finished;
use super::sets::{SETS, Set};

/// Cells of the boundary's grid, across and up.
const GRID: (usize, usize) = (240, 180);

/// Rows drawn, at most: more would hide the anchors.
const POINTS: usize = 1500;

/// Draws the test loss by epoch, the mean over the runs, a panel a set.
pub(super) fn draw_losses(path: &Path, cells: &[Cell], done: &[Record]) -> Result<()> {
    let mut panels: Vec<Panel> = Vec::new();
    for set in &SETS {
        let mine = || cells.iter().filter(|cell| cell.set == set.name && cell.ensemble == 1);
        let Some(first) = mine().next() else { continue };
        let curve = |cell: &Cell| {
            let records = done.iter().filter(|record| {
                record.set == set.name
                    && record.contender == cell.contender
                    && (record.run as usize) < cell.runs
            });
            (cell.contender.title(), mean_curve(records))
        };
        panels.push(Panel {
            title: set.title.replace('`', ""),
            loss_name: format!("test loss ({})", first.loss),
            curves: mine().map(curve).collect(),
        });
    }
    plot::save_both(path, &plot::panels("Test loss by epoch, mean over the runs", &panels)?)
}

/// Mean loss after each epoch; NaN where a run has none.
fn mean_curve<'a>(records: impl Iterator<Item = &'a Record>) -> Vec<f64> {
    let curves: Vec<&[Option<f64>]> = records.map(|r| r.test_losses.as_slice()).collect();
    let last = curves.iter().map(|curve| curve.len()).max().unwrap_or(0);
    let mean = |epoch: usize| {
        let sum: f64 =
            curves.iter().map(|c| c.get(epoch).copied().flatten().unwrap_or(f64::NAN)).sum();
        sum / curves.len() as f64
    };
    (0..last).map(mean).collect()
}

/// Whether a run has a plane to draw, and anchors that move on it.
pub(super) fn has_boundary(finished: &Finished) -> bool {
    let contender = finished.record.contender;
    contender.method == Method::LlfmJo && contender.ensemble == 1 && !finished.anchors.is_empty()
}

/// Draws where a model of two features decides, over its training rows, and the way of its anchors.
pub(super) fn draw_boundary(
    folder: &Path,
    set: &Set,
    rows: &Prepared,
    finished: &Finished,
    device: &Device,
) -> Result<()> {
    let Dataset { features: Features::Dense(points), targets: Targets::Classes(classes), .. } =
        &rows.train
    else {
        return Ok(());
    };
    // Anchors may end up beside the rows.
    let ends = finished.anchors.first().into_iter().chain(finished.anchors.last());
    let ends: Vec<&Array2<f32>> = ends.collect();
    let range = |axis: usize| {
        let anchors = ends.iter().flat_map(|anchors| anchors.column(axis));
        let (low, high) = points
            .column(axis)
            .iter()
            .chain(anchors)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &x| {
                (l.min(x.into()), h.max(x.into()))
            });
        let air = 0.04 * (high - low).max(1e-6);
        (low - air, high + air)
    };
    let ranges = [range(0), range(1)];
    let step = points.nrows().div_ceil(POINTS).max(1);
    let drawn = points.rows().into_iter().zip(classes).step_by(step);
    let path = |anchor: usize| {
        let steps = finished.anchors.iter();
        steps.map(|z| (z[[anchor, 0]].into(), z[[anchor, 1]].into())).collect()
    };
    let class = |class| rows.labels.class_name(class).to_owned();
    let picture = Boundary {
        title: format!(
            "{}: the decision boundary of llfm-jo, and its anchors over {} epochs",
            set.title,
            finished.anchors.len() - 1
        ),
        axes: [1, 2].map(|n| format!("feature {n}, in standard deviations")),
        classes: [class(0), class(1)],
        ranges,
        probability: probabilities(rows, finished, ranges, device)?,
        points: drawn.map(|(x, &class)| (x[0].into(), x[1].into(), class == 1)).collect(),
        paths: (0..finished.anchors[0].nrows()).map(path).collect(),
    };
    plot::save_both(&folder.join("boundary.svg"), &plot::boundary(&picture)?)
}

/// Probability of the positive class over the ranges `[y, x]`.
fn probabilities(
    rows: &Prepared,
    finished: &Finished,
    ranges: [(f64, f64); 2],
    device: &Device,
) -> Result<Array2<f64>> {
    let (columns, lines) = GRID;
    let at = |(low, high): (f64, f64), i: usize, n: usize| {
        low + (high - low) * i as f64 / (n - 1) as f64
    };
    let grid = Array2::from_shape_fn((columns * lines, 2), |(cell, axis)| {
        let x = match axis {
            0 => at(ranges[0], cell % columns, columns),
            _ => at(ranges[1], cell / columns, lines),
        };
        x as f32
    });
    let model = &finished.measured.model;
    let sparse = rows.preprocess.is_sparse();
    let mut scorer = Scorer::new(&model.members, &model.config, sparse, device)?;
    let scores = scorer.score(&Features::Dense(grid))?.outputs;
    let probability = |(line, column): (usize, usize)| {
        1.0 / (1.0 + (-f64::from(scores[[line * columns + column, 0]])).exp())
    };
    Ok(Array2::from_shape_fn((lines, columns), probability))
}
