//! The public sets, where `LLFM_DATA` names the folder that has them. Without it the tests here check
//! nothing; cargo keeps what they print to itself, so `scripts/test` names them as not run.

use std::path::{Path, PathBuf};

use llfm::data::{
    Format, LabelMap, Notes, RawLabels, ReadOptions, Targets, read, read_with_schema,
};

/// The folder of the sets; says so where there is none.
fn folder() -> Option<PathBuf> {
    // Empty is unset, as `scripts/test` has it.
    let folder = std::env::var_os("LLFM_DATA").filter(|name| !name.is_empty()).map(PathBuf::from);
    if folder.is_none() {
        println!("LLFM_DATA is not set: the public sets are not checked");
    }
    folder
}

/// Rows, columns and rows of each class.
fn describe(path: &Path, options: &ReadOptions) -> (usize, usize, Vec<usize>) {
    let mut notes = Notes::new();
    let rows = read(path, options, &mut notes).expect("the set is sound");
    let labels = rows.labels.as_ref().expect("labels");
    let plain = match labels {
        RawLabels::Ratings(values) => RawLabels::Numbers(values.clone()),
        other => other.clone(),
    };
    let (_, map) = LabelMap::fit(&plain, None, None, path, &mut notes).expect("classes");
    let Targets::Classes(classes) = map.targets(&plain, path, &mut notes).expect("classes") else {
        panic!("no classes");
    };
    let mut counts = vec![0; map.n_classes()];
    classes.iter().for_each(|&class| counts[class as usize] += 1);
    (rows.n_rows(), rows.n_columns(), counts)
}

#[test]
fn classification_sets_have_their_rows_columns_and_classes() {
    let Some(folder) = folder() else { return };
    let sets: [(&str, usize, usize, &[usize]); 6] = [
        ("banana/banana.dat.gz", 5_300, 2, &[2_924, 2_376]),
        ("magic04/magic04.data.gz", 19_020, 10, &[12_332, 6_688]),
        ("ijcnn1/ijcnn1.gz", 49_990, 22, &[45_137, 4_853]),
        ("ijcnn1/ijcnn1.t.gz", 91_701, 22, &[82_989, 8_712]),
        (
            "covtype/covtype.data.gz",
            581_012,
            54,
            &[211_840, 283_301, 35_754, 2_747, 9_493, 17_367, 20_510],
        ),
        (
            "mnist/train-images-idx3-ubyte.gz",
            60_000,
            784,
            &[5_923, 6_742, 5_958, 6_131, 5_842, 5_421, 5_918, 6_265, 5_851, 5_949],
        ),
    ];
    for (name, n_rows, n_columns, counts) in sets {
        let found = describe(&folder.join(name), &ReadOptions::default());
        assert_eq!(found, (n_rows, n_columns, counts.to_vec()), "{name}");
    }
    let first = ReadOptions { label: Some("first".to_owned()), ..ReadOptions::default() };
    let sets = [
        ("letter/letter.scale.gz", 15_000, ReadOptions::default()),
        ("letter/letter.scale.t.gz", 5_000, ReadOptions::default()),
        ("letter/letter-recognition.data.gz", 20_000, first),
        ("embed/letter.csv.gz", 20_000, ReadOptions::default()),
    ];
    for (name, n_rows, options) in sets {
        let (rows, columns, counts) = describe(&folder.join(name), &options);
        assert_eq!((rows, columns, counts.len()), (n_rows, 16, 26), "{name}");
    }
}

#[test]
fn ratings_sets_have_their_rows_and_ratings() {
    let Some(folder) = folder() else { return };
    let ratings = ReadOptions { format: Some(Format::Ratings), ..ReadOptions::default() };
    let sets = [
        (
            "movielens-100k/u.data.gz",
            ReadOptions::default(),
            [6_110, 11_370, 27_145, 34_174, 21_201],
        ),
        ("netflix5k5k/train.tsv.gz", ratings.clone(), [7_437, 15_614, 43_347, 50_366, 36_098]),
        ("netflix5k5k/test.tsv.gz", ratings, [7_339, 15_810, 42_946, 50_640, 36_127]),
    ];
    for (name, options, counts) in sets {
        let found = describe(&folder.join(name), &options);
        assert_eq!(found, (counts.iter().sum(), 2, counts.to_vec()), "{name}");
    }
    let (mut notes, options) = (Notes::new(), ReadOptions::default());
    let base = read(&folder.join("movielens-100k/ua.base.gz"), &options, &mut notes).expect("base");
    let test = folder.join("movielens-100k/ua.test.gz");
    let test = read_with_schema(&test, &options, &base.schema, true, &mut notes).expect("test");
    assert_eq!((base.n_rows(), test.n_rows()), (90_570, 9_430));
}
