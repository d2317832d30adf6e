//! Distances of many rows to given points, for seeding and calibration.

use ndarray::{Array1, Array2, Array3, Array4};
use rayon::prelude::*;

use super::runs::TaskMemory;
use super::{Dense, DistanceScratch, Sparse, Store};
use crate::config::TrainConfig;
use crate::data::Features;
use crate::kernel::ROW_CHUNK;
use crate::model::Parameters;

/// Distances `[n, m]` of all rows to `points` `[m, p]` under the plain metric.
pub(crate) fn distances(
    features: &Features,
    points: &Array2<f32>,
    config: &TrainConfig,
    plain: bool,
) -> Array2<f32> {
    match features {
        Features::Dense(_) => with_store::<Dense>(features, points, config, plain),
        Features::Sparse(_) => with_store::<Sparse>(features, points, config, plain),
    }
}

fn with_store<S: Store>(
    features: &Features,
    points: &Array2<f32>,
    config: &TrainConfig,
    plain: bool,
) -> Array2<f32> {
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
    let mut out = vec![0.0; n * m];
    let scratch = || (Vec::new(), DistanceScratch::default());
    out.par_chunks_mut(ROW_CHUNK * m).enumerate().for_each_init(scratch, |scratch, (c, out)| {
        let count = out.len() / m;
        let (padded, scratch) = scratch;
        padded.resize(count * width, 0.0);
        store.distances(c * ROW_CHUNK, count, plain, scratch, padded);
        for (out, padded) in out.chunks_exact_mut(m).zip(padded.chunks_exact(width)) {
            out.copy_from_slice(&padded[..m]);
        }
    });
    Array2::from_shape_vec((n, m), out).expect("n rows of m")
}
