//! `llfm search`.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::bench::{Bench, Done, clouds, curve};
use crate::cv::cells;

fn data() -> Bench {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(150, 1));
    bench
}

fn text(bench: &Bench, name: &str) -> String {
    String::from_utf8(bench.read(name)).expect("text")
}

#[test]
fn a_grid_is_tried_whole_and_the_best_settings_train_unchanged() {
    let bench = data();
    let line = "search data.csv --epochs 3 --clip 2.5 --grid anchors=2,6 --grid learning-rate=0.0001,0.05 \
                --output s --json";
    let done = bench.line(line).succeeds();
    let lines = done.json_lines();
    assert_eq!(lines.len(), 6, "start, four trials, result");
    let best = &lines[5]["best"];
    let losses = lines[1..5].iter().map(|line| line["score"]["mean"].as_f64().expect("a score"));
    assert_eq!(best["score"]["mean"].as_f64(), losses.reduce(f64::min));
    let rows = cells(&bench, "s.csv");
    assert_eq!(rows[0][..6], ["trial", "rung", "anchors", "learning-rate", "score", "score_sd"]);
    let tried: Vec<&[String]> = rows[1..].iter().map(|row| &row[..4]).collect();
    assert_eq!(tried[1], ["2", "1", "2", "0.05"]);
    assert_eq!(tried[2], ["3", "1", "6", "0.0001"]);
    let toml = text(&bench, "s.best.toml");
    assert!(toml.starts_with("# Found by: llfm search"), "{toml}");
    for part in ["--grid anchors=2,6", "loss", "learning-rate = 0.05", "clip = 2.5", "epochs = 3"] {
        assert!(toml.contains(part), "{part}: {toml}");
    }
    // With the rows and epoch of the search, the score is that of training.
    let train = "train data.csv --config s.best.toml --valid-fraction 0.2 --json";
    let result = bench.line(train).succeeds().result();
    assert_eq!(result["valid"]["loss"], best["metrics"]["loss"]["mean"]);
    assert_eq!(bench.names(), ["data.csv", "s.best.toml", "s.csv", "s.jsonl"]);
}

#[test]
fn fault_66_a_trial_that_goes_wrong() {
    let bench = data();
    let line =
        "search data.csv --epochs 2 --optimizer sgd --grid learning-rate=0.01,1e20 --output d";
    let done = bench.line(line).succeeds();
    assert!(done.out.contains("2 trials, 1 diverged"), "{}", done.out);
    assert!(text(&bench, "d.csv").contains("diverged"));
    assert!(text(&bench, "d.best.toml").contains("learning-rate = 0.01"));
    let line =
        "search data.csv --epochs 2 --grid method=fm,llfm-jo --grid coding=soft,inverse --output f";
    let done = bench.line(line).succeeds();
    assert!(done.out.contains("4 trials, 0 diverged, 2 failed"), "{}", done.out);
    assert!(text(&bench, "f.csv").contains("--coding has no meaning"));
    let line = "search data.csv --epochs 2 --optimizer sgd --grid learning-rate=1e19,1e20";
    bench.line(line).fails(7, &["none of 2 trials", "learning-rate=1e19"]);
}

#[test]
fn a_space_in_a_file_is_the_same_as_its_flags() {
    let bench = data();
    bench.write(
        "grid.toml",
        "epochs = 2\neval-metric = \"accuracy\"\nfolds = 3\n[grid]\nanchors = [2, 5]\n\
         learn = [[\"anchors\", \"metric\"], \"none\"]\nscale = [\"none\"]\n",
    );
    bench.line("search data.csv --space grid.toml --output a").succeeds();
    let grid = ["anchors=2,5", "learn=anchors,metric;none", "scale=none"];
    let mut args: Vec<&str> =
        "search data.csv --epochs 2 --eval-metric accuracy --folds 3 --output b"
            .split(' ')
            .collect();
    args.extend(grid.iter().flat_map(|values| ["--grid", values]));
    bench.run(&args).succeeds();
    assert_eq!(text(&bench, "a.csv").lines().count(), 5);
    let header = |name: &str| text(&bench, name).lines().next().map(str::to_owned);
    assert_eq!(header("a.jsonl"), header("b.jsonl"));
    bench.write(
        "random.toml",
        "epochs = 1\n[random]\ntrials = 4\nl2 = \"1e-6..1e-2:log\"\nanchors = \"2..9\"\nfactors = [0, 4]\n",
    );
    let done = bench.line("search data.csv --space random.toml --random 3 --json").succeeds();
    assert_eq!(done.result()["trials"], 3, "the command line wins");
    let cases = [
        ("\n[grid]\nanchors = [0.5]\n", "s.toml:3"),
        ("[grid]\nspeed = [1]\n", "s.toml:2"),
        ("[grid]\nanchors = 5\n", "s.toml:2"),
        ("[random]\nanchors = [5]\n", "trials"),
        ("[random]\ntrials = 2\nl2 = \"1..x\"\n", "s.toml:3"),
        ("[steps]\na = [1]\n", "s.toml:1"),
    ];
    for (space, word) in cases {
        bench.write("s.toml", space);
        bench.line("search absent.csv --space s.toml").fails(2, &[word]);
    }
}

#[test]
fn halving_gives_all_epochs_to_the_best_alone() {
    let bench = data();
    let line = "search data.csv --random 9 --range learning-rate=1e-4..1e-1:log --halving 3 \
                --min-epochs 1 --epochs 6 --eval-metric error --output h --json";
    let done = bench.line(line).succeeds();
    let trials: Vec<(u64, String)> = done
        .json_lines()
        .iter()
        .filter(|line| line["event"] == "trial")
        .map(|line| {
            let epochs = line["settings"]["epochs"].as_str().unwrap_or_default().to_owned();
            (line["rung"].as_u64().expect("a rung"), epochs)
        })
        .collect();
    let count = |rung, epochs: &str| trials.iter().filter(|t| **t == (rung, epochs.into())).count();
    assert_eq!((count(1, "1"), count(2, "3"), count(3, "6"), trials.len()), (9, 3, 1, 13));
    assert_eq!(done.result()["best"]["rung"], 3);
    assert!(text(&bench, "h.best.toml").contains("epochs = 6\n"));
    let shard = format!("{} --shard 1/2", line.replace("--output h", "--output i"));
    bench.line(&shard).fails(2, &["--shard", "--halving"]);
}

#[test]
fn a_best_point_that_is_not_of_the_last_rung_is_told() {
    let bench = data();
    let line =
        "search data.csv --grid anchors=2,3,4 --halving 3 --min-epochs 1 --epochs 3 --output h";
    let done = bench.line(line).succeeds();
    assert!(!done.err.contains("no point of rung"), "{}", done.err);
    // As if the points of the last rung had diverged.
    let journal = text(&bench, "h.jsonl");
    let lines = journal.lines().map(|line| {
        if !line.contains("\"rung\":2") {
            return format!("{line}\n");
        }
        let mut trial: serde_json::Value = serde_json::from_str(line).expect("JSON");
        trial["status"] = "diverged".into();
        trial["score"] = serde_json::Value::Null;
        format!("{trial}\n")
    });
    bench.write("h.jsonl", &lines.collect::<String>());
    let done = bench.line(&format!("{line} --resume")).succeeds();
    let told = "no point of rung 2 has a score: the best is one of rung 1, of 1 epoch";
    assert!(done.err.contains(told), "{}", done.err);
    assert!(text(&bench, "h.best.toml").contains(told));
}

#[test]
fn best_settings_found_with_patience_train_on_all_rows() {
    let bench = data();
    let line = "search data.csv --grid anchors=2,4 --epochs 4 --patience 2 --best b.toml";
    bench.line(line).succeeds();
    let toml = text(&bench, "b.toml");
    assert!(toml.contains("# Validation rows chose epoch "), "{toml}");
    bench.line("train data.csv --config b.toml").succeeds();
}

#[test]
fn a_trial_near_the_memory_limit_is_done_whatever_the_number_of_jobs() {
    let bench = data();
    // The larger one takes about 9 MB.
    let line = "search data.csv --grid factors=2,1000 --anchors 20 --epochs 1 --max-memory 10MB";
    for (name, jobs) in [("a", 1), ("b", 4)] {
        bench.line(&format!("{line} --jobs {jobs} --output {name}")).succeeds();
    }
    assert_eq!(cells(&bench, "a.csv"), cells(&bench, "b.csv"));
    assert!(!text(&bench, "a.csv").contains("failed"), "{}", text(&bench, "a.csv"));
    let done = bench.line(&line.replace("10MB", "1500kB")).succeeds();
    assert!(done.out.contains("1 failed"), "{}", done.out);
}

#[test]
fn a_trial_that_failed_is_tried_again_by_resume_and_one_that_diverged_is_not() {
    let bench = data();
    // The larger one takes about 9 MB.
    let line = "search data.csv --grid factors=1000,2 --grid learning-rate=0.01,1e20 --optimizer sgd \
                --anchors 20 --epochs 1 --output s";
    let statuses = |name: &str| {
        let rows = cells(&bench, name);
        let at = rows[0].iter().position(|head| head == "status").expect("a column");
        let of = |row: &Vec<String>| (row[0].clone(), row[at].clone());
        rows[1..].iter().map(of).collect::<Vec<_>>()
    };
    let expected = |status: [&str; 4]| {
        let all = ["1", "2", "3", "4"].into_iter().zip(status);
        all.map(|(trial, status)| (trial.to_owned(), status.to_owned())).collect::<Vec<_>>()
    };
    bench.line(&format!("{line} --max-memory 1MB")).succeeds();
    assert_eq!(statuses("s.csv"), expected(["failed", "failed", "ok", "diverged"]));
    let done = bench.line(&format!("{line} --max-memory 100MB --resume --json")).succeeds();
    assert!(done.err.contains("2 of them done; 2 that failed"), "{}", done.err);
    let mut tried: Vec<u64> =
        done.json_lines().iter().filter_map(|line| line["trial"].as_u64()).collect();
    tried.sort_unstable();
    assert_eq!(tried, [1, 2]);
    assert_eq!(statuses("s.csv"), expected(["ok", "diverged", "ok", "diverged"]));
    assert_eq!(text(&bench, "s.jsonl").lines().count(), 5, "a header and each trial once");
    let whole = line.replace("--output s", "--output whole");
    bench.line(&format!("{whole} --max-memory 100MB")).succeeds();
    assert_eq!(cells(&bench, "s.csv"), cells(&bench, "whole.csv"));
    // What a shard could not do is tried by those who collect.
    let shard = line.replace("--output s", "--output t");
    bench.line(&format!("{shard} --shard 1/2 --max-memory 1MB")).succeeds();
    bench.line(&format!("{shard} --resume --max-memory 100MB")).succeeds();
    assert_eq!(cells(&bench, "t.csv"), cells(&bench, "whole.csv"));
    assert_eq!(text(&bench, "t.jsonl").lines().count(), 5);
}

#[test]
fn shards_of_another_search_are_left_out() {
    let bench = data();
    let line = "search data.csv --epochs 1 --grid anchors=2,3 --output s";
    bench.line("search data.csv --epochs 2 --grid anchors=5 --output s --shard 1/2").succeeds();
    let before = bench.read("s.1-of-2.jsonl");
    let done = bench.line(&format!("{line} --resume")).succeeds();
    assert!(done.err.contains("s.1-of-2.jsonl is of another search"), "{}", done.err);
    assert_eq!(cells(&bench, "s.csv").len(), 3);
    assert_eq!(bench.read("s.1-of-2.jsonl"), before);
}

#[test]
fn shards_are_collected_without_trying_anything_twice() {
    let bench = data();
    let line = "search data.csv --epochs 2 --grid anchors=2,3,4,5,6";
    bench.line(&format!("{line} --output whole")).succeeds();
    for shard in ["1/3", "3/3"] {
        bench.line(&format!("{line} --output s --shard {shard}")).succeeds();
    }
    assert_eq!(text(&bench, "s.1-of-3.csv").lines().count(), 3);
    let done = bench.line(&format!("{line} --output s --resume --json")).succeeds();
    let mut tried: Vec<u64> =
        done.json_lines().iter().filter_map(|l| l["trial"].as_u64()).collect();
    // Two at once end in any order.
    tried.sort_unstable();
    assert_eq!(tried, [2, 5], "the second shard alone was missing");
    assert_eq!(cells(&bench, "s.csv"), cells(&bench, "whole.csv"));
    let settings = |name: &str| {
        let toml = text(&bench, name);
        toml.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(settings("s.best.toml"), settings("whole.best.toml"));
}

#[test]
fn more_random_points_go_on_from_fewer() {
    let bench = data();
    let line = "search data.csv --epochs 1 --range l2=1e-6..1e-1:log --output r --json";
    bench.line(&format!("{line} --random 3")).succeeds();
    let done = bench.line(&format!("{line} --random 5 --resume")).succeeds();
    assert_eq!(done.json_lines().len(), 4, "start, two more trials, result");
    assert_eq!(done.result()["trials"], 5);
}

#[test]
fn what_cannot_be_searched_is_refused_before_the_data_is_read() {
    let bench = data();
    let cases = [
        ("--grid anchors=2 --test data.csv", "test rows"),
        ("", "--grid"),
        ("--grid speed=2", "speed"),
        ("--grid anchors=0,2", "--anchors"),
        ("--grid anchors=2 --grid anchors=3", "twice"),
        ("--range l2=1e-5..1e-3:log", "--random"),
        ("--grid loss=logistic,hinge", "--eval-metric"),
        ("--grid epochs=2,3 --halving 2", "epochs"),
        ("--grid anchors=2 --min-epochs 2", "--halving"),
        ("--grid anchors=2 --shard 3/2 --output s", "--shard"),
        ("--grid anchors=2 --shard 1/2", "--output"),
        ("--grid anchors=2 --folds 3 --valid data.csv", "--valid"),
        ("--grid anchors=2 --folds 3 --patience 2", "--patience"),
        ("--grid anchors=2 --best absent.csv/b.toml", "absent.csv"),
        ("--grid anchors=2 --output s --best ./s.csv --force", "--best ./s.csv"),
    ];
    for (flags, word) in cases {
        let done = bench.line(&format!("search absent.csv {flags}"));
        assert!([2, 6].contains(&done.code), "{flags}: {}", done.err);
        assert!(done.err.contains(word), "{flags}: {}", done.err);
    }
    let done = bench.line("search data.csv --grid anchors=2 --eval-metric rmse");
    done.fails(2, &["--eval-metric rmse", "softmax"]);
    bench.line("search data.csv --grid anchors=2 --folds 1").fails(2, &["--folds"]);
}

#[test]
fn rows_of_the_test_fraction_are_left_out() {
    let bench = data();
    let all = bench.line("search data.csv --grid anchors=2 --epochs 1 --folds 3 --json").succeeds();
    let line = "search data.csv --grid anchors=2 --epochs 1 --folds 3 --json --test-fraction 0.2";
    let some = bench.line(line).succeeds().result();
    let rows = all.result()["rows"].as_u64().expect("a count");
    assert_eq!(some["rows"], rows - rows / 5);
    assert_ne!(some["best"]["metrics"], all.result()["best"]["metrics"]);
}

#[test]
fn validation_rows_of_a_file_measure_a_regression() {
    let bench = Bench::new();
    bench.write("data.csv", &curve(120, 1));
    bench.write("valid.csv", &curve(60, 2));
    let line = "search data.csv --valid valid.csv --eval-metric mae --repeats 2 --epochs 3 --grid factors=0,4 \
                --best b.toml --json";
    let result = bench.line(line).succeeds().result();
    assert!(result["best"]["metrics"]["mae"]["sd"].as_f64() > Some(0.0), "{result}");
    assert!(text(&bench, "b.toml").contains("factors = "));
}

/// A search that takes a while, on the embedded set.
fn banana(name: &str) -> String {
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data/banana.csv.gz");
    format!(
        "search {data} --epochs 2 --folds 2 --grid anchors=3,5,8 --grid learning-rate=0.01,0.03 --jobs 1 \
         --output {name}"
    )
}

/// Starts the search and waits until its journal has some trials.
#[cfg(unix)]
fn started(bench: &Bench, line: &str, journal: &str, trials: usize) -> std::process::Child {
    let args: Vec<&str> = line.split_whitespace().collect();
    let mut command = bench.command(&args);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("llfm starts");
    let start = Instant::now();
    let lines = || std::fs::read_to_string(bench.path(journal)).unwrap_or_default().lines().count();
    while lines() < trials + 1 {
        assert!(start.elapsed() < Duration::from_secs(300), "the search goes on");
        std::thread::sleep(Duration::from_millis(5));
    }
    child
}

#[cfg(unix)]
#[test]
fn fault_66_a_search_that_is_killed() {
    let (bench, other) = (Bench::new(), Bench::new());
    let line = banana("k");
    bench.line(&line).succeeds();
    for trials in [1, 3] {
        let resumed = format!("{line} --resume");
        let mut child = started(&other, &resumed, "k.jsonl", trials);
        child.kill().expect("it runs");
        child.wait().expect("it ends");
    }
    let done = other.line(&format!("{line} --resume --json")).succeeds();
    let again = done.json_lines().iter().filter(|line| line["event"] == "trial").count();
    assert!(again <= 3, "what was done is not done again: {again}");
    assert_eq!(cells(&other, "k.csv"), cells(&bench, "k.csv"));
    assert_eq!(text(&other, "k.best.toml"), text(&bench, "k.best.toml"));
    assert_eq!(text(&other, "k.jsonl").lines().count(), 7, "a header and each trial once");
    assert_eq!(other.names(), ["k.best.toml", "k.csv", "k.jsonl"], "no litter");
}

#[cfg(unix)]
#[test]
fn fault_66_a_search_that_gets_a_signal() {
    for (name, code) in [("-INT", 130), ("-TERM", 143)] {
        let bench = Bench::new();
        let line = format!("{} --repeats 40", banana("i"));
        let child = started(&bench, &line, "i.jsonl", 0);
        let kill =
            std::process::Command::new("kill").arg(name).arg(child.id().to_string()).status();
        assert!(kill.expect("kill starts").success());
        let done = Done::from(child.wait_with_output().expect("llfm ends"));
        done.fails(code, &["--resume goes on", "interrupted"]);
        assert!(text(&bench, "i.jsonl").ends_with('\n'));
        assert_eq!(bench.names(), ["i.csv", "i.jsonl"], "no litter, and no best of a part");
    }
}
