//! Megabytes of text read per second, with one thread and with one a core: generates a file, checks
//! what is read, times it. Where a file is packed, those of its text count.
//!
//! `cargo bench --bench readers`

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::time::Instant;

use llfm::data::{Notes, ReadOptions, read};
use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::{Rng, SeedableRng};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// Rows of each generated file.
const ROWS: usize = 200_000;
/// Timings of which the best counts: the others met a busy machine.
const REPEATS: usize = 5;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let pools = [1, 0].map(|n| ThreadPoolBuilder::new().num_threads(n).build().expect("threads"));
    let threads = pools[1].current_num_threads();
    println!("{:>15}  {:>8}  {:>8}  {:>8}", "", "size", "1 thread", format!("{threads} threads"));
    for (name, text) in [
        ("integers.csv", csv(54, |random| (random % 1_000).to_string())),
        ("decimals.csv", csv(20, |random| decimal(random, 1e4))),
        ("long.csv", csv(20, |random| decimal(random, 1e17))),
        ("pairs.svm", libsvm(|random| decimal(random, 1e6))),
        ("counts.svm", libsvm(|random| (random % 9 + 1).to_string())),
        ("decimals.csv.gz", csv(20, |random| decimal(random, 1e4))),
    ] {
        let path = folder.path().join(name);
        let bytes = if name.ends_with(".gz") { gzip(&text) } else { text.clone().into_bytes() };
        std::fs::write(&path, bytes).expect("the file can be written");
        let megabytes = text.len() as f64 / 1e6;
        let [one, all] = pools.each_ref().map(|pool| megabytes / best(pool, &path));
        println!("{name:>15}  {megabytes:5.1} MB  {one:3.0} MB/s  {all:3.0} MB/s");
    }
}

/// The fewest seconds to read a file with some threads.
fn best(pool: &ThreadPool, path: &Path) -> f64 {
    (0..REPEATS).map(|_| pool.install(|| time(path))).fold(f64::INFINITY, f64::min)
}

fn gzip(text: &str) -> Vec<u8> {
    let mut file = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    file.write_all(text.as_bytes()).expect("memory");
    file.finish().expect("memory")
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
