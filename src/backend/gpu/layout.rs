//! Dense rows as the kernels read them: `shaders/shared/rows*.wgsl`, a file a storage.

use half::f16;
use rayon::prelude::*;

use super::sizes::Sizes;
use crate::backend::RowStorage;
use crate::error::{Error, Result};

/// How dense rows lie in the buffer `rows`.
#[derive(Debug)]
pub(super) struct RowLayout {
    sizes: Sizes,
    /// Least value and step of each column `[p]`, where bytes count the steps.
    grid: Vec<[f32; 2]>,
}

impl RowLayout {
    /// Numbers as they are.
    pub(super) fn plain(sizes: &Sizes) -> Self {
        Self { sizes: Sizes { storage: RowStorage::F32, ..*sizes }, grid: Vec::new() }
    }

    /// The storage that the sizes name, made for these rows `[n, p]`.
    ///
    /// # Errors
    /// [`Error::Usage`] for a number beyond those of half precision.
    pub(super) fn of(sizes: &Sizes, cells: &[f32]) -> Result<Self> {
        let grid = match sizes.storage {
            RowStorage::F32 => Vec::new(),
            RowStorage::F16 => {
                check_halves(cells, sizes.features)?;
                Vec::new()
            }
            RowStorage::U8 => grid(cells, sizes.features),
        };
        Ok(Self { sizes: *sizes, grid })
    }

    /// Whether rows are the bytes they are on the host.
    pub(super) fn is_plain(&self) -> bool {
        self.sizes.storage == RowStorage::F32 && self.sizes.features == 4 * self.sizes.row_quads
    }

    /// Words before the first row.
    pub(super) fn header(&self) -> Vec<u32> {
        let mut header = vec![0; self.sizes.header_words()];
        for (j, [least, step]) in self.grid.iter().enumerate() {
            header[j] = least.to_bits();
            header[4 * self.sizes.row_quads + j] = step.to_bits();
        }
        header
    }

    /// Words of so many rows and of what stands before them.
    pub(super) fn words(&self, rows: usize) -> usize {
        self.sizes.header_words() + rows * self.sizes.row_words()
    }

    /// How many rows these cells `[n, p]` are.
    pub(super) fn n_rows(&self, cells: &[f32]) -> usize {
        cells.len().checked_div(self.sizes.features).unwrap_or(0)
    }

    /// Puts the rows `order` of `cells` `[n, p]` into `out`, one behind the other.
    pub(super) fn gather(
        &self,
        cells: &[f32],
        order: impl IndexedParallelIterator<Item = usize>,
        out: &mut Vec<u32>,
    ) {
        let (p, words) = (self.sizes.features, self.sizes.row_words());
        out.resize(order.len() * words, 0);
        (out.par_chunks_mut(words).zip(order).with_min_len(64))
            .for_each(|(out, r)| self.encode(&cells[r * p..][..p], out));
    }

    /// One row, padded with zeros.
    fn encode(&self, row: &[f32], out: &mut [u32]) {
        match self.sizes.storage {
            RowStorage::F32 => {
                let out: &mut [f32] = bytemuck::cast_slice_mut(out);
                out[..row.len()].copy_from_slice(row);
                out[row.len()..].fill(0.0);
            }
            RowStorage::F16 => {
                let half = |x: &f32| u32::from(f16::from_f32(*x).to_bits());
                out.fill(0);
                for (word, pair) in out.iter_mut().zip(row.chunks(2)) {
                    *word = half(&pair[0]) | pair.get(1).map_or(0, half) << 16;
                }
            }
            RowStorage::U8 => {
                out.fill(0);
                let quads = row.chunks(4).zip(self.grid.chunks(4));
                for (word, (cells, grid)) in out.iter_mut().zip(quads) {
                    let mut bytes = [0; 4];
                    for (byte, (x, [least, step])) in bytes.iter_mut().zip(cells.iter().zip(grid)) {
                        // To the nearest; a column of one value has no steps. A range may exceed f32.
                        let steps = (f64::from(*x) - f64::from(*least)) / f64::from(*step);
                        *byte = (steps + 0.5) as u8;
                    }
                    *word = u32::from_le_bytes(bytes);
                }
            }
        }
    }
}

impl Sizes {
    /// Words of a dense row.
    pub(crate) fn row_words(&self) -> usize {
        match self.storage {
            RowStorage::F32 => 4 * self.row_quads,
            RowStorage::F16 => 2 * self.row_quads,
            RowStorage::U8 => self.row_quads,
        }
    }

    /// Words before the first dense row.
    pub(crate) fn header_words(&self) -> usize {
        if self.storage == RowStorage::U8 { 8 * self.row_quads } else { 0 }
    }

    /// A row of the buffer `rows` as the kernels take it `[p]`.
    pub(crate) fn stored_row(&self, words: &[u32], row: usize) -> Vec<f32> {
        let (columns, header) = (0..self.features, self.header_words());
        let row = &words[header + row * self.row_words()..][..self.row_words()];
        match self.storage {
            RowStorage::F32 => columns.map(|j| f32::from_bits(row[j])).collect(),
            RowStorage::F16 => {
                let half = |j: usize| f16::from_bits((row[j / 2] >> (16 * (j % 2))) as u16);
                columns.map(|j| half(j).to_f32()).collect()
            }
            RowStorage::U8 => {
                let steps = &words[header / 2..header];
                let count = |j: usize| f32::from(row[j / 4].to_le_bytes()[j % 4]);
                let value =
                    |j: usize| count(j).mul_add(f32::from_bits(steps[j]), f32::from_bits(words[j]));
                columns.map(value).collect()
            }
        }
    }
}

/// Refuses numbers that half precision takes for infinite.
fn check_halves(cells: &[f32], p: usize) -> Result<()> {
    let most = f32::from(f16::MAX);
    match cells.par_iter().position_first(|x| x.abs() > most) {
        None => Ok(()),
        Some(at) => Err(Error::Usage(format!(
            "--row-storage f16 holds numbers up to {most}, and feature {} of training row {} is {}: \
             use --row-storage f32, or --scale",
            at % p + 1,
            at / p + 1,
            cells[at]
        ))),
    }
}

/// Of each column the least value, and a 255th of what the greatest is above it.
fn grid(cells: &[f32], p: usize) -> Vec<[f32; 2]> {
    let mut ranges = vec![[f32::INFINITY, f32::NEG_INFINITY]; p];
    for row in cells.chunks_exact(p.max(1)) {
        for ([least, most], &x) in ranges.iter_mut().zip(row) {
            (*least, *most) = (least.min(x), most.max(x));
        }
    }
    // In f64, where the range of any two numbers has a size.
    let step = |least: f32, most: f32| ((f64::from(most) - f64::from(least)) / 255.0) as f32;
    ranges.into_iter().map(|[least, most]| [least, step(least, most)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::gpu::sizes::Offer;
    use crate::backend::gpu::tuning::Variant;
    use crate::config::defaults::{DataShape, resolve};
    use crate::data::Task;
    use crate::model::Parameters;
    use crate::settings::Settings;

    const FEATURES: usize = 7;

    fn sizes(storage: RowStorage) -> Sizes {
        let (rows, task) = (9, Task::Binary);
        let shape =
            DataShape { rows, features: FEATURES, nonzeros: 63, sparse: false, classes: 2, task };
        let config = resolve(&Settings::default(), &shape).expect("sound settings");
        let parameters = Parameters {
            anchors: ndarray::Array2::zeros((2, FEATURES)),
            log_lipschitz: ndarray::Array1::zeros(2),
            log_metric: ndarray::Array1::zeros(FEATURES),
            anchor_scale: None,
            bias: ndarray::Array2::zeros((2, 1)),
            linear: ndarray::Array3::zeros((2, 1, FEATURES)),
            factors: ndarray::Array4::zeros((2, 1, FEATURES, 3)),
        };
        let offer =
            Offer { largest_binding: 1 << 27, subgroups: false, variant: Variant::default() };
        Sizes { storage, ..Sizes::new(offer, &parameters, &config, false, Some(rows)) }
    }

    /// The rows as they come back.
    fn round_trip(storage: RowStorage, cells: &[f32]) -> Vec<f32> {
        let sizes = sizes(storage);
        let layout = RowLayout::of(&sizes, cells).expect("they fit");
        let (mut words, mut rows) = (layout.header(), Vec::new());
        layout.gather(cells, (0..cells.len() / FEATURES).into_par_iter(), &mut rows);
        words.extend(rows);
        assert_eq!(words.len(), layout.words(cells.len() / FEATURES), "{storage:?}");
        (0..cells.len() / FEATURES).flat_map(|r| sizes.stored_row(&words, r)).collect()
    }

    fn cells() -> Vec<f32> {
        (0..63)
            .map(|i| ((i * 37 % 63) as f32 - 20.0) * if i % 7 == 3 { 1e3 } else { 0.37 })
            .collect()
    }

    #[test]
    fn rows_come_back_as_near_as_their_storage_is_fine() {
        let cells = cells();
        assert_eq!(round_trip(RowStorage::F32, &cells), cells);
        for (x, found) in cells.iter().zip(round_trip(RowStorage::F16, &cells)) {
            assert!((x - found).abs() <= x.abs() / 2048.0, "{x}: {found}");
        }
        for (i, (x, found)) in cells.iter().zip(round_trip(RowStorage::U8, &cells)).enumerate() {
            let column = || cells.iter().skip(i % FEATURES).step_by(FEATURES);
            let [least, most] =
                [f32::min, f32::max].map(|of| column().copied().reduce(of).unwrap());
            assert!((x - found).abs() <= 0.501 / 255.0 * (most - least), "{x}: {found}");
        }
    }

    #[test]
    fn bytes_hold_what_is_on_their_grid_to_the_bit() {
        // Pixels, a column of one value, and one of two that are 255 quarters apart.
        let pixels = |i: usize| match i % FEATURES {
            1 => -0.3,
            2 => {
                if i.is_multiple_of(2) {
                    -4.25
                } else {
                    59.5
                }
            }
            _ => [0.0, 255.0, 17.0, 128.0][i / FEATURES % 4],
        };
        let cells: Vec<f32> = (0..63).map(pixels).collect();
        assert_eq!(round_trip(RowStorage::U8, &cells), cells);
    }

    #[test]
    fn a_range_beyond_f32_keeps_its_order() {
        let mut cells = vec![0.0; 3 * FEATURES];
        for (row, x) in [-3e38_f32, 1e38, 3e38].into_iter().enumerate() {
            cells[row * FEATURES] = x;
        }
        let found = round_trip(RowStorage::U8, &cells);
        for row in 0..3 {
            let (x, back) = (cells[row * FEATURES], found[row * FEATURES]);
            // Half a step of 6e38/255.
            assert!((x - back).abs() < 1.3e36, "{x:e} came back as {back:e}");
        }
    }

    #[test]
    fn numbers_beyond_half_precision_are_refused_by_their_place() {
        let mut cells = cells();
        cells[17] = -7e4;
        let refused = RowLayout::of(&sizes(RowStorage::F16), &cells).expect_err("it is infinite");
        let text = refused.to_string();
        for part in ["--row-storage", "65504", "feature 4 of training row 3", "-70000"] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(refused.exit_code(), 2);
        assert!(RowLayout::of(&sizes(RowStorage::U8), &cells).is_ok());
    }
}
