//! The tables of `llfm search --space FILE.toml` as flags, which the parser of the flags then checks.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::config_file::scalar;

/// A flag without dashes, its value, and the byte of the file it stands at; or what is wrong there.
pub(crate) type Flag = (usize, Result<(&'static str, String), String>);

/// Whether a key of a file of this flag names a table of what to try.
pub(crate) fn is_table(file_flag: &str, key: &str) -> bool {
    file_flag == "space" && matches!(key, "grid" | "random")
}

/// Refuses two tables in one file: --random would draw from the lists of [grid] too, silently.
///
/// # Errors
/// The byte of the file that the second one stands at, and what is wrong.
pub(crate) fn check_tables(file: &DeTable<'_>) -> Result<(), (usize, String)> {
    let tables = file.iter().filter(|(key, value)| {
        is_table("space", key.get_ref()) && matches!(value.get_ref(), DeValue::Table(_))
    });
    let mut starts: Vec<usize> = tables.map(|(key, _)| key.span().start).collect();
    starts.sort_unstable();
    let message = "a search has [grid] or [random], not both: [random] draws from lists of values too, \
                   so all can stand there";
    starts.get(1).map_or(Ok(()), |&second| Err((second, message.to_owned())))
}

/// The flags of a table: `[grid]` lists values; `[random]` lists values or gives ranges as
/// `"LO..HI"` or `"LO..HI:log"`, and says how many points to draw as `trials`.
pub(crate) fn flags(name: &str, table: &DeTable<'_>, text: &str) -> Vec<Flag> {
    let random = name == "random";
    let mut flags: Vec<Flag> = table
        .iter()
        .map(|(key, value)| {
            let at = key.span().start;
            (at, flag(random, key.get_ref(), value, text))
        })
        .collect();
    if random && !table.keys().any(|key| key.get_ref() == "trials") {
        flags.push((0, Err("[random] needs `trials = N`, how many points to draw".into())));
    }
    flags
}

fn flag(
    random: bool,
    key: &str,
    value: &Spanned<DeValue<'_>>,
    text: &str,
) -> Result<(&'static str, String), String> {
    let source = &text[value.span()];
    match value.get_ref() {
        trials if random && key == "trials" => Ok(("random", scalar(key, trials, source)?)),
        DeValue::Array(values) => {
            let values = values.iter().map(|item| scalar(key, item.get_ref(), &text[item.span()]));
            let values: Vec<String> = values.collect::<Result<_, _>>()?;
            // Parted so that a value may have commas, also where there is only one.
            Ok(("grid", format!("{key}={};", values.join(";"))))
        }
        DeValue::String(range) if random => Ok(("range", format!("{key}={range}"))),
        _ if random => Err(format!(
            "`{key}` of [random] cannot be {source}: write a list of values, or \"LO..HI\" or \"LO..HI:log\""
        )),
        _ => Err(format!("`{key}` of [grid] cannot be {source}: write a list of values")),
    }
}
