//! The model file: what is written comes back, and damage of any kind is told and never crashes.

#[path = "common/forge.rs"]
mod forge;

use std::path::Path;
use std::process::Command;

use forge::{offsets, parts, seal};
use llfm::Error;
use llfm::config::Coding;
use llfm::data::LabelMap;
use llfm::model::Model;
use ndarray::s;
use serde_json::{Value, json};

const FILE: &str = "m.llfm";

/// The bytes of a small trained model of three classes.
fn bytes() -> Vec<u8> {
    trained(&["cat", "dog", "emu"], &[])
}

fn trained(classes: &[&str], flags: &[&str]) -> Vec<u8> {
    let dir = tempfile::TempDir::new().expect("a temporary folder");
    let rows = (0..60).map(|i| format!("{},{},{}\n", i % 7, i % 5, classes[i % classes.len()]));
    let data = dir.path().join("data.csv");
    std::fs::write(&data, rows.collect::<String>()).expect("the folder is writable");
    let model = dir.path().join(FILE);
    let mut llfm = Command::new(assert_cmd::cargo::cargo_bin!("llfm"));
    let anchors = if flags.contains(&"fm") { "1" } else { "5" };
    llfm.args(["train", "--epochs", "1", "--factors", "4", "--anchors", anchors, "--quiet"]);
    llfm.args(flags).arg("--model");
    assert!(llfm.arg(&model).arg(&data).status().expect("llfm starts").success());
    std::fs::read(model).expect("the model was written")
}

fn load(bytes: &[u8]) -> Result<Model, String> {
    Model::from_bytes(bytes, Path::new(FILE)).map_err(|error| {
        assert!(matches!(error, Error::Model { .. }), "{error}");
        assert_eq!(error.exit_code(), 4);
        let text = error.to_string();
        assert!(text.starts_with(FILE), "{text}");
        text
    })
}

/// The file as version 1 had it: the numbers of features as lists in the metadata.
fn version_1(bytes: &[u8]) -> Vec<u8> {
    let (header, tensors) = parts(bytes);
    let mut header: Value = serde_json::from_str(&header).expect("a JSON header");
    let entries = header.as_object_mut().expect("an object");
    let text = entries["__metadata__"]["preprocess"].as_str().expect("a JSON string");
    let mut preprocess: Value = serde_json::from_str(text).expect("JSON");
    let mut moved = 0;
    for (name, list) in
        [("feature_mean", "shifts"), ("feature_scale", "factors"), ("never_seen", "never_seen")]
    {
        let data = entries.remove(name).map_or(&[][..], |tensor| {
            let [begin, end] = offsets(&tensor);
            moved = end;
            &tensors[begin..end]
        });
        if list == "never_seen" {
            let numbers = data.as_chunks().0.iter().map(|&b| u32::from_le_bytes(b));
            preprocess[list] = numbers.collect();
        } else {
            let numbers = data.as_chunks().0.iter().map(|&b| f64::from_le_bytes(b));
            preprocess["scaling"][list] = numbers.collect();
        }
    }
    let metadata = entries["__metadata__"].as_object_mut().expect("an object");
    metadata["preprocess"] = preprocess.to_string().into();
    metadata["format_version"] = "1".into();
    for (name, tensor) in entries.iter_mut().filter(|(name, _)| *name != "__metadata__") {
        assert!(offsets(tensor)[0] >= moved, "{name}");
        tensor["data_offsets"] = json!(offsets(tensor).map(|at| at - moved));
    }
    seal(&header.to_string(), &tensors[moved..])
}

/// What loading says of a model changed in a way no run leaves, under a valid checksum.
fn changed(classes: &[&str], flags: &[&str], change: impl FnOnce(&mut Model)) -> String {
    let mut model = load(&trained(classes, flags)).expect("a whole file");
    change(&mut model);
    load(&model.to_bytes(Path::new(FILE)).expect("finite")).expect_err("a forged file")
}

/// What loading says of a file whose header was changed and sealed again.
fn forged(from: &str, to: &str) -> String {
    let (header, tensors) = parts(&bytes());
    assert!(header.contains(from), "{from} is not in {header}");
    load(&seal(&header.replace(from, to), &tensors)).expect_err("a forged file")
}

#[test]
fn what_is_loaded_writes_the_same_bytes() {
    let bytes = bytes();
    let (header, tensors) = parts(&bytes);
    assert_eq!(seal(&header, &tensors), bytes, "the checksum is what the documentation says");
    let model = load(&bytes).expect("a whole file");
    assert_eq!(model.to_bytes(Path::new(FILE)).expect("finite"), bytes);
}

#[test]
fn a_flipped_bit_anywhere_names_the_checksum() {
    let whole = bytes();
    for at in (0..whole.len()).step_by(97).chain(0..16) {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        let text = load(&bytes).expect_err("a damaged file");
        assert!(text.contains("checksum"), "byte {at}: {text}");
    }
}

#[test]
fn a_file_truncated_anywhere_names_the_checksum() {
    let whole = bytes();
    for length in (0..whole.len()).step_by(61).chain([1, 7, 8, 9, whole.len() - 1]) {
        let text = load(&whole[..length]).expect_err("a truncated file");
        assert!(text.contains("checksum"), "{length} bytes: {text}");
    }
    let longer = [whole, vec![0]].concat();
    assert!(load(&longer).expect_err("a file too long").contains("checksum"));
}

#[test]
fn a_newer_version_is_told_from_damage_and_names_both_versions() {
    let from = "\"format_version\":\"2\"";
    let text = forged(from, "\"format_version\":\"23\"");
    assert!(text.contains("23 is newer than 2"), "{text}");
    let (header, _) = parts(&bytes());
    // Written by another program, which knows nothing of the checksum.
    let changed = String::from_utf8_lossy(&bytes()).into_owned();
    assert!(changed.contains(&header[..100]));
    let mut unsealed = bytes();
    let at = unsealed.windows(from.len()).position(|w| w == from.as_bytes()).expect("a version");
    unsealed[at + from.len() - 2] = b'7';
    let text = load(&unsealed).expect_err("a changed version");
    assert!(text.contains("checksum") && text.contains("version 7"), "{text}");
}

#[test]
fn shapes_that_disagree_with_the_metadata_are_refused() {
    let text = forged("\\\"factors\\\":4", "\\\"factors\\\":3");
    assert!(text.contains("factors"), "{text}");
    let text = forged("\\\"anchors\\\":[5]", "\\\"anchors\\\":[4]");
    assert!(text.contains("anchors"), "{text}");
    let text = forged("\\\"outputs\\\":3", "\\\"outputs\\\":2");
    assert!(text.contains("bias") || text.contains("outputs"), "{text}");
    let text = forged("\\\"anchors\\\":[5]", "\\\"anchors\\\":[99999999999]");
    assert!(text.contains("anchors"), "{text}");
    let text = forged("\\\"loss\\\":\\\"softmax\\\"", "\\\"loss\\\":\\\"squared\\\"");
    assert!(text.contains("loss"), "{text}");
    let text = forged("\"bias\":{\"dtype\":\"F32\"", "\"bias\":{\"dtype\":\"I32\"");
    assert!(text.contains("bias"), "{text}");
    let text = forged("\"bias\":", "\"bios\":");
    assert!(text.contains("bias"), "{text}");
}

#[test]
fn labels_that_do_not_fit_the_task_are_refused() {
    let classes = |names: &[&str]| LabelMap::Classes {
        names: names.iter().map(ToString::to_string).collect(),
        rest: false,
    };
    let values = LabelMap::Values { range: [0.0, 1.0], clamp: false };
    let (two, numbers) = (["cat", "dog"], ["0", "1", "2.5"]);
    for names in [&[][..], &["cat"], &["cat", "dog", "emu"]] {
        let text = changed(&two, &[], |model| model.labels = classes(names));
        assert!(text.contains("labels"), "{names:?}: {text}");
    }
    let text = changed(&two, &[], |model| model.labels = values.clone());
    assert!(text.contains("labels"), "{text}");
    let text = changed(&numbers, &["--task", "regression"], |model| model.labels = classes(&two));
    assert!(text.contains("labels"), "{text}");
    let text = changed(&["a", "b", "c"], &[], |model| model.labels = values.clone());
    assert!(text.contains("labels"), "{text}");
    let text = changed(&["a", "b", "c"], &[], |model| model.labels = classes(&two));
    assert!(text.contains("outputs"), "{text}");
}

#[test]
fn anchors_that_contradict_the_metadata_are_refused() {
    let two = ["cat", "dog"];
    let text = changed(&two, &[], |model| model.config.coding = Coding::Single);
    assert!(text.contains("coding"), "{text}");
    let text = changed(&two, &[], |model| model.summary.anchor_share.push(0.0));
    assert!(text.contains("shares"), "{text}");
    let fm = load(&trained(&two, &["--method", "fm"])).expect("one anchor");
    assert_eq!(fm.config.coding, Coding::Single);
}

#[test]
fn preprocessing_that_contradicts_itself_is_refused() {
    let (header, tensors) = parts(&version_1(&bytes()));
    let whole: serde_json::Value = serde_json::from_str(&header).expect("a JSON header");
    let text = whole["__metadata__"]["preprocess"].as_str().expect("a JSON string");
    let lists = ["encoder/fills/values", "encoder/first", "scaling/factors", "scaling/shifts"];
    for list in lists {
        let mut preprocess: serde_json::Value = serde_json::from_str(text).expect("JSON");
        let found = preprocess.pointer_mut(&format!("/{list}")).and_then(|l| l.as_array_mut());
        found.expect("a list").pop();
        let mut forged = whole.clone();
        forged["__metadata__"]["preprocess"] = preprocess.to_string().into();
        let text = load(&seal(&forged.to_string(), &tensors)).expect_err("a forged file");
        assert!(text.contains("preprocessing"), "{list}: {text}");
    }
    for never_seen in [[1, 0], [0, 0], [0, 9]] {
        let mut preprocess: serde_json::Value = serde_json::from_str(text).expect("JSON");
        preprocess["never_seen"] = never_seen.to_vec().into();
        let mut forged = whole.clone();
        forged["__metadata__"]["preprocess"] = preprocess.to_string().into();
        let text = load(&seal(&forged.to_string(), &tensors)).expect_err("a forged file");
        assert!(text.contains("preprocessing"), "{never_seen:?}: {text}");
    }
}

#[test]
fn numbers_of_features_that_contradict_the_preprocessing_are_refused() {
    let p = "\"shape\":[2]";
    for (from, to, word) in [
        (
            "\"feature_mean\":{\"dtype\":\"F64\"",
            "\"feature_mean\":{\"dtype\":\"I64\"",
            "feature_mean",
        ),
        ("\"feature_scale\":", "\"feature_skale\":", "tensors"),
        ("\"scale\\\":\\\"standard\\\"", "\"scale\\\":\\\"maxabs\\\"", "preprocessing"),
    ] {
        let text = forged(from, to);
        assert!(text.contains(word), "{from}: {text}");
    }
    let (header, mut tensors) = parts(&bytes());
    assert!(header.contains(&format!("\"feature_mean\":{{\"dtype\":\"F64\",{p}")), "{header}");
    tensors[..8].copy_from_slice(&f64::NAN.to_le_bytes());
    let text = load(&seal(&header, &tensors)).expect_err("a mean that is no number");
    assert!(text.contains("preprocessing"), "{text}");
}

#[test]
fn a_file_of_version_1_is_the_same_model() {
    for flags in [&[][..], &["--scale", "none"], &["--categorical", "1"]] {
        let bytes = trained(&["a", "b", "c"], flags);
        let old = version_1(&bytes);
        assert_ne!(old, bytes);
        let model = load(&old).expect("an older file");
        assert_eq!(model.to_bytes(Path::new(FILE)).expect("finite"), bytes);
    }
}

#[test]
fn overlapping_tensors_are_refused() {
    let (header, tensors) = parts(&bytes());
    let value: serde_json::Value = serde_json::from_str(&header).expect("a JSON header");
    let offsets = value["bias"]["data_offsets"].to_string();
    let begin = value["bias"]["data_offsets"][0].as_u64().expect("an offset");
    let end = value["bias"]["data_offsets"][1].as_u64().expect("an offset");
    let moved = format!("[{},{}]", begin - 4, end - 4);
    let text = load(&seal(&header.replace(&offsets, &moved), &tensors)).expect_err("an overlap");
    assert!(text.contains("safetensors"), "{text}");
}

#[test]
fn weights_that_are_not_numbers_are_refused_and_never_written() {
    let (header, mut tensors) = parts(&version_1(&bytes()));
    for bad in [f32::NAN, f32::INFINITY] {
        tensors[40..44].copy_from_slice(&bad.to_le_bytes());
        let text = load(&seal(&header, &tensors)).expect_err("weights not finite");
        assert!(text.contains(&bad.to_string()), "{text}");
    }
    let mut model = load(&bytes()).expect("a whole file");
    model.members[0].bias[[0, 0]] = f32::NAN;
    assert!(model.to_bytes(Path::new(FILE)).is_err());
}

#[test]
fn members_with_fewer_anchors_come_back_as_they_were() {
    let mut model = load(&bytes()).expect("a whole file");
    let mut small = model.members[0].clone();
    small.anchors = small.anchors.slice(s![..3, ..]).to_owned();
    small.anchor_scale = small.anchor_scale.map(|t| t.slice(s![..3, ..]).to_owned());
    small.log_lipschitz = small.log_lipschitz.slice(s![..3]).to_owned();
    small.bias = small.bias.slice(s![..3, ..]).to_owned();
    small.linear = small.linear.slice(s![..3, .., ..]).to_owned();
    small.factors = small.factors.slice(s![..3, .., .., ..]).to_owned();
    model.members.push(small);
    model.config.ensemble = 2;
    let back = load(&model.to_bytes(Path::new(FILE)).expect("finite")).expect("a whole file");
    assert_eq!(back.members, model.members);
}

#[test]
fn no_header_however_forged_crashes() {
    let (header, tensors) = parts(&bytes());
    for at in 0..header.len() {
        for byte in [b'0', b'9', b'"', b'}', b'[', b'-', b' '] {
            let mut forged = header.clone().into_bytes();
            forged[at] = byte;
            let Ok(forged) = String::from_utf8(forged) else { continue };
            // Some changes are harmless, such as another class name; none may panic.
            let _ = load(&seal(&forged, &tensors));
        }
    }
    for garbage in [vec![], vec![0xff; 8], vec![0xff; 1000], b"{}".to_vec(), vec![0; 64]] {
        assert!(load(&garbage).is_err());
    }
}
