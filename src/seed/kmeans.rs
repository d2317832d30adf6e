//! k-means++ (Arthur and Vassilvitskii 2007) and Lloyd's steps, on the host, deterministic.

use ndarray::{Array1, Array2, ArrayViewMut1};
use rand::RngExt;
use rayon::prelude::*;

use crate::backend::cpu::distances::map_distances;
use crate::config::TrainConfig;
use crate::data::Features;
use crate::random::Generator;

/// Lloyd steps after seeding.
const LLOYD_STEPS: usize = 10;

/// Cluster centres of the rows `[m, p]`, at most `config.anchors` of them: fewer where there are
/// fewer distinct rows, or where a cluster lost its rows.
pub(crate) fn kmeans(
    rows: &Features,
    config: &TrainConfig,
    generator: &mut Generator,
) -> Array2<f32> {
    let mut centers = plus_plus(rows, config.anchors, generator);
    for _ in 0..LLOYD_STEPS {
        let nearest = map_distances(rows, &centers, config, false, smallest);
        centers = means(rows, &nearest, centers.nrows());
    }
    centers
}

/// Rows drawn with probability proportional to the squared distance to the nearest drawn before.
fn plus_plus(rows: &Features, count: usize, generator: &mut Generator) -> Array2<f32> {
    let (n, p) = (rows.n_rows(), rows.n_cols());
    let mut nearest = vec![f32::INFINITY; n];
    let mut centers = Vec::new();
    let mut next = generator.random_range(0..n);
    for drawn in 1..=count {
        let mut center = Array1::zeros(p);
        add_row(rows, next, center.view_mut());
        let point = center.as_slice().expect("contiguous");
        let norm = point.iter().map(|z| z * z).sum();
        nearest.par_iter_mut().enumerate().with_min_len(256).for_each(|(r, nearest)| {
            *nearest = nearest.min(squared_distance(rows, r, point, norm));
        });
        centers.extend(center);
        let total: f64 = nearest.iter().map(|&d| f64::from(d)).sum();
        if drawn == count || total <= 0.0 {
            break;
        }
        let mut left = generator.random_range(0.0..1.0) * total;
        next = nearest
            .iter()
            .position(|&d| {
                left -= f64::from(d);
                left <= 0.0 && d > 0.0
            })
            .unwrap_or(n - 1);
    }
    Array2::from_shape_vec((centers.len() / p, p), centers).expect("rows of p")
}

/// Mean of each cluster's rows; clusters without rows are dropped.
fn means(rows: &Features, nearest: &[u32], count: usize) -> Array2<f32> {
    let mut members = vec![Vec::new(); count];
    for (row, &cluster) in nearest.iter().enumerate() {
        members[cluster as usize].push(row);
    }
    let p = rows.n_cols();
    let sums: Vec<Vec<f32>> = members
        .par_iter()
        .filter(|members| !members.is_empty())
        .map(|members| {
            let mut sum = Array1::<f64>::zeros(p);
            members.iter().for_each(|&r| add_row(rows, r, sum.view_mut()));
            sum.iter().map(|s| (s / members.len() as f64) as f32).collect()
        })
        .collect();
    Array2::from_shape_vec((sums.len(), p), sums.concat()).expect("rows of p")
}

fn smallest(row: &[f32]) -> u32 {
    let mut best = 0;
    for (i, d) in row.iter().enumerate() {
        if *d < row[best] {
            best = i;
        }
    }
    best as u32
}

fn add_row<T: From<f32> + std::ops::AddAssign>(
    rows: &Features,
    r: usize,
    mut out: ArrayViewMut1<'_, T>,
) {
    match rows {
        Features::Dense(rows) => {
            out.iter_mut().zip(rows.row(r)).for_each(|(sum, &x)| *sum += T::from(x));
        }
        Features::Sparse(rows) => {
            let (columns, values) = rows.row(r);
            for (&j, &x) in columns.iter().zip(values) {
                out[j as usize] += T::from(x);
            }
        }
    }
}

/// ‖x − z‖² of row `r`, with ‖z‖² in `norm`: a sparse row costs its non-zeros.
fn squared_distance(rows: &Features, r: usize, point: &[f32], norm: f32) -> f32 {
    match rows {
        Features::Dense(rows) => {
            let row = rows.row(r);
            row.iter().zip(point).map(|(x, z)| (x - z) * (x - z)).sum()
        }
        Features::Sparse(rows) => {
            let (columns, values) = rows.row(r);
            let own: f32 =
                columns.iter().zip(values).map(|(&j, &x)| x * (x - 2.0 * point[j as usize])).sum();
            (own + norm).max(0.0)
        }
    }
}
