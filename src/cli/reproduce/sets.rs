//! The sets of the papers: their files, where these come from, how they are split.

use llfm::data::Format;
use llfm::{Error, Result};
use serde::{Deserialize, Serialize};

/// A public data set.
#[derive(Debug)]
pub(super) struct Set {
    /// What the command line calls it.
    pub(super) name: &'static str,
    /// What the tables call it.
    pub(super) title: &'static str,
    /// Whether it predicts ratings, measured by RMSE; else classes, measured by accuracy.
    pub(super) ratings: bool,
    /// The class told from the rest, of a set with many.
    pub(super) positive: Option<&'static str>,
    /// The ways its files may lie, in the order they are looked for.
    pub(super) layouts: &'static [Layout],
    /// Where a user gets the files of the last layout.
    pub(super) origin: &'static str,
}

/// One way the files of a set may lie.
#[derive(Debug)]
pub(super) struct Layout {
    /// In `data/` of a checkout, else in the user's folder.
    pub(super) embedded: bool,
    pub(super) format: Format,
    pub(super) split: Split,
    pub(super) train: Source,
    pub(super) test: Option<Source>,
}

/// Rows, and the file their labels are in where that is another one.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) rows: File,
    pub(super) labels: Option<File>,
}

/// A file, packed or not.
#[derive(Debug)]
pub(super) struct File {
    /// Path in the folder, without `.gz`.
    pub(super) path: &'static str,
    /// Of the content as unpacked.
    pub(super) sha256: &'static str,
}

/// Which rows are tested on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Split {
    /// `test` of `of` rows, drawn by the seed of the run: the sizes the paper prints, a third.
    Drawn { test: usize, of: usize },
    /// Those behind the first n.
    Behind(usize),
    /// Those of the test file.
    Files,
}

const fn rows(path: &'static str, sha256: &'static str) -> Source {
    Source { rows: File { path, sha256 }, labels: None }
}

const fn embedded(path: &'static str, sha256: &'static str, split: Split) -> Layout {
    Layout { embedded: true, format: Format::Csv, split, train: rows(path, sha256), test: None }
}

const fn one_file(path: &'static str, sha256: &'static str, split: Split) -> Layout {
    Layout { embedded: false, ..embedded(path, sha256, split) }
}

const fn two_files(format: Format, train: Source, test: Source) -> Layout {
    Layout { embedded: false, format, split: Split::Files, train, test: Some(test) }
}

const BANANA: Split = Split::Drawn { test: 1_767, of: 5_300 };
const MAGIC04: Split = Split::Drawn { test: 6_340, of: 19_020 };
// Rounded down, as Banana's is not.
const COVTYPE: Split = Split::Drawn { test: 193_670, of: 581_012 };

/// The sets in the order of the tables.
pub(super) static SETS: [Set; 8] = [
    Set {
        name: "banana",
        title: "Banana",
        ratings: false,
        positive: None,
        layouts: &[
            embedded(
                "banana.csv",
                "5bd625660e17b219ffb44019e973db014dd1726ffde309e881d3942436508b80",
                BANANA,
            ),
            one_file(
                "banana/banana.dat",
                "9684c0f72a27f56319e4196f4aa246966a87d3d84dab954cc363f033bf8f4943",
                BANANA,
            ),
        ],
        origin: "KEEL: banana.zip from https://sci2s.ugr.es/keel/datasets.php, banana.dat in it",
    },
    Set {
        name: "magic04",
        title: "Magic04",
        ratings: false,
        positive: None,
        layouts: &[
            embedded(
                "magic04.csv",
                "e9314b7ebd4b4b59a3b3d65f7316663963777b16a46786877651dbbaa640b36a",
                MAGIC04,
            ),
            one_file(
                "magic04/magic04.data",
                "e9314b7ebd4b4b59a3b3d65f7316663963777b16a46786877651dbbaa640b36a",
                MAGIC04,
            ),
        ],
        origin: "UCI: https://archive.ics.uci.edu/dataset/159/magic+gamma+telescope, magic04.data",
    },
    Set {
        name: "ijcnn1",
        title: "ijcnn1",
        ratings: false,
        positive: None,
        layouts: &[two_files(
            Format::Libsvm,
            rows(
                "ijcnn1/ijcnn1",
                "16506cad788cf7c9607454150ed1994788204bac2ff4c9cb3b320036b6950d3f",
            ),
            rows(
                "ijcnn1/ijcnn1.t",
                "e7b0bbd518641980dc322746c6bc59d019d3153934e6258e48f9d8cfae2c4bb8",
            ),
        )],
        origin: "the LIBSVM collection: ijcnn1.bz2 (not .tr and .val) and ijcnn1.t.bz2 from \
                 https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/binary.html, unpacked by \
                 bunzip2",
    },
    Set {
        name: "letter",
        title: "LETTER",
        ratings: false,
        positive: None,
        // The same rows in the same order as in LIBSVM's two files, which are scaled.
        layouts: &[
            embedded(
                "letter.csv",
                "8ff8ec650859678e78cf6c4c4cf5063a5fdf39b5b938bc0c1406116d1e23f4fa",
                Split::Behind(15_000),
            ),
            two_files(
                Format::Libsvm,
                rows(
                    "letter/letter.scale",
                    "ce2c7df15cc5742dc4382d59079181c97c21e0beaa0af53c84cc5745c69f1020",
                ),
                rows(
                    "letter/letter.scale.t",
                    "07522ccbf54187fae6d560d1712b88c41ea1f7e8d19491c5adcc22ee37a075da",
                ),
            ),
        ],
        origin: "the LIBSVM collection: letter.scale and letter.scale.t from \
                 https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass.html",
    },
    Set {
        name: "mnist",
        title: "MNIST",
        ratings: false,
        positive: None,
        layouts: &[two_files(
            Format::Idx,
            Source {
                rows: File {
                    path: "mnist/train-images-idx3-ubyte",
                    sha256: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                },
                labels: Some(File {
                    path: "mnist/train-labels-idx1-ubyte",
                    sha256: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                }),
            },
            Source {
                rows: File {
                    path: "mnist/t10k-images-idx3-ubyte",
                    sha256: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                },
                labels: Some(File {
                    path: "mnist/t10k-labels-idx1-ubyte",
                    sha256: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
                }),
            },
        )],
        origin: "http://yann.lecun.com/exdb/mnist, or its mirrors \
                 https://ossci-datasets.s3.amazonaws.com/mnist and \
                 https://storage.googleapis.com/cvdf-datasets/mnist",
    },
    Set {
        name: "covtype",
        title: "Covtype",
        ratings: false,
        positive: Some("2"),
        layouts: &[one_file(
            "covtype/covtype.data",
            "0a9371cef7c964b5475d6053cc3e0894a5aa6f65ad1ed3ecb01c45aa96217945",
            COVTYPE,
        )],
        origin: "UCI: https://archive.ics.uci.edu/dataset/31/covertype, covtype.data.gz",
    },
    Set {
        name: "movielens",
        title: "MovieLens 100K, `ua`",
        ratings: true,
        positive: None,
        layouts: &[two_files(
            Format::Ratings,
            rows(
                "movielens-100k/ua.base",
                "67b5bcdb380c29f85d56a012ecd88612ae020f30a6730d117a334ee8203b91f2",
            ),
            rows(
                "movielens-100k/ua.test",
                "d0497e202417720f57a184ec8c66be2d1afa4ff41bb53787c57b28d6bf79bc42",
            ),
        )],
        origin: "GroupLens: ml-100k.zip from https://grouplens.org/datasets/movielens/100k, ua.base \
                 and ua.test in it",
    },
    Set {
        name: "netflix5k5k",
        title: "Netflix 5K × 5K, half",
        ratings: true,
        positive: None,
        layouts: &[two_files(
            Format::Ratings,
            rows(
                "netflix5k5k/train.tsv",
                "2f759ac46f92744648b9f8078916d816a865346faa9b141a5e74b6fbe4e9f9d5",
            ),
            rows(
                "netflix5k5k/test.tsv",
                "45700ab248c1791d23640a9a937eea509740576696ad655fbb0a1f07b5a3419e",
            ),
        )],
        origin: "the authors' https://github.com/ZJUZT/FM-AdaGrad: train_data.mat and test_data.mat \
                 of matlab/data/netflix_half_half, written as lines of user, item − 5000 and rating \
                 with tabs between them",
    },
];

impl Set {
    /// The set of a name, in any case.
    pub(super) fn named(name: &str) -> Result<&'static Self> {
        let lower = name.to_ascii_lowercase();
        let wanted = if lower == "movielens-100k" { "movielens" } else { &lower };
        SETS.iter().find(|set| set.name == wanted).ok_or_else(|| {
            let names: Vec<&str> = SETS.iter().map(|set| set.name).collect();
            Error::Usage(format!("unknown set `{name}`: expected one of {}", names.join(", ")))
        })
    }
}

impl Set {
    /// Whether the published losses are what their heads say: the draft's of Netflix cannot be.
    pub(super) fn losses_as_printed(&self) -> bool {
        self.name != "netflix5k5k"
    }
}

impl Layout {
    /// Every file.
    pub(super) fn files(&'static self) -> impl Iterator<Item = &'static File> {
        let sources = std::iter::once(&self.train).chain(&self.test);
        sources.flat_map(|source| std::iter::once(&source.rows).chain(&source.labels))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_is_found_by_its_names_and_others_are_listed() {
        assert_eq!(Set::named("letter").expect("known").title, "LETTER");
        assert_eq!(Set::named("Banana").expect("known").name, "banana");
        assert_eq!(Set::named("movielens-100k").expect("known").name, "movielens");
        let refused = Set::named("iris").expect_err("unknown").to_string();
        assert!(SETS.iter().all(|set| refused.contains(set.name)), "{refused}");
    }

    #[test]
    fn every_file_has_a_checksum() {
        for layout in SETS.iter().flat_map(|set| set.layouts) {
            assert!(layout.files().all(|file| file.sha256.len() == 64), "{layout:?}");
        }
    }

    #[test]
    fn the_files_of_the_repository_have_the_checksums_stated() {
        let data = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
        let embedded = SETS.iter().flat_map(|set| set.layouts).filter(|layout| layout.embedded);
        let files: Vec<&File> = embedded.flat_map(Layout::files).collect();
        assert_eq!(files.len(), 3);
        for file in files {
            let path = data.join(format!("{}.gz", file.path));
            assert_eq!(llfm::data::content_sha256(&path).expect("it reads"), file.sha256);
        }
    }

    #[test]
    fn drawn_splits_have_the_sizes_the_paper_prints() {
        let sizes = [("banana", 3_533, 1_767), ("magic04", 12_680, 6_340)];
        for (name, train, test) in sizes.into_iter().chain([("covtype", 387_342, 193_670)]) {
            for layout in Set::named(name).expect("known").layouts {
                let Split::Drawn { test: drawn, of } = layout.split else { panic!("{layout:?}") };
                assert_eq!((of - drawn, drawn), (train, test), "{name}");
                // The fraction the rows are split by comes to just that size.
                let test_fraction = drawn as f64 / of as f64;
                let options =
                    llfm::data::SplitOptions { test_fraction, valid_fraction: 0.0, seed: 0 };
                let parts = llfm::data::split_rows(of, &options).expect("it splits");
                assert_eq!((parts[0].len(), parts[2].len()), (train, test), "{name}");
            }
        }
    }
}
