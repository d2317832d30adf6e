//! What the papers print, beside which our figures stand.

use std::collections::BTreeMap;

use llfm::config::{Method, name_of};
use llfm::{Error, Result};
use serde::{Deserialize, Serialize};

/// The figures of one method on one set.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Figures {
    pub(super) source: &'static str,
    pub(super) train_loss: f64,
    pub(super) test_loss: f64,
    /// As a fraction, as ours.
    pub(super) accuracy: f64,
    /// Test time over FM's.
    pub(super) test_time_ratio: f64,
    /// Deviations of the training loss, test loss and accuracy.
    pub(super) sd: Option<[f64; 3]>,
}

/// Both papers' tables.
pub(super) struct Published {
    tables: Tables,
}

type Table = BTreeMap<String, BTreeMap<String, Row>>;

#[derive(Deserialize)]
struct Tables {
    paper: Table,
    draft: Table,
}

#[derive(Deserialize)]
struct Row {
    values: [f64; 4],
    sd: Option<[f64; 3]>,
}

impl Published {
    pub(super) fn read() -> Result<Self> {
        let tables = toml::from_str(include_str!("published.toml"))
            .map_err(|error| Error::Usage(format!("published.toml: {error}")))?;
        Ok(Self { tables })
    }

    /// What a method's rows are printed beside: the paper's, the draft's, both or neither.
    pub(super) fn of(&self, set: &str, method: Method) -> Vec<Figures> {
        let sources = [("paper", &self.tables.paper), ("draft", &self.tables.draft)];
        let found = sources.into_iter().filter_map(|(source, table)| {
            let Row { values, sd } = table.get(set)?.get(&name_of(method))?;
            let [train_loss, test_loss, accuracy, test_time_ratio] = *values;
            Some(Figures {
                source,
                train_loss,
                test_loss,
                accuracy: accuracy / 100.0,
                test_time_ratio,
                sd: sd.map(|[train, test, accuracy]| [train, test, accuracy / 100.0]),
            })
        });
        found.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::reproduce::sets::SETS;
    use clap::ValueEnum;

    #[test]
    fn every_set_and_method_has_published_figures() {
        let published = Published::read().expect("the table is TOML");
        for set in &SETS {
            for &method in Method::value_variants() {
                assert!(!published.of(set.name, method).is_empty(), "{} {method:?}", set.name);
            }
        }
        let jo = published.of("letter", Method::LlfmJo)[0];
        assert_eq!((jo.source, jo.test_loss, jo.accuracy), ("paper", 0.3958, 0.9456));
    }
}
