//! In what two descriptions of a run differ, in words.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use crate::data::visible;
use crate::error::Result;
use crate::journal::unwritable;

/// Differences that are named; more of them would hide the first.
const SHOWN: usize = 5;

/// Letters of a key or a value that are shown.
const LETTERS: usize = 120;

/// What the file at `path` says otherwise than the run now; `None` where they agree.
///
/// # Errors
/// [`Error::Io`](crate::error::Error::Io) for values that JSON cannot hold.
pub fn difference(
    path: &Path,
    there: &impl Serialize,
    now: &impl Serialize,
) -> Result<Option<String>> {
    let [there, now] = [read_back(path, there)?, read_back(path, now)?];
    let mut differences = Vec::new();
    compare("", Some(&there), Some(&now), &mut differences);
    let more = match differences.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    differences.truncate(SHOWN);
    Ok((!differences.is_empty()).then(|| format!("{}{more}", differences.join("; "))))
}

/// As read back, so that both have gone through the same rounding.
fn read_back(path: &Path, value: &impl Serialize) -> Result<Value> {
    let text = serde_json::to_vec(value).map_err(|e| unwritable(path, e))?;
    serde_json::from_slice(&text).map_err(|e| unwritable(path, e))
}

fn compare(key: &str, there: Option<&Value>, now: Option<&Value>, found: &mut Vec<String>) {
    if there == now {
        return;
    }
    if let (Some(Value::Object(there)), Some(Value::Object(now))) = (there, now) {
        let more = now.keys().filter(|key| !there.contains_key(*key));
        for name in there.keys().chain(more) {
            let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
            compare(&key, there.get(name), now.get(name), found);
        }
        return;
    }
    let text = |value: Option<&Value>| value.map_or("nothing".into(), Value::to_string);
    let (there, now) = (text(there), text(now));
    let same = there.chars().zip(now.chars()).take_while(|(a, b)| a == b).count();
    // What differs far behind is shown from a little before it.
    let skipped = if same < LETTERS / 2 { 0 } else { same - LETTERS / 4 };
    let [key, there, now] = [(key, 0), (&there, skipped), (&now, skipped)].map(cut);
    found.push(format!("{key} is {there} there and {now} now"));
}

/// Some of a text, from one of its letters on, as it can be printed.
fn cut((text, skipped): (&str, usize)) -> String {
    let mut rest = text.chars().skip(skipped);
    let shown: String = rest.by_ref().take(LETTERS).collect();
    let (before, behind) = (if skipped > 0 { "…" } else { "" }, rest.next().map_or("", |_| "…"));
    format!("{before}{}{behind}", visible(&shown))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(there: &Value, now: &Value) -> String {
        difference(Path::new("a"), there, now).expect("JSON").expect("a difference")
    }

    #[test]
    fn what_differs_is_shown_wherever_it_stands() {
        assert_eq!(
            told(&json!({"a": {"b": 1}}), &json!({"a": {}})),
            "a.b is 1 there and nothing now"
        );
        let list = |last: &str| json!({"a": (0..100).map(|i| i.to_string()).chain([last.into()]).collect::<Vec<_>>()});
        let text = told(&list("left"), &list("right"));
        assert!(text.contains("left") && text.contains("right") && text.len() < 300, "{text}");
        let long = "\u{7}k".repeat(10_000);
        let text = told(&json!({&long: long}), &json!({&long: 1}));
        assert!(text.len() < 2000 && !text.contains('\u{7}'), "{text}");
    }
}
