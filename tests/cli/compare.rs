//! `llfm compare`: the GPU beside the CPU.

use serde_json::Value;

use crate::bench::{Bench, Done, clouds, curve, rings};
use crate::gpu::gpu_or_skip;

/// As `rings`, with words that make the rows sparse.
fn words(rows: usize) -> String {
    let lines = rings(rows, 1);
    let with_words = lines.lines().enumerate().map(|(i, line)| {
        let (first, second) = (10 + i * 7 % 150, 160 + i * 11 % 180);
        format!("{} {first}:1 {second}:1\n", line.trim_end())
    });
    with_words.collect()
}

fn events(done: &Done, event: &str) -> Vec<Value> {
    done.json_lines().into_iter().filter(|line| line["event"] == event).collect()
}

#[test]
fn every_method_agrees_on_dense_and_on_sparse_rows() {
    if gpu_or_skip().is_none() {
        return;
    }
    let bench = Bench::new();
    bench.write("dense.csv", &clouds(200, 1));
    bench.write("sparse.svm", &words(200));
    for (data, kernel) in [("dense.csv", "fm_score"), ("sparse.svm", "fm_score_csr")] {
        let line = format!("compare {data} --test-fraction 0.3 --epochs 2 --json");
        let done = bench.line(&line).succeeds();
        let lines = done.json_lines();
        assert_eq!(lines[0]["event"], "start");
        let kernels = events(&done, "kernel");
        for row in &kernels {
            for key in ["name", "shape", "method"] {
                assert!(row[key].is_string(), "{row}");
            }
            assert!(row["max_error"].as_f64() <= row["tolerance"].as_f64(), "{row}");
            assert_eq!(row["pass"], true, "{row}");
        }
        for method in ["fm", "llfm-do", "llfm-apl", "llfm-jo"] {
            let is = |row: &&Value| row["method"] == method && row["name"] == kernel;
            assert_eq!(kernels.iter().filter(is).count(), 1, "{method}");
            let steps = events(&done, "steps");
            assert!(steps.iter().any(|row| row["method"] == method && row["name"] == "factors"));
        }
        let run = &events(&done, "run")[0];
        assert_eq!((&run["method"], &run["part"]), (&"llfm-jo".into(), &"test".into()));
        assert!(run["cpu"].is_f64() && run["gpu"].is_f64(), "{run}");
        let result = done.result();
        assert_eq!((&result["event"], &result["command"]), (&"result".into(), &"compare".into()));
        assert_eq!((&result["pass"], &result["device"]), (&true.into(), &"gpu".into()));
        assert!(result["adapter"].is_string(), "{result}");
    }
}

#[test]
fn one_method_is_compared_where_one_is_named() {
    if gpu_or_skip().is_none() {
        return;
    }
    let bench = Bench::new();
    bench.write("value.csv", &curve(150, 1));
    let done = bench
        .line("compare value.csv --method llfm-apl --optimizer sgd --epochs 2 --learning-rate 0.02")
        .succeeds();
    for word in
        ["llfm-apl", "anchor_update", "after 20 steps", "RMSE on 150 training rows", "agree"]
    {
        assert!(done.out.contains(word), "`{word}` is not in: {}", done.out);
    }
    assert!(!done.out.contains("llfm-do"), "{}", done.out);
}

#[test]
fn rows_are_generated_where_none_are_given() {
    if gpu_or_skip().is_none() {
        return;
    }
    let bench = Bench::new();
    let done = bench.line("compare --epochs 2 --method llfm-jo").succeeds();
    for word in ["7 dense features", "sparse features", "head_update", "fm_update_csr"] {
        assert!(done.out.contains(word), "`{word}` is not in: {}", done.out);
    }
    let done = bench.line("compare --epochs 1 --method fm --quiet").succeeds();
    // Drivers may have something to say.
    assert!(done.out.is_empty() && !done.err.contains("llfm: "), "{}{}", done.out, done.err);
    bench.line("compare --test-fraction 0.2").fails(2, &["--test", "needs DATA"]);
    bench.line("compare --device cpu").fails(2, &["--device"]);
}

#[test]
fn flags_about_data_are_refused_where_rows_are_generated() {
    let bench = Bench::new();
    for flag in [
        "--missing zero",
        "--index-base 1",
        "--header no",
        "--split-seed 3",
        "--cache",
        "--valid-fraction 0.2",
    ] {
        let name = flag.split(' ').next().unwrap_or_default();
        bench.line(&format!("compare {flag}")).fails(2, &[name, "needs DATA"]);
    }
}

#[test]
fn settings_that_suit_one_method_leave_the_others_out() {
    if gpu_or_skip().is_none() {
        return;
    }
    let bench = Bench::new();
    bench.write("data.csv", &clouds(120, 1));
    bench.write("settings.toml", "anchors = 4\nepochs = 1\n");
    let done = bench.line("compare data.csv --config settings.toml").succeeds();
    assert!(done.err.contains("fm is left out"), "{}", done.err);
    assert!(done.out.contains("m 4"), "{}", done.out);
}
