//! `--json`: JSON Lines that programs can rely on.

use serde_json::Value;

use crate::bench::{Bench, clouds};

const RESULT: [&str; 27] = [
    "event",
    "command",
    "method",
    "task",
    "loss",
    "device",
    "adapter",
    "threads",
    "rows",
    "features",
    "nonzeros",
    "classes",
    "anchors",
    "factors",
    "epochs",
    "batch_size",
    "seed",
    "seconds",
    "rows_per_second",
    "mean_active",
    "peak_memory_bytes",
    "data_placement",
    "row_storage",
    "device_memory_bytes",
    "train",
    "valid",
    "test",
];

#[test]
fn training_prints_start_epochs_and_result_and_nothing_else() {
    let bench = Bench::new();
    bench.write("train.csv", &clouds(300, 1));
    bench.write("test.csv", &clouds(90, 2));
    let done = bench.line("train train.csv --test test.csv --epochs 3 --json").succeeds();
    let lines = done.json_lines();
    let events: Vec<&str> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
    assert_eq!(events, ["start", "epoch", "epoch", "epoch", "result"]);
    let epoch = [
        "epoch",
        "train_loss",
        "objective",
        "valid_loss",
        "test_loss",
        "mean_active",
        "dead_anchors",
        "learning_rate",
        "seconds",
    ];
    for key in epoch {
        assert!(lines[1].get(key).is_some(), "{key}");
    }
    assert_eq!(lines[1]["valid_loss"], Value::Null);
    assert!(lines[3]["test_loss"].is_f64());
    let result = &lines[4];
    for key in RESULT {
        assert!(result.get(key).is_some(), "{key}");
    }
    for key in ["load", "seed", "train", "evaluate"] {
        assert!(result["seconds"][key].is_f64(), "{key}");
    }
    assert_eq!(result["valid"], Value::Null);
    for key in ["loss", "log_loss", "accuracy", "macro_f1"] {
        assert!(result["test"][key].is_f64(), "{key}");
    }
    assert_eq!((&result["rows"], &result["nonzeros"]), (&Value::from(300), &Value::from(600)));
    let rate = 300.0 * 3.0 / result["seconds"]["train"].as_f64().expect("seconds");
    assert!((result["rows_per_second"].as_f64().expect("a rate") / rate - 1.0).abs() < 1e-6);
    assert!(done.err.contains("epoch 1/3"), "progress stays on standard error: {}", done.err);
}

#[test]
fn evaluation_prints_the_same_object() {
    let bench = Bench::with_model();
    let result = bench.line("evaluate m.llfm test.csv --json").succeeds().result();
    for key in RESULT {
        assert!(result.get(key).is_some(), "{key}");
    }
    assert_eq!((&result["command"], &result["rows"]), (&"evaluate".into(), &90.into()));
    assert_eq!(result["train"], Value::Null);
}

#[test]
fn inspection_has_everything_but_the_weights() {
    let bench = Bench::with_model();
    let page = bench.line("inspect m.llfm --json").succeeds().result();
    assert_eq!(page["classes"], serde_json::json!(["bird", "cat", "dog"]));
    assert_eq!(page["feature_names"], serde_json::json!(["east", "north"]));
    assert_eq!(page["summary"]["rows"], 300);
    let shares: f64 = page["summary"]["anchor_share"]
        .as_array()
        .map_or(0.0, |shares| shares.iter().filter_map(Value::as_f64).sum());
    assert!((shares - 1.0).abs() < 1e-4, "{shares}");
}
