//! Distances of many rows to given points, for seeding and calibration.

use ndarray::{Array1, Array2, Array3, Array4};
use rayon::prelude::*;

use super::runs::TaskMemory;
use super::{Dense, DistanceScratch, Sparse, Store};
use crate::config::TrainConfig;
use crate::data::Features;
use crate::kernel::ROW_CHUNK;
use crate::model::Parameters;

/// What `map` makes of each row's distances `[m]` to `points` `[m, p]` under the plain metric; those of all
/// rows would be too many to keep.
pub(crate) fn map_distances<T: Send>(
    features: &Features,
    points: &Array2<f32>,
    config: &TrainConfig,
    plain: bool,
    map: impl Fn(&[f32]) -> T + Sync,
) -> Vec<T> {
    match features {
        Features::Dense(_) => with_store::<Dense, _>(features, points, config, plain, map),
        Features::Sparse(_) => with_store::<Sparse, _>(features, points, config, plain, map),
    }
}

fn with_store<S: Store, T: Send>(
    features: &Features,
    points: &Array2<f32>,
    config: &TrainConfig,
    plain: bool,
    map: impl Fn(&[f32]) -> T + Sync,
) -> Vec<T> {
    let (m, p) = points.dim();
    let parameters = Parameters {
        anchors: points.clone(),
        log_lipschitz: Array1::zeros(m),
        log_metric: Array1::zeros(p),
        anchor_scale: None,
        bias: Array2::zeros((m, 1)),
        linear: Array3::zeros((m, 1, p)),
        factors: Array4::zeros((m, 1, p, 0)),
    };
    let mut store = S::new(&parameters, config, false);
    let n = features.n_rows();
    let rows: Vec<u32> = (0..n as u32).collect();
    store.gather(features, &rows, false, &TaskMemory::default());
    let width = store.shape().anchor_stride();
    let scratch = || (Vec::new(), DistanceScratch::default());
    let chunks = (0..n).into_par_iter().step_by(ROW_CHUNK).map_init(scratch, |scratch, first| {
        let count = ROW_CHUNK.min(n - first);
        let (distance, scratch) = scratch;
        distance.resize(count * width, 0.0);
        store.distances(first, count, plain, scratch, distance);
        distance.chunks_exact(width).map(|row| map(&row[..m])).collect()
    });
    chunks.collect::<Vec<Vec<T>>>().into_iter().flatten().collect()
}
