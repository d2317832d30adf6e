//! Choosing L so that a row starts with a given number of anchors.

use ndarray::Array2;

use crate::backend::cpu::distances::map_distances;
use crate::config::{Coding, Distance, TrainConfig};
use crate::data::Features;
use crate::kernel::local_coding::{Coder, Pair, Scratch};

/// Bisects log L until the rows' mean number of active anchors (adaptive), or the perplexity
/// 1/Σγ² (soft), is `target_active`. Too large an L starves the anchors of rows, and what is right
/// depends on the data's scale, so it replaces a grid.
///
/// A target that takes all the anchors there are, or more, gives way to the middle between one and
/// all: L would go to 0, all rows be blended alike, and the model be no better than a single one.
pub(crate) fn calibrate(rows: &Features, anchors: &Array2<f32>, config: &TrainConfig) -> f64 {
    let plain = config.distance == Distance::Euclidean;
    let distance = map_distances(rows, anchors, config, plain, <[f32]>::to_vec);
    let coder = Coder { coding: config.coding, neighbors: config.neighbors };
    let target = reachable(config, anchors.nrows());
    let (mut low, mut high) = (-30.0_f64, 30.0_f64);
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        if mean_active(&distance, coder, middle.exp() as f32) > target {
            low = middle;
        } else {
            high = middle;
        }
    }
    (0.5 * (low + high)).exp()
}

fn reachable(config: &TrainConfig, anchors: usize) -> f64 {
    let most = match config.coding {
        Coding::Soft => anchors.min(config.neighbors),
        _ => anchors,
    } as f64;
    if config.target_active < most { config.target_active } else { 0.5 * (1.0 + most) }
}

fn mean_active(distance: &[Vec<f32>], coder: Coder, lipschitz: f32) -> f64 {
    let multipliers = vec![lipschitz; distance.first().map_or(0, Vec::len)];
    let (mut scratch, mut pairs) = (Scratch::default(), Vec::<Pair>::new());
    let mut total = 0.0;
    for row in distance {
        pairs.clear();
        coder.code(row, &multipliers, &mut scratch, &mut pairs);
        total += match coder.coding {
            Coding::Soft => 1.0 / pairs.iter().map(|p| f64::from(p.gamma).powi(2)).sum::<f64>(),
            _ => pairs.len() as f64,
        };
    }
    total / distance.len() as f64
}
