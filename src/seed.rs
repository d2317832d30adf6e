//! The parameters a run starts from: seeded anchors, calibrated L, small random factors.

mod calibrate;
mod kmeans;

use ndarray::{Array1, Array2, Array3, Array4};
use rand::seq::index::sample;
use rand_distr::{Distribution, Normal};

use crate::config::{Coding, TrainConfig};
use crate::data::Features;
use crate::error::Result;
use crate::model::Parameters;
use crate::random::{Purpose, stream};

/// Rows that k-means looks at.
pub(crate) const SEEDING_ROWS: usize = 20_000;
/// Rows that L is calibrated on.
pub(crate) const CALIBRATION_ROWS: usize = 1_000;

/// Rows that a few are picked from.
pub(crate) trait Pool {
    /// Number of rows n.
    fn n_rows(&self) -> usize;
    /// Number of features p.
    fn n_cols(&self) -> usize;
    /// The given rows, whose numbers rise.
    fn pick(&self, rows: &[u32]) -> Result<Features>;
}

impl Pool for Features {
    fn n_rows(&self) -> usize {
        self.n_rows()
    }

    fn n_cols(&self) -> usize {
        self.n_cols()
    }

    fn pick(&self, rows: &[u32]) -> Result<Features> {
        Ok(self.select(rows))
    }
}

/// Starting parameters of member `member`.
///
/// Anchors by k-means++ and Lloyd on at most 20,000 rows (fewer anchors where rows repeat);
/// w = b = 0; V ~ N(0, init_scale), because V = 0 is a saddle. Features in `never_seen` have no
/// non-zero in training and get V = 0, so that no local model scores them when one turns up later.
pub(crate) fn initial_parameters(
    features: &dyn Pool,
    n_outputs: usize,
    never_seen: &[u32],
    config: &TrainConfig,
    member: usize,
) -> Result<Parameters> {
    let anchors = seed_anchors(features, config, member)?;
    let (m, p) = anchors.dim();
    let lipschitz = initial_lipschitz(features, &anchors, config, member)?;
    let normal = Normal::new(0.0, config.init_scale as f32).expect("init_scale is checked");
    let mut generator = stream(config.seed, member, Purpose::Factors);
    let mut factors = Array4::from_shape_simple_fn((m, n_outputs, p, config.factors), || {
        normal.sample(&mut generator)
    });
    for &j in never_seen {
        factors.index_axis_mut(ndarray::Axis(2), j as usize).fill(0.0);
    }
    Ok(Parameters {
        anchors,
        log_lipschitz: Array1::from_elem(m, lipschitz.ln() as f32),
        log_metric: Array1::zeros(p),
        anchor_scale: None,
        bias: Array2::zeros((m, n_outputs)),
        linear: Array3::zeros((m, n_outputs, p)),
        factors,
    })
}

fn seed_anchors(features: &dyn Pool, config: &TrainConfig, member: usize) -> Result<Array2<f32>> {
    if config.coding == Coding::Single {
        return Ok(Array2::zeros((1, features.n_cols())));
    }
    let mut generator = stream(config.seed, member, Purpose::Anchors);
    let rows = some_rows(features, SEEDING_ROWS, &mut generator)?;
    Ok(kmeans::kmeans(&rows, config, &mut generator))
}

fn initial_lipschitz(
    features: &dyn Pool,
    anchors: &Array2<f32>,
    config: &TrainConfig,
    member: usize,
) -> Result<f64> {
    if let Some(lipschitz) = config.lipschitz {
        return Ok(lipschitz);
    }
    if matches!(config.coding, Coding::Single | Coding::Inverse) {
        return Ok(1.0);
    }
    let mut generator = stream(config.seed, member, Purpose::Calibration);
    let rows = some_rows(features, CALIBRATION_ROWS, &mut generator)?;
    Ok(calibrate::calibrate(&rows, anchors, config))
}

/// At most `count` rows, without replacement, in file order.
fn some_rows(
    features: &dyn Pool,
    count: usize,
    generator: &mut crate::random::Generator,
) -> Result<Features> {
    let n = features.n_rows();
    let mut rows: Vec<u32> =
        sample(generator, n, count.min(n)).into_iter().map(|r| r as u32).collect();
    rows.sort_unstable();
    features.pick(&rows)
}
