//! Which different labels there are.

use std::collections::HashSet;

use super::number;
use super::raw::RawLabels;

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
        match labels {
            RawLabels::Numbers(values) | RawLabels::Ratings(values) => Self::of_numbers(values),
            RawLabels::Words { names, codes, .. } => Self::of_words(names, codes),
        }
    }

    fn of_numbers(values: &[f64]) -> Self {
        let present = values.iter().filter(|value| !value.is_nan());
        let bits: HashSet<u64> = present.map(|&value| (value + 0.0).to_bits()).collect();
        Self::sorted(bits.into_iter().map(f64::from_bits).collect())
    }

    fn sorted(mut numbers: Vec<f64>) -> Self {
        numbers.sort_by(f64::total_cmp);
        numbers.dedup();
        let names = numbers.iter().map(|&value| number::shortest(value)).collect();
        Self { names, numbers: Some(numbers) }
    }

    fn of_words(words: &[String], codes: &[u32]) -> Self {
        let mut used = vec![false; words.len()];
        for &code in codes {
            used[code as usize] = true;
        }
        let words = words.iter().zip(used).filter(|(_, used)| *used);
        let mut names: Vec<String> = words.map(|(word, _)| number::canonical(word)).collect();
        // After a split no word may be left, only numbers.
        let numbers: Result<Vec<f64>, _> = names.iter().map(|name| name.parse()).collect();
        match numbers {
            Ok(numbers) if numbers.iter().all(|value| value.is_finite()) => Self::sorted(numbers),
            _ => {
                names.sort_unstable();
                names.dedup();
                Self { names, numbers: None }
            }
        }
    }
}
