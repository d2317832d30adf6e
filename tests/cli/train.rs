//! `llfm train`: what it learns, says and writes.

use std::io::Write;
use std::process::Stdio;

use crate::bench::{Bench, clouds, curve, rings};

#[test]
fn a_local_model_learns_what_no_plane_separates() {
    let bench = Bench::new();
    bench.write("data.svm", &rings(1500, 1));
    let result = bench.line("train data.svm --test-fraction 0.3 --json").succeeds().result();
    assert!(result["test"]["accuracy"].as_f64() > Some(0.9), "{result}");
    assert!(result["test"]["auc"].as_f64() > Some(0.95), "{result}");
}

#[test]
fn a_regression_is_measured_in_the_users_unit() {
    let bench = Bench::new();
    bench.write("data.csv", &curve(800, 1));
    let result = bench.line("train data.csv --test-fraction 0.25 --json").succeeds().result();
    assert_eq!(result["task"], "regression");
    assert_eq!(result["classes"], serde_json::Value::Null);
    assert!(result["test"]["rmse"].as_f64() < Some(2.0), "{result}");
    assert!(result["test"]["r2"].as_f64() > Some(0.9), "{result}");
}

#[test]
fn the_summary_says_what_was_decided_and_measured() {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(300, 1));
    let done = bench
        .line("train data.csv --valid-fraction 0.2 --epochs 3 --model m.llfm --plot c.svg")
        .succeeds();
    for word in ["llfm-jo", "multiclass", "240 training", "60 validation", "anchors", "cpu, "] {
        assert!(done.out.contains(word), "`{word}` is not in: {}", done.out);
    }
    for word in ["accuracy", "valid", "written to m.llfm", "written to c.svg"] {
        assert!(done.out.contains(word), "`{word}` is not in: {}", done.out);
    }
    assert_eq!(done.err.matches("\nepoch").count(), 3, "{}", done.err);
    assert_eq!(bench.names(), ["c.svg", "data.csv", "m.llfm"], "no litter");
    let svg = String::from_utf8(bench.read("c.svg")).expect("SVG is text");
    for word in ["<svg", "train", "validation", "epoch", "softmax loss"] {
        assert!(svg.contains(word), "{word}");
    }
}

#[test]
fn without_model_nothing_is_written_and_quiet_says_nothing() {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(90, 1));
    let done = bench.line("train data.csv --epochs 1 --quiet").succeeds();
    assert_eq!((done.out.as_str(), done.err.as_str()), ("", ""));
    assert_eq!(bench.names(), ["data.csv"]);
}

#[test]
fn data_comes_from_standard_input_too() {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(90, 1));
    bench.line("train data.csv --epochs 2 --model file.llfm").succeeds();
    let args = ["train", "-", "--epochs", "2", "--model", "stdin.llfm"];
    let mut child = bench.command(&args).stdin(Stdio::piped()).spawn().expect("llfm starts");
    let mut input = child.stdin.take().expect("a pipe");
    input.write_all(clouds(90, 1).as_bytes()).expect("llfm reads");
    drop(input);
    assert!(child.wait().expect("llfm ends").success());
    assert_eq!(bench.read("file.llfm"), bench.read("stdin.llfm"), "no path is in the model");
}

#[test]
fn an_ensemble_is_one_model_file() {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(150, 1));
    bench.line("train data.csv --epochs 2 --ensemble 3 --factors 4 --model e.llfm").succeeds();
    let page = bench.line("inspect e.llfm --json").succeeds().result();
    assert_eq!(page["members"], 3);
    bench.line("evaluate e.llfm data.csv").succeeds();
}

#[test]
fn every_method_and_loss_trains_and_loads() {
    let bench = Bench::new();
    bench.write("two.svm", &rings(200, 1));
    bench.write("three.csv", &clouds(150, 1));
    bench.write("value.csv", &curve(150, 1));
    let runs = [
        "two.svm --method fm",
        "two.svm --method llfm-do",
        "two.svm --method llfm-apl --neighbors 3",
        "two.svm --coding inverse --loss hinge --factors 0",
        "two.svm --positive -1 --optimizer adagrad --schedule inverse",
        "three.csv --loss ovr --task auto --distance euclidean",
        "three.csv --positive dog --l2 1e-4 --weight-decay 0.01 --ensemble 2",
        "value.csv --method fm --optimizer sgd --learning-rate 0.01 --schedule constant",
        "value.csv --learn none --valid-fraction 0.3 --patience 1",
    ];
    for run in runs {
        let data = run.split(' ').next().unwrap_or_default();
        bench.line(&format!("train {run} --epochs 3 --model m --force")).succeeds();
        bench.line(&format!("evaluate m {data}")).succeeds();
        bench.line("inspect m").succeeds();
    }
}

#[test]
fn a_validation_set_keeps_the_best_epoch_and_patience_ends_early() {
    let bench = Bench::new();
    bench.write("data.svm", &rings(300, 1));
    let line =
        "train data.svm --valid-fraction 0.3 --epochs 60 --learning-rate 0.1 --patience 2 --json";
    let done = bench.line(line).succeeds();
    let (result, lines) = (done.result(), done.json_lines());
    let epochs: Vec<f64> = lines.iter().filter_map(|line| line["valid_loss"].as_f64()).collect();
    let best = result["best_epochs"][0].as_u64().expect("an epoch") as usize;
    let least = epochs.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(epochs[best - 1], least);
    assert!((result["valid"]["loss"].as_f64().expect("a loss") - least).abs() < 1e-5);
    assert_eq!(result["stopped"], "patience");
    assert_eq!(epochs.len(), best + 2);
}

#[test]
fn the_metric_asked_for_chooses_the_epoch_and_is_shown() {
    let bench = Bench::new();
    bench.write("two.svm", &rings(300, 1));
    bench.write("many.csv", &clouds(300, 1));
    bench.write("value.csv", &curve(300, 1));
    let rate = |i: usize| if (i / 20 + i % 20).is_multiple_of(2) { 5 } else { 1 };
    let ratings = (0..400).map(|i| format!("{}\t{}\t{}\n", i / 20, i % 20, rate(i)));
    bench.write("u1.base", &ratings.collect::<String>());
    let runs = [
        ("two.svm", "auc", "auc", true),
        ("two.svm", "log-loss", "log_loss", false),
        ("two.svm --loss hinge", "accuracy", "accuracy", true),
        ("many.csv", "macro-f1", "macro_f1", true),
        ("value.csv", "mae", "mae", false),
        ("u1.base --method fm", "rmse", "rmse", false),
    ];
    for (data, metric, key, rises) in runs {
        let line = format!(
            "train {data} --valid-fraction 0.3 --epochs 8 --learning-rate 0.1 --eval-metric {metric} --json"
        );
        let done = bench.line(&line).succeeds();
        let (result, lines) = (done.result(), done.json_lines());
        assert_eq!(lines[0]["settings"]["eval_metric"], metric);
        let values: Vec<f64> = lines.iter().filter_map(|l| l["valid_metric"].as_f64()).collect();
        assert_eq!(values.len(), 8);
        let costs: Vec<f64> = values.iter().map(|v| if rises { -v } else { *v }).collect();
        let least = costs.iter().copied().fold(f64::INFINITY, f64::min);
        let first = costs.iter().position(|cost| *cost == least).expect("one is the least");
        assert_eq!(result["best_epochs"][0], first + 1, "{metric}: {values:?}");
        let measured = result["valid"][key].as_f64().expect("it applies");
        assert!((measured - values[first]).abs() < 1e-9, "{metric}: {measured} of {values:?}");
        assert!(done.err.contains(&format!("valid {metric} ")), "{}", done.err);
    }
    let done = bench.line("train many.csv --valid-fraction 0.3 --epochs 2 --eval-metric error");
    assert!(done.succeeds().out.contains("best by validation error"));
    let loss = bench.line("train many.csv --valid-fraction 0.3 --epochs 1 --json").succeeds();
    assert!(loss.json_lines()[1].get("valid_metric").is_none(), "the loss is there already");
}

#[test]
fn a_metric_of_the_wrong_task_or_of_no_rows_is_refused() {
    let bench = Bench::new();
    bench.write("many.csv", &clouds(90, 1));
    bench.write("two.svm", &rings(90, 1));
    bench.write("one.svm", "1 1:0.1 2:0.2 3:1\n1 1:0.2 2:0.1 3:1\n");
    let words = ["--eval-metric auc", "log-loss, accuracy, error, macro-f1"];
    bench.line("train many.csv --valid-fraction 0.2 --eval-metric auc").fails(2, &words);
    bench
        .line("train two.svm --valid one.svm --epochs 1 --eval-metric auc")
        .fails(2, &["--eval-metric auc", "lack a class"]);
    bench.line("train two.svm --valid one.svm --epochs 1 --eval-metric error").succeeds();
    bench.write("c.toml", "eval-metric = \"auc\"\nvalid-fraction = 0.3\nepochs = 1\n");
    let done = bench.line("train two.svm --config c.toml --json").succeeds();
    assert_eq!(done.json_lines()[0]["settings"]["eval_metric"], "auc");
}

/// Two classes that overlap, one row in ten of the second.
fn rare(rows: usize) -> String {
    let number = |i: usize, step: usize| (i * step % 997) as f64 / 498.5 - 1.0;
    let lines = (0..rows).map(|i| {
        let [x, y, hidden] = [7919, 104_729, 1_299_709].map(|step| number(i, step));
        let class = if x > 0.5 && hidden > 0.2 { "yes" } else { "no" };
        format!("{x},{y},{class}\n")
    });
    lines.collect()
}

#[test]
fn balanced_classes_predict_the_rare_one_more_often() {
    let bench = Bench::new();
    bench.write("data.csv", &rare(900));
    let found = |model: &str, flags: &str| {
        let line = format!("train data.csv --epochs 8 --model {model} {flags}");
        bench.line(&line).succeeds();
        let out = bench.line(&format!("predict {model} data.csv --quiet")).succeeds().out;
        out.lines().filter(|line| *line == "yes").count()
    };
    let plain = found("plain", "");
    let same = found("same", "--class-weight none");
    let balanced = found("balanced", "--class-weight balanced");
    assert_eq!(bench.read("plain"), bench.read("same"), "none is the default");
    assert!(same == plain && balanced > plain + 20, "{plain}, balanced {balanced}");
}

#[test]
fn values_have_no_classes_to_balance() {
    let bench = Bench::new();
    bench.write("data.csv", &curve(100, 1));
    bench
        .line("train data.csv --class-weight balanced")
        .fails(2, &["--class-weight balanced needs classes", "regression"]);
}
