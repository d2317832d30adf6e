//! libsvm and libffm.

use llfm::data::Schema;

use crate::{Bench, assert_data_error, cells, numbers, read_text};

#[test]
fn pairs_comments_and_query_numbers_are_read() {
    let text = "\u{feff}+1 qid:3 1:0.5 3:-2 # note\r\n\n# all comment\n-1 2:1e-1  \n2.5";
    let rows = read_text("a.svm", text).expect("rows");
    assert_eq!(cells(&rows), [[0.5, 0.0, -2.0], [0.0, 0.1, 0.0], [0.0; 3]]);
    assert_eq!(numbers(&rows), [1.0, -1.0, 2.5]);
}

#[test]
fn the_field_of_libffm_is_ignored() {
    let rows = read_text("a.ffm", "1 7:1:0.5 2:3:-2\n0 1:2:1\n").expect("rows");
    assert_eq!(cells(&rows), [[0.5, 0.0, -2.0], [0.0, 1.0, 0.0]]);
}

#[test]
fn indices_out_of_order_are_sorted_with_one_warning() {
    // Row 8.
    let mut bench = Bench::new();
    let rows = bench.read("a.svm", "1 3:3 1:1 2:0\n0 2:2 1:1\n").expect("rows");
    assert_eq!(cells(&rows), [[1.0, 0.0, 3.0], [1.0, 2.0, 0.0]]);
    assert!(bench.noted("out of order"));
    assert_eq!(bench.notes.iter().count(), 1);
}

#[test]
fn the_index_base_is_stated_or_guessed_and_kept() {
    // Row 9.
    let mut bench = Bench::new();
    let zero = bench.read("a.svm", "1 0:1 2:3\n0 1:1\n").expect("rows");
    assert_eq!(zero.schema, Schema::Sparse { n_features: 3, index_base: 0, hash_bits: None });
    let one = bench.read("a.svm", "1 1:1 2:3\n0 1:1\n").expect("rows");
    assert_eq!(one.schema, Schema::Sparse { n_features: 2, index_base: 1, hash_bits: None });
    let later = bench.follow(&zero, "b.svm", "1 1:5\n", true).expect("rows");
    assert_eq!(cells(&later), [[0.0, 5.0, 0.0]]);
    assert_data_error(bench.follow(&one, "b.svm", "1 0:5\n", true), &["index 0", "--index-base"]);
    bench.options.index_base = Some(0);
    let rows = bench.read("a.svm", "1 1:1 2:3\n").expect("rows");
    assert_eq!(rows.n_columns(), 3);
}

#[test]
fn the_largest_index_takes_no_memory() {
    assert_eq!(read_text("a.svm", "1 2147483648:1\n").expect("rows").n_columns(), 1 << 31);
}

#[test]
fn features_the_model_does_not_know_are_ignored_and_counted() {
    // Row 31.
    let mut bench = Bench::new();
    let train = bench.read("a.svm", "1 1:1 2:3\n0 1:1\n").expect("rows");
    let rows = bench.follow(&train, "b.svm", "1 1:1 5:3 9:1\n0 3:1\n", true).expect("rows");
    assert_eq!(cells(&rows), [[1.0, 0.0], [0.0, 0.0]]);
    assert!(bench.noted("3 values of features unknown"));
}

#[test]
fn a_line_may_lack_its_label_only_when_predicting() {
    // Row 16.
    let mut bench = Bench::new();
    let train = bench.read("a.svm", "1 1:1 2:3\n0 1:1\n").expect("rows");
    let rows = bench.follow(&train, "b.svm", "1:1\n0 2:4\n", false).expect("rows");
    assert_eq!(cells(&rows), [[1.0, 0.0], [0.0, 4.0]]);
    assert_data_error(bench.follow(&train, "b.svm", "1:1\n", true), &["b.svm:1", "label"]);
}

#[test]
fn millions_of_columns_work() {
    let text = "1 1:1 5000000:2\n0 7:1\n1 8:1 9:1\n";
    let rows = read_text("a.svm", text).expect("rows");
    let (features, _) = crate::prepare(rows);
    assert_eq!((features.n_cols(), features.n_stored()), (5_000_000, 5));
}
