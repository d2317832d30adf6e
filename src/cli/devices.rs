//! `llfm devices`: what there is to compute on, and what would be taken.

use llfm::gpu::adapter::{self, Adapter, Choice, Facts, Request};
use llfm::{Error, Result};
use serde::Serialize;
use serde_json::json;

use super::args::DevicesArgs;
use super::console::Console;
use super::memory::show_size;
use super::report::counted;

#[derive(Serialize)]
struct AdapterEvent<'a> {
    event: &'static str,
    index: usize,
    #[serde(flatten)]
    facts: &'a Facts,
}

/// What `--device auto` comes to.
struct Auto {
    /// `cpu` or `gpu`; nothing where it fails.
    device: Option<&'static str>,
    adapter: Option<usize>,
    why: Option<String>,
}

/// Runs the command.
pub(crate) fn run(args: &DevicesArgs) -> Result<()> {
    let adapters = adapter::all();
    let auto = Auto::of(&adapters)?;
    let mut console = Console::new(false);
    if args.json {
        events(&adapters, &auto, &mut console)?;
    } else {
        page(&adapters, &auto, &mut console)?;
    }
    console.flush()
}

impl Auto {
    fn of(adapters: &[Adapter]) -> Result<Self> {
        Ok(match adapter::choose_of(adapters, &Request::Auto) {
            Ok(Choice::Cpu { why }) => Self { device: Some("cpu"), adapter: None, why },
            Ok(Choice::Gpu(chosen)) => Self {
                device: Some("gpu"),
                adapter: adapters.iter().position(|adapter| adapter.facts() == chosen.facts()),
                why: Some(reason(chosen.facts())),
            },
            // What the environment names is not there: that is to be shown, not to fail.
            Err(Error::Device(message)) => Self { device: None, adapter: None, why: Some(message) },
            Err(other) => return Err(other),
        })
    }
}

fn reason(chosen: &Facts) -> String {
    match adapter::named() {
        Some(name) => format!("{}={name}", adapter::ADAPTER_VARIABLE),
        None => format!("the first {} GPU", chosen.kind),
    }
}

fn events(adapters: &[Adapter], auto: &Auto, console: &mut Console) -> Result<()> {
    for (index, adapter) in adapters.iter().enumerate() {
        console.event(&AdapterEvent { event: "adapter", index, facts: adapter.facts() })?;
    }
    console.event(&json!({
        "event": "result",
        "command": "devices",
        "device": auto.device,
        "index": auto.adapter,
        "adapter": auto.adapter.map(|i| &adapters[i].facts().name),
        "why": auto.why,
        "threads": rayon::current_num_threads(),
        "install": adapters.is_empty().then(adapter::install_hint),
    }))
}

fn page(adapters: &[Adapter], auto: &Auto, console: &mut Console) -> Result<()> {
    let heads = ["", "name", "interface", "kind", "driver", "largest binding", "note"];
    let mut rows = vec![heads.map(str::to_owned)];
    rows.extend(adapters.iter().enumerate().map(|(i, adapter)| row(i, adapter.facts())));
    let threads = counted(rayon::current_num_threads(), "thread");
    rows.push(["", "cpu", "", "", "", "", threads.as_str()].map(str::to_owned));
    let widths = [0, 1, 2, 3, 4, 5]
        .map(|i| rows.iter().map(|cells| cells[i].chars().count()).max().unwrap_or(0));
    for (i, cells) in rows.iter().enumerate() {
        let padded = cells.iter().zip(widths.iter().chain([&0]));
        let line: String = padded.map(|(cell, &width)| format!("{cell:<width$}  ")).collect();
        let line = line.trim_end();
        console.line(&if i == 0 { console.dim(line) } else { line.to_owned() })?;
    }
    console.line("")?;
    let why = auto.why.as_ref().map_or_else(String::new, |why| format!(": {why}"));
    console.line(&match (auto.device, auto.adapter) {
        (None, _) => format!("--device auto fails{why}"),
        (_, Some(i)) => format!("--device auto takes {}{why}", adapters[i].facts()),
        (_, None) => format!("--device auto takes the CPU{why}"),
    })?;
    if adapters.is_empty() {
        console.line(&format!("To have one, {}.", adapter::install_hint()))?;
    }
    Ok(())
}

fn row(index: usize, facts: &Facts) -> [String; 7] {
    [
        index.to_string(),
        facts.name.clone(),
        facts.backend.to_string(),
        facts.kind.to_string(),
        facts.driver.clone(),
        show_size(facts.max_binding_bytes),
        facts.unusable.as_ref().map_or_else(String::new, |why| format!("unusable: {why}")),
    ]
}
