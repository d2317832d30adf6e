//! `llfm reproduce`: what it writes, says and refuses.

use serde_json::Value;

use crate::bench::Bench;

/// A look quick enough for a test.
const QUICK: &str = "reproduce banana --runs 1 --epochs 2 --methods";

/// Folders of sets are found beside the sources, wherever a test runs.
fn lines_of(bench: &Bench, file: &str) -> Vec<Value> {
    let text = String::from_utf8(bench.read(file)).expect("JSON is text");
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

#[test]
fn a_set_makes_a_page_tables_figures_and_a_journal() {
    let bench = Bench::new();
    let done = bench.line(&format!("{QUICK} fm,llfm-jo --ensemble 2")).succeeds();
    for name in [
        "results.md",
        "results.json",
        "runs.jsonl",
        "figure1.svg",
        "figure1.png",
        "boundary.svg",
        "boundary.png",
    ] {
        assert!(!bench.read(&format!("reproduction/{name}")).is_empty(), "{name}");
    }
    assert_eq!(done.out.as_bytes(), bench.read("reproduction/results.md"), "the page is printed");
    // The published figures, the quick look, the contenders, and the machine.
    for word in ["| 90.49 |", "--epochs 2", "| FM | JO | JO × 2 |", "## Banana", "3,533", "commit"]
    {
        assert!(done.out.contains(word), "`{word}` is not in: {}", done.out);
    }
    assert_eq!(done.err.matches(" run 1/1 ").count(), 3, "{}", done.err);
    let records = lines_of(&bench, "reproduction/runs.jsonl");
    assert_eq!(records.len(), 4, "a header and three runs");
    assert_eq!(records[1]["test_losses"].as_array().map(Vec::len), Some(2));
    assert!(bench.read("reproduction/boundary.png").starts_with(b"\x89PNG"));
    let svg = String::from_utf8(bench.read("reproduction/figure1.svg")).expect("SVG is text");
    assert!(["FM", "JO", "Banana", "logistic"].iter().all(|word| svg.contains(word)));
}

#[test]
fn programs_get_a_cell_a_method_and_a_result() {
    let bench = Bench::new();
    let done = bench.line(&format!("{QUICK} fm,llfm-do --json --preset paper")).succeeds();
    let lines = done.json_lines();
    let events: Vec<&str> = lines.iter().filter_map(|line| line["event"].as_str()).collect();
    assert_eq!(events, ["cell", "cell", "result"]);
    let cell = &lines[1];
    assert_eq!((&cell["set"], &cell["method"]), (&"banana".into(), &"llfm-do".into()));
    assert_eq!((&cell["preset"], &cell["runs"]), (&"paper".into(), &1.into()));
    for key in ["accuracy", "test_loss", "train_loss"] {
        assert!(cell[key]["mean"].is_f64(), "{key}: {cell}");
        assert_eq!(cell[key]["sd"], Value::Null, "one run has no deviation");
    }
    assert!(cell["test_time_ratio"].is_f64() && cell["mean_active"] == 5.0, "{cell}");
    assert_eq!(lines[0]["test_time_ratio"], 1.0);
    assert_eq!(cell["paper"]["test_loss"], 0.2371);
    assert_eq!(lines[2]["methods"], serde_json::json!(["fm", "llfm-do"]));
}

#[test]
fn a_finished_run_is_not_done_again() {
    let bench = Bench::new();
    bench.line(&format!("{QUICK} fm")).succeeds();
    let first = lines_of(&bench, "reproduction/runs.jsonl");
    bench.line(&format!("{QUICK} fm")).fails(2, &["reproduction exists", "--resume", "--force"]);
    let done = bench.line(&format!("{QUICK} fm,llfm-do --resume")).succeeds();
    assert_eq!(done.err.matches(" run 1/1 ").count(), 1, "{}", done.err);
    let second = lines_of(&bench, "reproduction/runs.jsonl");
    assert_eq!((second.len(), &second[..2]), (3, &first[..]));
    assert!(done.out.contains("| FM | DO |"), "{}", done.out);
    // Other settings are another result.
    let other = QUICK.replace("--epochs 2", "--epochs 3");
    bench.line(&format!("{other} fm --resume")).fails(2, &["epochs"]);
    let quiet = bench.line(&format!("{other} fm --force --quiet")).succeeds();
    assert_eq!((quiet.out.as_str(), quiet.err.as_str()), ("", ""));
    assert_eq!(lines_of(&bench, "reproduction/runs.jsonl").len(), 2);
    assert!(!bench.read("reproduction/results.md").is_empty());
    let events = bench.line(&format!("{other} fm --resume --quiet --json")).succeeds();
    assert_eq!((events.json_lines().len(), events.err.as_str()), (2, ""));
}

#[test]
fn missing_files_are_named_before_anything_is_trained() {
    let bench = Bench::new();
    let words = [
        "ijcnn1.t",
        "e7b0bbd518641980dc322746c6bc59d019d3153934e6258e48f9d8cfae2c4bb8",
        "https://www.csie.ntu.edu.tw",
        "covtype.data",
        "https://archive.ics.uci.edu",
        "sets",
    ];
    std::fs::create_dir(bench.path("sets")).expect("a folder");
    bench.line("reproduce ijcnn1 banana covtype --data sets").fails(3, &words);
    bench.line("reproduce banana --data absent").fails(2, &["--data absent", "no such folder"]);
    bench.line("reproduce movielens-100k").fails(3, &["grouplens.org", "--data DIR", "ua.base"]);
    bench.line("reproduce iris").fails(2, &["iris", "banana", "netflix5k5k"]);
    assert_eq!(bench.names(), ["sets"], "nothing is written");
}

#[test]
fn a_file_with_other_content_is_warned_of() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("sets")).expect("a folder");
    std::fs::create_dir(bench.path("sets/movielens-100k")).expect("a folder");
    let rows =
        |n: u32| (0..n).map(|i| format!("{}\t{}\t{}\t0\n", i % 7, i % 5, 1 + i % 5)).collect();
    let (train, test): (String, String) = (rows(200), rows(50));
    bench.write("sets/movielens-100k/ua.base", &train);
    bench.write("sets/movielens-100k/ua.test", &test);
    let line = "reproduce movielens --data sets --runs 2 --epochs 1 --methods fm --json";
    let done = bench.line(line).succeeds();
    let expected = "67b5bcdb380c29f85d56a012ecd88612ae020f30a6730d117a334ee8203b91f2";
    assert!(done.err.contains("ua.base") && done.err.contains(expected), "{}", done.err);
    let cell = &done.json_lines()[0];
    assert!(cell["rmse"]["sd"].is_f64() && cell.get("accuracy").is_none(), "{cell}");
    assert_eq!((&cell["paper"], &cell["draft"]["rmse"]), (&Value::Null, &0.9498.into()));
    // Whoever reads the results later is told too.
    let differ = serde_json::json!(["movielens-100k/ua.base", "movielens-100k/ua.test"]);
    let results: Value =
        serde_json::from_slice(&bench.read("reproduction/results.json")).expect("JSON");
    assert_eq!(results["files_differ"], differ);
    assert_eq!(lines_of(&bench, "reproduction/runs.jsonl")[1]["files_differ"], differ);
    let page = String::from_utf8(bench.read("reproduction/results.md")).expect("text");
    assert!(page.contains("Not the published files: `movielens-100k/ua.base`"), "{page}");
    // Runs on other rows are not mixed with these.
    let journal = bench.read("reproduction/runs.jsonl");
    bench.write("sets/movielens-100k/ua.test", &test.replace("\t5\t", "\t4\t"));
    let words = ["movielens", "FM", "ua.test", "there and", "--force"];
    bench.line(&format!("{line} --resume")).fails(2, &words);
    assert_eq!(bench.read("reproduction/runs.jsonl"), journal, "it is left as it was");
    bench.line(&format!("{line} --force")).succeeds();
}

#[test]
fn a_run_with_other_settings_is_not_gone_on_with() {
    let bench = Bench::new();
    bench.line(&format!("{QUICK} fm")).succeeds();
    let text = String::from_utf8(bench.read("reproduction/runs.jsonl")).expect("text");
    let other = text.replace("\"batch_size\":", "\"batch_size\":1");
    assert_ne!(text, other);
    bench.write("reproduction/runs.jsonl", &other);
    let words = ["run 0 of FM on banana", "batch_size is 1", "there and", "--force"];
    bench.line(&format!("{QUICK} fm --resume")).fails(2, &words);
}

#[cfg(unix)]
#[test]
fn an_interrupt_keeps_the_finished_runs() {
    use std::io::{BufRead, BufReader};
    let bench = Bench::new();
    let line = "reproduce banana --methods fm,llfm-do --runs 1000 --epochs 2";
    let words: Vec<&str> = line.split(' ').collect();
    let mut command = bench.command(&words);
    command.stderr(std::process::Stdio::piped()).stdout(std::process::Stdio::null());
    let mut child = command.spawn().expect("llfm starts");
    let mut err = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut text = String::new();
    while !text.contains(" run 1/1000 ") {
        assert!(err.read_line(&mut text).expect("llfm talks") > 0, "{text}");
    }
    let kill = std::process::Command::new("kill").arg("-INT").arg(child.id().to_string()).status();
    assert!(kill.expect("kill starts").success());
    while err.read_line(&mut text).expect("llfm talks") > 0 {}
    assert_eq!(child.wait().expect("llfm ends").code(), Some(130), "{text}");
    assert!(text.contains("--resume"), "{text}");
    assert!(lines_of(&bench, "reproduction/runs.jsonl").len() >= 2);
}

#[test]
fn the_test_time_of_a_joint_model_stands_beside_its_bound() {
    let bench = Bench::new();
    let done = bench.line(&format!("{QUICK} fm,llfm-jo --ensemble 2 --json")).succeeds();
    let cells = done.json_lines();
    assert!(cells[0]["test_time_bound"].is_null() && cells[2]["test_time_bound"].is_null());
    let run = &lines_of(&bench, "reproduction/runs.jsonl")[2];
    assert_eq!(run["method"], "llfm-jo");
    let number = |value: &Value| value.as_f64().expect("a number");
    let (anchors, factors) = (&run["settings"]["anchors"], &run["settings"]["factors"]);
    // One output of two classes.
    let distances = number(anchors) / (number(factors) + 2.0);
    let expected = 1.3 * (number(&run["mean_active"]) + distances);
    let found = number(&cells[1]["test_time_bound"]);
    assert!((found - expected).abs() < 1e-9, "{found} is not {expected}");
    assert_eq!(cells[1]["paper"]["test_time_ratio"], 7.0);
    let page = String::from_utf8(bench.read("reproduction/results.md")).expect("text");
    let jo = page.lines().find(|line| line.starts_with("| JO | here")).expect("a row of JO");
    assert!(
        page.contains("| test time, FM 1 | bound |") && jo.contains(&format!("| {found:.2} |"))
    );
    assert!(page.contains("| | paper | 90.49 |") && page.contains("| 7.00 | – |"), "{page}");
}
