//! Every kernel in the languages of Vulkan, Metal and DirectX 12: the only check of the last two that
//! needs neither.

use naga::ShaderStage;
use naga::back::pipeline_constants::process_overrides;
use naga::back::{PipelineConstants, hlsl, msl, spv};
use naga::valid::ModuleInfo;
use naga::{Module, Scalar, TypeInner};

use crate::shaders::source::{Shader, floors, shaders};

/// Sizes of a small model, and of one whose channels exceed a block of quads.
const SIZES: [[(&str, f64); 12]; 2] = [
    [
        ("n_anchors", 5.0),
        ("n_features", 3.0),
        ("n_outputs", 1.0),
        ("row_quads", 1.0),
        ("channel_quads", 1.0),
        ("capacity", 1.0),
        ("neighbors", 1.0),
        ("sort_size", 1.0),
        ("score_splits", 4.0),
        ("score_shares", 1.0),
        ("model_splits", 4.0),
        ("anchor_splits", 4.0),
    ],
    [
        ("n_anchors", 2000.0),
        ("n_features", 784.0),
        ("n_outputs", 26.0),
        ("row_quads", 196.0),
        ("channel_quads", 11.0),
        ("capacity", 8192.0),
        ("neighbors", 40.0),
        ("sort_size", 1024.0),
        ("score_splits", 32.0),
        ("score_shares", 9.0),
        ("model_splits", 64.0),
        ("anchor_splits", 8.0),
    ],
];
/// How many values each choice has.
const CHOICES: [(&str, u32); 3] = [("coding", 4), ("loss", 5), ("rule", 3)];

/// Sets of values that between them take every value of every choice, each with the flags on and off,
/// and every flag alone on.
fn value_sets(shader: &Shader) -> Vec<PipelineConstants> {
    let flags: Vec<&str> = shader
        .module
        .overrides
        .iter()
        .filter(|(_, constant)| {
            shader.module.types[constant.ty].inner == TypeInner::Scalar(Scalar::BOOL)
        })
        .filter_map(|(_, constant)| constant.name.as_deref())
        .collect();
    let mut sets = Vec::new();
    for sizes in SIZES {
        let with_flags = |choice: u32, on: &dyn Fn(&str) -> bool| {
            let mut set = PipelineConstants::default();
            set.extend(sizes.map(|(name, value)| (name.to_owned(), value)));
            set.extend(CHOICES.map(|(name, n)| (name.to_owned(), f64::from(choice % n))));
            set.extend(flags.iter().map(|&flag| (flag.to_owned(), f64::from(u8::from(on(flag))))));
            // Naga refuses values of constants that a module lacks.
            set.retain(|name, _| shader.overrides().contains(name.as_str()));
            set
        };
        for choice in 0..5 {
            sets.push(with_flags(choice, &|_| false));
            sets.push(with_flags(choice, &|_| true));
        }
        sets.extend(flags.iter().map(|&alone| with_flags(1, &|flag| flag == alone)));
    }
    sets
}

fn translate(module: &Module, info: &ModuleInfo, entry_point: &str) -> Result<(), String> {
    let stage = ShaderStage::Compute;
    let options = spv::PipelineOptions { shader_stage: stage, entry_point: entry_point.to_owned() };
    spv::write_vec(module, info, &spv::Options::default(), Some(&options))
        .map_err(|error| format!("SPIR-V: {error}"))?;
    let entry_point = Some((stage, entry_point.to_owned()));
    let options = msl::PipelineOptions {
        entry_point: entry_point.clone(),
        ..msl::PipelineOptions::default()
    };
    let (_, translated) = msl::write_string(module, info, &msl::Options::default(), &options)
        .map_err(|error| format!("MSL: {error}"))?;
    for name in translated.entry_point_names {
        name.map_err(|error| format!("MSL: {error}"))?;
    }
    let (options, pipeline) = (hlsl::Options::default(), hlsl::PipelineOptions { entry_point });
    let mut text = String::new();
    let translated = hlsl::Writer::new(&mut text, &options, &pipeline)
        .write(module, info, None)
        .map_err(|error| format!("HLSL: {error}"))?;
    for name in translated.entry_point_names {
        name.map_err(|error| format!("HLSL: {error}"))?;
    }
    Ok(())
}

#[test]
fn every_kernel_translates_for_every_driver() {
    for shader in shaders().into_iter().chain(floors()) {
        let sets = value_sets(&shader);
        for entry_point in &shader.module.entry_points {
            let place = format!("{} in {}", entry_point.name, shader.name);
            for values in &sets {
                let entry = Some((ShaderStage::Compute, entry_point.name.as_str()));
                let (module, info) = process_overrides(&shader.module, &shader.info, entry, values)
                    .unwrap_or_else(|error| panic!("{place} with {values:?}: {error}"));
                translate(&module, &info, &entry_point.name)
                    .unwrap_or_else(|error| panic!("{place} with {values:?}: {error}"));
            }
        }
    }
}
