//! Generated rows at the shapes of public sets.
//!
//! Rows lie in clusters, so that a row is near some anchors and far from others; the same rows on
//! every machine.

use ndarray::Array2;
use rand::Rng;

use crate::config::defaults::DataShape;
use crate::data::{Csr, Dataset, Features, Targets, Task};
use crate::random::{Generator, plain};

/// Rows of a public set's sizes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowShape {
    /// What the command line calls it.
    pub name: &'static str,
    /// Training rows of the set.
    pub rows: usize,
    /// Features p.
    pub features: usize,
    /// Anchors, where they are not those of the defaults.
    pub anchors: Option<usize>,
    /// Classes; 1 for ratings.
    pub classes: usize,
    fields: Fields,
}

/// What the features of a row are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fields {
    /// Numbers.
    Dense,
    /// Numbers, four fifths of them the darkest that there is.
    Pixels,
    /// One of so many users, and one of the other columns, an item.
    Ratings(usize),
    /// One column of each of so many fields, the later ones larger.
    OneHot(usize),
}

/// The shapes, in the order of the tables.
pub static SHAPES: [RowShape; 6] = [
    RowShape::dense("ijcnn1", 49_990, 22, 2),
    RowShape::dense("letter", 15_000, 16, 26),
    RowShape { fields: Fields::Pixels, ..RowShape::dense("mnist", 60_000, 784, 10) },
    RowShape::dense("covtype", 387_342, 54, 2),
    RowShape {
        fields: Fields::Ratings(943),
        ..RowShape::dense("movielens", 90_570, 943 + 1_682, 1)
    },
    RowShape {
        anchors: Some(10),
        fields: Fields::OneHot(39),
        ..RowShape::dense("criteo", 1_000_000, 1_000_000, 2)
    },
];

/// What the darkest pixels are.
const DARK: f32 = 0.84;

/// Directions in which the rows of a cluster differ most.
const DIRECTIONS: usize = 4;

impl RowShape {
    const fn dense(name: &'static str, rows: usize, features: usize, classes: usize) -> Self {
        Self { name, rows, features, anchors: None, classes, fields: Fields::Dense }
    }

    /// The shape of a name, in any case.
    pub fn named(name: &str) -> Option<&'static Self> {
        SHAPES.iter().find(|shape| shape.name.eq_ignore_ascii_case(name))
    }

    /// What the defaults look at: the set's, however many rows are generated, so that a row costs the
    /// same.
    pub fn data_shape(&self) -> DataShape {
        let per_row = match self.fields {
            Fields::Dense | Fields::Pixels => self.features,
            Fields::Ratings(_) => 2,
            Fields::OneHot(fields) => fields,
        };
        DataShape {
            rows: self.rows,
            features: self.features,
            nonzeros: self.rows * per_row,
            sparse: matches!(self.fields, Fields::Ratings(_) | Fields::OneHot(_)),
            classes: self.classes,
            task: match self.classes {
                1 => Task::Regression,
                2 => Task::Binary,
                _ => Task::Multiclass,
            },
        }
    }

    /// So many rows.
    pub fn generate(&self, rows: usize) -> Dataset {
        let mut random = plain(7);
        let (features, targets) = match self.fields {
            Fields::Dense => clouds(rows, self.features, self.classes, &mut random),
            Fields::Pixels => {
                let (mut features, targets) =
                    clouds(rows, self.features, self.classes, &mut random);
                darken(&mut features);
                (features, targets)
            }
            Fields::Ratings(users) => ratings(rows, users, self.features, &mut random),
            Fields::OneHot(fields) => clicks(rows, fields, self.features, &mut random),
        };
        Dataset { features, targets, weights: None }
    }
}

/// Clouds of numbers of about mean 0 and deviation 1; several clouds make a class, one row in twenty is
/// of another.
fn clouds(n: usize, p: usize, classes: usize, random: &mut Generator) -> (Features, Targets) {
    let n_clouds = 4 * classes.max(8);
    let mut numbers = |rows: usize, width: f32| {
        Array2::from_shape_simple_fn((rows, p), || width * centred(random))
    };
    let (centers, directions) = (numbers(n_clouds, 2.4), numbers(DIRECTIONS, 3.4));
    let mut features = numbers(n, 1.2);
    let mut labels = Vec::with_capacity(n);
    for mut row in features.rows_mut() {
        let cloud = below(n_clouds, random);
        row += &centers.row(cloud);
        for direction in directions.rows() {
            row.scaled_add(1.2 * centred(random), &direction);
        }
        let stray = if below(20, random) == 0 { 1 } else { 0 };
        labels.push(((cloud + stray) % classes) as u32);
    }
    (Features::Dense(features), Targets::Classes(labels))
}

/// Raises the four fifths of the cells that are lowest to one value, as background has.
fn darken(features: &mut Features) {
    if let Features::Dense(cells) = features {
        // The clouds' deviation is about 1, and a normal number is above this one time in five.
        cells.mapv_inplace(|x| x.max(DARK));
    }
}

/// One-hot users and items, some of them frequent; a rating is the sum of a leaning of each, and more where
/// their tastes are the same.
fn ratings(n: usize, users: usize, p: usize, random: &mut Generator) -> (Features, Targets) {
    let leanings: Vec<f32> = (0..p).map(|_| centred(random)).collect();
    let mut rows = Csr { n_cols: p, offsets: vec![0], ..Csr::default() };
    let mut values = Vec::with_capacity(n);
    for _ in 0..n {
        let (user, item) = (skewed(users, random), users + skewed(p - users, random));
        push(&mut rows, &[user as u32, item as u32]);
        let taste = if user % 4 == item % 4 { 1.0 } else { 0.0 };
        let leaning = leanings[user] + leanings[item] + centred(random);
        values.push((2.9 + taste + 1.5 * leaning).round().clamp(1.0, 5.0));
    }
    (Features::Sparse(rows), Targets::Values(values))
}

/// One column a field, few of them frequent; every other field also tells the cluster of the row. A click is
/// where the leanings of the columns, and that of the cluster, add up to more than nothing.
fn clicks(n: usize, fields: usize, p: usize, random: &mut Generator) -> (Features, Targets) {
    // The columns before a field grow with the fourth power of its number.
    let share = |field: usize| (field * (field + 1) / 2).pow(2);
    let first = |field: usize| (p * share(field) / share(fields)).max(field);
    let leanings: Vec<f32> = (0..p).map(|_| centred(random)).collect();
    let mut rows = Csr { n_cols: p, offsets: vec![0], ..Csr::default() };
    let (mut columns, mut classes) = (Vec::with_capacity(fields), Vec::with_capacity(n));
    for _ in 0..n {
        let cluster = below(8, random);
        columns.clear();
        for field in 0..fields {
            let size = first(field + 1) - first(field);
            let value = skewed(size, random);
            let shift = if field % 2 == 0 { cluster * size / 8 } else { 0 };
            columns.push((first(field) + (value + shift) % size) as u32);
        }
        push(&mut rows, &columns);
        let sum: f32 = columns.iter().map(|&j| leanings[j as usize]).sum();
        classes.push(u32::from(sum + if cluster < 4 { 1.0 } else { -1.0 } > 0.0));
    }
    (Features::Sparse(rows), Targets::Classes(classes))
}

/// Adds a row of ones.
fn push(rows: &mut Csr, columns: &[u32]) {
    rows.indices.extend_from_slice(columns);
    rows.values.resize(rows.indices.len(), 1.0);
    rows.offsets.push(rows.indices.len());
}

/// A number from −½ to ½.
fn centred(random: &mut Generator) -> f32 {
    (random.next_u64() >> 40) as f32 / (1_u32 << 24) as f32 - 0.5
}

fn below(n: usize, random: &mut Generator) -> usize {
    (random.next_u64() % n as u64) as usize
}

/// One of 0 to below n, the small ones often: a quarter of the draws are of the first 1/256.
fn skewed(n: usize, random: &mut Generator) -> usize {
    let x = f64::from(centred(random)) + 0.5;
    ((x.powi(4) * n as f64) as usize).min(n - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_rows_have_the_sizes_of_their_set() {
        for shape in &SHAPES {
            let (rows, sizes) = (shape.generate(300), shape.data_shape());
            assert_eq!((rows.features.n_rows(), rows.features.n_cols()), (300, shape.features));
            assert_eq!(
                rows.features.n_stored() * sizes.rows,
                300 * sizes.nonzeros,
                "{}",
                shape.name
            );
            assert_eq!(matches!(rows.features, Features::Sparse(_)), sizes.sparse);
            match &rows.targets {
                Targets::Classes(classes) => {
                    let n = shape.classes as u32;
                    assert!((0..n).all(|class| classes.contains(&class)), "{}", shape.name);
                    assert!(classes.iter().all(|&class| class < n));
                }
                Targets::Values(values) => {
                    assert!((1..=5).all(|star| values.contains(&(star as f32))));
                }
            }
            assert_eq!(rows, shape.generate(300), "the same again");
        }
    }

    #[test]
    fn columns_of_sparse_rows_rise_and_spread_over_all() {
        for name in ["movielens", "criteo"] {
            let shape = RowShape::named(name).expect("a shape");
            let Features::Sparse(rows) = shape.generate(500).features else { panic!("sparse") };
            for i in 0..500 {
                assert!(rows.row(i).0.is_sorted_by(|a, b| a < b), "{name}");
            }
            let last = rows.indices.iter().max().expect("entries");
            assert!(*last as usize > shape.features * 9 / 10, "{name}");
        }
    }

    #[test]
    fn numbers_of_dense_rows_are_about_standardised() {
        let Features::Dense(rows) = SHAPES[0].generate(4000).features else { panic!("dense") };
        let mean = rows.mean().expect("numbers");
        assert!(mean.abs() < 0.2 && (0.7..1.5).contains(&rows.std(0.0)), "{mean}");
    }
}
