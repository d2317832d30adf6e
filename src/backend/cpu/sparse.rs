//! Parameters and batch for sparse rows: feature-major, so that a column's anchors lie together.

use ndarray::Array2;

use crate::backend::batch::Batch;
use crate::config::TrainConfig;
use crate::data::Features;
use crate::kernel::Shape;
use crate::kernel::anchor_distance_csr::{ColumnAnchors, anchor_distance_csr};
use crate::kernel::anchor_update_csr::{AnchorColumns, Pulled, anchor_update_csr};
use crate::kernel::fm_score_csr::{Model, fm_score_csr};
use crate::kernel::fm_update_csr::{ColumnBatch, ColumnScratch, Columns, fm_update_csr};
use crate::math::exp;
use crate::model::Parameters;
use crate::optimizer::{Moments, take};

use super::heads::Heads;
use super::records::{self, Logical};
use super::runs::{Run, Scratches, Span, TaskMemory, run_tasks_with, spans};
use super::{DistanceScratch, Step, Store, Visit};

/// Records are many and read one at a time: they are padded less than those of dense rows.
pub(super) const RECORD_LANES: usize = 4;

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
    /// What each present column moved of it `[present, m]`.
    base_changes: Vec<f64>,
    /// κ of each pair, and its sum over the pairs of each anchor.
    kappas: Vec<f32>,
    totals: Vec<f32>,
    scratches: Scratches<ColumnScratch>,
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
            base_changes: Vec::new(),
            kappas: Vec::new(),
            totals: Vec::new(),
            scratches: Scratches::default(),
        };
        store.refresh();
        store
    }

    fn shape(&self) -> Shape {
        self.shape
    }

    fn gather(&mut self, features: &Features, rows: &[u32], train: bool, _memory: &TaskMemory) {
        let Features::Sparse(all) = features else { unreachable!("storage fits the rows") };
        self.batch.gather(all, rows, train);
    }

    fn cells(&self) -> usize {
        self.batch.n_stored()
    }

    fn distances(
        &self,
        first: usize,
        n: usize,
        plain: bool,
        _scratch: &mut DistanceScratch,
        out: &mut [f32],
    ) {
        let rows = (first..first + n).map(|r| self.batch.row(r));
        anchor_distance_csr(self.shape, self.column_anchors(), rows, plain, out);
    }

    fn multipliers(&self) -> &[f32] {
        &self.heads.multipliers
    }

    fn score(&self, pair_rows: &[u32], run: Run<'_>, scratch: &mut Vec<f32>) {
        let outputs = self.shape.outputs;
        let bias = &self.heads.bias[run.anchor * outputs..][..outputs];
        let rows = pair_rows.iter().map(|&r| self.batch.row(r as usize));
        let (shape, records) = (self.shape, &self.records[..]);
        let model = Model { shape, anchor: run.anchor, bias, records };
        fm_score_csr(model, rows, run.sums, run.scores, scratch);
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
        let width = shape.anchors * shape.stride;
        let (mut records, mut moments) = (self.records.as_mut_slice(), self.record_moments.view());
        let mut tasks = step.memory.tasks();
        for Span { slots, columns } in spans(self.batch.columns(), step.parallel) {
            let len = columns.len() * width;
            let part = self.batch.part(slots, columns.start);
            tasks.push((part, take(&mut records, len), moments.take(len)));
        }
        let batch = ColumnBatch { shape, chunks: step.chunks, weighted: step.weighted };
        let run = |scratch: &mut ColumnScratch,
                   (columns, records, moments): (Columns<'_>, _, _)| {
            fm_update_csr(batch, columns, records, moments, update, scratch);
        };
        run_tasks_with(&self.scratches, tasks, step.parallel, run);
    }

    fn update_anchors(&mut self, step: &Step<'_>) {
        let (shape, rates) = (self.shape, self.heads.anchor_rates(step.rates));
        let (m, width) = (shape.anchors, shape.anchor_stride());
        let (kappas, totals) = (&mut self.kappas, &mut self.totals);
        kappas.clear();
        kappas.extend(step.pulls.iter().map(|pull| pull.kappa));
        totals.clear();
        totals.extend((0..m).map(|i| kappas[step.pairs.span(i)].iter().sum::<f32>()));
        self.base_changes.resize(self.batch.columns().len() * m, 0.0);
        let mut base_changes = self.base_changes.as_mut_slice();
        let (mut anchors, mut scales) = (self.anchors.as_mut_slice(), self.scales.as_deref_mut());
        let (mut log_metric, mut metric) = (&mut self.log_metric[..], &mut self.metric[..]);
        let mut anchor_moments = self.anchor_moments.view();
        let mut scale_moments = self.scale_moments.view();
        let mut metric_moments = self.metric_moments.view();
        let mut tasks = step.memory.tasks();
        for Span { slots, columns } in spans(self.batch.columns(), step.parallel) {
            let (n, len) = (columns.len(), columns.len() * width);
            let cells = AnchorColumns {
                anchors: take(&mut anchors, len),
                anchor_moments: anchor_moments.take(len),
                scales: scales.as_mut().map(|t| take(t, len)),
                scale_moments: scale_moments.take(len),
                log_metric: take(&mut log_metric, n),
                metric: take(&mut metric, n),
                metric_moments: metric_moments.take(n),
                base: take(&mut base_changes, slots.len() * m),
            };
            tasks.push((self.batch.part(slots, columns.start), cells));
        }
        let batch = ColumnBatch { shape, chunks: step.chunks, weighted: step.weighted };
        let pulled = Pulled { kappas, totals };
        run_tasks_with(&self.scratches, tasks, step.parallel, |scratch, (columns, cells)| {
            anchor_update_csr(batch, columns, pulled, cells, rates, scratch);
        });
        for changes in self.base_changes.chunks_exact(m) {
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

    fn visit_memory(&mut self, visit: &mut Visit<'_>) {
        self.heads.visit_memory(visit);
        self.record_moments.visit(["records.first", "records.second"], visit);
        self.anchor_moments.visit(["anchors.first", "anchors.second"], visit);
        self.scale_moments.visit(["anchor_scale.first", "anchor_scale.second"], visit);
        self.metric_moments.visit(["log_metric.first", "log_metric.second"], visit);
        // Within an epoch it is only followed, and has its own rounding.
        visit("anchor_norms", bytemuck::cast_slice_mut(&mut self.base));
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
