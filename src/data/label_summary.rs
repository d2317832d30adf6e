//! Which different labels there are.

use std::collections::{BTreeSet, HashSet};

use super::number;
use super::raw::RawLabels;
use crate::error::Result;

/// Labels in one chunk or several: calls what it is given with each, in file order.
pub(crate) type LabelChunks<'a> =
    &'a dyn Fn(&mut dyn FnMut(&RawLabels) -> Result<()>) -> Result<()>;

/// The different labels of some rows, in order: by size if all are numbers, else as text.
#[derive(Debug)]
pub(crate) struct Summary {
    /// Canonical spellings.
    pub(crate) names: Vec<String>,
    /// The same as numbers, where all are.
    pub(crate) numbers: Option<Vec<f64>>,
}

impl Summary {
    pub(crate) fn of(labels: &RawLabels) -> Self {
        let mut seen = Seen::default();
        seen.add(labels);
        seen.summary()
    }

    fn sorted(mut numbers: Vec<f64>) -> Self {
        numbers.sort_by(f64::total_cmp);
        numbers.dedup();
        let names = numbers.iter().map(|&value| number::shortest(value)).collect();
        Self { names, numbers: Some(numbers) }
    }
}

/// The different labels of rows that come in chunks, some of which may have numbers alone.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    /// Bits of the numbers.
    numbers: HashSet<u64>,
    /// Canonical spellings, of numbers too, where a label of the chunk is a word.
    words: BTreeSet<String>,
    /// Whether the rows are ratings.
    pub(crate) ratings: bool,
}

impl Seen {
    pub(crate) fn add(&mut self, labels: &RawLabels) {
        match labels {
            RawLabels::Numbers(values) | RawLabels::Ratings(values) => {
                self.ratings |= matches!(labels, RawLabels::Ratings(_));
                let present = values.iter().filter(|value| !value.is_nan());
                self.numbers.extend(present.map(|&value| (value + 0.0).to_bits()));
            }
            RawLabels::Words { names, codes, .. } => {
                let mut used = vec![false; names.len()];
                for &code in codes {
                    used[code as usize] = true;
                }
                let used = names.iter().zip(used).filter(|(_, used)| *used);
                self.words.extend(used.map(|(word, _)| number::canonical(word)));
            }
        }
    }

    pub(crate) fn summary(self) -> Summary {
        let mut numbers: Vec<f64> = self.numbers.into_iter().map(f64::from_bits).collect();
        // After a split no word may be left, only numbers.
        let words = self.words.iter().map(|name| name.parse::<f64>());
        match words.collect::<std::result::Result<Vec<f64>, _>>() {
            Ok(words) if words.iter().all(|value| value.is_finite()) => {
                numbers.extend(words);
                Summary::sorted(numbers)
            }
            _ => {
                let mut names = self.words;
                names.extend(numbers.into_iter().map(number::shortest));
                Summary { names: names.into_iter().collect(), numbers: None }
            }
        }
    }
}
