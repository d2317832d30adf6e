//! Sizes of a model and its batches on the device, and the constants the kernels get.

use std::collections::BTreeMap;

use super::tuning::{Tuning, Variant, Work};
use crate::backend::RowStorage;
use crate::config::{Coding, Distance, Loss, Optimizer, TrainConfig};
use crate::gpu::pipeline::Constants;
use crate::model::Parameters;

/// Numbers that the pairs of a batch of rows to be scored may take.
const SCORE_NUMBERS: usize = 1 << 24;

/// Columns whose norms are summed by one workgroup are a 64th of all (`anchor_norm_csr`).
pub(crate) const NORM_PARTS: usize = 64;

/// Most of so many anchors that a row can use.
pub(super) fn most_active(config: &TrainConfig, anchors: usize) -> usize {
    match config.coding {
        Coding::Single => 1,
        Coding::Adaptive => anchors,
        Coding::Soft | Coding::Inverse => config.neighbors.min(anchors),
    }
}

/// Rows that are scored at a time, as a rule.
const USUAL_SCORED: usize = 4096;

/// What sizes depend on of a device.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Offer {
    /// Bytes of one buffer that a kernel reaches.
    pub(crate) largest_binding: u64,
    /// Whether subgroups are worth using.
    pub(crate) subgroups: bool,
    /// Forms of kernels that somebody asked for.
    pub(crate) variant: Variant,
}

/// Sizes of a model and its batches.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// Anchors m.
    pub(crate) anchors: usize,
    /// Features p.
    pub(crate) features: usize,
    /// Output channels C.
    pub(crate) outputs: usize,
    /// Factors d.
    pub(crate) factors: usize,
    /// A dense row in vectors of four, ⌈p/4⌉.
    pub(crate) row_quads: usize,
    /// A channel of a record in vectors of four, ⌈(d + 2)/4⌉.
    pub(crate) channel_quads: usize,
    /// Most anchors that a row can use.
    pub(crate) most_active: usize,
    /// Most rows of a training batch.
    pub(crate) batch: usize,
    /// Most rows of any batch: the pitch of arrays by (anchor, row).
    pub(crate) capacity: usize,
    /// Whether rows are stored sparse.
    pub(crate) sparse: bool,
    /// How dense rows are stored.
    pub(crate) storage: RowStorage,
    /// Whether each anchor has its own scales.
    pub(crate) has_scales: bool,
    /// Whether anything beside the local models is learned.
    pub(crate) slopes: bool,
    /// The form of each kernel.
    pub(crate) tuning: Tuning,
}

impl Sizes {
    /// Sizes for training on so many rows in batches as `config` says, or for scoring alone, on this
    /// device.
    pub(crate) fn new(
        offer: Offer,
        parameters: &Parameters,
        config: &TrainConfig,
        sparse: bool,
        train_rows: Option<usize>,
    ) -> Self {
        let train = train_rows.is_some();
        let (anchors, outputs) = (parameters.n_anchors(), parameters.n_outputs());
        let most_active = most_active(config, anchors);
        let batch = config.batch_size.min(train_rows.unwrap_or(0));
        let row = 8 * anchors + most_active * (outputs + 5);
        let numbers = SCORE_NUMBERS.min((offer.largest_binding / 4) as usize);
        let scored = (numbers / row).clamp(1, USUAL_SCORED);
        let capacity = scored.max(batch);
        let row_quads = parameters.n_features().div_ceil(4);
        let sizes = Self {
            anchors,
            features: parameters.n_features(),
            outputs,
            factors: parameters.n_factors(),
            row_quads,
            channel_quads: (parameters.n_factors() + 2).div_ceil(4),
            most_active,
            batch,
            capacity,
            sparse,
            storage: RowStorage::F32,
            has_scales: parameters.anchor_scale.is_some() || train && config.learn.scale,
            slopes: train && config.learn.any() && anchors > 1,
            tuning: Tuning::default(),
        };
        sizes.tuned(offer, config, if train { batch } else { USUAL_SCORED })
    }

    /// The same where kernels score rows: cut alike wherever they are scored, so that the same parameters
    /// give the same bits.
    pub(crate) fn scoring(&self, offer: Offer, config: &TrainConfig) -> Self {
        Self { storage: RowStorage::F32, ..self.tuned(offer, config, USUAL_SCORED) }
    }

    /// With the forms of the kernels for so many rows at a time.
    fn tuned(self, offer: Offer, config: &TrainConfig, rows: usize) -> Self {
        let active = match config.coding {
            Coding::Adaptive => (config.target_active.ceil() as usize).min(self.anchors),
            _ => self.most_active,
        };
        let Self { anchors, outputs, row_quads, .. } = self;
        let work = Work { anchors, outputs, row_quads, rows: rows.max(1), active };
        Self { tuning: Tuning::new(&work, offer.subgroups, offer.variant), ..self }
    }

    /// Vectors of four in the records of one anchor's feature.
    pub(crate) fn record_quads(&self) -> usize {
        self.outputs * self.channel_quads
    }

    /// Vectors of four in all records.
    pub(crate) fn all_record_quads(&self) -> usize {
        self.anchors * self.features * self.record_quads()
    }

    /// Elements of one section (z or t) of `anchors`.
    pub(crate) fn anchor_section(&self) -> usize {
        self.anchors * if self.sparse { self.features } else { 4 * self.row_quads }
    }

    /// Most pairs of a batch.
    pub(crate) fn most_pairs(&self) -> usize {
        self.capacity * self.most_active
    }

    /// Values of every `override` constant, but those that differ from pipeline to pipeline.
    pub(crate) fn constants(&self, config: &TrainConfig, train: bool) -> Constants {
        let coding = match config.coding {
            Coding::Single => 0.0,
            Coding::Adaptive => 1.0,
            Coding::Soft => 2.0,
            Coding::Inverse => 3.0,
        };
        let loss = match config.loss {
            Loss::Logistic => 0.0,
            Loss::Softmax => 1.0,
            Loss::Ovr => 2.0,
            Loss::Squared => 3.0,
            Loss::Hinge => 4.0,
        };
        let rule = match config.optimizer {
            Optimizer::Sgd => 0.0,
            Optimizer::AdaGrad => 1.0,
            Optimizer::Adam => 2.0,
        };
        let learn = config.learn;
        let flag = |on: bool| f64::from(u8::from(on));
        Constants(BTreeMap::from([
            ("n_anchors", self.anchors as f64),
            ("n_features", self.features as f64),
            ("n_outputs", self.outputs as f64),
            ("row_quads", self.row_quads as f64),
            ("channel_quads", self.channel_quads as f64),
            ("capacity", self.capacity as f64),
            ("sort_size", self.anchors.next_power_of_two() as f64),
            ("score_splits", self.tuning.score_splits as f64),
            ("score_shares", self.tuning.score_shares as f64),
            ("model_splits", self.tuning.model_splits as f64),
            ("anchor_splits", self.tuning.anchor_splits as f64),
            ("neighbors", config.neighbors as f64),
            ("coding", coding),
            ("loss", loss),
            ("rule", rule),
            ("plain_distance", flag(config.distance == Distance::Euclidean)),
            ("has_scales", flag(self.has_scales)),
            ("slopes", flag(self.slopes)),
            ("learn_anchors", flag(learn.anchors)),
            ("learn_lipschitz", flag(learn.lipschitz)),
            ("learn_metric", flag(learn.metric)),
            ("learn_scales", flag(learn.scale)),
            ("train", flag(train)),
            ("write_sums", flag(train)),
            ("write_scores", 1.0),
        ]))
    }
}
