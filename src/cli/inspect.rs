//! `llfm inspect`: what a model file holds, for people or programs.

mod text;

use llfm::Result;
use llfm::config::name_of;
use llfm::data::{LabelMap, Schema, printable};
use llfm::metrics::Metrics;
use llfm::model::{FORMAT_VERSION, Model};
use serde_json::{Value, json};

use super::args::InspectArgs;
use super::console::Console;
use super::memory::default_limit;
use super::report::{self, count, counted};

/// Runs the command.
pub(crate) fn run(args: &InspectArgs) -> Result<()> {
    let model = Model::load_within(&args.model, args.max_memory.unwrap_or_else(default_limit))?;
    let mut console = Console::new(false);
    if args.json {
        console.event(&as_json(&model))?;
    } else if args.text {
        text::print(&model, &mut console)?;
    } else {
        page(&model, &mut console)?;
    }
    console.flush()
}

/// Everything but the weights, under the names of the model file.
fn as_json(model: &Model) -> Value {
    let first = &model.members[0];
    let classes: Option<Vec<&str>> = classes(model);
    json!({
        "event": "result",
        "command": "inspect",
        "format_version": FORMAT_VERSION,
        "method": name_of(model.config.method),
        "task": name_of(model.config.task),
        "loss": name_of(model.config.loss),
        "features": first.n_features(),
        "outputs": first.n_outputs(),
        "anchors": first.n_anchors(),
        "factors": first.n_factors(),
        "members": model.members.len(),
        "parameters": n_parameters(model),
        "classes": classes,
        "labels": model.labels,
        "feature_names": feature_names(model),
        "sparse": model.preprocess.is_sparse(),
        "scale": name_of(model.preprocess.scale()),
        "target_scale": model.target_scale,
        "settings": model.config,
        "summary": model.summary,
    })
}

fn page(model: &Model, console: &mut Console) -> Result<()> {
    let title = console.bold(&name_of(model.config.method));
    let (task, loss) = (name_of(model.config.task), name_of(model.config.loss));
    console.line(&format!("{title} · {task} · {loss} loss"))?;
    let sections = [("", shapes(model)), ("Training", training(model))];
    for (heading, lines) in sections {
        if !heading.is_empty() {
            console.line("")?;
            console.line(&console.bold(heading))?;
        }
        for (name, text) in lines {
            let name = console.dim(&format!("{name:<16}"));
            console.line(&format!("  {name}{text}"))?;
        }
    }
    let metrics = &model.summary.metrics;
    if !metrics.is_empty() {
        console.line("")?;
        console.line(&console.bold("Metrics"))?;
        let parts: [(&str, Option<&Metrics>); 3] =
            ["train", "valid", "test"].map(|part| (part, metrics.get(part)));
        report::table(console, &parts)?;
    }
    console.line("")?;
    console.line(&console.bold("Anchors by their share of the training rows"))?;
    shares(model, console)
}

type Lines = Vec<(&'static str, String)>;

fn shapes(model: &Model) -> Lines {
    let first = &model.members[0];
    let kind = if model.preprocess.is_sparse() { "sparse" } else { "dense" };
    let mut lines = vec![
        ("features", format!("{}, {kind}: {}", count(first.n_features()), some_features(model))),
        ("columns", columns(model.preprocess.schema())),
        ("scaling", name_of(model.preprocess.scale())),
        ("anchors", count(first.n_anchors())),
        ("factors", count(first.n_factors())),
        ("members", count(model.members.len())),
        ("parameters", count(n_parameters(model))),
    ];
    match &model.labels {
        LabelMap::Classes { names, .. } => {
            let shown: Vec<String> = names.iter().map(|n| printable(n)).collect();
            lines.insert(0, ("classes", format!("{}: {}", names.len(), shown.join(", "))));
            if model.config.loss.n_outputs(names.len()) == 1 {
                lines.insert(1, ("positive", shown[names.len() - 1].clone()));
            }
        }
        LabelMap::Values { range: [low, high], clamp } => {
            let clamp = if *clamp { ", predictions stay within" } else { "" };
            lines.insert(0, ("values", format!("{low} to {high} in training{clamp}")));
        }
    }
    lines
}

fn training(model: &Model) -> Lines {
    let (config, summary) = (&model.config, &model.summary);
    let best: Vec<String> = summary.best_epochs.iter().map(ToString::to_string).collect();
    let mut lines = vec![
        ("rows", format!("{}, {} values", count(summary.rows), count(summary.nonzeros))),
        ("kept epoch", best.join(", ")),
        ("active anchors", format!("{:.2} a row", summary.mean_active)),
        ("fingerprint", summary.data_fingerprint.clone()),
    ];
    for (i, line) in report::settings(config).into_iter().enumerate() {
        lines.push((if i == 0 { "settings" } else { "" }, line));
    }
    lines
}

/// A bar for each of the anchors that carry most.
fn shares(model: &Model, console: &mut Console) -> Result<()> {
    const MOST: usize = 12;
    let mut shares: Vec<(usize, f64)> =
        model.summary.anchor_share.iter().copied().enumerate().collect();
    shares.sort_by(|a, b| b.1.total_cmp(&a.1));
    let top = shares.first().map_or(1.0, |&(_, share)| share.max(1e-12));
    for (anchor, share) in shares.iter().take(MOST) {
        let bar = "━".repeat((share / top * 30.0).round() as usize);
        console.line(&format!("  {anchor:>5}  {:>6.2} %  {bar}", 100.0 * share))?;
    }
    if shares.len() > MOST {
        let rest: f64 = shares[MOST..].iter().map(|(_, share)| share).sum();
        let unused = shares.iter().filter(|(_, share)| *share == 0.0).count();
        let unused = if unused > 0 { format!(", {unused} of them unused") } else { String::new() };
        let more = shares.len() - MOST;
        console.line(&format!("  {:>5}  {:>6.2} %  {more} others{unused}", "", 100.0 * rest))?;
    }
    Ok(())
}

fn classes(model: &Model) -> Option<Vec<&str>> {
    match &model.labels {
        LabelMap::Classes { names, .. } => Some(names.iter().map(String::as_str).collect()),
        LabelMap::Values { .. } => None,
    }
}

/// The name of every feature.
pub(super) fn feature_names(model: &Model) -> Vec<String> {
    (0..model.preprocess.n_features()).map(|j| model.preprocess.feature_name(j)).collect()
}

fn some_features(model: &Model) -> String {
    let names: Vec<String> = feature_names(model).iter().map(|n| printable(n)).collect();
    if names.len() <= 10 {
        return names.join(", ");
    }
    format!("{}, …, {}", names[..8].join(", "), names[names.len() - 1])
}

fn columns(schema: &Schema) -> String {
    let columns = match schema {
        Schema::Sparse { index_base, .. } => format!("numbered from {index_base}"),
        Schema::Table(table) if table.ratings => "user, item".into(),
        Schema::Table(table) => match &table.label {
            Some(label) => format!(
                "{}, the label in column {}{}",
                table.columns.len(),
                label.position + 1,
                label
                    .name
                    .as_ref()
                    .map_or_else(String::new, |name| format!(" ({})", printable(name)))
            ),
            None => format!("{}", table.columns.len()),
        },
    };
    match schema.hash_bits() {
        Some(bits) => format!("{columns}, hashed into 2^{bits} features"),
        None => columns,
    }
}

/// Learned numbers of all members.
fn n_parameters(model: &Model) -> usize {
    let count = |x: &llfm::model::Parameters| {
        let scale = x.anchor_scale.as_ref().map_or(0, ndarray::ArrayBase::len);
        let coding = x.anchors.len() + x.log_lipschitz.len() + x.log_metric.len() + scale;
        coding + x.bias.len() + x.linear.len() + x.factors.len()
    };
    model.members.iter().map(count).sum()
}
