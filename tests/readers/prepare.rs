//! Splitting, encoding, filling and scaling.

use std::path::Path;

use llfm::data::{
    Features, Missing, Notes, Preprocess, PreprocessOptions, Scale, SplitOptions, split_rows,
};

use crate::{Bench, assert_data_error, cells, dense, fit, numbers, read_text};

fn apply(fitted: &Preprocess, rows: llfm::data::RawRows, notes: &mut Notes) -> Features {
    fitted.apply(rows, Path::new("test"), notes).expect("rows apply")
}

#[test]
fn splits_are_seeded_disjoint_sorted_and_rounded() {
    let options = SplitOptions { test_fraction: 1.0 / 3.0, valid_fraction: 0.1, seed: 7 };
    let [train, valid, test] = split_rows(5_300, &options).expect("a split");
    assert_eq!((train.len(), valid.len(), test.len()), (3_003, 530, 1_767));
    assert!([&train, &valid, &test].iter().all(|part| part.is_sorted()));
    let mut all = [train, valid, test].concat();
    all.sort_unstable();
    assert!(all.into_iter().eq(0..5_300));
    assert_eq!(
        split_rows(5_300, &options).expect("again"),
        split_rows(5_300, &options).expect("a split")
    );
    let other = SplitOptions { seed: 8, ..options };
    assert_ne!(split_rows(5_300, &options).expect("a"), split_rows(5_300, &other).expect("b"));
    let bad = SplitOptions { test_fraction: 1.0, ..options };
    assert_eq!(split_rows(10, &bad).expect_err("all rows").exit_code(), 2);
}

#[test]
fn a_seed_draws_the_same_split_in_every_version() {
    let options = SplitOptions { test_fraction: 0.3, valid_fraction: 0.2, seed: 1 };
    let [train, valid, test] = split_rows(10, &options).expect("a split");
    // Drawn by another program, from what `split_rows` says of itself.
    assert_eq!((train, valid, test), (vec![0, 1, 5, 6, 8], vec![2, 3], vec![4, 7, 9]));
}

#[test]
fn parts_keep_the_order_of_the_file() {
    let table = "1,1\n2,2\n3,1\n4,2\n5,1\n";
    let pairs = "1 1:1\n2 2:2 3:1\n1 1:3\n2\n1 4:5 5:5\n";
    for (name, text) in [("a.csv", table), ("a.svm", pairs)] {
        let rows = read_text(name, text).expect("rows");
        let whole = cells(&rows);
        for parts in [vec![vec![0, 2, 4], vec![], vec![3, 1]], vec![vec![4], vec![0, 1, 2, 3]]] {
            let cut = rows.clone().split(&parts);
            for (part, mut wanted) in cut.iter().zip(parts) {
                wanted.sort_unstable();
                let expected: Vec<Vec<f32>> = wanted.iter().map(|&i| whole[i].clone()).collect();
                assert_eq!(cells(part), expected);
                assert_eq!(numbers(part).len(), wanted.len());
            }
        }
    }
}

#[test]
fn standard_scaling_gives_mean_zero_and_deviation_one() {
    let rows = read_text("a.csv", "1,5,0\n2,5,1\n6,5,1\n7,5,0\n").expect("rows");
    let fitted = fit(&rows, &PreprocessOptions::default());
    let scaled = dense(&apply(&fitted, rows, &mut Notes::new()));
    let deviation = 6.5_f32.sqrt();
    for (row, expected) in scaled.iter().zip([-3.0, -2.0, 2.0, 3.0]) {
        assert!((row[0] - expected / deviation).abs() < 1e-6);
        // Row 20.
        assert_eq!(row[1], 0.0);
    }
}

#[test]
fn clipping_follows_scaling() {
    let rows = read_text("a.csv", "-9,0\n1,1\n9,1\n").expect("rows");
    let options = PreprocessOptions {
        scale: Some(Scale::None),
        clip: Some(2.5),
        ..PreprocessOptions::default()
    };
    let fitted = fit(&rows, &options);
    assert_eq!(dense(&apply(&fitted, rows, &mut Notes::new())), [[-2.5], [1.0], [2.5]]);
}

#[test]
fn missing_cells_are_filled_with_one_warning_or_refused() {
    // Row 4.
    let text = "1,10,0\n,20,1\n3,NA,0\n?,null,1\nnan,30,0\nNaN,40,1\n";
    let mut options =
        PreprocessOptions { scale: Some(Scale::None), ..PreprocessOptions::default() };
    let rows = read_text("a.csv", text).expect("rows");
    let mut notes = Notes::new();
    let filled = apply(&fit(&rows, &options), rows.clone(), &mut notes);
    let expected = [[1.0, 10.0], [2.0, 20.0], [3.0, 25.0], [2.0, 25.0], [2.0, 30.0], [2.0, 40.0]];
    assert_eq!(dense(&filled), expected);
    let said: Vec<String> = notes.iter().map(|note| note.to_string()).collect();
    assert!(said.len() == 1 && said[0].starts_with("6 missing cells"), "{said:?}");
    let words = "1,0\nN/A,1\nn/a,0\nNone,1\nNULL,0\n<NA>,1\n#N/A,1\n";
    let other = apply(
        &fit(&read_text("a.csv", words).expect("rows"), &options),
        read_text("a.csv", words).expect("rows"),
        &mut Notes::new(),
    );
    assert_eq!(dense(&other), [[1.0]; 7]);
    options.missing = Missing::Zero;
    let filled = dense(&apply(&fit(&rows, &options), rows.clone(), &mut notes));
    assert_eq!(filled[1], [0.0, 20.0]);
    options.missing = Missing::Error;
    let refused = Preprocess::fit(&rows, &options, Path::new("a.csv"), &mut notes);
    assert_data_error(refused, &["a.csv:2:1", "6 missing", "--missing"]);
}

#[test]
fn categories_become_features_in_order_with_one_for_the_unseen() {
    // Row 19.
    let mut bench = Bench::new();
    let text = "c,n,label\nred,10,0\nblue,9,1\n,x,0\nred,9,1\n";
    let rows = bench.read("a.csv", text).expect("rows");
    let options = PreprocessOptions { scale: Some(Scale::None), ..PreprocessOptions::default() };
    let fitted = fit(&rows, &options);
    let names: Vec<String> = (0..fitted.n_features()).map(|j| fitted.feature_name(j)).collect();
    let expected =
        ["c=blue", "c=red", "c=<missing>", "c=<unseen>", "n=10", "n=9", "n=x", "n=<unseen>"];
    assert_eq!(names, expected);
    assert_eq!(fitted.never_seen(), [3, 7]);
    let encoded = dense(&apply(&fitted, rows, &mut Notes::new()));
    assert_eq!(encoded[2], [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0]);
    let path = bench.file("b.csv", "n,c\n9,green\n11,\n");
    let schema = fitted.schema().clone();
    let later =
        llfm::data::read_with_schema(&path, &bench.options, &schema, false, &mut bench.notes);
    let encoded = dense(&apply(&fitted, later.expect("rows"), &mut bench.notes));
    assert_eq!(encoded[0], [0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
    assert_eq!(encoded[1], [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
    assert!(bench.noted("1 row of test with a `c` unseen in training"));
}

#[test]
fn levels_of_the_training_rows_alone_count() {
    let text: String = (0..40).map(|i| format!("{i}\t{}\t{}\n", i % 7, i % 5 + 1)).collect();
    let rows = read_text("u.data", text).expect("rows");
    let train: Vec<usize> = (0..30).collect();
    let mut parts = rows.split(&[train, (30..40).collect()]);
    let (test, train) = (parts.remove(1), parts.remove(0));
    let fitted = fit(&train, &PreprocessOptions::default());
    assert_eq!(fitted.n_features(), 30 + 1 + 7 + 1);
    assert!(fitted.is_sparse());
    assert_eq!(fitted.scale(), Scale::Maxabs);
    assert_eq!(fitted.feature_name(9), "user=9");
    let mut notes = Notes::new();
    let Features::Sparse(encoded) = apply(&fitted, test, &mut notes) else { panic!("dense") };
    // The feature of the unseen user never was anything but zero, and stays so.
    assert_eq!(encoded.n_rows(), 10);
    assert!(encoded.values.iter().all(|&value| value == 1.0));
    assert_eq!(encoded.values.len(), 10);
    assert!(notes.iter().any(|note| note.to_string().starts_with("10 rows")));
}

#[test]
fn an_empty_row_stays_finite() {
    // Row 21.
    let rows = read_text("a.svm", "1 1:1 2:2\n0\n1 1:3\n").expect("rows");
    let fitted = fit(&rows, &PreprocessOptions::default());
    let scaled = dense(&apply(&fitted, rows, &mut Notes::new()));
    assert!(scaled.iter().flatten().all(|value| value.is_finite()));
}

#[test]
fn standard_scaling_of_sparse_rows_needs_the_memory_for_it() {
    let rows = read_text("a.svm", "1 1:1 1000:2\n0 500:1\n").expect("rows");
    let mut options =
        PreprocessOptions { scale: Some(Scale::Standard), ..PreprocessOptions::default() };
    assert!(!fit(&rows, &options).is_sparse());
    options.max_memory = 15_999;
    let refused = Preprocess::fit(&rows, &options, Path::new("a.svm"), &mut Notes::new());
    assert_data_error(refused, &["--max-memory"]);
    options.max_memory = 50_000;
    let wide = read_text("a.svm", "1 1:1 1000:2\n0 500:1\n0 3:1\n1 4:1\n0 5:1\n0 6:1\n1 7:1\n")
        .expect("rows");
    let refused = Preprocess::fit(&wide, &options, Path::new("a.svm"), &mut Notes::new());
    assert_data_error(refused, &["0.0 MB", "--scale maxabs"]);
}

#[test]
fn a_stored_preprocessing_gives_the_same_features() {
    let text = "c,x,label\nred,1.7,0\nblue,-0.3,1\nred,,0\n";
    let rows = read_text("a.csv", text).expect("rows");
    let fitted = fit(&rows, &PreprocessOptions::default());
    let text = serde_json::to_string(&fitted).expect("json");
    let stored: Preprocess = serde_json::from_str(&text).expect("stored");
    let mut notes = Notes::new();
    assert_eq!(apply(&stored, rows.clone(), &mut notes), apply(&fitted, rows, &mut notes));
}
