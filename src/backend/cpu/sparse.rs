//! Parameters and batch for sparse rows: feature-major, so that a column's anchors lie together.

use ndarray::Array2;

use crate::backend::batch::Batch;
use crate::config::TrainConfig;
use crate::data::Features;
use crate::kernel::Shape;
use crate::kernel::anchor_distance_csr::{ColumnAnchors, anchor_distance_csr};
use crate::kernel::anchor_update_csr::{AnchorColumn, anchor_update_csr};
use crate::kernel::fm_score_csr::fm_score_csr;
use crate::kernel::fm_update_csr::{ColumnBatch, ColumnScratch, fm_update_csr};
use crate::math::exp;
use crate::model::Parameters;
use crate::optimizer::{Moments, scattered};

use super::heads::Heads;
use super::records::{self, Logical};
use super::runs::{Run, run_tasks};
use super::{Step, Store};

/// Records are many and read one at a time: they are padded less than those of dense rows.
const RECORD_LANES: usize = 4;
/// Columns of one task.
const COLUMNS: usize = 16;

/// See the module.
pub(crate) struct Sparse {
    shape: Shape,
    heads: Heads,
    batch: Batch,
    /// `[p, m, stride]`.
    records: Vec<f32>,
    record_moments: Moments,
    /// z `[p, anchor_stride]`.
    anchors: Vec<f32>,
    anchor_moments: Moments,
    /// t `[p, anchor_stride]`.
    scales: Option<Vec<f32>>,
    scale_moments: Moments,
    /// τ and e `[p]`.
    log_metric: Vec<f32>,
    metric: Vec<f32>,
    metric_moments: Moments,
    /// Σⱼ eⱼtᵢⱼ²zᵢⱼ² `[m]`.
    base: Vec<f64>,
}

impl Sparse {
    fn column_anchors(&self) -> ColumnAnchors<'_> {
        ColumnAnchors {
            anchors: &self.anchors,
            scales: self.scales.as_deref(),
            metric: &self.metric,
            base: &self.base,
        }
    }
}

/// Tasks bundled so that a thread takes several at a time.
fn in_groups<T>(tasks: Vec<T>) -> Vec<Vec<T>> {
    let mut groups = Vec::with_capacity(tasks.len() / COLUMNS + 1);
    let mut tasks = tasks.into_iter().peekable();
    while tasks.peek().is_some() {
        groups.push(tasks.by_ref().take(COLUMNS).collect());
    }
    groups
}

impl Store for Sparse {
    fn new(parameters: &Parameters, config: &TrainConfig, train: bool) -> Self {
        let shape = Shape::new(parameters, RECORD_LANES);
        let (p, width) = (shape.features, shape.anchor_stride());
        let moments = |len: usize, learned: bool| {
            Moments::new(config.optimizer, if train && learned { len } else { 0 })
        };
        let learn = config.learn;
        let records = records::pack(shape, parameters, |i, j| j * shape.anchors + i);
        let keep_scales = (train && learn.scale).then(|| Array2::ones((shape.anchors, p)));
        let scales = parameters.anchor_scale.clone().or(keep_scales);
        let log_metric = parameters.log_metric.to_vec();
        let mut store = Self {
            shape,
            heads: Heads::new(parameters, config),
            batch: Batch::new(p),
            record_moments: moments(records.len(), true),
            records,
            anchors: transposed(&parameters.anchors, width),
            anchor_moments: moments(p * width, learn.anchors),
            scales: scales.map(|t| transposed(&t, width)),
            scale_moments: moments(p * width, learn.scale),
            metric: log_metric.iter().map(|&tau| exp(tau)).collect(),
            metric_moments: moments(p, learn.metric),
            log_metric,
            base: Vec::new(),
        };
        store.refresh();
        store
    }

    fn shape(&self) -> Shape {
        self.shape
    }

    fn gather(&mut self, features: &Features, rows: &[u32], train: bool) {
        let Features::Sparse(all) = features else { unreachable!("storage fits the rows") };
        self.batch.gather(all, rows, train);
    }

    fn distances(&self, first: usize, n: usize, plain: bool, out: &mut [f32]) {
        let rows = (first..first + n).map(|r| self.batch.row(r));
        anchor_distance_csr(self.shape, self.column_anchors(), rows, plain, out);
    }

    fn multipliers(&self) -> &[f32] {
        &self.heads.multipliers
    }

    fn score(&self, pair_rows: &[u32], run: Run<'_>) {
        let outputs = self.shape.outputs;
        let bias = &self.heads.bias[run.anchor * outputs..][..outputs];
        let rows = pair_rows.iter().map(|&r| self.batch.row(r as usize));
        fm_score_csr(self.shape, run.anchor, bias, &self.records, rows, run.sums, run.scores);
    }

    fn heads(&self) -> &Heads {
        &self.heads
    }

    fn heads_mut(&mut self) -> &mut Heads {
        &mut self.heads
    }

    fn update_models(&mut self, step: &Step<'_>) {
        let shape = self.shape;
        let update = self.heads.fm_rates(step.rates);
        let columns = self.batch.columns();
        let width = shape.anchors * shape.stride;
        let moments = self.record_moments.scattered(width, columns);
        let tasks: Vec<_> = scattered(&mut self.records, width, columns)
            .into_iter()
            .zip(moments)
            .enumerate()
            .collect();
        let batch = ColumnBatch { shape, chunks: step.chunks, weighted: step.weighted };
        run_tasks(in_groups(tasks), step.parallel, |scratch: &mut ColumnScratch, group| {
            for (slot, (records, moments)) in group {
                let entries = self.batch.entries(slot);
                fm_update_csr(batch, entries, records, moments, update, scratch);
            }
        });
    }

    fn update_anchors(&mut self, step: &Step<'_>) {
        let (shape, rates) = (self.shape, self.heads.anchor_rates(step.rates));
        let (m, width, columns) = (shape.anchors, shape.anchor_stride(), self.batch.columns());
        let kappas: Vec<f32> = step.pulls.iter().map(|pull| pull.kappa).collect();
        let totals: Vec<f32> = (0..m).map(|i| kappas[step.pairs.span(i)].iter().sum()).collect();
        let mut base_changes = vec![0.0; columns.len() * m];
        let mut scales = self.scales.as_mut().map(|t| scattered(t, width, columns).into_iter());
        let mut tasks = Vec::with_capacity(columns.len());
        let chunks = scattered(&mut self.anchors, width, columns)
            .into_iter()
            .zip(self.anchor_moments.scattered(width, columns))
            .zip(self.scale_moments.scattered(width, columns))
            .zip(scattered(&mut self.log_metric, 1, columns))
            .zip(scattered(&mut self.metric, 1, columns))
            .zip(self.metric_moments.scattered(1, columns))
            .zip(base_changes.chunks_exact_mut(m));
        for (
            slot,
            ((((((anchors, anchor_moments), scale_moments), tau), e), metric_moments), base),
        ) in chunks.enumerate()
        {
            let column = AnchorColumn {
                anchors,
                anchor_moments: anchor_moments.shortened(m),
                scales: scales.as_mut().and_then(Iterator::next),
                scale_moments: scale_moments.shortened(m),
                log_metric: &mut tau[0],
                metric: &mut e[0],
                metric_moments,
                base,
            };
            tasks.push((slot, column));
        }
        let batch = ColumnBatch { shape, chunks: step.chunks, weighted: step.weighted };
        run_tasks(in_groups(tasks), step.parallel, |scratch: &mut ColumnScratch, group| {
            for (slot, column) in group {
                let entries = self.batch.entries(slot);
                anchor_update_csr(batch, entries, &kappas, &totals, column, rates, scratch);
            }
        });
        for changes in base_changes.chunks_exact(m) {
            self.base.iter_mut().zip(changes).for_each(|(base, change)| *base += change);
        }
    }

    fn parameters(&self) -> Parameters {
        let (m, width) = (self.shape.anchors, self.shape.anchor_stride());
        records::unpack(
            self.shape,
            &self.heads,
            &self.records,
            |i, j| j * m + i,
            Logical {
                anchors: &|i, j| self.anchors[j * width + i],
                scales: self.scales.as_ref().map(|t| move |i, j| t[j * width + i]),
                log_metric: &self.log_metric,
            },
        )
    }

    fn refresh(&mut self) {
        let width = self.shape.anchor_stride();
        let mut base = vec![0.0_f64; self.shape.anchors];
        for (j, z) in self.anchors.chunks_exact(width).enumerate() {
            for (i, base) in base.iter_mut().enumerate() {
                let t = self.scales.as_ref().map_or(1.0, |t| t[j * width + i]);
                *base += f64::from(self.metric[j] * t * t) * f64::from(z[i]) * f64::from(z[i]);
            }
        }
        self.base = base;
    }
}

/// `[m, p]` to `[p, width]`.
fn transposed(rows: &Array2<f32>, width: usize) -> Vec<f32> {
    let mut columns = vec![0.0; rows.ncols() * width];
    for ((i, j), value) in rows.indexed_iter() {
        columns[j * width + i] = *value;
    }
    columns
}
