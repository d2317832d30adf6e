//! `llfm train --init-model`: training that goes on from a model.

use crate::bench::{Bench, clouds, curve, rings};
use crate::explain::benches;
use crate::gpu::gpu_or_skip;

/// No parameter moves.
const STILL: &str = "--learning-rate 1e-30 --anchor-rate 0 --l2 0 --epochs 1";

#[test]
fn a_model_that_goes_on_without_moving_predicts_as_before() {
    for (bench, data) in benches() {
        let line = format!("train {data} --init-model m.llfm --model n.llfm {STILL}");
        bench.line(&line).succeeds();
        let [before, after] = ["m.llfm", "n.llfm"]
            .map(|model| bench.line(&format!("predict {model} {data} --raw")).succeeds().out);
        assert_eq!(before, after);
    }
}

#[test]
fn columns_scales_and_classes_are_the_models_whatever_the_new_rows_are() {
    let bench = Bench::with_model();
    // Two of the three classes, elsewhere, with the columns in another order.
    let mut moved = String::from("animal,north,east\n");
    for line in clouds(90, 5).lines().skip(1).filter(|line| !line.ends_with("bird")) {
        let cells: Vec<&str> = line.split(',').collect();
        moved += &format!("{},{}5,1{}\n", cells[2], cells[1], cells[0].trim_start_matches('-'));
    }
    bench.write("moved.csv", &moved);
    let line = format!("train moved.csv --init-model m.llfm --model n.llfm {STILL}");
    bench.line(&line).succeeds();
    let [before, after] = ["m.llfm", "n.llfm"]
        .map(|model| bench.line(&format!("predict {model} test.csv --proba")).succeeds().out);
    assert_eq!(before, after);
    let page = bench.line("inspect n.llfm --json").succeeds().result();
    assert_eq!(page["classes"], serde_json::json!(["bird", "cat", "dog"]));
    assert_eq!(page["summary"]["rows"], 60);
}

#[test]
fn training_goes_on_where_the_model_is() {
    for (name, text) in
        [("data.svm", rings(400, 1)), ("data.csv", curve(400, 1)), ("data.csv", clouds(300, 1))]
    {
        let bench = Bench::new();
        bench.write(name, &text);
        let line = format!("train {name} --ensemble 2 --anchors 8 --json");
        let first = bench.line(&format!("{line} --epochs 12 --model m.llfm")).succeeds();
        let more = bench.line(&format!("{line} --epochs 2 --init-model m.llfm --model n.llfm"));
        let more = more.succeeds();
        let losses = |done: &crate::bench::Done| -> Vec<f64> {
            let epochs = done.json_lines();
            epochs.iter().filter_map(|epoch| epoch["train_loss"].as_f64()).collect()
        };
        let (first, more) = (losses(&first), losses(&more));
        assert_eq!((first.len(), more.len()), (24, 4));
        // Both members begin far below where they began before.
        for member in 0..2 {
            let (begin, end) = (first[12 * member], first[12 * member + 11]);
            let again = more[2 * member];
            assert!(again - end < 0.5 * (begin - end), "{again} after {begin} to {end}");
        }
        let page = bench.line("inspect n.llfm --json").succeeds().result();
        assert_eq!((&page["members"], &page["settings"]["epochs"]), (&2.into(), &2.into()));
    }
}

#[test]
fn a_class_the_model_does_not_have_is_named() {
    let bench = Bench::with_model();
    bench.write("new.csv", "east,north,animal\n2,0,cat\n2,0,fish\n1,1,newt\n");
    let words = ["new.csv", "2 rows", "fish, newt", "bird, cat, dog"];
    bench.line("train new.csv --init-model m.llfm").fails(3, &words);
    bench.write("some.csv", "east,north,animal\n2,0,cat\n2,0,dog\n");
    let done = bench.line("train some.csv --init-model m.llfm --valid new.csv --epochs 1");
    assert!(done.succeeds().err.contains("fish"), "elsewhere a new class is only wrong");
}

#[test]
fn flags_that_contradict_the_model_are_refused_with_both_values() {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(90, 1));
    let made =
        "--method llfm-apl --anchors 7 --factors 3 --neighbors 4 --ensemble 2 --learn anchors";
    bench.line(&format!("train data.csv --epochs 1 --model m.llfm {made}")).succeeds();
    let cases = [
        ("--method llfm-jo", "llfm-apl"),
        ("--task binary", "multiclass"),
        ("--loss ovr", "softmax"),
        ("--coding adaptive", "soft"),
        ("--learn none", "anchors"),
        ("--distance euclidean", "sqeuclidean"),
        ("--anchors 8", "7"),
        ("--factors 4", "3"),
        ("--neighbors 5", "4"),
        ("--ensemble 3", "2"),
    ];
    for (flag, kept) in cases {
        let kept = format!("has {kept}:");
        let line = format!("train absent.csv --init-model m.llfm {flag}");
        bench.line(&line).fails(2, &[flag, "--init-model", &kept]);
    }
    // The same values may be given, and what belongs to training may differ.
    let line =
        "train data.csv --init-model m.llfm --epochs 1 --optimizer sgd --batch-size 16 --seed 3";
    bench.line(&format!("{line} {made} --coding soft --loss softmax")).succeeds();
}

#[test]
fn what_only_matters_at_a_start_from_nothing_is_refused() {
    let bench = Bench::with_model();
    let idle = ["--lipschitz 2", "--bandwidth 2", "--target-active 3", "--init-scale 0.1"];
    let kept = ["--scale none", "--clip 2", "--missing error", "--positive cat", "--index-base 0"];
    for (flags, word) in [(&idle[..], "no meaning"), (&kept[..], "cannot be used with")] {
        for flag in flags {
            let name = flag.split(' ').next().unwrap_or_default();
            let line = format!("train absent.csv --init-model m.llfm {flag}");
            bench.line(&line).fails(2, &[name, "--init-model", word]);
        }
    }
    let line = "train train.csv --init-model m.llfm --model m.llfm --force";
    bench.line(line).fails(2, &["is the input"]);
    bench.line("train train.csv --init-model absent.llfm").fails(6, &["absent.llfm"]);
    bench.line("train train.csv --init-model train.csv").fails(4, &["train.csv"]);
    bench.write("data.svm", &rings(90, 1));
    bench.line("train data.svm --init-model m.llfm").fails(3, &["data.svm"]);
}

#[test]
fn a_gpu_goes_on_from_every_parameter_of_the_model() {
    if gpu_or_skip().is_none() {
        return;
    }
    for (bench, data) in benches() {
        let line = format!("train {data} --init-model m.llfm --model n.llfm {STILL}");
        bench.line(&format!("{line} --device gpu")).succeeds();
        let [before, after] = ["m.llfm", "n.llfm"]
            .map(|model| bench.line(&format!("inspect {model} --text")).succeeds().out);
        assert_eq!(before, after);
    }
}

#[test]
fn classes_weigh_also_in_training_that_goes_on() {
    let bench = Bench::with_model();
    // One class in six: balanced, its rows weigh more.
    let rare = |(i, line): (usize, &str)| i == 0 || !line.ends_with("cat") || i % 6 == 1;
    let text = clouds(180, 3);
    let rows: Vec<&str> =
        text.lines().enumerate().filter(|row| rare(*row)).map(|row| row.1).collect();
    bench.write("rare.csv", &rows.join("\n"));
    let line = "train rare.csv --init-model m.llfm --epochs 1 --json --class-weight";
    let [plain, balanced] = ["none", "balanced"]
        .map(|kind| bench.line(&format!("{line} {kind}")).succeeds().result()["train"].clone());
    assert_ne!(plain, balanced);
}

#[test]
fn rows_weigh_as_in_the_training_that_is_gone_on_from() {
    let bench = Bench::new();
    let weighed = |seed: u64, weight: fn(&str) -> u8| {
        let text = clouds(240, seed);
        let cells = text.lines().enumerate().map(|(i, line)| match i {
            0 => format!("w,{line}\n"),
            _ => format!("{},{line}\n", weight(line)),
        });
        cells.collect::<String>()
    };
    bench.write("ones.csv", &weighed(1, |_| 1));
    bench.write("train.csv", &weighed(1, |line| u8::from(!line.ends_with("bird"))));
    bench.write("plain.csv", &clouds(240, 1));
    let unnamed = |name: &str| {
        let text = String::from_utf8(bench.read(name)).expect("text");
        text.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>()
    };
    bench.write("ones.txt", &unnamed("ones.csv"));
    bench.write("train.txt", &unnamed("train.csv"));
    for (kind, weights) in [("csv", "w"), ("txt", "1")] {
        let made = format!("train ones.{kind} --format csv --weights {weights} --epochs 2");
        bench.line(&format!("{made} --model m.llfm --force")).succeeds();
        let loss = |data: &str| {
            let line = format!("train {data} --format csv --init-model m.llfm --epochs 2 --json");
            bench.line(&line).succeeds().json_lines()[1]["train_loss"].clone()
        };
        let (ones, none) = (loss(&format!("ones.{kind}")), loss(&format!("train.{kind}")));
        assert!(ones.is_f64() && none.is_f64() && ones != none, "{ones} {none}");
    }
    bench.line("train ones.csv --weights w --epochs 2 --model m.llfm --force").succeeds();
    bench.line("train plain.csv --init-model m.llfm").fails(3, &["plain.csv", "`w`", "weights"]);
    bench.line("train ones.csv --init-model m.llfm --valid plain.csv --epochs 1").succeeds();
    bench.line("predict m.llfm plain.csv").succeeds();
    bench.write("rows.svm", &rings(90, 1));
    bench.line("train rows.svm --init-model m.llfm").fails(3, &["rows.svm", "weigh"]);
}

#[test]
fn the_start_is_kept_where_no_new_epoch_is_better() {
    let bench = Bench::with_model();
    let line = "train train.csv --init-model m.llfm --valid test.csv --epochs 2 --model n.llfm";
    // Steps so long that they only lead away.
    bench.line(&format!("{line} --learning-rate 3 --schedule constant")).succeeds();
    let [before, after] = ["m.llfm", "n.llfm"]
        .map(|model| bench.line(&format!("predict {model} test.csv --proba")).succeeds().out);
    assert_eq!(before, after);
    let page = bench.line("inspect n.llfm --json").succeeds().result();
    assert_eq!(page["summary"]["best_epochs"], serde_json::json!([0]));
}
