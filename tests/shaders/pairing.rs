//! Every kernel stands twice under one name: in Rust, which defines what it computes, and in WGSL.

use std::collections::BTreeSet;

use crate::shaders::source::{names, root, shaders};

/// Shaders whose twin is part of another file.
const TWIN_ELSEWHERE: [(&str, &str); 7] = [
    ("anchor_coding", "src/kernel/local_coding.rs"),
    ("anchor_coding_subgroup", "src/kernel/local_coding.rs"),
    ("fm_score_pairs", "src/kernel/fm_score.rs"),
    ("local_coding_sorted", "src/kernel/local_coding.rs"),
    ("local_coding_subgroup", "src/kernel/local_coding.rs"),
    ("anchor_norm_csr", "src/kernel/anchor_distance_csr.rs"),
    ("metric_update_csr", "src/kernel/anchor_update_csr.rs"),
];

#[test]
fn every_shader_has_a_twin() {
    let kernels = names("src/kernel", "rs");
    for shader in names("shaders", "wgsl") {
        match TWIN_ELSEWHERE.iter().find(|(name, _)| *name == shader) {
            Some((_, path)) => assert!(root().join(path).is_file(), "{shader}: no {path}"),
            None => assert!(kernels.contains(&shader), "no src/kernel/{shader}.rs"),
        }
    }
}

#[test]
fn every_kernel_has_a_shader() {
    let kernels = names("src/kernel", "rs");
    let elsewhere = TWIN_ELSEWHERE.map(|(name, _)| name.to_owned());
    let expected: BTreeSet<String> = kernels.into_iter().chain(elsewhere).collect();
    let found = names("shaders", "wgsl");
    let missing: Vec<&String> = expected.difference(&found).collect();
    assert!(missing.is_empty(), "no shaders for {missing:?}");
}

#[test]
fn a_file_has_the_entry_point_of_its_name() {
    for shader in shaders() {
        let found: Vec<&str> =
            shader.module.entry_points.iter().map(|entry| entry.name.as_str()).collect();
        let forms = ["_subgroup", "_sorted", "_pairs"];
        let name = forms.iter().find_map(|form| shader.name.strip_suffix(form));
        let name = name.unwrap_or(&shader.name);
        assert_eq!(found, [name]);
    }
}
