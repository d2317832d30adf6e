//! Parameters and batch for dense rows: anchor-major, rows padded to whole vectors.

use ndarray::Array2;

use crate::config::TrainConfig;
use crate::data::Features;
use crate::kernel::anchor_distance::{LensBlock, Lenses, anchor_distance};
use crate::kernel::anchor_update::{AnchorRow, AnchorScratch, anchor_update};
use crate::kernel::fm_score::{FEATURE_BLOCK, LocalModel, fm_score};
use crate::kernel::fm_update::{ChannelOrder, FmBlock, FmScratch, fill_squares, fm_update};
use crate::kernel::head_update::metric_update;
use crate::kernel::{ROW_CHUNK, Shape};
use crate::math::exp;
use crate::model::Parameters;
use crate::optimizer::Moments;
use crate::simd::LANES;

use super::background::score::fm_score_background;
use super::background::update::fm_update_background;
use super::background::{Background, BatchDifferences, Differences};
use super::heads::Heads;
use super::records::{self, Logical};
use super::runs::{Run, Scratches, TaskMemory, run_tasks, run_tasks_with};
use super::search::{LEAST_ANCHORS, Search};
use super::{DistanceScratch, Step, Store, Visit};

/// See the module.
pub(crate) struct Dense {
    shape: Shape,
    heads: Heads,
    /// Rows of the batch `[b, row_stride]`.
    batch: Vec<f32>,
    /// The background of the training rows, once it was looked for.
    background: Option<Background>,
    sought_background: bool,
    /// The batch against the background, in chunks of rows.
    differences: Vec<Differences>,
    /// `[m, p, stride]`.
    records: Vec<f32>,
    record_moments: Moments,
    /// r `[m, blocks]` of `[C, FEATURE_BLOCK]`, or with a background `[FEATURE_BLOCK, LANES]`.
    squares: Vec<f32>,
    /// `[m, row_stride]`.
    anchors: Vec<f32>,
    anchor_moments: Moments,
    /// `[m, row_stride]`.
    scales: Option<Vec<f32>>,
    scale_moments: Moments,
    /// τ and √e = exp(τ/2), `[row_stride]`.
    log_metric: Vec<f32>,
    root_metric: Vec<f32>,
    metric_moments: Moments,
    /// Each anchor's part of ∂τ `[m, row_stride]`, where the metric is learned.
    metric_parts: Vec<f32>,
    /// ∂τ, summed.
    metric_gradient: Vec<f32>,
    lenses: Lenses,
    /// In place of the lenses while it pays.
    search: Option<Search>,
    fm_scratches: Scratches<FmScratch>,
    anchor_scratches: Scratches<AnchorScratch>,
}

impl Dense {
    fn refresh_lenses(&mut self, parallel: bool, memory: &TaskMemory) {
        let (shape, anchors, metric) = (self.shape, &self.anchors, &self.root_metric);
        if let Some(search) = self.search.as_mut().filter(|search| search.pays()) {
            return search.refresh(anchors, metric, parallel, memory);
        }
        let scales = self.scales.as_deref();
        let tasks = memory.list(self.lenses.blocks(shape));
        run_tasks(tasks, parallel, |block: LensBlock<'_>| {
            block.refresh(shape, anchors, metric, scales);
        });
    }

    fn order(&self) -> ChannelOrder {
        if self.background.is_some() { ChannelOrder::LAST } else { ChannelOrder::FIRST }
    }

    fn fill_squares(&mut self) {
        let (shape, order) = (self.shape, self.order());
        self.squares.clear();
        self.squares.resize(shape.anchors * order.len(shape), 0.0);
        let models = self.records.chunks_exact(shape.features * shape.stride);
        for (records, squares) in models.zip(self.squares.chunks_exact_mut(order.len(shape))) {
            fill_squares(shape, records, order, squares);
        }
    }

    /// Takes the training rows as they are.
    #[cfg(test)]
    pub(super) fn keep_whole_rows(&mut self) {
        self.sought_background = true;
    }

    /// Whether anchors are searched for.
    #[cfg(test)]
    pub(super) fn searches(&self) -> bool {
        self.search.as_ref().is_some_and(Search::pays)
    }

    /// Whether rows are taken as their differences to a background.
    #[cfg(test)]
    pub(super) fn has_background(&self) -> bool {
        self.background.is_some()
    }

    /// Training rows have a background or none, whatever is in a batch.
    fn seek_background(&mut self, all: &Array2<f32>) {
        self.sought_background = true;
        self.background = Background::find(all, self.shape);
        if self.background.is_some() {
            self.fill_squares();
        }
    }

    /// The batch as its differences to the background.
    fn take_differences(&mut self, background: &Background, memory: &TaskMemory) {
        let chunk = ROW_CHUNK * self.shape.row_stride();
        let parallel = self.batch.len() > 1 << 16;
        let chunks = self.batch.chunks(chunk);
        // Never fewer: a short batch would lose the memory of the others.
        let most = chunks.len().max(self.differences.len());
        self.differences.resize_with(most, Differences::default);
        let tasks = memory.list(self.differences.iter_mut().zip(chunks));
        run_tasks(tasks, parallel, |(differences, rows)| {
            differences.take(background, rows);
        });
    }

    fn batch_differences(&self) -> Option<BatchDifferences<'_>> {
        let background = self.background.as_ref()?;
        Some(BatchDifferences { background, chunks: &self.differences })
    }
}

impl Store for Dense {
    fn new(parameters: &Parameters, config: &TrainConfig, train: bool) -> Self {
        let shape = Shape::new(parameters, LANES);
        let (m, p, stride) = (shape.anchors, shape.features, shape.row_stride());
        let moments = |len: usize, learned: bool| {
            Moments::new(config.optimizer, if train && learned { len } else { 0 })
        };
        let (learn, records_len) = (config.learn, m * p * shape.stride);
        let log_metric = pad_rows(&parameters.log_metric.to_vec(), p, stride);
        let keep_scales = (train && learn.scale).then(|| Array2::ones((m, p)));
        let scales = parameters.anchor_scale.clone().or(keep_scales);
        let mut store = Self {
            shape,
            heads: Heads::new(parameters, config),
            batch: Vec::new(),
            background: None,
            sought_background: false,
            differences: Vec::new(),
            records: records::pack(shape, parameters, |i, j| i * p + j),
            record_moments: moments(records_len, true),
            squares: Vec::new(),
            anchors: pad_rows(&flat(&parameters.anchors), p, stride),
            anchor_moments: moments(m * stride, learn.anchors),
            lenses: Lenses::new(shape, scales.is_some()),
            scales: scales.map(|t| pad_rows(&flat(&t), p, stride)),
            scale_moments: moments(m * stride, learn.scale),
            root_metric: log_metric.iter().map(|tau| exp(0.5 * tau)).collect(),
            metric_moments: moments(stride, learn.metric),
            metric_gradient: Vec::new(),
            metric_parts: vec![0.0; if train && learn.metric { m * stride } else { 0 }],
            log_metric,
            search: None,
            fm_scratches: Scratches::default(),
            anchor_scratches: Scratches::default(),
        };
        store.fill_squares();
        store.refresh_lenses(false, &TaskMemory::default());
        store
    }

    fn shape(&self) -> Shape {
        self.shape
    }

    fn gather(&mut self, features: &Features, rows: &[u32], train: bool, memory: &TaskMemory) {
        let Features::Dense(all) = features else { unreachable!("storage fits the rows") };
        if train && !self.sought_background {
            self.seek_background(all);
        }
        let all = all.as_slice().expect("row-major rows");
        let (p, stride) = (self.shape.features, self.shape.row_stride());
        self.batch.resize(rows.len() * stride, 0.0);
        for (out, &r) in self.batch.chunks_exact_mut(stride).zip(rows) {
            out[..p].copy_from_slice(&all[r as usize * p..][..p]);
        }
        if let Some(background) = self.background.take() {
            self.take_differences(&background, memory);
            self.background = Some(background);
        }
    }

    fn cells(&self) -> usize {
        self.batch.len()
    }

    fn distances(
        &self,
        first: usize,
        n: usize,
        plain: bool,
        scratch: &mut DistanceScratch,
        out: &mut [f32],
    ) {
        let stride = self.shape.row_stride();
        let rows = &self.batch[first * stride..][..n * stride];
        match self.search.as_ref().filter(|search| search.pays()) {
            Some(search) => search.distances(rows, plain, self.multipliers(), scratch, out),
            None => {
                let scaled = &mut scratch.scaled;
                anchor_distance(self.shape, &self.lenses, rows, plain, scaled, out);
            }
        }
    }

    fn search_anchors(&mut self) {
        if self.shape.anchors >= LEAST_ANCHORS && self.scales.is_none() {
            self.search = Some(Search::new(self.shape));
            self.refresh();
        }
    }

    fn search_no_anchors(&mut self) {
        if self.search.take().is_some() {
            self.refresh_lenses(false, &TaskMemory::default());
        }
    }

    fn end_search(&mut self, rows: usize, parallel: bool, memory: &TaskMemory) {
        if self.search.as_mut().is_some_and(|search| search.look_back(rows)) {
            self.refresh_lenses(parallel, memory);
        }
    }

    fn multipliers(&self) -> &[f32] {
        &self.heads.multipliers
    }

    fn score(&self, pair_rows: &[u32], run: Run<'_>, _scratch: &mut Vec<f32>) {
        let (shape, i) = (self.shape, run.anchor);
        let (records, squares) = (shape.features * shape.stride, self.order().len(shape));
        let model = LocalModel {
            bias: &self.heads.bias[i * shape.outputs..][..shape.outputs],
            records: &self.records[i * records..][..records],
            squares: &self.squares[i * squares..][..squares],
        };
        match self.batch_differences() {
            None => fm_score(shape, model, &self.batch, pair_rows, run.sums, run.scores),
            Some(batch) => {
                fm_score_background(shape, model, batch, pair_rows, run.sums, run.scores);
            }
        }
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
        let (stride, order) = (shape.stride, self.order());
        let mut moments = self.record_moments.view();
        let mut tasks = step.memory.tasks();
        let models = self.records.chunks_exact_mut(shape.features * stride);
        for (i, (records, squares)) in
            models.zip(self.squares.chunks_exact_mut(order.len(shape))).enumerate()
        {
            let blocks = records
                .chunks_mut(FEATURE_BLOCK * stride)
                .zip(squares.chunks_exact_mut(order.block_len(shape)));
            for (b, (records, squares)) in blocks.enumerate() {
                let moments = moments.take(records.len());
                tasks.push((i, FmBlock { first: b * FEATURE_BLOCK, records, moments, squares }));
            }
        }
        let differences = self
            .background
            .as_ref()
            .map(|background| BatchDifferences { background, chunks: &self.differences });
        let batch = &self.batch;
        run_tasks_with(&self.fm_scratches, tasks, step.parallel, |scratch, (i, block)| {
            let slots = step.pairs.span(i);
            let weighted = &step.weighted[slots.start * stride..slots.end * stride];
            let rows = &step.pairs.rows[slots];
            match differences {
                None => fm_update(shape, batch, rows, weighted, block, update, scratch),
                Some(batch) => {
                    fm_update_background(shape, batch, rows, weighted, block, update, scratch);
                }
            }
        });
    }

    fn update_anchors(&mut self, step: &Step<'_>) {
        let (shape, rates) = (self.shape, self.heads.anchor_rates(step.rates));
        let stride = shape.row_stride();
        let mut anchor_moments = self.anchor_moments.view();
        let mut scale_moments = self.scale_moments.view();
        let mut scales = self.scales.as_mut().map(|t| t.chunks_exact_mut(stride));
        let mut parts = rates.learn.metric.then(|| self.metric_parts.chunks_exact_mut(stride));
        let mut tasks = step.memory.tasks();
        for (i, anchor) in self.anchors.chunks_exact_mut(stride).enumerate() {
            let row = AnchorRow {
                anchor,
                anchor_moments: anchor_moments.take(stride),
                scale: scales.as_mut().and_then(Iterator::next),
                scale_moments: scale_moments.take(stride),
                metric_gradient: parts.as_mut().and_then(Iterator::next),
            };
            tasks.push((i, row));
        }
        let (batch, pulls, root_metric) = (&self.batch, step.pulls, &self.root_metric);
        run_tasks_with(&self.anchor_scratches, tasks, step.parallel, |scratch, (i, row)| {
            let pulls = &pulls[step.pairs.span(i)];
            anchor_update(shape, batch, pulls, root_metric, row, rates, scratch);
        });
        if rates.learn.metric {
            let (parts, tau, root) =
                (&self.metric_parts, &mut self.log_metric, &mut self.root_metric);
            let (moments, gradient) = (self.metric_moments.view(), &mut self.metric_gradient);
            metric_update(parts, rates.rest, 0.5, tau, root, moments, gradient);
        }
        self.refresh_lenses(step.parallel, step.memory);
    }

    fn refresh(&mut self) {
        let search = self.search.as_mut();
        if search.is_some_and(|search| search.regroup(&self.anchors, &self.root_metric)) {
            self.refresh_lenses(false, &TaskMemory::default());
        }
    }

    fn visit_memory(&mut self, visit: &mut Visit<'_>) {
        self.heads.visit_memory(visit);
        self.record_moments.visit(["records.first", "records.second"], visit);
        self.anchor_moments.visit(["anchors.first", "anchors.second"], visit);
        self.scale_moments.visit(["anchor_scale.first", "anchor_scale.second"], visit);
        self.metric_moments.visit(["log_metric.first", "log_metric.second"], visit);
    }

    fn parameters(&self) -> Parameters {
        let (p, row_stride) = (self.shape.features, self.shape.row_stride());
        records::unpack(
            self.shape,
            &self.heads,
            &self.records,
            |i, j| i * p + j,
            Logical {
                anchors: &|i, j| self.anchors[i * row_stride + j],
                scales: self.scales.as_ref().map(|t| move |i, j| t[i * row_stride + j]),
                log_metric: &self.log_metric[..p],
            },
        )
    }
}

fn flat(array: &Array2<f32>) -> Vec<f32> {
    array.iter().copied().collect()
}

/// Rows of `p` numbers, zero-padded to `stride`.
fn pad_rows(rows: &[f32], p: usize, stride: usize) -> Vec<f32> {
    let mut padded = vec![0.0; rows.len() / p * stride];
    for (out, row) in padded.chunks_exact_mut(stride).zip(rows.chunks_exact(p)) {
        out[..p].copy_from_slice(row);
    }
    padded
}
