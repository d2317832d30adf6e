//! `llfm predict`, `evaluate` and `inspect` agree with each other and with training.

use crate::bench::{Bench, clouds, curve, rings};

fn labels(csv: &str) -> Vec<&str> {
    csv.lines().skip(1).filter_map(|line| line.rsplit(',').next()).collect()
}

#[test]
fn words_come_back_as_words_and_their_accuracy_is_the_evaluated_one() {
    let bench = Bench::with_model();
    let out = bench.line("predict m.llfm test.csv").succeeds().out;
    let test = clouds(90, 2);
    let actual = labels(&test);
    assert_eq!(out.lines().count(), actual.len());
    let right = out.lines().zip(&actual).filter(|(a, b)| a == *b).count();
    let result = bench.line("evaluate m.llfm test.csv --json").succeeds().result();
    assert_eq!(result["test"]["accuracy"], right as f64 / 90.0);
}

#[test]
fn training_evaluation_and_inspection_report_the_same_metrics() {
    let bench = Bench::new();
    bench.write("train.csv", &clouds(300, 1));
    bench.write("test.csv", &clouds(90, 2));
    let trained = bench
        .line("train train.csv --test test.csv --epochs 3 --model m.llfm --json")
        .succeeds()
        .result();
    let evaluated = bench.line("evaluate m.llfm test.csv --json").succeeds().result();
    let inspected = bench.line("inspect m.llfm --json").succeeds().result();
    assert_eq!(trained["test"], evaluated["test"]);
    assert_eq!(trained["test"], inspected["summary"]["metrics"]["test"]);
}

#[test]
fn probabilities_are_a_column_a_class_and_sum_to_one() {
    let bench = Bench::with_model();
    let classes = bench.line("predict m.llfm test.csv").succeeds().out;
    let out = bench.line("predict m.llfm test.csv --proba").succeeds().out;
    for (line, class) in out.lines().zip(classes.lines()) {
        let p: Vec<f64> = line.split(',').map(|p| p.parse().expect("a number")).collect();
        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{line}");
        let best = (0..3).max_by(|&a, &b| p[a].total_cmp(&p[b])).unwrap_or_default();
        assert_eq!(["bird", "cat", "dog"][best], class);
    }
}

#[test]
fn two_classes_have_the_probability_of_the_positive_one() {
    let bench = Bench::new();
    bench.write("data.svm", &rings(400, 1));
    bench.line("train data.svm --epochs 5 --model m.llfm").succeeds();
    let classes = bench.line("predict m.llfm data.svm").succeeds().out;
    let out = bench.line("predict m.llfm data.svm --proba").succeeds().out;
    for (p, class) in out.lines().zip(classes.lines()) {
        let p: f64 = p.parse().expect("one number");
        assert_eq!(if p > 0.5 { "1" } else { "-1" }, class);
    }
    bench.line("train data.svm --epochs 2 --loss hinge --model h.llfm").succeeds();
    bench.line("predict h.llfm data.svm --proba").fails(2, &["--proba", "hinge"]);
    bench.line("predict h.llfm data.svm").succeeds();
}

#[test]
fn rows_need_no_label_and_columns_may_change_places() {
    let bench = Bench::with_model();
    let labelled = bench.line("predict m.llfm test.csv").succeeds().out;
    let test = clouds(90, 2);
    let mut swapped = String::from("north,east\n");
    for line in test.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        swapped += &format!("{},{}\n", cells[1], cells[0]);
    }
    bench.write("swapped.csv", &swapped);
    assert_eq!(bench.line("predict m.llfm swapped.csv").succeeds().out, labelled);
    bench.line("evaluate m.llfm swapped.csv").fails(3, &["swapped.csv", "label"]);
}

#[test]
fn an_unseen_class_is_wrong_at_evaluation_and_named() {
    let bench = Bench::with_model();
    bench.write("new.csv", "east,north,animal\n2,0,cat\n2,0,fish\n");
    let done = bench.line("evaluate m.llfm new.csv --json").succeeds();
    assert_eq!(done.result()["test"]["accuracy"], 0.5);
    assert!(done.err.contains("fish"), "{}", done.err);
    bench.write("none.csv", "east,north,animal\n2,0,fish\n");
    let done = bench.line("evaluate m.llfm none.csv --json").succeeds();
    assert_eq!(done.result()["test"]["accuracy"], 0.0);
}

#[test]
fn values_go_to_a_file_that_appears_whole() {
    let bench = Bench::new();
    bench.write("data.csv", &curve(200, 1));
    bench.line("train data.csv --epochs 3 --model m.llfm").succeeds();
    let out = bench.line("predict m.llfm data.csv").succeeds().out;
    let done = bench.line("predict m.llfm data.csv --output p.txt").succeeds();
    assert_eq!(done.out, "");
    assert_eq!(bench.read("p.txt"), out.as_bytes());
    assert!(out.lines().all(|line| line.parse::<f32>().is_ok_and(f32::is_finite)));
    bench.write("bad.csv", "a,b,price\n1,2,3\n1,x,3\n");
    bench.line("predict m.llfm bad.csv --output q.txt").fails(3, &["bad.csv:3"]);
    assert_eq!(bench.names(), ["bad.csv", "data.csv", "m.llfm", "p.txt"], "no half file");
}

#[test]
fn many_chunks_predict_as_one() {
    let bench = Bench::with_model();
    bench.write("long.csv", &clouds(20_000, 3));
    bench.write("head.csv", &clouds(90, 3));
    let long = bench.line("predict m.llfm long.csv --proba").succeeds().out;
    assert_eq!(long.lines().count(), 20_000);
    assert!(long.starts_with(&bench.line("predict m.llfm head.csv --proba").succeeds().out));
}

#[test]
fn ratings_stay_within_their_scale() {
    let bench = Bench::new();
    let rate = |i: usize| if (i / 20 + i % 20).is_multiple_of(2) { 5 } else { 1 };
    let rows = (0..400).map(|i| format!("{}\t{}\t{}\n", i / 20, i % 20, rate(i)));
    bench.write("u1.base", &rows.collect::<String>());
    bench.line("train u1.base --epochs 10 --method fm --model m.llfm").succeeds();
    let out = bench.line("predict m.llfm u1.base").succeeds().out;
    let values: Vec<f32> = out.lines().map(|line| line.parse().expect("a number")).collect();
    assert_eq!(values.len(), 400);
    assert!(values.iter().all(|value| (1.0..=5.0).contains(value)), "{out}");
}

#[test]
fn rows_beyond_single_precision_are_refused_with_their_number() {
    let bench = Bench::new();
    let rows = |i: i32| format!("{},{},{}\n", i % 7, i % 5, i % 2);
    bench.write("data.csv", &(0..60).map(rows).collect::<String>());
    bench.line("train data.csv --scale none --epochs 1 --model m.llfm").succeeds();
    bench.write("far.csv", "1,2,0\n3e38,-3e38,1\n");
    for command in ["predict", "predict --raw", "evaluate"] {
        let line = format!("{command} m.llfm far.csv");
        bench.line(&line).fails(3, &["far.csv: row 2 scores", "--clip"]);
    }
    bench.line("predict m.llfm far.csv --explain").fails(3, &["far.csv: row 2 scores"]);
}
