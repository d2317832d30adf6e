//! Epochs with each form of the GPU's kernels beside those that the rules choose.
//!
//! `cargo bench --bench gpu_variants [SHAPE…]`, on the adapter of `--device gpu`
//!
//! Rules choose the forms from sizes alone (`src/backend/gpu/tuning.rs`), not a clock: how a sum is cut
//! decides its last bits, and a run must have the same ones again, and on another machine of a kind. This bench
//! is what one would change the rules by. A software driver's times say nothing of a GPU.
//!
//! The rules' forms are checked against the equations in f64 before any is timed; tests compare the others with the CPU.
//! Forms take turns, epoch by epoch; times are medians, and ratios medians of the ratios within a turn. Fails where a
//! form of the coding, which must not change a bit, does. Without cargo's `--bench`, as in `cargo test --benches`, few rows and one turn.

use std::process::ExitCode;
use std::time::Duration;

use llfm::Result;
use llfm::backend::{Device, Placement, RowStorage};
use llfm::bench::{Job, RowShape, config_of};
use llfm::config::Method;
use llfm::gpu::adapter::{Choice, Request, choose};
use llfm::gpu::{Adapter, Gpu, Variant};
use llfm::settings::Settings;

/// Shape, rows, and rows a step: so few that a software driver ends in about a minute.
const CASES: [(&str, usize, usize); 3] =
    [("mnist", 128, 128), ("covtype", 4096, 1024), ("letter", 512, 256)];
/// Turns; an epoch of each form in each.
const TURNS: usize = 3;
/// Steps after which parameters are compared, of one epoch at most.
const STEPS: usize = 3;

/// How much is measured.
#[derive(Clone, Copy)]
struct Effort {
    turns: usize,
    /// Takes one row in so many.
    fewer: usize,
}

/// A form, and what came of it.
struct Form {
    name: String,
    /// Whether it must leave every bit as it is.
    exact: bool,
    device: Device,
    same_bits: bool,
    /// Seconds of an epoch, turn by turn.
    seconds: Vec<f64>,
}

fn main() -> ExitCode {
    let (options, shapes): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|argument| argument.starts_with('-'));
    let effort = match options.iter().any(|option| option == "--bench") {
        true => Effort { turns: TURNS, fewer: 1 },
        false => Effort { turns: 1, fewer: 4 },
    };
    match measure(&shapes, effort) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("a form of the coding has other bits");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Prints the table; whether bits are the same where they must be.
fn measure(shapes: &[String], effort: Effort) -> Result<bool> {
    let Effort { turns, fewer } = effort;
    if let Some(unknown) = shapes.iter().find(|name| cases(std::slice::from_ref(*name)).is_empty())
    {
        let known = CASES.map(|(name, ..)| name).join(", ");
        return Err(llfm::Error::Usage(format!("{unknown}: expected one of {known}")));
    }
    let Choice::Gpu(adapter) = choose(&Request::Gpu(None))? else {
        unreachable!("a GPU was asked for");
    };
    let facts = adapter.facts();
    println!("{facts}, {}, {}", facts.kind, facts.driver);
    println!(
        "llfm-jo, m 50, d 10, {turns} turns. Rules that look at sizes choose the forms, no clock: bits must be the\n\
         same from run to run, and from machine to machine of a kind. These times are what one would change\n\
         the rules by; a form that the rules choose too shows the noise."
    );
    if !facts.kind.is_hardware() {
        println!("A SOFTWARE DRIVER: NO TIME HERE IS A GPU'S. GPU speed is unmeasured.");
    }
    println!("\n| shape | rows | b | form | ms an epoch | of the rules' | same bits |");
    println!("|---|---|---|---|---|---|---|");
    let mut sound = true;
    for (name, rows, batch_size) in cases(shapes) {
        sound &= measure_shape(&adapter, name, rows / fewer, batch_size, turns)?;
    }
    Ok(sound)
}

/// Those named, or all.
fn cases(names: &[String]) -> Vec<(&'static str, usize, usize)> {
    let wanted = |case: &&(&str, usize, usize)| {
        names.is_empty() || names.iter().any(|name| name.eq_ignore_ascii_case(case.0))
    };
    CASES.iter().filter(wanted).copied().collect()
}

/// Prints the forms of one shape.
fn measure_shape(
    adapter: &Adapter,
    name: &str,
    rows: usize,
    batch_size: usize,
    turns: usize,
) -> Result<bool> {
    let shape = RowShape::named(name).expect("a shape");
    let settings = Settings {
        method: Some(Method::LlfmJo),
        anchors: Some(50),
        factors: Some(10),
        batch_size: Some(batch_size),
        ..Settings::default()
    };
    let data = shape.generate(rows);
    let job = Job::new(shape, config_of(shape, &settings)?, &data);
    let mut forms = forms(adapter)?;
    let expected = job.parameters_after(STEPS, &forms[0].device)?;
    job.check(&forms[0].device)?;
    for form in &mut forms {
        form.same_bits = job.parameters_after(STEPS, &form.device)? == expected;
    }
    for _ in 0..turns {
        for form in &mut forms {
            // One epoch, after a few steps to warm up.
            let timing = job.time(&form.device, Duration::from_millis(1), &mut || false)?;
            form.seconds.push(timing.seconds);
        }
    }
    let rules = forms[0].seconds.clone();
    for Form { name: form, seconds, same_bits, .. } in &forms {
        let ratios = seconds.iter().zip(&rules).map(|(own, rules)| own / rules).collect();
        let (took, ratio) = (1e3 * median(seconds.clone()), median(ratios));
        let same = if *same_bits { "yes" } else { "no" };
        println!("| {name} | {rows} | {batch_size} | {form} | {took:.1} | {ratio:.2} | {same} |");
    }
    Ok(forms.iter().all(|form| form.same_bits || !form.exact))
}

/// Opens the adapter with the rules' forms and then with each other one that it has.
fn forms(adapter: &Adapter) -> Result<Vec<Form>> {
    let rules = Variant::default();
    let mut variants = vec![("the rules'".to_owned(), true, rules)];
    for on in [true, false] {
        let word = if on { "on" } else { "off" };
        let subgroups = Variant { subgroups: Some(on), ..rules };
        let fused = Variant { fused_coding: Some(on), ..rules };
        variants.push((format!("subgroups {word}"), true, subgroups));
        variants.push((format!("fused coding {word}"), true, fused));
    }
    let sorted = Variant { sorted: Some(true), ..rules };
    variants.push(("anchors sorted".to_owned(), true, sorted));
    let by_pairs = Variant { score_pairs: Some(true), ..rules };
    variants.push(("scores pair by pair".to_owned(), false, by_pairs));
    for splits in [4, 8, 16, 32] {
        // In tiles, whatever the rules say.
        let (score_pairs, score_splits) = (Some(false), Some(splits));
        let variant = Variant { score_pairs, score_splits, ..rules };
        variants.push((format!("score_splits {splits}"), false, variant));
    }
    for splits in [4, 8, 16, 32, 64] {
        let variant = Variant { update_splits: Some(splits), ..rules };
        variants.push((format!("update_splits {splits}"), false, variant));
    }
    let mut forms = Vec::new();
    for (name, exact, variant) in variants {
        let gpu = match Gpu::open_variant(adapter, variant) {
            Ok(gpu) => gpu,
            // Not every adapter has subgroups.
            Err(error) if variant.subgroups == Some(true) => {
                eprintln!("{name}: left out: {error}");
                continue;
            }
            Err(error) => return Err(error),
        };
        let device =
            Device::Gpu { gpu, placement: Placement::default(), storage: RowStorage::default() };
        forms.push(Form { name, exact, device, same_bits: false, seconds: Vec::new() });
    }
    Ok(forms)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
