//! The coding of rows and the scores of their local models, for whoever explains a prediction.

use std::ops::Range;

use super::{Cpu, Dense, Sparse, Store};
use crate::config::TrainConfig;
use crate::data::Features;
use crate::model::Parameters;

/// A row's active anchors, and what came of them.
#[derive(Debug, Clone)]
pub(crate) struct CodedRow {
    /// Anchor and γ `[k]`, nearest first.
    pub(crate) anchors: Vec<(u32, f32)>,
    /// Scores of the local models `[k, C]`.
    pub(crate) scores: Vec<f32>,
    /// ŷ `[C]`, the bits of [`Backend::score`](crate::backend::Backend::score).
    pub(crate) outputs: Vec<f32>,
}

/// Codes rows under fixed parameters, whatever their storage.
pub(crate) trait Coded {
    /// Codes and scores some of the rows.
    fn code_rows(&mut self, features: &Features, rows: Range<usize>) -> Vec<CodedRow>;
}

/// The coding of one storage of rows.
pub(crate) fn coded(parameters: &Parameters, config: &TrainConfig, sparse: bool) -> Box<dyn Coded> {
    if sparse {
        Box::new(Cpu::<Sparse>::new(parameters, config, None))
    } else {
        Box::new(Cpu::<Dense>::new(parameters, config, None))
    }
}

impl<S: Store> Coded for Cpu<'_, S> {
    fn code_rows(&mut self, features: &Features, rows: Range<usize>) -> Vec<CodedRow> {
        self.forward(features, rows);
        let c = self.store.shape().outputs;
        let mut coded = Vec::new();
        for chunk in &self.chunks {
            for (span, outputs) in chunk.ends.windows(2).zip(chunk.outputs.chunks_exact(c)) {
                let pairs = &chunk.pairs[span[0] as usize..span[1] as usize];
                let scores = pairs.iter().flat_map(|p| &self.scores[p.slot as usize * c..][..c]);
                coded.push(CodedRow {
                    anchors: pairs.iter().map(|pair| (pair.anchor, pair.gamma)).collect(),
                    scores: scores.copied().collect(),
                    outputs: outputs.to_vec(),
                });
            }
        }
        coded
    }
}
