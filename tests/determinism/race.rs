//! Many runs that write one file.
#![cfg(unix)]

use std::process::{Child, Stdio};

use crate::program::{Bench, Done, clouds};

/// Starts a run of every seed on `race.llfm`, all before any is waited for.
fn race(bench: &Bench, flags: &[&str]) -> Vec<Done> {
    let start = |seed: usize| -> Child {
        let seed = seed.to_string();
        let mut args = vec!["train", "data.csv", "--epochs", "40", "--threads", "1"];
        args.extend(["--model", "race.llfm", "--seed", &seed]);
        args.extend(flags);
        let mut command = bench.command(&args);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("llfm starts")
    };
    let children: Vec<Child> = (0..20).map(start).collect();
    children.into_iter().map(|child| child.wait_with_output().expect("llfm ends").into()).collect()
}

/// The file that the run of a seed writes alone.
fn alone(bench: &Bench, seed: usize) -> Vec<u8> {
    let line = format!("train data.csv --epochs 40 --seed {seed} --model alone.llfm --force");
    bench.line(&line).succeeds();
    bench.read("alone.llfm")
}

#[test]
fn of_twenty_runs_on_one_model_one_writes_it_and_the_others_say_why_not() {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(600, 1));
    let runs = race(&bench, &[]);
    let winners: Vec<usize> = (0..20).filter(|&seed| runs[seed].code == 0).collect();
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert_eq!(bench.names(), ["data.csv", "race.llfm"], "no litter");
    assert!(bench.read("race.llfm") == alone(&bench, winners[0]), "a whole file, the winner's");
    for run in runs.into_iter().filter(|run| run.code != 0) {
        // Too early, or too late: the file is there.
        let late = run.err.contains("--model race.llfm exists");
        let early = run.err.contains("race.llfm: another llfm is writing it");
        assert!(early != late, "{}", run.err);
        assert_eq!(run.code, if late { 2 } else { 6 }, "{}", run.err);
    }
}

#[test]
fn of_twenty_runs_that_may_replace_a_model_none_leaves_a_part_of_it() {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(600, 1));
    let runs = race(&bench, &["--force"]);
    let winners: Vec<usize> = (0..20).filter(|&seed| runs[seed].code == 0).collect();
    assert!(!winners.is_empty());
    assert_eq!(bench.names(), ["data.csv", "race.llfm"], "no litter");
    let left = bench.read("race.llfm");
    assert!(winners.iter().any(|&seed| left == alone(&bench, seed)), "a whole file of {winners:?}");
    for run in runs.into_iter().filter(|run| run.code != 0) {
        run.fails(6, &["race.llfm", "another llfm is writing it"]);
    }
}
