//! `llfm inspect --text`: every learned number, line by line as it is read.

use llfm::Result;
use llfm::config::name_of;
use llfm::data::LabelMap;
use llfm::model::{Model, Parameters};

use super::{count, counted, feature_names};
use crate::cli::console::Console;
use crate::cli::predict::push_number;

/// Prints the weights. Lines of a feature have its name, a tab, and numbers between spaces.
pub(super) fn print(model: &Model, console: &mut Console) -> Result<()> {
    let (config, first) = (&model.config, &model.members[0]);
    console.line(&format!(
        "{} · {} · {} loss · {}, {}, {}",
        name_of(config.method),
        name_of(config.task),
        name_of(config.loss),
        counted(first.n_features(), "feature"),
        counted(first.n_outputs(), "output"),
        counted(first.n_factors(), "factor"),
    ))?;
    if let LabelMap::Values { .. } = model.labels {
        let scale = model.target_scale;
        let line = numbers("value = mean + deviation × score:", [scale.mean, scale.deviation]);
        console.line(&line)?;
    }
    let names: Vec<String> =
        feature_names(model).iter().map(|name| name.escape_debug().to_string()).collect();
    for (i, member) in model.members.iter().enumerate() {
        if model.members.len() > 1 {
            console.line("")?;
            console.line(&format!("member {i}, {} anchors", count(member.n_anchors())))?;
        }
        Page { model, member, names: &names, console }.print()?;
    }
    Ok(())
}

/// The numbers of one member.
struct Page<'a> {
    model: &'a Model,
    member: &'a Parameters,
    names: &'a [String],
    console: &'a mut Console,
}

impl Page<'_> {
    fn print(&mut self) -> Result<()> {
        self.console.line("")?;
        self.console.line("log metric")?;
        let metric = &self.member.log_metric;
        self.features(|j| vec![metric[j]])?;
        for i in 0..self.member.n_anchors() {
            self.anchor(i)?;
        }
        Ok(())
    }

    fn anchor(&mut self, i: usize) -> Result<()> {
        let member = self.member;
        self.console.line("")?;
        self.console.line(&numbers(&format!("anchor {i}, log L"), [member.log_lipschitz[i]]))?;
        let scale = member.anchor_scale.as_ref();
        self.console.line(if scale.is_some() { "point, scale" } else { "point" })?;
        self.features(|j| {
            let scale = scale.map(|scale| scale[[i, j]]);
            std::iter::once(member.anchors[[i, j]]).chain(scale).collect()
        })?;
        for c in 0..member.n_outputs() {
            let name = self.output(c);
            let bias = member.bias[[i, c]];
            self.console.line(&numbers(&format!("anchor {i}{name}, bias"), [bias]))?;
            let factors = if member.n_factors() > 0 { ", factors" } else { "" };
            self.console.line(&format!("linear{factors}"))?;
            self.features(|j| {
                let factors = (0..member.n_factors()).map(|f| member.factors[[i, c, j, f]]);
                std::iter::once(member.linear[[i, c, j]]).chain(factors).collect()
            })?;
        }
        Ok(())
    }

    /// What a channel scores, where there is more than one.
    fn output(&self, channel: usize) -> String {
        let labels = &self.model.labels;
        match self.member.n_outputs() {
            1 => String::new(),
            _ => format!(", class {}", labels.class_name(channel).escape_debug()),
        }
    }

    fn features(&mut self, values: impl Fn(usize) -> Vec<f32>) -> Result<()> {
        for (j, name) in self.names.iter().enumerate() {
            self.console.line(&numbers(&format!("  {name}\t"), values(j)))?;
        }
        Ok(())
    }
}

/// A label and numbers that read back as the same ones.
fn numbers(label: &str, values: impl IntoIterator<Item = f32>) -> String {
    let mut line = label.to_owned();
    for value in values {
        if !line.ends_with('\t') {
            line.push(' ');
        }
        push_number(&mut line, value);
    }
    line
}
