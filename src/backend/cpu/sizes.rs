//! Bytes that a store takes, and a batch in work, by the sizes alone: known before anything is allocated.
//!
//! Each list has the fields of the structs it names, in their order, but for what is small beside them.

use crate::backend::cpu::search::{LEAST_ANCHORS, Search};
use crate::backend::cpu::{score_rows, sparse};
use crate::config::defaults::DataShape;
use crate::config::{Coding, Optimizer, TrainConfig};
use crate::kernel::anchor_update::Pull;
use crate::kernel::fm_update::ChannelOrder;
use crate::kernel::local_coding::Pair;
use crate::kernel::{ROW_CHUNK, Shape};
use crate::simd::LANES;

/// Times the anchors that calibration made active that training may make active, as far as we saw
/// (1.5 on LETTER with 1200 anchors).
const GROWN: f64 = 2.0;

/// What a run on the CPU takes.
pub(crate) struct Sizes<'a> {
    config: &'a TrainConfig,
    data: &'a DataShape,
    /// Of the model in memory.
    shape: Shape,
}

impl<'a> Sizes<'a> {
    pub(crate) fn new(config: &'a TrainConfig, data: &'a DataShape) -> Self {
        let anchors = match config.coding {
            Coding::Single => 1,
            // Seeding finds no more clusters than rows.
            _ => config.anchors.min(data.rows),
        };
        let outputs = config.loss.n_outputs(data.classes);
        Self { config, data, shape: shape([anchors, data.features, outputs, config.factors], data) }
    }

    /// Parameters in their logical shapes.
    pub(crate) fn parameters(&self) -> u64 {
        let Shape { anchors: m, features: p, outputs, factors, .. } = self.shape;
        let scales = usize::from(self.config.learn.scale);
        let numbers = [
            product([m, p, 1 + scales]),
            product([m, outputs, p, factors + 1]),
            product([m, outputs + 1]),
            p as u64,
        ];
        floats(numbers)
    }

    /// What the optimizer remembers.
    pub(crate) fn moments(&self) -> u64 {
        self.store(true).saturating_sub(self.store_of(self.shape, true, 0))
    }

    /// The store that trains, or one that scores alone.
    pub(crate) fn store(&self, train: bool) -> u64 {
        let moments = match self.config.optimizer {
            Optimizer::Adam => 2,
            Optimizer::AdaGrad => 1,
            Optimizer::Sgd => 0,
        };
        self.store_of(self.shape, train, if train { moments } else { 0 })
    }

    /// So many rows of the data at the most, as picked and as gathered.
    pub(crate) fn seeding_rows(&self, most: usize) -> u64 {
        let (rows, p) = (most.min(self.data.rows), self.shape.features);
        let row =
            if self.data.sparse { 16 * self.entries() } else { 4 * (p + self.shape.row_stride()) };
        product([rows, row])
    }

    /// Distances of so many rows at the most to all anchors.
    pub(crate) fn distances(&self, most: usize) -> u64 {
        product([4, most.min(self.data.rows), self.shape.anchors])
    }

    /// The store that tells distances while the anchors are seeded.
    pub(crate) fn seeding_store(&self) -> u64 {
        let Shape { anchors, features, .. } = self.shape;
        self.store_of(shape([anchors, features, 1, 0], self.data), false, 0)
    }

    fn store_of(&self, shape: Shape, train: bool, moments: usize) -> u64 {
        let (m, p, learn) = (shape.anchors, shape.features, self.config.learn);
        let kept = |learned: bool| 1 + if learned { moments } else { 0 };
        let records = product([m, p, shape.stride, kept(true)]);
        let scales = usize::from(learn.scale);
        if self.data.sparse {
            let cells = product([p, shape.anchor_stride()]);
            let anchors = cells.saturating_mul((kept(learn.anchors) + scales * kept(true)) as u64);
            let columns = product([p, 2 + kept(learn.metric)]);
            return floats([records, anchors, columns]);
        }
        let cells = product([m, shape.row_stride()]);
        let of_anchors =
            kept(learn.anchors) + scales * kept(true) + usize::from(train && learn.metric);
        let searches = self.config.coding == Coding::Adaptive && m >= LEAST_ANCHORS && !learn.scale;
        floats([
            records,
            product([m, ChannelOrder::FIRST.len(shape)]),
            cells.saturating_mul(of_anchors as u64),
            product([p, shape.anchor_stride(), 1 + scales]),
            // Anchors are grouped as they are under the metric.
            if searches { Search::numbers(shape).saturating_add(cells) } else { 0 },
        ])
    }

    /// A batch of so many rows in work.
    pub(crate) fn batch(&self, rows: usize, train: bool) -> u64 {
        let shape = self.shape;
        let (m, outputs) = (shape.anchors, shape.outputs);
        let mut pair = 4 * (shape.stride + outputs) + size_of::<Pair>() + 8;
        if train {
            pair += 4 * (outputs + 1) + size_of::<Pull>() + 4;
        }
        let entries = self.entries();
        let (row, task, columns) = if self.data.sparse {
            let columns = product([rows, entries]).min(shape.features as u64);
            (16 * entries, m * (shape.stride + outputs), columns)
        } else {
            // Once more where rows are taken as differences.
            (8 * shape.row_stride(), ROW_CHUNK * shape.row_stride(), 0)
        };
        let task = product([4, task + ROW_CHUNK * shape.anchor_stride()]);
        let parts = [
            product([rows, self.active(), pair]),
            product([rows, row + 4 * outputs]),
            task.saturating_mul(threads() as u64),
            if train { columns.saturating_mul(8 * m as u64) } else { 0 },
        ];
        parts.into_iter().fold(0, u64::saturating_add)
    }

    /// The same of those that are scored at a time.
    pub(crate) fn scored_batch(&self) -> u64 {
        self.batch(score_rows(self.shape).min(self.data.rows), false)
    }

    /// Stored entries of a row, in the mean.
    fn entries(&self) -> usize {
        self.data.nonzeros.div_ceil(self.data.rows.max(1))
    }

    /// Anchors that a row has at the most; where calibration chooses, in the mean.
    fn active(&self) -> usize {
        let m = self.shape.anchors;
        #[expect(clippy::cast_possible_truncation, reason = "at most the number of anchors")]
        #[expect(clippy::cast_sign_loss, reason = "at least 1")]
        match (self.config.coding, self.config.lipschitz) {
            (Coding::Single, _) => 1,
            (Coding::Soft | Coding::Inverse, _) => self.config.neighbors.min(m),
            (Coding::Adaptive, Some(_)) => m,
            (Coding::Adaptive, None) => {
                (GROWN * self.config.target_active).ceil().min(m as f64) as usize
            }
        }
    }
}

/// Threads at the most, as a rule: to ask the pool would start it, before it is told how many.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn shape(sizes: [usize; 4], data: &DataShape) -> Shape {
    Shape::of(sizes, if data.sparse { sparse::RECORD_LANES } else { LANES })
}

fn product<const N: usize>(sizes: [usize; N]) -> u64 {
    sizes.into_iter().fold(1, |all, n| all.saturating_mul(n as u64))
}

/// Bytes of so many numbers.
fn floats<const N: usize>(numbers: [u64; N]) -> u64 {
    numbers.into_iter().fold(0, u64::saturating_add).saturating_mul(4)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array1, Array2, Array3, Array4};

    use super::*;
    use crate::backend::cpu::{Dense, Sparse, Store};
    use crate::config::defaults::resolve;
    use crate::data::Task;
    use crate::model::Parameters;
    use crate::settings::Settings;

    /// Bytes that a store has.
    fn taken<S: Store>(parameters: &Parameters, config: &TrainConfig, train: bool) -> i64 {
        let mut kept = None;
        let counted = allocation_counter::measure(|| {
            let mut store = S::new(parameters, config, train);
            if config.coding == Coding::Adaptive {
                store.search_anchors();
            }
            kept = Some(store);
        });
        counted.bytes_current
    }

    #[test]
    fn stores_take_what_is_told() {
        // Anchors, features, classes, factors.
        let cases = [(300, 100, 2, 1), (300, 9, 2, 3), (40, 20, 26, 2), (7, 900, 3, 20)];
        for (sparse, (m, p, classes, d)) in
            [false, true].into_iter().flat_map(|sparse| cases.map(|case| (sparse, case)))
        {
            let (rows, nonzeros) = (1000, 1000 * p);
            let task = if classes > 2 { Task::Multiclass } else { Task::Binary };
            let shape = DataShape { rows, features: p, nonzeros, sparse, classes, task };
            let (anchors, factors) = (Some(m), Some(d));
            let settings = Settings { anchors, factors, ..Settings::default() };
            let config = resolve(&settings, &shape).expect("sound settings");
            let c = config.loss.n_outputs(classes);
            let parameters = Parameters {
                anchors: Array2::zeros((m, p)),
                log_lipschitz: Array1::zeros(m),
                log_metric: Array1::zeros(p),
                anchor_scale: config.learn.scale.then(|| Array2::ones((m, p))),
                bias: Array2::zeros((m, c)),
                linear: Array3::zeros((m, c, p)),
                factors: Array4::zeros((m, c, p, d)),
            };
            for train in [false, true] {
                let taken = if sparse { taken::<Sparse> } else { taken::<Dense> };
                let taken = taken(&parameters, &config, train) as f64;
                let sizes = Sizes::new(&config, &shape);
                let groups = if m >= LEAST_ANCHORS { 1.2 } else { 1.05 };
                let told = sizes.store(train) as f64;
                // Heads and settings are small.
                assert!(taken <= 1.03 * told + 16e3, "{m} {p} {sparse} {train}: {taken} of {told}");
                assert!(told <= groups * taken, "{m} {p} {sparse} {train}: {taken} of {told}");
            }
            let copied = allocation_counter::measure(|| std::mem::forget(parameters.clone()));
            assert_eq!(copied.bytes_current, Sizes::new(&config, &shape).parameters() as i64);
        }
    }
}
