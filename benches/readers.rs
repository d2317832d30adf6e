//! Megabytes of text read per second on one core: generates a file, checks what is read, times it.
//!
//! `cargo bench --bench readers`

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use llfm::data::{Notes, ReadOptions, read};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};

/// Rows of each generated file.
const ROWS: usize = 200_000;
/// Timings of which the best counts: the others met a busy machine.
const REPEATS: usize = 5;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in [
        ("integers.csv", csv(54, |random| (random % 1_000).to_string())),
        ("decimals.csv", csv(20, |random| decimal(random, 1e4))),
        ("long.csv", csv(20, |random| decimal(random, 1e17))),
        ("pairs.svm", libsvm(|random| decimal(random, 1e6))),
        ("counts.svm", libsvm(|random| (random % 9 + 1).to_string())),
    ] {
        let path = folder.path().join(name);
        std::fs::write(&path, &text).expect("the file can be written");
        let best = (0..REPEATS).map(|_| time(&path)).fold(f64::INFINITY, f64::min);
        let megabytes = text.len() as f64 / 1e6;
        println!("{name:>14}: {megabytes:6.1} MB in {best:.3} s: {:4.0} MB/s", megabytes / best);
    }
}

/// Seconds to read a file.
fn time(path: &Path) -> f64 {
    let begin = Instant::now();
    let rows = read(path, &ReadOptions::default(), &mut Notes::new()).expect("rows");
    let seconds = begin.elapsed().as_secs_f64();
    assert_eq!(rows.n_rows(), ROWS);
    seconds
}

/// A number from 0 to 1 with as many digits as `scale` has zeros.
fn decimal(random: u64, scale: f64) -> String {
    format!("{}", (random as f64 / u64::MAX as f64 * scale).round() / scale)
}

fn csv(columns: usize, cell: impl Fn(u64) -> String) -> String {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let mut text = String::new();
    for row in 0..ROWS {
        for _ in 0..columns {
            text.push_str(&cell(random.next_u64()));
            text.push(',');
        }
        writeln!(text, "{}", row % 7 + 1).expect("memory");
    }
    text
}

fn libsvm(value: impl Fn(u64) -> String) -> String {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(2);
    let mut text = String::new();
    for row in 0..ROWS {
        write!(text, "{}", row % 2).expect("memory");
        let mut index = 0;
        for _ in 0..15 {
            index += random.next_u64() % 100 + 1;
            write!(text, " {index}:{}", value(random.next_u64())).expect("memory");
        }
        text.push('\n');
    }
    text
}
