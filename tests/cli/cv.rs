//! `llfm cv`.

use crate::bench::{Bench, clouds, curve};

/// The cells of a csv without quotes, and without the column of seconds.
pub(crate) fn cells(bench: &Bench, name: &str) -> Vec<Vec<String>> {
    let text = String::from_utf8(bench.read(name)).expect("csv is UTF-8");
    let rows = text.lines().map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
    let mut rows: Vec<Vec<String>> = rows.collect();
    let seconds = rows[0].iter().position(|head| head == "seconds").expect("a column of seconds");
    rows.iter_mut().for_each(|row| drop(row.remove(seconds)));
    rows
}

fn data() -> Bench {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(151, 1));
    bench
}

#[test]
fn every_fold_is_a_row_and_an_event_and_the_result_is_their_mean() {
    let bench = data();
    let done = bench.line("cv data.csv --folds 4 --epochs 3 --output c --json").succeeds();
    let lines = done.json_lines();
    let events: Vec<&str> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
    assert_eq!(events, ["start", "fold", "fold", "fold", "fold", "result"]);
    let loss = |i: usize| lines[i]["metrics"]["loss"].as_f64().expect("a loss");
    let mean = (1..5).map(loss).sum::<f64>() / 4.0;
    let sd = ((1..5).map(|i| (loss(i) - mean).powi(2)).sum::<f64>() / 3.0).sqrt();
    let result = &lines[5];
    assert_eq!(result["command"], "cv");
    let found = |key: &str| result["metrics"]["loss"][key].as_f64().expect("an estimate");
    assert!((found("mean") - mean).abs() < 1e-12 && (found("sd") - sd).abs() < 1e-12, "{result}");
    let rows = cells(&bench, "c.csv");
    assert_eq!(rows.len(), 5);
    assert_eq!(rows[0][..4], ["repeat", "fold", "rows", "loss"]);
    assert_eq!(rows[4][..2], ["1", "4"]);
    // 151 rows in four folds: 37 or 38 are held out.
    assert!(rows[1..].iter().all(|row| ["113", "114"].contains(&row[2].as_str())), "{rows:?}");
    assert!(bench.names().contains(&"c.jsonl".to_owned()));
}

#[test]
fn quiet_tuning_says_nothing_and_writes_its_files() {
    let bench = data();
    for line in ["cv data.csv --folds 2", "search data.csv --grid anchors=2,3"] {
        let name = &line[..2];
        let done = bench.line(&format!("{line} --epochs 1 --quiet --output {name}")).succeeds();
        assert_eq!((done.out.as_str(), done.err.as_str()), ("", ""), "{line}");
        assert_eq!(cells(&bench, &format!("{name}.csv")).len(), 3, "{line}");
    }
}

#[test]
fn the_table_has_folds_mean_and_deviation() {
    let bench = Bench::new();
    bench.write("data.csv", &curve(90, 1));
    let done = bench.line("cv data.csv --folds 3 --epochs 2").succeeds();
    for word in ["fold 3", "mean", "±", "RMSE", "R²"] {
        assert!(done.out.contains(word), "{word}: {}", done.out);
    }
    assert_eq!(bench.names(), ["data.csv"]);
}

#[test]
fn folds_do_not_depend_on_jobs_or_threads_and_are_drawn_by_the_split_seed() {
    let bench = data();
    let run = |name: &str, flags: &str| {
        let line = format!("cv data.csv --folds 3 --epochs 2 --output {name} {flags}");
        bench.line(&line).succeeds();
        cells(&bench, &format!("{name}.csv"))
    };
    let one = run("a", "--jobs 1 --threads 1");
    assert_eq!(one, run("b", "--jobs 3 --threads 2"));
    assert_ne!(one, run("c", "--split-seed 1"));
    let twice = run("d", "--repeats 2");
    assert_eq!(twice[..4], one[..]);
    assert_eq!(twice.len(), 7);
    assert_ne!(twice[4][3..], twice[1][3..], "the second repeat has other folds and seeds");
}

#[test]
fn held_out_rows_choose_no_epoch_but_a_part_of_the_others_may() {
    let bench = data();
    let epochs = |flags: &str| {
        // Rates this high for so long follow the few rows too closely.
        let line =
            "cv data.csv --folds 2 --epochs 40 --schedule constant --learning-rate 0.3 --l2 0";
        let result = bench.line(&format!("{line} --json {flags}")).succeeds().result();
        result["kept_epochs"]["mean"].as_f64().expect("epochs")
    };
    assert_eq!(epochs(""), 40.0);
    assert!(epochs("--valid-fraction 0.3") < 40.0);
    for flag in ["--patience 2", "--eval-metric accuracy"] {
        let done = bench.line(&format!("cv data.csv {flag}"));
        let done = done.fails(2, &[flag, "a fold is only measured", "--valid-fraction"]);
        let rest = done.err.replace("--valid-fraction", "");
        assert!(!rest.contains("--valid"), "cv refuses --valid: {}", done.err);
    }
}

#[test]
fn a_run_that_was_cut_off_goes_on_with_the_missing_folds() {
    let bench = data();
    let line = "cv data.csv --folds 4 --epochs 2 --jobs 1 --output c";
    bench.line(line).succeeds();
    let (whole, journal) = (cells(&bench, "c.csv"), bench.read("c.jsonl"));
    bench.line(line).fails(2, &["c.jsonl", "exists"]);
    let text = String::from_utf8(journal).expect("JSON is UTF-8");
    let half: String = text.split_inclusive('\n').take(3).collect();
    bench.write("c.jsonl", &format!("{half}{{\"repeat\":1,"));
    let done = bench.line(&format!("{line} --resume --json")).succeeds();
    assert_eq!(done.json_lines().len(), 4, "start, two folds, result");
    assert_eq!(cells(&bench, "c.csv"), whole);
    let other = bench.line("cv data.csv --folds 4 --epochs 3 --output c --resume");
    other.fails(2, &["c.jsonl", "settings.epochs is 2 there and 3 now"]);
    let other = bench.line(&format!("{line} --resume --valid-fraction 0.2 --eval-metric accuracy"));
    other.fails(2, &["settings.eval-metric is nothing there"]);
}

#[test]
fn folds_without_a_rare_class_have_it_all_the_same() {
    let bench = Bench::new();
    bench.write("rare.csv", &format!("{}1,1,eagle\n", clouds(60, 1)));
    bench.write("pair.csv", &format!("x,label\n{}9,b\n", "1,a\n2,a\n".repeat(5)));
    for line in ["cv rare.csv --folds 3 --epochs 1", "cv pair.csv --folds 3 --epochs 1"] {
        let done = bench.line(&format!("{line} --json")).succeeds();
        let losses: Vec<Option<f64>> =
            done.json_lines()[1..4].iter().map(|fold| fold["metrics"]["loss"].as_f64()).collect();
        assert!(losses.iter().all(Option::is_some), "{line}: {losses:?}");
    }
}

#[test]
fn what_cross_validation_cannot_do_is_refused() {
    let bench = data();
    bench.write("few.csv", "x,label\n1,a\n2,b\n3,a\n");
    bench.line("cv data.csv --folds 1").fails(2, &["--folds"]);
    bench.line("cv few.csv --folds 4").fails(3, &["few.csv", "4 folds", "found 3"]);
    for flags in ["--test data.csv", "--test-fraction 0.2", "--valid data.csv"] {
        bench.line(&format!("cv data.csv {flags}")).fails(2, &["--test", "--valid"]);
    }
    bench.line("cv data.csv --resume").fails(2, &["--output"]);
    bench.line("cv data.csv --output nowhere/c").fails(6, &["nowhere"]);
    bench.line("cv data.csv --optimizer sgd --learning-rate 1e20").fails(7, &["--learning-rate"]);
}
