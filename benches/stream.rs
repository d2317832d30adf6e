//! Seconds of whole runs with the training rows in memory, and in windows from the disk: reading,
//! preparing, training, measuring. Generates the rows, and checks that both learn alike.
//!
//! `cargo bench --bench stream`

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use llfm::backend::Device;
use llfm::config::defaults::resolve;
use llfm::data::{Chunks, Format, Notes, ReadOptions, Reader, StoredRows, read};
use llfm::event::Flow;
use llfm::experiment::{Part, Preparation, Prepared, RawParts, StreamedParts};
use llfm::metrics::Metrics;
use llfm::settings::Settings;
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// Timings of which the best counts: the others met a busy machine.
const REPEATS: usize = 3;

/// What a run took.
struct Took {
    seconds: f64,
    /// Of reading and preparing, and of training.
    load: f64,
    train: f64,
    windows: usize,
    metrics: Metrics,
}

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    println!("{:>12} {:>10} {:>22} {:>8}", "", "in memory", "streamed", "ratio");
    for (name, text, max_memory) in
        [("dense.csv", dense(400_000), 20 << 20), ("ratings.dat", ratings(2_000_000), 40 << 20)]
    {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("the file can be written");
        // By turns, so that a busy machine meets both.
        let runs = (0..REPEATS).map(|_| (run(&path, None), run(&path, Some(max_memory))));
        let (memory, disk): (Vec<Took>, Vec<Took>) = runs.unzip();
        let [memory, disk] = [memory, disk].map(|runs| {
            let best = runs.into_iter().min_by(|a, b| a.seconds.total_cmp(&b.seconds));
            best.expect("there are runs")
        });
        let [a, b] = [&memory, &disk].map(|took| took.metrics.loss);
        assert!((a - b).abs() < 0.1 * a, "{name}: the loss is {a} in memory, {b} streamed");
        println!(
            "{name:>12} {:>8.2} s {:>8.2} s {:>2} windows {:>8.2}   (load {:.2} and {:.2} s, train \
             {:.2} and {:.2} s)",
            memory.seconds,
            disk.seconds,
            disk.windows,
            disk.seconds / memory.seconds,
            memory.load,
            disk.load,
            memory.train,
            disk.train,
        );
    }
}

/// A whole run; with a bound on memory the training rows are streamed.
fn run(path: &Path, max_memory: Option<u64>) -> Took {
    let start = Instant::now();
    let prepared = match max_memory {
        None => in_memory(path),
        Some(max_memory) => streamed(path, max_memory),
    };
    let load = start.elapsed().as_secs_f64();
    let settings = Settings { epochs: Some(5), ..Settings::default() };
    let config = resolve(&settings, &prepared.shape()).expect("sound settings");
    let trained = prepared.fit(&config, &Device::Cpu, &mut |_| Flow::Continue).expect("trains");
    let measured = prepared.measure(&config, &trained, &Device::Cpu).expect("is measured");
    Took {
        seconds: start.elapsed().as_secs_f64(),
        load,
        train: trained.train_seconds,
        windows: prepared.stream.map_or(1, |rows| rows.n_windows()),
        metrics: measured.model.summary.metrics["train"].clone(),
    }
}

fn options(path: &Path) -> ReadOptions {
    let ratings = path.extension().is_some_and(|ending| ending == "dat");
    ReadOptions { format: ratings.then_some(Format::Ratings), ..ReadOptions::default() }
}

fn in_memory(path: &Path) -> Prepared {
    let mut notes = Notes::new();
    let rows = read(path, &options(path), &mut notes).expect("the file is sound");
    let train = Part { rows, place: path.to_owned() };
    let parts = RawParts { train, valid: None, test: None };
    Prepared::new(parts, &Preparation::default(), &mut notes).expect("the rows are sound")
}

fn streamed(path: &Path, max_memory: u64) -> Prepared {
    let mut notes = Notes::new();
    let options = ReadOptions { max_memory, ..options(path) };
    let mut reader = Reader::open(path, &options, None, true).expect("the file is sound");
    let folder = path.parent().expect("a folder");
    let rows = StoredRows::spool(&mut reader, path, folder, max_memory, false, &mut notes)
        .expect("there is room");
    assert!(rows.n_rows() > 0);
    let parts = StreamedParts { rows, place: path.to_owned(), valid: None, test: None };
    let how = Preparation { max_memory, ..Preparation::default() };
    Prepared::streamed(parts, &how, &mut notes).expect("the rows are sound")
}

/// Twenty numbers a row; products and a curve of some decide the class.
fn dense(rows: usize) -> String {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut unit = || (random.next_u64() >> 11) as f64 / (1_u64 << 52) as f64 - 1.0;
    let mut text = String::new();
    for _ in 0..rows {
        let x: Vec<f64> = (0..20).map(|_| 2.0 * unit()).collect();
        let class = u8::from(x[0] * x[1] + (2.0 * x[2]).sin() + 0.3 * unit() > 0.0);
        x.iter().for_each(|x| write!(text, "{x:.4},").expect("memory"));
        writeln!(text, "{class}").expect("memory");
    }
    text
}

/// Users and items of very different numbers of ratings.
fn ratings(rows: usize) -> String {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(2);
    let mut draw = |most: f64| {
        let unit = (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        (unit * unit * most) as u64
    };
    let mut text = String::new();
    for _ in 0..rows {
        let (user, item) = (draw(60_000.0), draw(8_000.0));
        let rating = 1 + (user % 3 + item % 2 + draw(3.0)).min(4);
        writeln!(text, "{user}::{item}::{rating}").expect("memory");
    }
    text
}
