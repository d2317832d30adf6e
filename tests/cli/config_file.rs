//! `--config FILE.toml`.

use crate::bench::{Bench, clouds};

fn bench(toml: &str) -> Bench {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(90, 1));
    bench.write("c.toml", toml);
    bench
}

#[test]
fn settings_come_from_the_file_and_the_command_line_wins() {
    let bench = bench(
        "# comment\nepochs = 2\nseed = 7\nanchors = 6\nlipschitz = \"auto\"\nlearn = [\"anchors\", \"metric\"]\n\
         learning-rate = 1e-2\nvalid-fraction = 0.2\nlabel = \"animal\"\nquiet = true\njson = true\n",
    );
    let done = bench.line("train data.csv --config c.toml --seed 9").succeeds();
    assert_eq!(done.err, "", "quiet = true");
    let start = &done.json_lines()[0];
    assert_eq!((start["epochs"].as_u64(), start["seed"].as_u64()), (Some(2), Some(9)));
    assert_eq!(start["settings"]["learning_rate"], 0.01);
    assert_eq!(start["settings"]["learn"]["metric"], true);
    assert_eq!(start["settings"]["learn"]["lipschitz"], false);
    assert_eq!(start["rows"], 72);
}

#[test]
fn anchor_dropout_is_a_setting_that_the_model_keeps() {
    let bench = bench("anchor-dropout = 0.25\nepochs = 2\nanchors = 6\n");
    let train = "train data.csv --config c.toml --json";
    let done = bench.line(&format!("{train} --model m.llfm")).succeeds();
    assert_eq!(done.json_lines()[0]["settings"]["anchor_dropout"], 0.25);
    let page = bench.line("inspect m.llfm --json").succeeds().result();
    assert_eq!(page["settings"]["anchor_dropout"], 0.25);
    let whole = bench.line(&format!("{train} --anchor-dropout 0")).succeeds();
    assert_ne!(whole.json_lines()[1]["train_loss"], done.json_lines()[1]["train_loss"]);
    let more = bench.line("train data.csv --init-model m.llfm --anchor-dropout 0.5 --epochs 1");
    more.succeeds();
}

#[test]
fn the_largest_seed_is_not_rounded() {
    let bench = bench("seed = 18446744073709551615\nepochs = 1_0\n");
    let start = bench.line("train data.csv --config c.toml --json --epochs 1").succeeds();
    assert_eq!(start.json_lines()[0]["seed"], u64::MAX);
}

#[test]
fn unknown_keys_and_bad_values_are_named_with_their_line() {
    let cases = [
        ("epochs = 2\nlearning_rate = 0.1\n", ["c.toml:2", "`learning-rate`"]),
        ("\n\nspeed = 1\n", ["c.toml:3", "speed"]),
        ("config = \"d.toml\"\n", ["c.toml:1", "config"]),
        ("epochs = \"many\"\n", ["c.toml:1", "--epochs"]),
        ("# \n[model]\nepochs = 1\n", ["c.toml:2", "model"]),
        ("epochs = 1\nforce = 3\n", ["c.toml:2", "force"]),
        ("epochs = 1\nepochs = 2\n", ["c.toml:2", "duplicate"]),
        ("epochs = \n", ["c.toml:1", ""]),
    ];
    for (toml, words) in cases {
        bench(toml).line("train data.csv --config c.toml").fails(2, &words);
    }
    bench("").line("train data.csv --config absent.toml").fails(6, &["absent.toml"]);
}

#[test]
fn the_command_line_wins_over_keys_that_exclude_its_flags() {
    let rows = |toml: &str, flags: &str| {
        let bench = bench(toml);
        bench.write("other.csv", &clouds(30, 2));
        let line = format!("train data.csv --config c.toml --epochs 1 --json {flags}");
        bench.line(&line).succeeds().json_lines()[0]["rows"].as_u64()
    };
    assert_eq!(rows("test-fraction = 0.5\n", "--test other.csv"), Some(90));
    assert_eq!(rows("valid-fraction = 0.5\n", "--valid other.csv"), Some(90));
    assert_eq!(rows("test = \"absent.csv\"\n", "--test-fraction 0.5"), Some(45));
    let labels = "valid = \"absent.npy\"\nvalid-labels = \"absent.npy\"\n";
    assert_eq!(rows(labels, "--valid-fraction 0.5"), Some(45));
    let both = bench("test = \"data.csv\"\ntest-fraction = 0.5\n");
    both.line("train data.csv --config c.toml").fails(2, &["--test"]);
}

#[test]
fn labels_of_other_parts_can_be_named_in_the_file() {
    for part in ["test", "valid"] {
        let bench = bench(&format!("{part} = \"absent.npy\"\n{part}-labels = \"b.npy\"\n"));
        bench.line("train data.csv --config c.toml").fails(6, &["absent.npy"]);
        bench.write("c.toml", &format!("{part}-labels = \"b.npy\"\n"));
        bench.line("train data.csv --config c.toml").fails(2, &[&format!("--{part}")]);
    }
}

#[test]
fn an_empty_list_of_what_is_learned_says_what_to_write() {
    bench("learn = []\n").line("train data.csv --config c.toml").fails(2, &["[\"none\"]"]);
}
