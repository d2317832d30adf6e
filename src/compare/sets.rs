//! Rows to compare on where there are none to hand.

use ndarray::Array2;
use rand::Rng;

use crate::data::{Csr, Dataset, Features, Targets};
use crate::random::{Generator, plain};

/// Columns beside the two of the rings.
const NOISE_DENSE: usize = 5;
const NOISE_SPARSE: usize = 300;
/// Of the sparse ones, those that a row has beside one that tells the ring, mostly.
const NOISE_IN_ROW: usize = 4;

/// Two rings, one inside the other, in the first two columns; the others are noise: numbers of dense
/// rows, words of sparse ones, where some words occur on one ring more than on the other. Nearly the
/// same rows on every machine.
pub fn rings(rows: usize, seed: u64, sparse: bool) -> Dataset {
    let mut random = plain(seed);
    let points: Vec<[f32; 2]> = (0..rows)
        .map(|i| {
            let (sin, cos) = (std::f32::consts::TAU * unit(&mut random)).sin_cos();
            let radius = 1.0 + (i % 2) as f32 + 0.6 * (unit(&mut random) - 0.5);
            [radius * cos, radius * sin]
        })
        .collect();
    let features = if sparse {
        let mut csr = Csr { n_cols: 2 + NOISE_SPARSE, offsets: vec![0], ..Csr::default() };
        for (i, point) in points.into_iter().enumerate() {
            let word = |range: usize, random: &mut Generator| (unit(random) * range as f32) as u32;
            let mut words: Vec<u32> =
                (0..NOISE_IN_ROW).map(|_| 62 + word(NOISE_SPARSE - 60, &mut random)).collect();
            // One word in ten of a ring is the other's.
            let other = u32::from(unit(&mut random) < 0.1);
            words.push(2 + 2 * word(30, &mut random) + (i as u32 + other) % 2);
            words.sort_unstable();
            words.dedup();
            csr.values.extend(point);
            csr.values.extend(words.iter().map(|_| 0.5));
            csr.indices.extend([0, 1]);
            csr.indices.extend(words);
            csr.offsets.push(csr.indices.len());
        }
        Features::Sparse(csr)
    } else {
        Features::Dense(Array2::from_shape_fn((rows, 2 + NOISE_DENSE), |(i, j)| match j {
            0 | 1 => points[i][j],
            _ => 2.0 * unit(&mut random) - 1.0,
        }))
    };
    Dataset {
        features,
        targets: Targets::Classes((0..rows).map(|i| i as u32 % 2).collect()),
        weights: None,
    }
}

/// A number from 0 to below 1.
fn unit(random: &mut Generator) -> f32 {
    (random.next_u64() >> 40) as f32 / (1 << 24) as f32
}
