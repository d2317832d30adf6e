//! What is refused before any work is done, and what helps.

use crate::bench::{Bench, clouds};

/// Every setting with values it cannot have; the first flag is the one to be named.
const BAD: [&str; 79] = [
    "--method gbm",
    "--coding hard",
    "--coding single",
    "--coding soft --method fm",
    "--learn everything",
    "--task ranking",
    "--loss cubic",
    "--loss hinge --task multiclass",
    "--loss softmax --task regression",
    "--anchors 0",
    "--anchors 65537",
    "--anchors 2.5",
    "--factors -1",
    "--factors 4097",
    "--neighbors 0",
    "--bandwidth 0 --method llfm-do",
    "--bandwidth wide --method llfm-do",
    "--bandwidth 1",
    "--lipschitz -2",
    "--lipschitz nan",
    "--target-active 0.5",
    "--distance manhattan",
    "--optimizer lbfgs",
    "--learning-rate 0",
    "--learning-rate inf",
    "--anchor-rate -1",
    "--schedule linear",
    "--t0 0",
    "--batch-size 0",
    "--batch-size 16777217",
    "--epochs 0",
    "--epochs 1000001",
    "--epochs many",
    "--patience 0 --valid-fraction 0.1",
    "--patience 3",
    "--eval-metric gini --valid-fraction 0.1",
    "--eval-metric auc",
    "--eval-metric auc --task multiclass --valid-fraction 0.1",
    "--eval-metric rmse --loss hinge --valid-fraction 0.1",
    "--eval-metric log-loss --loss hinge --valid-fraction 0.1",
    "--eval-metric accuracy --task regression --valid-fraction 0.1",
    "--anchors 2 --method fm",
    "--bandwidth 1 --lipschitz 1 --method llfm-do",
    "--learn none,anchors",
    "--l2 -0.1",
    "--l2 nan",
    "--label-smoothing 1",
    "--anchor-dropout 1",
    "--anchor-dropout -0.1",
    "--anchor-dropout nan",
    "--anchor-dropout 0.1 --method fm",
    "--weight-decay -1",
    "--init-scale -1",
    "--seed -1",
    "--ensemble 0",
    "--ensemble 1025",
    "--format parquet",
    "--header perhaps",
    "--valid-fraction 1",
    "--test-fraction -0.1",
    "--test-fraction nan",
    "--split-seed x",
    "--missing guess",
    "--index-base 2",
    "--scale log",
    "--clip 0",
    "--clip -3",
    "--max-memory lots",
    "--threads 0",
    "--threads 1025",
    "--device tpu",
    "--device cpu:0",
    "--data-placement host",
    "--row-storage f64",
    "--plot curve.png",
    "--valid-labels a",
    "--test-labels a",
    "--test a --test-fraction 0.5",
    "--valid a --valid-fraction 0.5",
];

#[test]
fn each_bad_setting_is_refused_by_name_before_the_data_is_read() {
    let bench = Bench::new();
    for flags in BAD {
        let flag = flags.split(' ').next().unwrap_or_default();
        bench.line(&format!("train absent.csv {flags}")).fails(2, &[flag]);
    }
}

#[test]
fn no_command_and_unknown_flags_are_usage_errors() {
    let bench = Bench::new();
    assert_eq!(bench.run(&[]).code, 2);
    bench.line("train absent.csv --epoch 3").fails(2, &["--epochs"]);
    bench.line("train").fails(2, &["<DATA>"]);
    bench.line("frobnicate").fails(2, &["frobnicate"]);
    bench.line("train - --valid -").fails(2, &["standard input"]);
}

#[test]
fn each_kind_of_failure_has_its_exit_code() {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(60, 1));
    bench.write("one.csv", "x,label\n1,a\n2,a\n");
    bench.write("empty.csv", "");
    bench.write("bad.llfm", "no model");
    bench.line("train one.csv").fails(3, &["one.csv", "a"]);
    bench.line("train empty.csv").fails(3, &["empty.csv", "no rows"]);
    bench.line("inspect bad.llfm").fails(4, &["bad.llfm", "checksum"]);
    bench.line("train data.csv --device gpu:nonsense").fails(5, &["GPU", "nonsense"]);
    bench.line("train absent.csv").fails(6, &["absent.csv"]);
    bench.line("inspect absent.llfm").fails(6, &["absent.llfm"]);
    bench.line("train data.csv --model nowhere/m.llfm").fails(6, &["nowhere"]);
    let diverging = "train data.csv --optimizer sgd --learning-rate 1e20 --model d.llfm";
    bench.line(diverging).fails(7, &["--learning-rate"]);
    bench.line("inspect d.llfm").succeeds();
}

#[test]
fn a_model_beyond_memory_is_refused_with_what_it_takes() {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(90, 1));
    let words = ["--anchors 20000", "--factors 4096", "MB of the 1.0 MB"];
    let large = "train data.csv --anchors 20000 --factors 4096 --max-memory 1MB";
    bench.line(large).fails(2, &words);
    bench.line("train data.csv --anchors 20 --max-memory 1MB --epochs 1").succeeds();
}

#[test]
fn help_explains_every_setting_and_gives_examples() {
    let bench = Bench::new();
    let help = bench.line("train --help").succeeds().out;
    for flag in ["--method", "--anchors", "--lipschitz", "--max-memory", "--valid-labels", "--json"]
    {
        assert!(help.contains(flag), "{flag}");
    }
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for hint in [
        "anchors * 2^N * (factors + 1) * 4 bytes",
        "give a smaller --learning-rate",
        "Say nothing but errors",
    ] {
        assert!(words.contains(hint), "{hint}");
    }
    for heading in ["Data:", "Model:", "Training:", "Run:", "Examples:"] {
        assert!(help.contains(heading), "{heading}");
    }
    let commands = bench.line("--help").succeeds().out;
    for name in [
        "train",
        "cv",
        "search",
        "predict",
        "evaluate",
        "inspect",
        "devices",
        "bench",
        "completions",
        "man",
    ] {
        assert!(commands.contains(&format!("  {name}")), "{name}");
    }
    assert!(bench.line("--version").succeeds().out.starts_with("llfm "));
}

#[test]
fn packagers_get_completions_and_a_manual() {
    let bench = Bench::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = bench.line(&format!("completions {shell}")).succeeds().out;
        assert!(script.contains("batch-size"), "{shell}");
    }
    let manual = bench.line("man").succeeds().out;
    assert!(manual.contains(".TH llfm") && manual.contains("batch\\-size"), "{manual}");
}
