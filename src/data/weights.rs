//! Weights of the training rows in the loss.

use std::collections::BTreeMap;

use clap::ValueEnum;

use super::{Dataset, Targets};
use crate::error::{Error, Result};

/// Whether the training rows of some classes weigh more than those of others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ClassWeight {
    /// All classes alike
    #[default]
    None,
    /// The rows of a class by n/(C·rows of the class): every class weighs the same
    Balanced,
}

impl ClassWeight {
    /// Multiplies the weights of training rows by those of their classes: n/(C·n_c) of n rows, C
    /// classes that occur and n_c rows of the class, whatever those rows weigh, as scikit-learn's
    /// `compute_class_weight`.
    ///
    /// # Errors
    /// [`Error::Usage`] where the rows have values instead of classes.
    pub fn weigh(self, rows: &mut Dataset) -> Result<()> {
        if self == Self::None {
            return Ok(());
        }
        let mut counts = ClassCounts::default();
        counts.add(&rows.targets)?;
        counts.weigh(rows);
        Ok(())
    }
}

/// How many training rows each class has.
#[derive(Debug, Default)]
pub(crate) struct ClassCounts {
    rows: usize,
    counts: BTreeMap<u32, f64>,
}

impl ClassCounts {
    /// Counts some rows.
    ///
    /// # Errors
    /// [`Error::Usage`] where the rows have values instead of classes.
    pub(crate) fn add(&mut self, targets: &Targets) -> Result<()> {
        let Targets::Classes(classes) = targets else {
            return Err(Error::Usage(
                "--class-weight balanced needs classes, and this is a regression: leave it out, or \
                 name the task by --task"
                    .into(),
            ));
        };
        self.rows += classes.len();
        for &class in classes {
            *self.counts.entry(class).or_default() += 1.0;
        }
        Ok(())
    }

    /// Balances the classes, all of whose rows have been counted, in some of the rows.
    pub(crate) fn weigh(&self, rows: &mut Dataset) {
        let Targets::Classes(classes) = &rows.targets else { return };
        let share = self.rows as f64 / self.counts.len() as f64;
        let of_class = |class: &u32| share / self.counts[class];
        rows.weights = Some(match &rows.weights {
            None => classes.iter().map(|class| of_class(class) as f32).collect(),
            Some(weights) => {
                let both = weights.iter().zip(classes);
                both.map(|(&w, class)| (f64::from(w) * of_class(class)) as f32).collect()
            }
        });
    }
}

/// The rows' weights scaled to a mean of 1 `[n]`; `None` where they have none.
///
/// # Errors
/// [`Error::Usage`] for weights that are not one a row, each finite and at least 0, and for weights
/// that are all 0.
pub(crate) fn mean_one(rows: &Dataset) -> Result<Option<Vec<f32>>> {
    let Some(weights) = &rows.weights else { return Ok(None) };
    let n = rows.features.n_rows();
    if weights.len() != n {
        let found = weights.len();
        return Err(Error::Usage(format!("{n} rows need a weight each, found {found} weights")));
    }
    let mut total = WeightTotal::default();
    total.add(weights)?;
    total.check()?;
    Ok(Some(total.mean_one(weights)))
}

/// The sum of the weights of training rows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct WeightTotal {
    rows: usize,
    sum: f64,
}

impl WeightTotal {
    /// Adds those of the next rows.
    ///
    /// # Errors
    /// [`Error::Usage`] for one that is not finite and at least 0.
    pub(crate) fn add(&mut self, weights: &[f32]) -> Result<()> {
        if let Some(i) = weights.iter().position(|w| !(w.is_finite() && *w >= 0.0)) {
            return Err(Error::Usage(format!(
                "row {} (from 0) has the weight {}: expected a finite number, 0 or above",
                self.rows + i,
                weights[i]
            )));
        }
        self.rows += weights.len();
        weights.iter().for_each(|&w| self.sum += f64::from(w));
        Ok(())
    }

    /// Refuses weights that are all 0.
    pub(crate) fn check(self) -> Result<()> {
        if self.sum > 0.0 {
            return Ok(());
        }
        Err(Error::Usage("every row has the weight 0: expected one above 0 at least".into()))
    }

    /// Some of the weights, scaled so that all have a mean of 1.
    pub(crate) fn mean_one(self, weights: &[f32]) -> Vec<f32> {
        let n = self.rows as f64;
        // Exact where all are the same: a weight of 1 everywhere is no weight, to the bit.
        weights.iter().map(|&w| (f64::from(w) * n / self.sum) as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::data::Features;

    fn rows(targets: Targets, weights: Option<Vec<f32>>) -> Dataset {
        let n = match &targets {
            Targets::Classes(classes) => classes.len(),
            Targets::Values(values) => values.len(),
        };
        Dataset { features: Features::Dense(Array2::zeros((n, 1))), targets, weights }
    }

    fn weighed(classes: &[u32], weights: Option<Vec<f32>>) -> Vec<f32> {
        let mut rows = rows(Targets::Classes(classes.to_vec()), weights);
        ClassWeight::Balanced.weigh(&mut rows).unwrap();
        rows.weights.unwrap()
    }

    fn normalized(weights: &[f32]) -> Result<Vec<f32>> {
        let targets = Targets::Values(vec![0.0; weights.len()]);
        mean_one(&rows(targets, Some(weights.to_vec()))).map(|found| found.unwrap())
    }

    #[test]
    fn balanced_classes_weigh_rows_over_classes_times_count() {
        // 6 rows and 3 classes: 6/(3·3), 6/(3·2), 6/(3·1).
        let third = 2.0 / 3.0;
        assert_eq!(weighed(&[0, 1, 0, 2, 0, 1], None), [third, 1.0, third, 2.0, third, 1.0]);
        assert_eq!(weighed(&[1, 0, 1, 0], None), [1.0; 4]);
    }

    #[test]
    fn weights_of_classes_multiply_those_of_rows() {
        let own = vec![3.0, 0.5, 0.0, 1.0];
        assert_eq!(weighed(&[0, 0, 0, 1], Some(own)), [2.0, 1.0 / 3.0, 0.0, 2.0]);
    }

    #[test]
    fn values_have_no_classes_to_balance() {
        let mut values = rows(Targets::Values(vec![1.0, 2.0]), None);
        let error = ClassWeight::Balanced.weigh(&mut values).unwrap_err();
        assert!(matches!(error, Error::Usage(_)) && error.to_string().contains("regression"));
        ClassWeight::None.weigh(&mut values).unwrap();
        assert_eq!(values.weights, None);
    }

    #[test]
    fn weights_are_scaled_to_a_mean_of_one() {
        assert_eq!(normalized(&[1.0, 3.0, 0.0, 4.0]).unwrap(), [0.5, 1.5, 0.0, 2.0]);
        for same in [1.0, 3.0, 0.1, f32::MIN_POSITIVE, f32::MAX] {
            assert_eq!(normalized(&[same; 7]).unwrap(), [1.0; 7], "{same}");
        }
    }

    #[test]
    fn weights_that_are_none_are_named() {
        for (weights, word) in [
            (&[1.0, f32::NAN][..], "row 1 (from 0) has the weight NaN"),
            (&[f32::INFINITY, 1.0], "row 0 (from 0) has the weight inf"),
            (&[1.0, 1.0, -0.5], "row 2 (from 0) has the weight -0.5"),
            (&[0.0, 0.0], "every row has the weight 0"),
        ] {
            let error = normalized(weights).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains(word), "{error}");
        }
        let few = Dataset { weights: Some(vec![1.0]), ..rows(Targets::Values(vec![0.0; 3]), None) };
        assert!(mean_one(&few).unwrap_err().to_string().contains("3 rows need a weight each"));
    }
}
