//! Decides what each field of a record is for: which is the label, which feature goes where.

use std::collections::HashMap;
use std::path::Path;

use super::sniff::Layout;
use crate::data::notes::Notes;
use crate::data::number::printable;
use crate::data::reader::{ReadOptions, Request};
use crate::data::schema::{Column, ColumnKind, ColumnPlace, Levels, Schema, TableSchema};
use crate::error::{Error, Place, Result};

/// What one field of every record is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A number, for this cell of the row.
    Number(usize),
    /// A word, for this cell of the row; the list of words has the same place.
    Category(usize),
    /// The label.
    Label,
    /// The weight of the row.
    Weight,
    /// Nothing.
    Skip,
}

/// The role of every field, and the schema the rows will have.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) roles: Vec<Role>,
    pub(super) schema: TableSchema,
}

/// What the command line makes of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Claim {
    Ignored,
    Categorical,
    Weights,
}

impl Claim {
    fn flag(self) -> &'static str {
        match self {
            Self::Ignored => "--ignore",
            Self::Categorical => "--categorical",
            Self::Weights => "--weights",
        }
    }
}

/// Names a label column is known by, most telling first.
const LABEL_NAMES: [&str; 4] = ["label", "target", "class", "y"];

impl Plan {
    /// The plan for a file that fixes the schema.
    pub(super) fn training(layout: &Layout, request: Request, notes: &mut Notes) -> Result<Self> {
        let path = request.path;
        let label = choose_label(layout, request.options.label.as_deref(), path)?;
        if layout.n_fields < 2 {
            let message = "the only column is the label; expected feature columns beside it";
            return Err(Error::data(Place::file(path), message));
        }
        let claims = claims(layout, label, request.options, path)?;
        let mut roles = Vec::with_capacity(layout.n_fields);
        let mut guessed = Vec::new();
        let mut schema = TableSchema {
            label: Some(layout.place(label)),
            hash_bits: request.options.hash_bits,
            ..TableSchema::default()
        };
        for (field, claim) in claims.iter().enumerate() {
            let kind = match claim {
                _ if field == label => {
                    roles.push(if request.need_labels { Role::Label } else { Role::Skip });
                    continue;
                }
                Some(Claim::Ignored) => {
                    roles.push(Role::Skip);
                    schema.ignored.push(layout.place(field));
                    continue;
                }
                Some(Claim::Weights) => {
                    roles.push(Role::Weight);
                    schema.weights = Some(layout.place(field));
                    continue;
                }
                None if !layout.wordy[field] => ColumnKind::Numeric,
                None | Some(Claim::Categorical) => {
                    ColumnKind::Categorical { levels: Levels::default() }
                }
            };
            let column = Column { name: layout.name(field), kind };
            if claim.is_none() && layout.wordy[field] {
                guessed.push((schema.columns.len(), field));
            }
            roles.push(feature_role(&column, schema.columns.len()));
            schema.columns.push(column);
        }
        if schema.columns.is_empty() {
            let message = "no column is left for features; expected some beside the others";
            return Err(Error::data(Place::file(path), message));
        }
        check_shared_names(layout, label, &claims, path)?;
        note_decisions(layout, &schema, &guessed, path, notes);
        Ok(Self { roles, schema })
    }
}

/// The role of a field that holds feature column `j`.
pub(super) fn feature_role(column: &Column, j: usize) -> Role {
    match column.kind {
        ColumnKind::Numeric => Role::Number(j),
        ColumnKind::Categorical { .. } => Role::Category(j),
    }
}

/// What the command line makes of each field; nothing of most.
fn claims(
    layout: &Layout,
    label: usize,
    options: &ReadOptions,
    path: &Path,
) -> Result<Vec<Option<Claim>>> {
    let ignored = options.ignore.iter().map(|name| (Claim::Ignored, "column to ignore", name));
    let categorical =
        options.categorical.iter().map(|name| (Claim::Categorical, "categorical column", name));
    let weights = options.weights.iter().map(|name| (Claim::Weights, "weights column", name));
    let mut claims = vec![None; layout.n_fields];
    for (claim, what, asked) in ignored.chain(categorical).chain(weights) {
        let first = find_column(layout, asked, what, path)?;
        // Of columns that share a name later files could not tell which one was ignored.
        let fields = (0..layout.n_fields).filter(|&field| {
            let alike = claim == Claim::Ignored && layout.name(field).as_ref() == Some(asked);
            field == first || alike
        });
        for field in fields {
            let (flag, asked) = (claim.flag(), printable(asked));
            if field == label {
                let message =
                    format!("{flag} {asked}: this column is the label (--label overrides)");
                return Err(Error::Usage(message));
            }
            if let Some(other) = claims[field].replace(claim).filter(|other| *other != claim) {
                let other = other.flag();
                let message = format!("{flag} {asked}: {other} names this column too; drop one");
                return Err(Error::Usage(message));
            }
        }
    }
    Ok(claims)
}

/// Later files are matched by names. Of columns that share one the features are taken first, which goes
/// wrong where they do not stand first.
fn check_shared_names(
    layout: &Layout,
    label: usize,
    claims: &[Option<Claim>],
    path: &Path,
) -> Result<()> {
    let use_of = |field: usize| match claims[field] {
        _ if field == label => (1, "the label"),
        Some(Claim::Weights) => (1, "the weights"),
        Some(Claim::Ignored) => (2, "ignored"),
        _ => (0, "a feature"),
    };
    let mut before = HashMap::new();
    for (field, name) in layout.names.iter().flatten().enumerate() {
        let (two, (rank, of_two)) = (field + 1, use_of(field));
        let Some(other) = before.insert(name, field) else { continue };
        let (one, (other_rank, of_one)) = (other + 1, use_of(other));
        if of_one != of_two && rank <= other_rank {
            let name = printable(name);
            let message = format!(
                "columns {one} and {two} are both called `{name}`, one is {of_one} and the other \
                 {of_two}: later files could not tell them apart; rename one"
            );
            return Err(Error::data(Place::file(path), message));
        }
    }
    Ok(())
}

impl Layout {
    fn name(&self, field: usize) -> Option<String> {
        self.names.as_ref().map(|names| names[field].clone())
    }

    fn place(&self, field: usize) -> ColumnPlace {
        ColumnPlace { name: self.name(field), position: field }
    }
}

/// Says what was taken for what, so that a wrong guess is seen at once. `guessed`: the columns taken
/// for categorical ones, and their fields.
fn note_decisions(
    layout: &Layout,
    schema: &TableSchema,
    guessed: &[(usize, usize)],
    path: &Path,
    notes: &mut Notes,
) {
    let file = path.display();
    if layout.header {
        notes.info(format!("{file}: the first line names the columns (--header no overrides)"));
    }
    if let Some(label) = &schema.label {
        let name =
            label.name.as_ref().map_or(String::new(), |name| format!(" `{}`", printable(name)));
        notes.info(format!(
            "{file}: the label is column {}{name} (--label overrides)",
            label.position + 1
        ));
    }
    let table = Schema::Table(schema.clone());
    let wordy: Vec<String> = guessed.iter().map(|&(j, _)| table.shown_name(j)).collect();
    if !wordy.is_empty() {
        let listed = listed(&wordy);
        notes.info(format!("{file}: categorical columns, as they hold words: {listed}"));
    }
    let mixed = guessed.iter().filter(|&&(_, field)| layout.mixed[field]);
    let mixed: Vec<String> = mixed.map(|&(j, _)| table.shown_name(j)).collect();
    if !mixed.is_empty() {
        notes.warn(format!(
            "{file}: columns of numbers with words among them are categorical, a feature for each \
             value: {}; write missing numbers as an empty cell or NA, or name them by --categorical",
            listed(&mixed)
        ));
    }
}

/// Up to twenty names, separated by commas.
pub(super) fn listed(names: &[String]) -> String {
    let shown =
        names.iter().take(20).map(|name| format!("`{}`", printable(name))).collect::<Vec<_>>();
    let rest = names.len() - shown.len();
    let shown = shown.join(", ");
    if rest > 0 { format!("{shown} and {rest} more") } else { shown }
}

/// The field that is the label: as asked, as KEEL says, by a telling name, or the last.
pub(super) fn choose_label(layout: &Layout, asked: Option<&str>, path: &Path) -> Result<usize> {
    if let Some(asked) = asked {
        return find_column(layout, asked, "label column", path);
    }
    let names = layout.names.as_deref().unwrap_or_default();
    if let Some(keel) = &layout.keel_label
        && let Some(field) = names.iter().position(|name| name == keel)
    {
        return Ok(field);
    }
    let telling = LABEL_NAMES
        .iter()
        .find_map(|label| names.iter().position(|name| name.eq_ignore_ascii_case(label)));
    Ok(telling.unwrap_or(layout.n_fields.saturating_sub(1)))
}

/// The field a flag means; a name wins over a number, as headers may hold numbers. `what`: what the
/// column is to be, for the error.
fn find_column(layout: &Layout, asked: &str, what: &str, path: &Path) -> Result<usize> {
    let n = layout.n_fields;
    if let Some(names) = &layout.names
        && let Some(field) = names.iter().position(|name| name == asked)
    {
        return Ok(field);
    }
    match (asked, asked.parse::<usize>()) {
        ("first", _) => return Ok(0),
        ("last", _) => return Ok(n - 1),
        (_, Ok(number)) if (1..=n).contains(&number) => return Ok(number - 1),
        _ => {}
    }
    let there = match &layout.names {
        Some(names) => format!("the columns are {}", listed(names)),
        None => format!("there are {n} columns without names; give a number, `first` or `last`"),
    };
    let asked = printable(asked);
    Err(Error::data(Place::file(path), format!("no {what} `{asked}`; {there}")))
}
