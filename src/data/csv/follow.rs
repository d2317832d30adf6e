//! Matches the fields of a later file to the columns of a schema.

use std::collections::{HashMap, HashSet};

use super::plan::{Plan, Role, choose_label, feature_role, listed};
use super::sniff::Layout;
use crate::data::notes::Notes;
use crate::data::number::printable;
use crate::data::reader::Request;
use crate::data::schema::{Schema, TableSchema};
use crate::error::{Error, Place, Result};

impl Plan {
    /// The plan for a file that has to follow a schema.
    pub(super) fn following(
        layout: &Layout,
        schema: &Schema,
        request: Request,
        notes: &mut Notes,
    ) -> Result<Self> {
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
            _ => by_position(layout, &table, request, notes)?,
        };
        if label.is_none() && request.need_labels {
            let fix = "expected the label column among the others; --label names it";
            return Err(crate::data::label_column::absent(request.path, fix));
        }
        Ok(Self { roles, schema: table })
    }
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
    if let (true, Some(weights)) = (request.options.weigh, &table.weights) {
        let name = weights.name.as_deref().unwrap_or_default();
        let field = take(name).ok_or_else(|| {
            let message = format!(
                "no column `{}` with the weights that the model learned with; add it, 1 in every row \
                 for none",
                printable(name)
            );
            Error::data(Place::file(request.path), message)
        })?;
        roles[field] = Role::Weight;
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
    let aside: HashSet<&str> =
        table.set_aside().filter_map(|column| column.name.as_deref()).collect();
    let extra: Vec<String> = (0..names.len())
        .filter(|&field| roles[field] == Role::Skip && Some(field) != label)
        .filter(|&field| !aside.contains(names[field].as_str()))
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

/// Matches columns by position; one column more than the schema has is the label. Columns that are
/// no features have to be there too, as nothing else tells where the features stand.
fn by_position(
    layout: &Layout,
    table: &TableSchema,
    request: Request,
    notes: &mut Notes,
) -> Result<(Vec<Role>, Option<usize>)> {
    let aside: HashSet<usize> = table.set_aside().map(|column| column.position).collect();
    let (found, known) = (layout.n_fields, table.columns.len() + aside.len());
    if found != known && found != known + 1 {
        let with = known + 1;
        let ignored = if aside.is_empty() { "" } else { ", those that are no features included" };
        let message =
            format!("expected {known} columns, or {with} with the label{ignored}, found {found}");
        return Err(Error::data(Place::file(request.path), message));
    }
    let asked = request.options.label.as_deref();
    let label = match (found == known, asked, &table.label) {
        (true, _, _) => None,
        (false, None, Some(label)) if layout.names.is_none() => Some(label.position),
        (false, asked, _) => Some(choose_label(layout, asked, request.path)?),
    };
    if found == known && !aside.is_empty() {
        // As wide as a file would be with the label and without one of those.
        notes.warn(format!(
            "{}: {known} columns without names are taken for those of training without the label, {} \
             that are no features included; a file that lacks one of those is read wrong",
            request.path.display(),
            aside.len()
        ));
    }
    let label_then = table.label.as_ref().map(|label| label.position);
    let weights = table.weights.as_ref().filter(|_| request.options.weigh);
    let weights = weights.map(|column| column.position);
    let mut columns = table.columns.iter().enumerate();
    let mut next = || columns.next().map_or(Role::Skip, |(j, column)| feature_role(column, j));
    // The fields without the label stand as they did in training, wherever the label is now.
    let mut positions = (0..).filter(|position| Some(*position) != label_then);
    let roles = (0..found).map(|field| match (Some(field) == label, request.need_labels) {
        (true, true) => Role::Label,
        (true, false) => Role::Skip,
        _ => match positions.next() {
            Some(position) if weights == Some(position) => Role::Weight,
            Some(position) if aside.contains(&position) => Role::Skip,
            _ => next(),
        },
    });
    Ok((roles.collect(), label))
}
