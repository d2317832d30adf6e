//! `llfm predict --explain`: one JSON object a row.

use std::io;
use std::path::Path;

use llfm::data::LabelMap;
use llfm::explain::{Explanation, Term};
use llfm::model::Model;
use llfm::outcome::Outcome;
use llfm::{Error, Result};
use serde::Serialize;

use super::inspect::feature_names;

/// Turns explanations into lines.
pub(crate) struct Lines<'a> {
    model: &'a Model,
    outcome: Outcome,
    names: Vec<String>,
    row: u64,
}

/// A line. Regressions have values, in the user's unit, where classes have names.
#[derive(Serialize)]
struct Line<'a> {
    /// From 1.
    row: u64,
    prediction: Prediction<'a>,
    /// The class that `probability` and `score` are of: of two the positive one, else the predicted.
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    probability: Option<f32>,
    /// `bias`, `terms` and `rest` sum to it.
    score: f32,
    bias: f32,
    terms: Vec<NamedTerm<'a>>,
    rest: f32,
    anchors: Vec<Anchor>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Prediction<'a> {
    Class(&'a str),
    Value(f32),
}

/// One feature, or two.
#[derive(Serialize)]
struct NamedTerm<'a> {
    features: Vec<&'a str>,
    contribution: f32,
}

#[derive(Serialize)]
struct Anchor {
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<usize>,
    anchor: usize,
    gamma: f32,
    score: f32,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(model: &'a Model) -> Self {
        Self { model, outcome: Outcome::of(model), names: feature_names(model), row: 0 }
    }

    /// The line of the next row of `file`.
    pub(crate) fn next(&mut self, explained: &Explanation, file: &Path) -> Result<String> {
        self.row += 1;
        self.outcome.check(&explained.outputs, self.row, file)?;
        let text = serde_json::to_string(&self.line(explained));
        let mut text = text
            .map_err(|e| Error::io("write", Path::new("the explanation"))(io::Error::other(e)))?;
        text.push('\n');
        Ok(text)
    }

    fn line(&self, explained: &Explanation) -> Line<'_> {
        let (labels, outputs) = (&self.model.labels, &explained.outputs);
        let class = if outputs.len() == 1 { 1 } else { explained.channel };
        let (prediction, class_name) = match labels {
            LabelMap::Values { .. } => (Prediction::Value(self.outcome.value(outputs)), None),
            LabelMap::Classes { .. } => {
                let predicted = labels.class_name(self.outcome.class(outputs) as usize);
                (Prediction::Class(predicted), Some(labels.class_name(class)))
            }
        };
        let ensemble = self.model.members.len() > 1;
        let anchors = explained.anchors.iter().map(|active| Anchor {
            member: ensemble.then_some(active.member),
            anchor: active.anchor,
            gamma: active.gamma,
            score: active.score,
        });
        Line {
            row: self.row,
            prediction,
            class: class_name,
            probability: self.outcome.probabilities(outputs).map(|p| p[class] as f32),
            score: explained.score,
            bias: explained.bias as f32,
            terms: explained.terms.iter().map(|term| self.term(term)).collect(),
            rest: explained.rest as f32,
            anchors: anchors.collect(),
        }
    }

    fn term(&self, term: &Term) -> NamedTerm<'_> {
        let features = std::iter::once(term.feature).chain(term.other);
        NamedTerm {
            features: features.map(|j| self.names[j as usize].as_str()).collect(),
            contribution: term.contribution as f32,
        }
    }
}
