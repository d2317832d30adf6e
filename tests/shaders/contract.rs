//! The names, limits and functions that `shaders/README.md` promises the host.

use std::collections::BTreeSet;

use naga::{AddressSpace, Expression, MathFunction, Module, ScalarKind, TypeInner};

use crate::shaders::source::{read, shaders, struct_layout};

/// What an adapter must offer: `STORAGE_BUFFERS` of src/gpu/adapter.rs.
const MOST_STORAGE_BUFFERS: usize = 10;
/// Built in, and imprecise on some devices: `shaders/shared/math.wgsl` has their like.
const IMPRECISE: [MathFunction; 14] = [
    MathFunction::Exp,
    MathFunction::Exp2,
    MathFunction::Log,
    MathFunction::Log2,
    MathFunction::Pow,
    MathFunction::Sinh,
    MathFunction::Cosh,
    MathFunction::Tanh,
    MathFunction::Asinh,
    MathFunction::Acosh,
    MathFunction::Atanh,
    MathFunction::Sin,
    MathFunction::Cos,
    MathFunction::Tan,
];

/// The names between backticks.
fn quoted(text: &str) -> BTreeSet<String> {
    let quoted = text.split('`').skip(1).step_by(2);
    let is_name = |text: &&str| {
        text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    quoted.filter(is_name).map(str::to_owned).collect()
}

/// What stands between two marks of the contract, or from the first to the end.
fn section(begin: &str, end: &str) -> String {
    let readme = read("shaders/README.md");
    let (_, rest) =
        readme.split_once(begin).unwrap_or_else(|| panic!("no {begin} in the contract"));
    rest.split_once(end).map_or(rest, |(text, _)| text).to_owned()
}

fn assert_same(found: &BTreeSet<String>, promised: &BTreeSet<String>, what: &str) {
    let unknown: Vec<_> = found.difference(promised).collect();
    assert!(unknown.is_empty(), "the contract lacks the {what} {unknown:?}");
    let unused: Vec<_> = promised.difference(found).collect();
    assert!(unused.is_empty(), "no shader has the {what} {unused:?}");
}

#[test]
fn buffers_are_those_of_the_contract() {
    let table = section("## Buffers", "```wgsl");
    let first_cells =
        table.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let promised = first_cells.flat_map(|cell| quoted(&format!("`{cell}"))).collect();
    let mut found = BTreeSet::new();
    for shader in shaders() {
        for (_, global) in shader.module.global_variables.iter() {
            if matches!(global.space, AddressSpace::Storage { .. }) {
                found.extend(global.name.clone());
            }
        }
    }
    assert_same(&found, &promised, "buffers");
}

#[test]
fn constants_are_those_of_the_contract() {
    let mut promised = quoted(&section("- **Sizes", "\n- **"));
    for keyword in ["override", "bool"] {
        promised.remove(keyword);
    }
    let mut found = BTreeSet::new();
    for shader in shaders() {
        found.extend(shader.overrides().into_iter().map(str::to_owned));
        for (_, constant) in shader.module.overrides.iter() {
            assert!(constant.init.is_none(), "{}: {:?} has a default", shader.name, constant.name);
        }
    }
    assert_same(&found, &promised, "constants");
}

#[test]
fn entry_points_are_those_of_the_contract() {
    let table = section("## Kernels", "\n## ");
    let first_cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let promised = first_cells.map(str::to_owned).collect();
    let shaders = shaders();
    let entry_points = shaders.iter().flat_map(|shader| &shader.module.entry_points);
    assert_same(&entry_points.map(|entry| entry.name.clone()).collect(), &promised, "entry points");
}

#[test]
fn buffers_fit_every_device() {
    for shader in shaders() {
        for (index, entry_point) in shader.module.entry_points.iter().enumerate() {
            let buffers = shader.storage_buffers(index);
            assert!(buffers.len() <= MOST_STORAGE_BUFFERS, "{}: {buffers:?}", entry_point.name);
        }
    }
}

#[test]
fn uniforms_have_the_first_bindings() {
    for shader in shaders() {
        for (_, global) in shader.module.global_variables.iter() {
            let Some(place) = global.binding else { continue };
            let name = global.name.as_deref().unwrap_or_default();
            let expected = match global.space {
                AddressSpace::Uniform if name == "step" => 0..1,
                AddressSpace::Uniform if name == "group" => 1..2,
                AddressSpace::Storage { .. } => 2..u32::MAX,
                _ => 0..0,
            };
            let fits = place.group == 0 && expected.contains(&place.binding);
            assert!(fits, "{}: `{name}` at {place:?}", shader.name);
        }
    }
}

#[test]
fn workgroup_memory_is_marked() {
    for shader in shaders() {
        for (_, global) in shader.module.global_variables.iter() {
            let name = global.name.as_deref().unwrap_or_default();
            let marked = name.starts_with("sh_");
            assert_eq!(marked, global.space == AddressSpace::WorkGroup, "{}: {name}", shader.name);
        }
    }
}

fn imprecise_calls(module: &Module) -> Vec<MathFunction> {
    let functions = module.functions.iter().map(|(_, function)| function);
    let functions = functions.chain(module.entry_points.iter().map(|entry| &entry.function));
    let expressions = functions.flat_map(|function| function.expressions.iter());
    expressions
        .filter_map(|(_, expression)| match expression {
            Expression::Math { fun, .. } if IMPRECISE.contains(fun) => Some(*fun),
            _ => None,
        })
        .collect()
}

#[test]
fn no_kernel_calls_an_imprecise_function() {
    for shader in shaders() {
        let calls = imprecise_calls(&shader.module);
        assert!(calls.is_empty(), "{}: {calls:?}", shader.name);
    }
}

#[test]
fn no_kernel_adds_in_an_order_left_to_the_device() {
    for shader in shaders() {
        for (_, ty) in shader.module.types.iter() {
            let float_atomic = matches!(
                ty.inner,
                TypeInner::Atomic(scalar) if scalar.kind == ScalarKind::Float
            );
            assert!(!float_atomic, "{}: a float atomic", shader.name);
        }
    }
}

#[test]
fn the_step_has_no_gaps() {
    let shaders = shaders();
    let (members, size) = struct_layout(&shaders[0].module, "Step");
    // Then a `repr(C)` struct of the same members in the same order is the same bytes.
    for (place, (name, offset)) in members.iter().enumerate() {
        assert_eq!(*offset, 4 * place, "{name}");
    }
    assert_eq!(size, 4 * members.len());
}
