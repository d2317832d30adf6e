//! What the papers print, beside which our figures stand.

use std::collections::BTreeMap;

use super::sets::Set;
use llfm::config::{Method, name_of};
use llfm::{Error, Result};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

/// The figures of one method on one set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Figures {
    pub(super) source: &'static str,
    /// Whether the two losses are RMSEs of ratings; those of Netflix are too small to be any.
    pub(super) ratings: bool,
    pub(super) train_loss: f64,
    pub(super) test_loss: f64,
    /// As a fraction, as ours.
    pub(super) accuracy: f64,
    /// Test time over FM's.
    pub(super) test_time_ratio: f64,
    /// Deviations of the training loss, test loss and accuracy.
    pub(super) sd: Option<[f64; 3]>,
}

impl Serialize for Figures {
    /// The losses under the name of ours that they are comparable with.
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        let [train, test] =
            if self.ratings { ["train_rmse", "rmse"] } else { ["train_loss", "test_loss"] };
        let mut map = to.serialize_map(Some(6))?;
        map.serialize_entry("source", self.source)?;
        map.serialize_entry(train, &self.train_loss)?;
        map.serialize_entry(test, &self.test_loss)?;
        map.serialize_entry("accuracy", &self.accuracy)?;
        map.serialize_entry("test_time_ratio", &self.test_time_ratio)?;
        map.serialize_entry("sd", &self.sd)?;
        map.end()
    }
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
                ratings: Set::named(set).is_ok_and(|set| set.ratings && set.losses_as_printed()),
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

    /// Sums over the methods of training loss, test loss, accuracy in percent and time.
    #[test]
    fn the_figures_of_each_set_add_up_to_those_printed() {
        let printed = [
            ("paper", "banana", [1.4393, 1.3679, 323.69, 19.73]),
            ("paper", "magic04", [1.4246, 1.4553, 338.59, 17.36]),
            ("paper", "ijcnn1", [0.3114, 0.2881, 390.75, 16.00]),
            ("paper", "letter", [3.2309, 2.6696, 364.02, 15.26]),
            ("paper", "mnist", [1.2928, 1.3480, 383.13, 13.02]),
            ("paper", "covtype", [1.7804, 1.7239, 319.24, 19.69]),
            ("draft", "banana", [1.4096, 1.3580, 324.04, 36.06]),
            ("draft", "ijcnn1", [0.3057, 0.2564, 391.68, 67.52]),
            ("draft", "movielens", [3.2248, 3.7677, 380.77, 48.60]),
            ("draft", "netflix5k5k", [0.1254, 0.1085, 395.08, 22.53]),
        ];
        let published = Published::read().expect("the table is TOML");
        for (source, set, expected) in printed {
            let mut sums = [0.0; 4];
            for &method in Method::value_variants() {
                let found = published.of(set, method);
                let row = found.iter().find(|row| row.source == source).expect("a row");
                let values =
                    [row.train_loss, row.test_loss, 100.0 * row.accuracy, row.test_time_ratio];
                for (sum, value) in sums.iter_mut().zip(values) {
                    *sum += value;
                }
            }
            for (sum, expected) in sums.into_iter().zip(expected) {
                assert!((sum - expected).abs() < 1e-6, "{source} {set}: {sum} is not {expected}");
            }
        }
    }
}
