//! From labels as written to classes or values, one mapping for every later file.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::label_summary::{LabelChunks, Seen, Summary};
use super::notes::Notes;
use super::number;
use super::raw::RawLabels;
use super::{Targets, UNKNOWN_CLASS, label_column};
use crate::error::{Error, Place, Result};

/// What is to be predicted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// One of two classes.
    Binary,
    /// One of several classes.
    Multiclass,
    /// A number.
    Regression,
}

/// How labels become targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LabelMap {
    /// Classes by number.
    Classes {
        /// Canonical spelling of each class; of two, the second is the positive one.
        names: Vec<String>,
        /// Whether class 0 is everything that is not class 1.
        rest: bool,
    },
    /// Values as they are.
    Values {
        /// Least and greatest training value.
        range: [f32; 2],
        /// Whether predictions are to be kept within `range`.
        clamp: bool,
    },
}

/// The name of the negative class where one of many was called positive and none is called so.
const REST: &str = "rest";

/// More whole numbers than this are values rather than classes, unless asked for.
const MAX_AUTO_CLASSES: usize = 100;

/// More classes than this are refused: they would be a mistaken regression.
const MAX_CLASSES: usize = 100_000;

impl LabelMap {
    /// Learns the mapping from the labels of the training rows.
    ///
    /// `task` `None` decides: words and two values are classes, at most 100 whole numbers too, the
    /// rest is a regression. `positive` makes one class the positive one and, of more than two,
    /// all others the negative one.
    ///
    /// # Errors
    /// Labels that do not fit the task: a single class, words in a regression, a `positive` that
    /// does not occur.
    pub fn fit(
        labels: &RawLabels,
        task: Option<Task>,
        positive: Option<&str>,
        place: &Path,
        notes: &mut Notes,
    ) -> Result<(Task, Self)> {
        Self::fit_chunks(&|each| each(labels), task, positive, place, notes)
    }

    /// [`LabelMap::fit`] to labels that come in chunks.
    pub(crate) fn fit_chunks(
        labels: LabelChunks<'_>,
        task: Option<Task>,
        positive: Option<&str>,
        place: &Path,
        notes: &mut Notes,
    ) -> Result<(Task, Self)> {
        let mut seen = Seen::default();
        labels(&mut |chunk| {
            seen.add(chunk);
            Ok(())
        })?;
        let ratings = seen.ratings;
        let summary = seen.summary();
        let chosen = match task {
            Some(task) => task,
            None if positive.is_some() => Task::Binary,
            None if ratings => Task::Regression,
            None => {
                check_stray_words(&summary, labels, place)?;
                automatic(&summary)
            }
        };
        if chosen != Task::Binary && positive.is_some() {
            let message = "a positive class goes with a binary task only";
            return Err(Error::Usage(message.to_owned()));
        }
        let map = match chosen {
            Task::Regression => Self::values(labels, place)?,
            Task::Binary => Self::binary(summary, positive, place)?,
            Task::Multiclass => Self::classes(summary, place)?,
        };
        if task.is_none() {
            let classes = map.described();
            notes.info(format!("{}: {classes} (--task overrides)", place.display()));
        }
        Ok((chosen, map))
    }

    fn values(labels: LabelChunks<'_>, place: &Path) -> Result<Self> {
        let (mut least, mut greatest) = (f32::INFINITY, f32::NEG_INFINITY);
        labels(&mut |chunk| {
            for value in numbers(chunk, place)? {
                (least, greatest) = (least.min(value), greatest.max(value));
            }
            Ok(())
        })?;
        if least > greatest {
            return Err(Error::data(Place::file(place), "no rows"));
        }
        Ok(Self::Values { range: [least, greatest], clamp: false })
    }

    fn classes(summary: Summary, place: &Path) -> Result<Self> {
        let n = summary.names.len();
        if n < 2 {
            let only = summary.names.first().map_or("none".to_owned(), |n| number::printable(n));
            let message = format!("expected two classes or more, found a single one: `{only}`");
            return Err(Error::data(Place::file(place), message));
        }
        if n > MAX_CLASSES {
            let message = format!("{n} different labels; use --task regression for numbers");
            return Err(Error::data(Place::file(place), message));
        }
        Ok(Self::Classes { names: summary.names, rest: false })
    }

    fn binary(summary: Summary, positive: Option<&str>, place: &Path) -> Result<Self> {
        let names = match Self::classes(summary, place)? {
            Self::Classes { names, .. } => names,
            Self::Values { .. } => Vec::new(),
        };
        let Some(positive) = positive.map(number::canonical) else {
            if names.len() == 2 {
                return Ok(Self::Classes { names, rest: false });
            }
            return Err(Error::Usage(format!(
                "a binary task needs two classes, {} has {}; name the positive one by --positive \
                 ({})",
                place.display(),
                names.len(),
                shown(&names)
            )));
        };
        if !names.contains(&positive) {
            return Err(Error::Usage(format!(
                "--positive {positive}: no such label in {}; the labels are {}",
                place.display(),
                shown(&names)
            )));
        }
        let rest = names.len() > 2;
        let taken = names.iter().any(|name| name == REST);
        let negative = if rest { None } else { names.into_iter().find(|name| *name != positive) };
        let negative = negative
            .unwrap_or_else(|| if taken { format!("not {positive}") } else { REST.to_owned() });
        Ok(Self::Classes { names: vec![negative, positive], rest })
    }

    /// The targets of any rows, `[n]`.
    ///
    /// A label training never saw becomes [`UNKNOWN_CLASS`], and one warning names them.
    ///
    /// # Errors
    /// A missing label; in a regression also a word or a number beyond f32.
    pub fn targets(&self, labels: &RawLabels, place: &Path, notes: &mut Notes) -> Result<Targets> {
        match self {
            Self::Values { .. } => Ok(Targets::Values(numbers(labels, place)?)),
            Self::Classes { names, rest } => {
                let mut classes = match labels {
                    RawLabels::Numbers(values) | RawLabels::Ratings(values) => {
                        number_classes(names, values).ok_or_else(|| missing(place))?
                    }
                    RawLabels::Words { names: words, codes, .. } => {
                        word_classes(names, words, codes)
                    }
                };
                if *rest {
                    classes.iter_mut().for_each(|class| *class = u32::from(*class == 1));
                } else {
                    warn_unknown(&classes, labels, place, notes);
                }
                Ok(Targets::Classes(classes))
            }
        }
    }

    /// Refuses labels that a model has no class for.
    ///
    /// # Errors
    /// [`Error::Data`] naming them, and those of [`LabelMap::targets`].
    pub fn check_known(&self, labels: &RawLabels, place: &Path) -> Result<()> {
        // What it has to say is said again when the rows are prepared.
        let targets = self.targets(labels, place, &mut Notes::new())?;
        let (Targets::Classes(classes), Self::Classes { names: known, .. }) = (targets, self)
        else {
            return Ok(());
        };
        let Some((rows, names)) = unknown(&classes, labels) else { return Ok(()) };
        let message = format!(
            "{rows} rows with labels the model has no class for ({names}); its classes are {}",
            shown(known)
        );
        Err(Error::data(Place::file(place), message))
    }

    /// Number of classes; 0 for a regression.
    pub fn n_classes(&self) -> usize {
        match self {
            Self::Classes { names, .. } => names.len(),
            Self::Values { .. } => 0,
        }
    }

    /// The label a class stands for; empty for a regression.
    ///
    /// # Panics
    /// If `class` is not below `n_classes()`.
    pub fn class_name(&self, class: usize) -> &str {
        match self {
            Self::Classes { names, .. } => &names[class],
            Self::Values { .. } => "",
        }
    }

    /// Whether predictions of a regression are to stay within the range of the training values.
    pub fn set_clamp(&mut self, on: bool) {
        if let Self::Values { clamp, .. } = self {
            *clamp = on;
        }
    }

    /// The range predictions are to be kept within, in the user's unit, if they are.
    pub fn clamp(&self) -> Option<[f32; 2]> {
        match self {
            Self::Values { range, clamp: true } => Some(*range),
            _ => None,
        }
    }

    fn described(&self) -> String {
        match self {
            Self::Values { range: [least, greatest], .. } => {
                format!("the labels are values from {least} to {greatest}: a regression")
            }
            Self::Classes { names, .. } if names.len() == 2 => {
                let [negative, positive] =
                    [0, 1].map(|class: usize| number::printable(&names[class]));
                format!("two classes, {positive} positive and {negative} negative")
            }
            Self::Classes { names, .. } => format!("{} classes: {}", names.len(), shown(names)),
        }
    }
}

/// The task labels speak for.
fn automatic(summary: &Summary) -> Task {
    let n = summary.names.len();
    match &summary.numbers {
        _ if n == 2 => Task::Binary,
        None => Task::Multiclass,
        Some(values) if n <= MAX_AUTO_CLASSES && values.iter().all(|v| v.fract() == 0.0) => {
            Task::Multiclass
        }
        Some(_) => Task::Regression,
    }
}

/// Refuses numbers with a few words among them: as classes, each number would become one.
fn check_stray_words(summary: &Summary, labels: LabelChunks<'_>, place: &Path) -> Result<()> {
    if summary.numbers.is_some() || summary.names.len() <= MAX_AUTO_CLASSES {
        return Ok(());
    }
    let (mut stray, mut rows, mut first) = (0, 0, None);
    labels(&mut |chunk| {
        rows += chunk.len();
        let RawLabels::Words { names, lines, codes } = chunk else { return Ok(()) };
        let word: Vec<bool> = names.iter().map(|name| name.parse::<f64>().is_err()).collect();
        stray += codes.iter().filter(|&&code| word[code as usize]).count();
        let found = codes.iter().map(|&code| code as usize).find(|&code| word[code]);
        if let (None, Some(code)) = (&first, found) {
            first = Some((names[code].clone(), lines.get(code).copied().unwrap_or(0)));
        }
        Ok(())
    })?;
    let Some((name, line)) = first.filter(|_| 2 * stray < rows) else { return Ok(()) };
    let (n, name) = (summary.names.len(), number::shown(name.as_bytes()));
    let message = format!(
        "most labels are numbers, but `{name}` is a word; mend it for a regression, or say \
         --task multiclass for {n} classes"
    );
    Err(Error::data(Place::line(place, line), message))
}

/// Up to twenty names.
fn shown(names: &[String]) -> String {
    let more = if names.len() > 20 { ", …" } else { "" };
    let names: Vec<String> = names.iter().take(20).map(|name| number::printable(name)).collect();
    format!("{}{more}", names.join(", "))
}

fn missing(place: &Path) -> Error {
    label_column::missing(Place::file(place))
}

/// The class of each number; `None` where one is missing.
fn number_classes(names: &[String], values: &[f64]) -> Option<Vec<u32>> {
    let mut known: Vec<(f64, u32)> = names
        .iter()
        .zip(0..)
        .filter_map(|(name, class)| Some((name.parse().ok()?, class)))
        .collect();
    known.sort_by(|a, b| a.0.total_cmp(&b.0));
    let class = |value: f64| {
        let order = |entry: &(f64, u32)| entry.0.partial_cmp(&value).unwrap_or(Ordering::Less);
        known.binary_search_by(order).map_or(UNKNOWN_CLASS, |at| known[at].1)
    };
    values.iter().map(|&value| (!value.is_nan()).then(|| class(value))).collect()
}

/// The class of each coded word.
fn word_classes(names: &[String], words: &[String], codes: &[u32]) -> Vec<u32> {
    let known: HashMap<&str, u32> = names.iter().map(String::as_str).zip(0..).collect();
    let class = |word: &String| known.get(number::canonical(word).as_str()).copied();
    let classes: Vec<u32> = words.iter().map(|w| class(w).unwrap_or(UNKNOWN_CLASS)).collect();
    codes.iter().map(|&code| classes[code as usize]).collect()
}

/// The labels as numbers, each one representable.
fn numbers(labels: &RawLabels, place: &Path) -> Result<Vec<f32>> {
    let narrow = |value: f64| {
        let narrow = number::narrow(value);
        if value.is_nan() {
            Err(missing(place))
        } else if narrow.is_infinite() {
            let message = format!("label {value:e} is beyond single precision (3.4e38)");
            Err(Error::data(Place::file(place), message))
        } else {
            Ok(narrow)
        }
    };
    match labels {
        RawLabels::Numbers(values) | RawLabels::Ratings(values) => {
            values.iter().map(|&value| narrow(value)).collect()
        }
        RawLabels::Words { names, lines, codes } => {
            let number_of = |&code: &u32| {
                let name = &names[code as usize];
                match name.parse::<f64>() {
                    Ok(value) => narrow(value),
                    Err(_) => {
                        let line = lines.get(code as usize).copied().unwrap_or(0);
                        let message = format!(
                            "a regression needs numbers as labels, found `{}`",
                            number::printable(name)
                        );
                        Err(Error::data(Place::line(place, line), message))
                    }
                }
            };
            codes.iter().map(number_of).collect()
        }
    }
}

/// Names the labels training never saw.
fn warn_unknown(classes: &[u32], labels: &RawLabels, place: &Path, notes: &mut Notes) {
    if let Some((rows, names)) = unknown(classes, labels) {
        let file = place.display();
        let text = format!("rows of {file} with labels training never saw ({names}): all wrong");
        notes.warn_count(rows, text);
    }
}

/// How many rows have labels that are no class, and these labels.
fn unknown(classes: &[u32], labels: &RawLabels) -> Option<(u64, String)> {
    let rows = classes.iter().zip(0..).filter(|(class, _)| **class == UNKNOWN_CLASS);
    let rows: Vec<usize> = rows.map(|(_, row)| row).collect();
    let names = || shown(&Summary::of(&labels.select(&rows)).names);
    (!rows.is_empty()).then(|| (rows.len() as u64, names()))
}
