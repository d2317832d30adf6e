//! Decides what each field of a record is for: which is the label, which feature goes where.

use std::collections::HashMap;
use std::path::Path;

use super::sniff::Layout;
use crate::data::notes::Notes;
use crate::data::number::printable;
use crate::data::reader::Request;
use crate::data::schema::{Column, ColumnKind, LabelColumn, Levels, Schema, TableSchema};
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
    /// Nothing.
    Skip,
}

/// The role of every field, and the schema the rows will have.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) roles: Vec<Role>,
    pub(super) schema: TableSchema,
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
        let mut roles = Vec::with_capacity(layout.n_fields);
        let mut columns = Vec::with_capacity(layout.n_fields - 1);
        for field in 0..layout.n_fields {
            if field == label {
                roles.push(if request.need_labels { Role::Label } else { Role::Skip });
                continue;
            }
            let name = layout.names.as_ref().map(|names| names[field].clone());
            let kind = if layout.wordy[field] {
                roles.push(Role::Category(columns.len()));
                ColumnKind::Categorical { levels: Levels::default() }
            } else {
                roles.push(Role::Number(columns.len()));
                ColumnKind::Numeric
            };
            columns.push(Column { name, kind });
        }
        let label = LabelColumn { name: layout.name(label), position: label };
        let schema = TableSchema { columns, label: Some(label), ratings: false };
        note_decisions(layout, &schema, path, notes);
        Ok(Self { roles, schema })
    }

    /// The plan for a file that has to follow a schema.
    pub(super) fn following(layout: &Layout, schema: &Schema, request: Request) -> Result<Self> {
        let table = match schema {
            Schema::Table(table) => table.clone(),
            Schema::Sparse { n_features, .. } => match Schema::numeric(*n_features) {
                Schema::Table(table) => table,
                Schema::Sparse { .. } => unreachable!("numeric schemas are tables"),
            },
        };
        let named = table.columns.iter().any(|column| column.name.is_some());
        let (roles, label) = match &layout.names {
            Some(names) if named => by_name(names, &table, request)?,
            _ => by_position(layout, &table, request)?,
        };
        if label.is_none() && request.need_labels {
            let fix = "expected the label column among the others; --label names it";
            return Err(crate::data::label_column::absent(request.path, fix));
        }
        Ok(Self { roles, schema: table })
    }
}

impl Layout {
    fn name(&self, field: usize) -> Option<String> {
        self.names.as_ref().map(|names| names[field].clone())
    }
}

/// Says what was taken for what, so that a wrong guess is seen at once.
fn note_decisions(layout: &Layout, schema: &TableSchema, path: &Path, notes: &mut Notes) {
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
    let wordy = (0..schema.columns.len())
        .filter(|&j| schema.columns[j].kind != ColumnKind::Numeric)
        .map(|j| table.shown_name(j));
    let wordy: Vec<String> = wordy.collect();
    if !wordy.is_empty() {
        let listed = listed(&wordy);
        notes.info(format!("{file}: categorical columns, as they hold words: {listed}"));
    }
    let label = schema.label.as_ref().map(|label| label.position);
    let fields = (0..layout.n_fields).filter(|field| Some(*field) != label);
    let mixed: Vec<String> = fields
        .enumerate()
        .filter(|&(_, field)| layout.mixed[field])
        .map(|(j, _)| table.shown_name(j))
        .collect();
    if !mixed.is_empty() {
        notes.warn(format!(
            "{file}: columns of numbers with words among them are categorical, a feature for each \
             value: {}; write missing numbers as an empty cell or NA",
            listed(&mixed)
        ));
    }
}

/// Up to twenty names, separated by commas.
fn listed(names: &[String]) -> String {
    let shown =
        names.iter().take(20).map(|name| format!("`{}`", printable(name))).collect::<Vec<_>>();
    let rest = names.len() - shown.len();
    let shown = shown.join(", ");
    if rest > 0 { format!("{shown} and {rest} more") } else { shown }
}

/// The field that is the label: as asked, as KEEL says, by a telling name, or the last.
fn choose_label(layout: &Layout, asked: Option<&str>, path: &Path) -> Result<usize> {
    if let Some(asked) = asked {
        return find_label(layout, asked, path);
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

/// The field `--label` means; a name wins over a number, as headers may hold numbers.
fn find_label(layout: &Layout, asked: &str, path: &Path) -> Result<usize> {
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
    Err(Error::data(Place::file(path), format!("no label column `{asked}`; {there}")))
}

/// Matches columns by their names; their order does not matter.
fn by_name(
    names: &[String],
    table: &TableSchema,
    request: Request,
) -> Result<(Vec<Role>, Option<usize>)> {
    let mut fields: HashMap<&str, Vec<usize>> = HashMap::new();
    for (field, name) in names.iter().enumerate().rev() {
        fields.entry(name).or_default().push(field);
    }
    let mut take = |name: &str| fields.get_mut(name).and_then(Vec::pop);
    let mut roles = vec![Role::Skip; names.len()];
    let mut missing = Vec::new();
    for (j, column) in table.columns.iter().enumerate() {
        let name = column.name.as_deref().unwrap_or_default();
        match take(name) {
            Some(field) => roles[field] = feature_role(column, j),
            None => missing.push(name.to_owned()),
        }
    }
    let known = table.label.as_ref().and_then(|label| label.name.as_deref());
    let label = match request.options.label.as_deref() {
        Some("first") => Some(0),
        Some("last") => Some(names.len() - 1),
        Some(asked) => take(asked).or(asked.parse::<usize>().ok().and_then(|n| n.checked_sub(1))),
        None => known.and_then(take),
    };
    if let Some(field) = label {
        let free = roles.get(field) == Some(&Role::Skip);
        if !free {
            let message = format!("label column {} is not there or is a feature", field + 1);
            return Err(Error::data(Place::file(request.path), message));
        }
        if request.need_labels {
            roles[field] = Role::Label;
        }
    }
    let extra: Vec<String> = (0..names.len())
        .filter(|&field| roles[field] == Role::Skip && Some(field) != label)
        .map(|field| names[field].clone())
        .collect();
    if !missing.is_empty() {
        let message = format!("missing columns {}; found {}", listed(&missing), listed(names));
        return Err(Error::data(Place::file(request.path), message));
    }
    if !extra.is_empty() {
        let extra = listed(&extra);
        let message = format!("columns the model does not know: {extra}; remove them");
        return Err(Error::data(Place::file(request.path), message));
    }
    Ok((roles, label))
}

fn feature_role(column: &Column, j: usize) -> Role {
    match column.kind {
        ColumnKind::Numeric => Role::Number(j),
        ColumnKind::Categorical { .. } => Role::Category(j),
    }
}

/// Matches columns by position; one column more than the schema has is the label.
fn by_position(
    layout: &Layout,
    table: &TableSchema,
    request: Request,
) -> Result<(Vec<Role>, Option<usize>)> {
    let (found, known) = (layout.n_fields, table.columns.len());
    if found != known && found != known + 1 {
        return Err(Error::data(
            Place::file(request.path),
            format!("expected {known} columns, or {} with the label, found {found}", known + 1),
        ));
    }
    let asked = request.options.label.as_deref();
    let label = match (found == known, asked, &table.label) {
        (true, _, _) => None,
        (false, None, Some(label)) if layout.names.is_none() => Some(label.position),
        (false, asked, _) => Some(choose_label(layout, asked, request.path)?),
    };
    let mut columns = table.columns.iter().enumerate();
    let roles = (0..found).map(|field| match (Some(field) == label, request.need_labels) {
        (true, true) => Role::Label,
        (true, false) => Role::Skip,
        _ => columns.next().map_or(Role::Skip, |(j, column)| feature_role(column, j)),
    });
    Ok((roles.collect(), label))
}
