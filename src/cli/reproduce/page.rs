//! The results as a page for people and as objects for programs.

use std::fmt::Write;

use llfm::config::{Method, name_of};
use serde::Serialize;

use super::args::{PresetName, ReproduceArgs};
use super::published::{Figures, Published};
use super::record::{Cell, Spread};
use super::sets::{SETS, Set};
use crate::cli::machine::Machine;
use crate::cli::report::{count, duration};

/// All results of a command.
pub(super) struct Page<'a> {
    args: &'a ReproduceArgs,
    machine: &'a Machine,
    published: &'a Published,
    cells: &'a [Cell],
    sets: Vec<&'static Set>,
}

/// The last event.
#[derive(Serialize)]
pub(super) struct ResultEvent<'a> {
    event: &'static str,
    command: &'static str,
    preset: PresetName,
    /// The most of any set; each cell has its own.
    runs: u64,
    ensemble: Option<u16>,
    epochs: Option<u32>,
    sets: Vec<&'static str>,
    methods: Vec<String>,
    /// Files that are not the published ones.
    files_differ: Vec<&'a str>,
    output: &'a std::path::Path,
    #[serde(flatten)]
    machine: &'a Machine,
}

/// `results.json`.
#[derive(Serialize)]
pub(super) struct Whole<'a> {
    #[serde(flatten)]
    result: ResultEvent<'a>,
    cells: &'a [Cell],
}

type Headed = (&'static str, fn(&Cell) -> String);

impl<'a> Page<'a> {
    pub(super) fn new(
        args: &'a ReproduceArgs,
        machine: &'a Machine,
        published: &'a Published,
        cells: &'a [Cell],
    ) -> Self {
        let sets = SETS.iter().filter(|set| cells.iter().any(|cell| cell.set == set.name));
        Self { args, machine, published, cells, sets: sets.collect() }
    }

    /// The last event.
    pub(super) fn result(&self) -> ResultEvent<'a> {
        ResultEvent {
            event: "result",
            command: "reproduce",
            preset: self.args.preset,
            runs: self.sets.iter().map(|set| self.args.runs.of(set.name)).max().unwrap_or_default(),
            ensemble: self.args.ensemble,
            epochs: self.args.epochs,
            sets: self.sets.iter().map(|set| set.name).collect(),
            methods: names_of(self.cells),
            files_differ: self.files_differ(),
            output: &self.args.output,
            machine: self.machine,
        }
    }

    /// `results.json`.
    pub(super) fn json(&self) -> Whole<'a> {
        Whole { result: self.result(), cells: self.cells }
    }

    /// The page in Markdown.
    pub(super) fn markdown(&self) -> String {
        let mut page = String::from("# Results\n\n");
        let _ = writeln!(page, "{}\n", self.introduction());
        page.push_str(&self.summary());
        for set in &self.sets {
            let mine: Vec<&Cell> = self.cells.iter().filter(|cell| cell.set == set.name).collect();
            page.push_str(&section(set, &mine));
        }
        page.push_str("\n## Figures\n\n![Test loss by epoch](figure1.svg)\n");
        // Of the first run of llfm-jo on Banana.
        if self.args.output.join("boundary.svg").is_file() && self.has_jo_on("banana") {
            page.push_str("\n![Decision boundary and anchors on Banana](boundary.svg)\n");
        }
        let _ = write!(page, "\n## Where and how\n\n{}", self.provenance());
        page
    }

    fn has_jo_on(&self, set: &str) -> bool {
        let mut cells = self.cells.iter();
        cells.any(|cell| cell.set == set && cell.contender.method == Method::LlfmJo)
    }

    fn introduction(&self) -> String {
        let preset = match self.args.preset {
            PresetName::Paper => "the paper's own loop and settings (`--preset paper`)",
            PresetName::Best => "our settings (`--preset best`)",
        };
        let mut text = format!(
            "Test accuracy in percent, RMSE of ratings, mean ± deviation over the runs (seeds 0, 1, …), with \
             {preset}. FM is one global \
             factorization machine; DO, APL and JO are the methods of the paper; the last column is \
             the JO that the paper prints, or where it has none an earlier draft of it."
        );
        if let Some(epochs) = self.args.epochs {
            let _ = write!(text, " **A quick look: `--epochs {epochs}` for every set.**");
        }
        let differ: Vec<String> =
            self.files_differ().iter().map(|file| format!("`{file}`")).collect();
        if !differ.is_empty() {
            let _ = write!(
                text,
                "\n\n**Not the published files: {}; results on them may differ.**",
                differ.join(", ")
            );
        }
        text
    }

    /// Files of any set that are not the published ones.
    fn files_differ(&self) -> Vec<&'a str> {
        let mut files: Vec<&str> = Vec::new();
        for file in self.cells.iter().flat_map(|cell| &cell.files_differ) {
            if !files.contains(&file.as_str()) {
                files.push(file);
            }
        }
        files
    }

    /// One row a set.
    fn summary(&self) -> String {
        let mut titles: Vec<String> = Vec::new();
        for cell in self.cells {
            let title = cell.contender.title();
            if !titles.contains(&title) {
                titles.push(title);
            }
        }
        let mut table = format!("| set | runs | {} | paper, JO |\n", titles.join(" | "));
        let _ = writeln!(table, "|---|{}", "---|".repeat(titles.len() + 2));
        for set in &self.sets {
            let cell = |title: &String| {
                let mut cells = self.cells.iter();
                cells.find(|cell| cell.set == set.name && cell.contender.title() == *title)
            };
            let row: Vec<String> =
                titles.iter().map(|title| cell(title).map_or_else(dash, score)).collect();
            let published = self.published.of(set.name, Method::LlfmJo).into_iter().next();
            let published = published.map_or_else(dash, |found| published_score(set, &found));
            let unit = if set.ratings { ", RMSE" } else { "" };
            let (title, runs, row) = (set.title, self.args.runs.of(set.name), row.join(" | "));
            let _ = writeln!(table, "| {title}{unit} | {runs} | {row} | {published} |");
        }
        table
    }

    fn provenance(&self) -> String {
        let settings = match self.args.preset {
            PresetName::Best => {
                "The settings of JO were chosen by the searches in `presets/search`, on the training \
                 rows of split 0; the other methods take what they share with them, or what was tried by \
                 hand on training rows, as the files in `presets/best` say. For Banana, Magic04 and Covtype the test rows of run 1 and all after it \
                 overlap those rows."
            }
            PresetName::Paper => {
                "The settings are the paper's and its code's, as `presets/README.md` says."
            }
        };
        let Machine { date, version, commit, cpu, cores, threads, simd, os, device } = self.machine;
        format!(
            "{date}, llfm {version}, commit {commit}. {cpu}, {cores} cores, {threads} threads, {simd}, {os}; \
             computed on {device}.\n\n\
             Numbers are standardised by the training rows; users and items of ratings are not, being \
             ones and zeros. Where a set has no public split (Banana, \
             Magic04, Covtype), run r tests on the third of the rows that split seed r draws; models are \
             seeded r too. {settings} The loss on the test rows is computed after every epoch, for the \
             figure; nothing is chosen by it: every model is the one of its last epoch. The \
             training loss is the final model's; the papers print the running mean of each row's loss \
             before its update. The test time is the median of seven scorings of all test rows, over \
             that of FM in the same run; its bound for JO is 1.3·(k + m/(C(d + 2))), by the operations of k active \
             of m anchors, C outputs and d factors. ± is the sample deviation over the runs. Paper: Liu and \
             others, *Locally Linear Factorization Machines*, IJCAI 2017, Table 2; draft: Table 2 of an \
             earlier draft of it. Every run, with all of its settings, is a line of `runs.jsonl`.\n"
        )
    }
}

/// Everything about one set.
fn section(set: &Set, cells: &[&Cell]) -> String {
    let Some(first) = cells.first() else { return String::new() };
    let mut text = format!(
        "\n## {}\n\n{} training rows, {} test rows, {} loss.\n\n",
        set.title,
        count(first.train_rows),
        count(first.test_rows),
        first.loss
    );
    let columns = columns(set, first);
    let heads: Vec<&str> = columns.iter().map(|(head, _)| *head).collect();
    let more = if set.ratings { " accuracy %, as printed |" } else { "" };
    let _ = writeln!(text, "| method | from | {} |{more}", heads.join(" | "));
    let width = columns.len() + 2 + usize::from(set.ratings);
    let _ = writeln!(text, "|{}", "---|".repeat(width));
    for cell in cells {
        let row: Vec<String> = columns.iter().map(|(_, value)| value(cell)).collect();
        let more = if set.ratings { " – |" } else { "" };
        let title = cell.contender.title();
        let star = if cell.diverged > 0 { " \\*" } else { "" };
        let _ = writeln!(text, "| {title}{star} | here | {} |{more}", row.join(" | "));
        for found in [&cell.paper, &cell.draft].into_iter().flatten() {
            let _ =
                writeln!(text, "| | {} | {} |", found.source, published_row(set, found, &heads));
        }
    }
    for note in notes(set, cells) {
        let _ = write!(text, "\n{note}\n");
    }
    text
}

/// What is told of each contender.
fn columns(set: &Set, first: &Cell) -> Vec<Headed> {
    let mut columns: Vec<Headed> = if set.ratings {
        vec![
            ("test RMSE", |cell| decimal(cell.rmse)),
            ("training RMSE", |cell| decimal(cell.train_rmse)),
        ]
    } else {
        vec![
            ("accuracy %", |cell| percent(cell.accuracy)),
            ("training loss", |cell| decimal(cell.train_loss)),
            ("test loss", |cell| decimal(cell.test_loss)),
        ]
    };
    if first.loss != "logistic" && !set.ratings {
        columns.push(("test log loss", |cell| decimal(cell.log_loss)));
    }
    columns.extend([
        ("test time, FM 1", ratio as fn(&Cell) -> String),
        ("bound", |cell| cell.test_time_bound.map_or_else(dash, |bound| format!("{bound:.2}"))),
        ("active anchors", |cell| {
            spread(Some(Spread { mean: cell.mean_active, sd: cell.mean_active_sd }), 1)
        }),
        ("training time", |cell| duration(cell.train_seconds)),
    ]);
    columns
}

fn ratio(cell: &Cell) -> String {
    let found = cell.test_time_ratio.map(|mean| Spread { mean, sd: cell.test_time_ratio_sd });
    spread(found, 2)
}

/// The published figures under the same heads.
fn published_row(set: &Set, found: &Figures, heads: &[&str]) -> String {
    let [train_sd, test_sd, accuracy_sd] = found.sd.map_or([None; 3], |sd| sd.map(Some));
    let loss = |mean: f64, sd: Option<f64>| match set.losses_as_printed() {
        true => decimal(Some(Spread { mean, sd })),
        false => dash(),
    };
    let accuracy = percent(Some(Spread { mean: found.accuracy, sd: accuracy_sd }));
    let mut row: Vec<String> = heads
        .iter()
        .map(|head| match *head {
            "accuracy %" => accuracy.clone(),
            "training loss" | "training RMSE" => loss(found.train_loss, train_sd),
            "test loss" | "test RMSE" => loss(found.test_loss, test_sd),
            "test time, FM 1" => format!("{:.2}", found.test_time_ratio),
            _ => dash(),
        })
        .collect();
    if set.ratings {
        row.push(accuracy);
    }
    row.join(" | ")
}

/// What a reader would stumble over.
fn notes(set: &Set, cells: &[&Cell]) -> Vec<String> {
    let mut notes = Vec::new();
    if cells.iter().any(|cell| cell.diverged > 0) {
        notes.push(
            "\\* The loss diverged in some of the runs; their figures are of the last epoch before."
                .to_owned(),
        );
    }
    if cells.iter().any(|cell| cell.loss == "softmax") {
        notes.push(
            "The paper's losses here are sums over the classes of logistic losses; ours is the softmax \
             loss, another quantity. `--preset paper` has the paper's."
                .to_owned(),
        );
    }
    if set.ratings {
        notes.push(
            "The draft does not define the accuracy of ratings: it stands as printed, and we compute \
             none."
                .to_owned(),
        );
    }
    if !set.losses_as_printed() {
        let printed: Vec<String> = cells
            .iter()
            .filter_map(|cell| {
                let found = cell.draft?;
                let [train, test] = [(found.train_loss, 0), (found.test_loss, 1)]
                    .map(|(mean, i)| decimal(Some(Spread { mean, sd: found.sd.map(|sd| sd[i]) })));
                Some(format!("{} {train} and {test}", cell.contender.title()))
            })
            .collect();
        notes.push(format!(
            "The draft prints as training and test loss: {}. Errors of ratings from 1 to 5 cannot be \
             that small, so nothing of ours stands beside them.",
            printed.join("; ")
        ));
    }
    notes
}

/// What the summary shows.
fn score(cell: &Cell) -> String {
    if cell.rmse.is_some() { decimal(cell.rmse) } else { percent(cell.accuracy) }
}

fn published_score(set: &Set, found: &Figures) -> String {
    match (set.ratings, set.losses_as_printed()) {
        (false, _) => format!("{:.2}", 100.0 * found.accuracy),
        (true, true) => format!("{:.4} ({})", found.test_loss, found.source),
        (true, false) => dash(),
    }
}

fn percent(value: Option<Spread>) -> String {
    let scaled = value.map(|s| Spread { mean: 100.0 * s.mean, sd: s.sd.map(|sd| 100.0 * sd) });
    spread(scaled, 2)
}

fn decimal(value: Option<Spread>) -> String {
    spread(value, 4)
}

fn spread(value: Option<Spread>, digits: usize) -> String {
    match value {
        None => dash(),
        Some(Spread { mean, sd: None }) => format!("{mean:.digits$}"),
        Some(Spread { mean, sd: Some(sd) }) => format!("{mean:.digits$} ± {sd:.digits$}"),
    }
}

fn dash() -> String {
    "–".into()
}

/// The names of some methods.
fn names_of(cells: &[Cell]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for cell in cells {
        let name = name_of(cell.contender.method);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
