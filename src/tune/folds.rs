//! Which rows train and which measure.

use std::path::Path;

use crate::data::split::shuffle;
use crate::data::{Notes, SplitOptions, Targets, split_rows};
use crate::error::{Error, Place, Result};

/// The rows of one fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Repeat, from 0: what is added to the seed of the model and of the split.
    pub repeat: usize,
    /// Fold that is held out, from 0.
    pub fold: usize,
    /// Rows to train on, sorted.
    pub train: Vec<usize>,
    /// Rows that choose the epoch, sorted; empty: none do.
    pub valid: Vec<usize>,
    /// Rows held out of training, sorted, and only measured; empty: `valid` measures.
    pub held: Vec<usize>,
}

/// The fold of each row `[n]`, from 0.
///
/// All rows are put in the order of the seed's permutation (that of
/// [`split_rows`]), then, keeping it within a class, class by class, and are
/// dealt out in turn: sizes of folds differ by at most one row, and so do the rows of a class in each.
/// Values are dealt out in the order of the permutation. The same on every machine.
///
/// # Errors
/// [`Error::Data`] for fewer rows than folds; [`Error::Usage`] for fewer than two folds.
pub fn folds(
    targets: &Targets,
    n_folds: usize,
    seed: u64,
    place: &Path,
    notes: &mut Notes,
) -> Result<Vec<u32>> {
    if n_folds < 2 {
        return Err(Error::Usage(format!("--folds must be at least 2, found {n_folds}")));
    }
    let n = match targets {
        Targets::Classes(classes) => classes.len(),
        Targets::Values(values) => values.len(),
    };
    if n < n_folds {
        let message = format!("{n_folds} folds need as many rows, found {n}: use fewer --folds");
        return Err(Error::data(Place::file(place), message));
    }
    let mut order: Vec<usize> = (0..n).collect();
    shuffle(&mut order, seed);
    if let Targets::Classes(classes) = targets {
        order.sort_by_key(|&row| classes[row]);
        let smallest = order.chunk_by(|&a, &b| classes[a] == classes[b]).map(<[_]>::len).min();
        if let Some(rows) = smallest.filter(|&rows| rows < n_folds) {
            notes.warn(format!(
                "{}: the smallest class has {rows} of the {n} rows, fewer than the {n_folds} folds: some \
                 are measured without it",
                place.display()
            ));
        }
    }
    let mut fold_of = vec![0; n];
    #[expect(clippy::cast_possible_truncation, reason = "nobody waits for so many folds")]
    for (i, &row) in order.iter().enumerate() {
        fold_of[row] = (i % n_folds) as u32;
    }
    Ok(fold_of)
}

/// The splits of all repeats. The rows of one are listed when its turn comes: the lists of all
/// together would take more memory than the rows.
#[derive(Debug, Clone)]
pub struct Splits {
    n_rows: usize,
    n_folds: usize,
    repeats: usize,
    options: SplitOptions,
    /// `[repeats][n]`: the fold of each row; no list where no rows are held out.
    fold_of: Vec<Vec<u32>>,
}

impl Splits {
    /// One split a fold and repeat, that fold held out; with `n_folds` `None` one a repeat, of
    /// which the validation rows measure. Each repeat has a seed one higher.
    ///
    /// `options` say what fraction of the rows that are not held out chooses the epoch, and the seed
    /// of the first repeat.
    ///
    /// # Errors
    /// Those of [`folds`].
    pub fn new(
        targets: &Targets,
        n_folds: Option<usize>,
        repeats: usize,
        options: SplitOptions,
        place: &Path,
        notes: &mut Notes,
    ) -> Result<Self> {
        let n_rows = match targets {
            Targets::Classes(classes) => classes.len(),
            Targets::Values(values) => values.len(),
        };
        let deal = |(repeat, k)| folds(targets, k, seed_of(&options, repeat), place, notes);
        let fold_of = (0..repeats).filter_map(|repeat| Some((repeat, n_folds?))).map(deal);
        let fold_of = fold_of.collect::<Result<_>>()?;
        Ok(Self { n_rows, n_folds: n_folds.unwrap_or(1), repeats, options, fold_of })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.repeats * self.n_folds
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Repeat and fold of each, both from 0.
    pub fn turns(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let n_folds = self.n_folds;
        (0..self.repeats).flat_map(move |repeat| (0..n_folds).map(move |fold| (repeat, fold)))
    }

    /// The rows of one.
    ///
    /// # Errors
    /// A fraction that leaves a part without rows.
    pub fn split(&self, (repeat, fold): (usize, usize)) -> Result<Split> {
        let fold_of = self.fold_of.get(repeat);
        let is_held = |&row: &usize| fold_of.is_some_and(|of| of[row] as usize == fold);
        let (held, rest): (Vec<usize>, Vec<usize>) = (0..self.n_rows).partition(is_held);
        let options = SplitOptions { seed: seed_of(&self.options, repeat), ..self.options };
        let [train, valid, _] = split_rows(rest.len(), &options)?;
        let pick = |rows: Vec<usize>| rows.into_iter().map(|i| rest[i]).collect();
        Ok(Split { repeat, fold, train: pick(train), valid: pick(valid), held })
    }
}

fn seed_of(options: &SplitOptions, repeat: usize) -> u64 {
    options.seed.wrapping_add(repeat as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deal(targets: &Targets, k: usize, seed: u64) -> Vec<u32> {
        folds(targets, k, seed, Path::new("d"), &mut Notes::new()).expect("enough rows")
    }

    fn classes() -> Targets {
        // 60, 30 and 13 rows, mixed.
        let class = |i: usize| if i % 8 == 7 { 2 } else { u32::from(i.is_multiple_of(3)) };
        Targets::Classes((0..103).map(class).collect())
    }

    fn counts(fold_of: &[u32], k: u32, of: impl Fn(usize) -> bool) -> Vec<usize> {
        let rows = |fold| fold_of.iter().enumerate().filter(|&(i, &f)| f == fold && of(i)).count();
        (0..k).map(rows).collect()
    }

    #[test]
    fn folds_and_the_classes_in_them_differ_by_at_most_a_row() {
        let targets = classes();
        let Targets::Classes(class_of) = &targets else { unreachable!("classes") };
        for k in [2, 5, 10, 103] {
            let fold_of = deal(&targets, k as usize, 3);
            for class in [None, Some(0), Some(1), Some(2)] {
                let of = |i: usize| class.is_none_or(|class| class_of[i] == class);
                let counts = counts(&fold_of, k, of);
                let (least, most) = (counts.iter().min(), counts.iter().max());
                assert!(
                    most.zip(least).is_some_and(|(a, b)| a - b <= 1),
                    "{k} {class:?} {counts:?}"
                );
            }
        }
    }

    #[test]
    fn values_are_dealt_out_evenly_and_by_the_seed_alone() {
        let targets = Targets::Values((0..23).map(|i| i as f32).collect());
        let first = deal(&targets, 4, 0);
        assert_eq!(first, deal(&targets, 4, 0));
        assert_ne!(first, deal(&targets, 4, 1));
        let mut sizes = counts(&first, 4, |_| true);
        sizes.sort_unstable();
        assert_eq!(sizes, [5, 6, 6, 6]);
    }

    #[test]
    fn every_row_is_held_out_once_and_never_trained_on_there() {
        let options = SplitOptions { test_fraction: 0.0, valid_fraction: 0.25, seed: 0 };
        let splits =
            Splits::new(&classes(), Some(5), 1, options, Path::new("d"), &mut Notes::new());
        let splits = splits.expect("enough rows");
        let splits = splits.turns().map(|turn| splits.split(turn).expect("enough rows"));
        let splits: Vec<Split> = splits.collect();
        let mut held: Vec<usize> = splits.iter().flat_map(|split| split.held.clone()).collect();
        held.sort_unstable();
        assert_eq!(held, (0..103).collect::<Vec<_>>());
        for split in splits {
            let mut all = [split.train.clone(), split.valid.clone(), split.held].concat();
            all.sort_unstable();
            assert_eq!(all, (0..103).collect::<Vec<_>>());
            assert!(split.train.is_sorted() && split.valid.len().abs_diff(21) <= 1);
        }
    }

    #[test]
    fn fewer_rows_than_folds_are_an_error_and_a_rare_class_a_warning() {
        let few = Targets::Values(vec![0.0; 3]);
        let mut notes = Notes::new();
        let error = folds(&few, 4, 0, Path::new("d"), &mut notes).expect_err("is refused");
        assert_eq!(error.exit_code(), 3);
        assert_eq!(notes.drain(), []);
        let rare = Targets::Classes(vec![0, 0, 0, 0, 1]);
        folds(&rare, 3, 0, Path::new("d"), &mut notes).expect("is allowed");
        let text: String = notes.drain().into_iter().map(|note| note.to_string()).collect();
        assert!(text.contains("smallest class has 1 "), "{text}");
    }
}
