//! Rows 4 to 6, 15 to 22 and 26: values, labels, classes and columns.

use std::fmt::Write;

use crate::bench::{Bench, clouds, curve};
use crate::{numbers, refused, trained};

#[test]
fn fault_04_missing_and_infinite_values() {
    let text = "a,b,label\n1,10,0\n,20,1\n3,NA,0\n?,null,1\nnan,30,0\nNaN,40,1\n";
    let bench = Bench::new();
    bench.write("a.csv", text);
    // A row of means predicts as one of missing cells does, also later.
    for (flags, filled) in [("", "2,25\n"), ("--missing zero", "0,0\n")] {
        let line = format!("train a.csv --epochs 2 --model m.llfm --force {flags}");
        let done = bench.line(&line).succeeds();
        assert_eq!(done.err.matches("6 missing cells").count(), 1, "{}", done.err);
        bench.write("gaps.csv", &format!("a,b\n,\n{filled}"));
        let done = bench.line("predict m.llfm gaps.csv --raw").succeeds();
        let scores = numbers(&done.out);
        assert!(scores[0] == scores[1] && done.err.contains("2 missing cells"), "{}", done.err);
    }
    bench.line("train a.csv --missing error").fails(3, &["a.csv:3:1", "6 missing", "--missing"]);
    for bad in ["inf", "-Infinity"] {
        let table = format!("1,2,0\n{bad},2,1\n");
        let pairs = format!("1 1:1\n0 1:1 2:{bad}\n");
        refused(&[
            ("a.csv", &table, &["a.csv:2:1", "expected a finite number", bad]),
            ("a.svm", &pairs, &["a.svm:2:", "finite", bad]),
        ]);
    }
    refused(&[("a.svm", "1 1:1\n0 1:1 2:nan\n", &["a.svm:2:7", "2:nan"])]);
}

#[test]
fn fault_05_a_label_that_is_no_number_in_a_regression() {
    for word in ["", "nan", "?", "NA"] {
        let text = format!("1,2\n1,{word}\n");
        refused(&[("a.csv", &text, &["a.csv:2:3", "the label is missing"])]);
    }
    refused(&[
        ("a.csv", "1,2\n1,inf\n", &["a.csv:2:3", "finite"]),
        ("a.svm", "1.5 1:1\nnan 1:1\n", &["a.svm:2:1", "the label is missing"]),
    ]);
    let bench = Bench::new();
    bench.write("a.csv", "1,1.5\n2,2.5\n3,x\n");
    bench.line("train a.csv --task regression").fails(3, &["a.csv:3", "`x`", "regression"]);
    bench.write("b.csv", "1,1.5\n2,1e39\n");
    bench.line("train b.csv --task regression").fails(3, &["b.csv", "single precision"]);
    let rows = (0..300).map(|i| format!("{i},{}\n", if i == 150 { "oops" } else { "1.5" }));
    let rows: String =
        rows.enumerate().map(|(i, row)| row.replace("1.5", &format!("{i}.5"))).collect();
    bench.write("c.csv", &rows);
    bench.line("train c.csv").fails(3, &["c.csv:151", "`oops`", "--task"]);
}

#[test]
fn fault_06_a_value_beyond_single_precision() {
    for bad in ["1e39", "-1e39", "1e400"] {
        let table = format!("1,2,0\n{bad},2,1\n");
        let pairs = format!("1 1:1\n0 1:{bad}\n");
        refused(&[
            ("a.csv", &table, &["a.csv:2:1", "single precision (up to 3.4e38)", bad]),
            ("a.svm", &pairs, &["a.svm:2:5", "single precision (up to 3.4e38)", bad]),
        ]);
    }
}

#[test]
fn fault_15_columns_in_another_order() {
    let bench = Bench::with_model();
    let expected = bench.line("predict m.llfm test.csv --raw").succeeds().out;
    let mut swapped = String::from("north,animal,east\n");
    for line in clouds(90, 2).lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let _ = writeln!(swapped, "{},{},{}", cells[1], cells[2], cells[0]);
    }
    bench.write("swapped.csv", &swapped);
    assert_eq!(bench.line("predict m.llfm swapped.csv --raw").succeeds().out, expected);
    bench.write("other.csv", "east,south\n1,2\n");
    bench.line("predict m.llfm other.csv").fails(3, &["other.csv", "missing", "`north`"]);
}

#[test]
fn fault_16_no_label_at_predict_time() {
    let bench = Bench::with_model();
    let expected = bench.line("predict m.llfm test.csv").succeeds().out;
    let cut = |line: &str| format!("{}\n", line.rsplit_once(',').expect("cells").0);
    bench.write("bare.csv", &clouds(90, 2).lines().map(cut).collect::<String>());
    assert_eq!(bench.line("predict m.llfm bare.csv").succeeds().out, expected);
    bench.line("evaluate m.llfm bare.csv").fails(3, &["bare.csv", "no labels"]);
    let (sparse, _) = trained("a.svm", "1 1:1 2:3\n0 1:1\n", "");
    sparse.write("bare.svm", "1:1\n0 2:4\n");
    let lines = sparse.line("predict m.llfm bare.svm").succeeds().out;
    assert_eq!(lines.lines().count(), 2);
    sparse.line("evaluate m.llfm bare.svm").fails(3, &["bare.svm:1", "label"]);
}

#[test]
fn fault_17_a_class_that_training_never_saw() {
    let bench = Bench::with_model();
    bench.write("new.csv", "east,north,animal\n2,0,cat\n2,0,fish\n2,0,emu\n");
    let done = bench.line("evaluate m.llfm new.csv --json").succeeds();
    assert_eq!(done.result()["test"]["accuracy"], 1.0 / 3.0);
    assert!(done.err.contains("2 rows of new.csv with labels"), "{}", done.err);
    assert!(done.err.contains("emu, fish"), "{}", done.err);
    let done = bench.line("predict m.llfm new.csv").succeeds();
    assert_eq!((done.out.lines().count(), done.err.as_str()), (3, ""));
    bench.write("none.csv", "east,north,animal\n2,0,fish\n");
    let done = bench.line("evaluate m.llfm none.csv --json").succeeds();
    assert_eq!(done.result()["test"]["accuracy"], 0.0);
}

#[test]
fn fault_18_one_class_or_fewer_rows_than_folds() {
    refused(&[
        ("a.csv", "1,1\n2,1\n", &["a.csv", "a single one", "`1`"]),
        ("a.svm", "a 1:1\na 1:2\n", &["a.svm", "a single one", "`a`"]),
    ]);
    let bench = Bench::new();
    bench.write("a.csv", &clouds(4, 1));
    bench.line("cv a.csv --folds 5").fails(3, &["a.csv", "5 folds", "found 4", "--folds"]);
    bench.line("train a.csv --test-fraction 0.9").fails(2, &["4 rows", "a part without rows"]);
}

#[test]
fn fault_19_an_unseen_category_user_or_item() {
    let (bench, _) = trained("a.csv", "town,x,label\nRom,1,0\nUlm,2,1\nRom,3,1\n", "");
    bench.write("b.csv", "town,x\nOslo,1\nRom,2\nBern,1\n");
    let done = bench.line("predict m.llfm b.csv --raw").succeeds();
    let told = "2 rows of b.csv with a `town` unseen in training";
    assert_eq!(done.err.matches(told).count(), 1, "{}", done.err);
    let scores = numbers(&done.out);
    assert_eq!(scores[0], scores[2], "unseen ones have one feature");
    let ratings: String = (0..60).map(|i| format!("{}\t{}\t{}\n", i % 7, i % 9, i % 5)).collect();
    let (bench, _) = trained("u.data", &ratings, "");
    bench.write("u1.test", "99\t3\t1\n3\t99\t1\n99\t99\t1\n");
    let done = bench.line("predict m.llfm u1.test").succeeds();
    for told in ["2 rows of u1.test with a `user` unseen", "2 rows of u1.test with a `item` unseen"]
    {
        assert!(done.err.contains(told), "{}", done.err);
    }
    assert!(numbers(&done.out).iter().all(|value| value.is_finite()));
}

#[test]
fn fault_20_a_constant_column() {
    for scale in ["", "--scale maxabs", "--scale none"] {
        let (bench, _) = trained("a.csv", "1,5,0,0\n2,5,0,1\n6,5,0,1\n7,5,0,0\n", scale);
        let out = bench.line("predict m.llfm a.csv --raw").succeeds().out;
        assert!(numbers(&out).iter().all(|score| score.is_finite()), "{out}");
    }
    // Scaled to 0 it tells nothing, whatever it is later.
    let (bench, _) = trained("a.csv", "a,b,label\n1,5,0\n2,5,1\n6,5,1\n7,5,0\n", "");
    bench.write("b.csv", "a,b\n2,5\n2,1e30\n");
    let scores = numbers(&bench.line("predict m.llfm b.csv --raw").succeeds().out);
    assert_eq!(scores[0], scores[1]);
}

#[test]
fn fault_21_a_row_of_zeros() {
    let (bench, _) = trained("a.svm", "1 1:1 2:2\n0\n1 1:3\n0 2:0\n", "");
    let (table, _) = trained("a.csv", "0,0,0\n1,2,1\n0,0,0\n3,1,1\n", "");
    for (bench, data) in [(bench, "a.svm"), (table, "a.csv")] {
        let out = bench.line(&format!("predict m.llfm {data} --raw")).succeeds().out;
        let scores = numbers(&out);
        assert!(scores.len() == 4 && scores.iter().all(|score| score.is_finite()), "{out}");
    }
}

#[test]
fn fault_22_more_anchors_than_distinct_rows() {
    let rows: String = "1,2,0\n1,2,0\n3,4,1\n5,6,1\n".repeat(20);
    for method in ["llfm-jo", "llfm-do", "llfm-apl"] {
        let (bench, done) = trained("a.csv", &rows, &format!("--method {method} --anchors 10"));
        assert!(done.err.contains("anchors"), "{}", done.err);
        let page = bench.line("inspect m.llfm --json").succeeds().result();
        assert_eq!(page["anchors"], 3, "{page}");
        let out = bench.line("predict m.llfm a.csv --raw").succeeds().out;
        assert!(numbers(&out).iter().all(|score| score.is_finite()), "{out}");
    }
}

#[test]
fn fault_26_names_of_two_classes() {
    for (pair, negative, positive) in [
        (["0", "1"], "0", "1"),
        (["1.0", "-1"], "-1", "1"),
        (["2", "1"], "1", "2"),
        (["spam", "ham"], "ham", "spam"),
    ] {
        let rows = (0..60).map(|i| format!("{},{}\n", 4 * (i % 2) + i % 3, pair[i % 2]));
        let bench = Bench::new();
        bench.write("a.csv", &rows.collect::<String>());
        bench.line("train a.csv --epochs 20 --learning-rate 0.1 --model m.llfm").succeeds();
        let page = bench.line("inspect m.llfm --json").succeeds().result();
        assert_eq!(page["classes"], serde_json::json!([negative, positive]));
        let page = bench.line("inspect m.llfm").succeeds().out;
        assert!(page.contains(negative) && page.contains(positive), "{page}");
        let result = bench.line("evaluate m.llfm a.csv --json").succeeds().result();
        assert_eq!(result["test"]["accuracy"], 1.0, "{pair:?}");
    }
    let (bench, _) = trained("a.csv", &curve(60, 1), "");
    assert_eq!(
        bench.line("inspect m.llfm --json").succeeds().result()["classes"],
        serde_json::Value::Null
    );
}
