//! A folder with small data, and the program run in it.

use std::fmt::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A fresh folder to run `llfm` in.
pub(crate) struct Bench {
    dir: TempDir,
}

/// What a finished command left.
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Three clouds of points, named by a word; equal seeds give equal rows.
pub(crate) fn clouds(rows: usize, seed: u64) -> String {
    let mut text = String::from("east,north,animal\n");
    let mut noise = noise(seed);
    for i in 0..rows {
        let (x, y, name) = [(2.0, 0.0, "cat"), (-2.0, 1.0, "dog"), (0.0, -2.0, "bird")][i % 3];
        let _ = writeln!(text, "{:.4},{:.4},{name}", x + 1.2 * noise(), y + 1.2 * noise());
    }
    text
}

/// Two classes that no plane separates, as libsvm with labels -1 and 1.
pub(crate) fn rings(rows: usize, seed: u64) -> String {
    let mut text = String::new();
    let mut noise = noise(seed);
    for _ in 0..rows {
        let (x, y) = (2.0 * noise(), 2.0 * noise());
        let label = if x * x + y * y + 0.3 * noise() < 1.2 { "1" } else { "-1" };
        let _ = writeln!(text, "{label} 1:{x:.4} 2:{y:.4} 3:1");
    }
    text
}

/// A curve to predict, the value in the last column.
pub(crate) fn curve(rows: usize, seed: u64) -> String {
    let mut text = String::from("a,b,price\n");
    let mut noise = noise(seed);
    for _ in 0..rows {
        let (a, b) = (2.0 * noise(), noise());
        let _ = writeln!(text, "{a:.4},{b:.4},{:.4}", 100.0 + 10.0 * a.sin() + 3.0 * b);
    }
    text
}

/// Numbers between -1 and 1.
fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed.wrapping_mul(2).wrapping_add(1);
    move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f64 / f64::from(1 << 23) - 1.0
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self { dir: TempDir::new().expect("a temporary folder") }
    }

    /// A folder with `train.csv`, `test.csv` and the model `m.llfm` trained on the first.
    pub(crate) fn with_model() -> Self {
        let bench = Self::new();
        bench.write("train.csv", &clouds(300, 1));
        bench.write("test.csv", &clouds(90, 2));
        bench.run(&["train", "train.csv", "--epochs", "3", "--model", "m.llfm"]).succeeds();
        bench
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("the folder is writable");
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).expect("the file was written")
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path()).expect("the folder is there");
        let names = entries.map(|e| e.expect("an entry").file_name());
        let mut names: Vec<_> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Runs on the CPU but where `args` say otherwise: the tests mean the same on every machine.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(assert_cmd::cargo::cargo_bin!("llfm"));
        let computing = ["train", "predict", "evaluate", "cv", "search", "reproduce", "bench"];
        let computes = args.first().is_some_and(|c| computing.contains(c));
        let at = usize::from(computes && !args.contains(&"--device"));
        let (name, rest) = args.split_at(at);
        command.args(name);
        if at > 0 {
            command.args(["--device", "cpu"]);
        }
        command.args(rest).current_dir(self.dir.path()).stdin(Stdio::null());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Done {
        Done::from(self.command(args).output().expect("llfm starts"))
    }

    /// Splits a line at its spaces; for arguments without spaces of their own.
    pub(crate) fn line(&self, line: &str) -> Done {
        self.run(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// The same with a variable set.
    pub(crate) fn line_with(&self, (name, value): (&str, &str), line: &str) -> Done {
        let args: Vec<&str> = line.split_whitespace().collect();
        Done::from(self.command(&args).env(name, value).output().expect("llfm starts"))
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).expect("output is UTF-8"),
            err: String::from_utf8(output.stderr).expect("messages are UTF-8"),
        }
    }
}

impl Done {
    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.err);
        self
    }

    /// Checks the exit code, and that the message has every one of `words`.
    #[track_caller]
    pub(crate) fn fails(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, code, "{}{}", self.out, self.err);
        assert!(self.err.contains("llfm: error: "), "{}", self.err);
        for word in words {
            assert!(self.err.contains(word), "`{word}` is not in: {}", self.err);
        }
        self
    }

    pub(crate) fn json_lines(&self) -> Vec<serde_json::Value> {
        let lines = self.out.lines();
        lines.map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
    }

    pub(crate) fn result(&self) -> serde_json::Value {
        self.json_lines().pop().expect("there is a result")
    }
}
