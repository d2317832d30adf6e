//! The files of `shaders/`, parsed and validated.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use naga::valid::{
    Capabilities, ModuleInfo, ShaderStages, SubgroupOperationSet, ValidationFlags, Validator,
};
use naga::{AddressSpace, Module, TypeInner};

/// One file of `shaders/` behind those of `shaders/shared/` it needs.
pub(crate) struct Shader {
    /// File name without its ending.
    pub(crate) name: String,
    pub(crate) module: Module,
    pub(crate) info: ModuleInfo,
}

impl Shader {
    /// Names of the storage buffers an entry point reaches.
    pub(crate) fn storage_buffers(&self, entry_point: usize) -> BTreeSet<&str> {
        let uses = self.info.get_entry_point(entry_point);
        let globals = self.module.global_variables.iter();
        globals
            .filter(|(handle, global)| {
                matches!(global.space, AddressSpace::Storage { .. }) && !uses[*handle].is_empty()
            })
            .filter_map(|(_, global)| global.name.as_deref())
            .collect()
    }

    /// Names of its override constants.
    pub(crate) fn overrides(&self) -> BTreeSet<&str> {
        let overrides = self.module.overrides.iter();
        overrides.filter_map(|(_, constant)| constant.name.as_deref()).collect()
    }
}

/// Every kernel, put together as the host does it: `shader!` in `src/kernel` names the file and
/// those of `shaders/shared/` before it.
pub(crate) fn shaders() -> Vec<Shader> {
    let mut compositions = BTreeSet::new();
    for kernel in names("src/kernel", "rs") {
        let text = read(&format!("src/kernel/{kernel}.rs"));
        for call in text.split("shader!(").skip(1) {
            let (names, _) = call.split_once(']').expect("the list of shared files");
            let mut names = names.split('"').skip(1).step_by(2).map(str::to_owned);
            let _entry_point = names.next();
            let file = names.next().expect("the file");
            let shared: Vec<String> = names.collect();
            // The host puts another file in the place of this one where rows are stored so.
            for storage in ["rows", "rows_f16", "rows_u8"] {
                let of = |name: &String| if name == "rows" { storage.into() } else { name.clone() };
                compositions.insert((file.clone(), shared.iter().map(of).collect()));
            }
        }
    }
    let parsed_kernel = |(name, shared): (String, Vec<String>)| {
        // They ask for no feature of a device but for subgroups, and say so by their name; halves are
        // unpacked with what wgpu grants without one.
        let mut asked = Capabilities::empty();
        asked.set(Capabilities::SUBGROUP, name.ends_with("_subgroup"));
        let halves = shared.iter().any(|name| name == "rows_f16");
        asked.set(Capabilities::SHADER_FLOAT16_IN_FLOAT32, halves);
        let files = shared.iter().map(|name| format!("shaders/shared/{name}.wgsl"));
        let files = files.chain([format!("shaders/{name}.wgsl")]).map(|file| read(&file));
        parsed(&files.collect::<Vec<_>>().join("\n"), name, asked)
    };
    compositions.into_iter().map(parsed_kernel).collect()
}

/// What `llfm bench` measures an adapter by.
pub(crate) fn floors() -> Vec<Shader> {
    let folder = "src/bench/floors";
    let names = names(folder, "wgsl").into_iter();
    names
        .map(|name| parsed(&read(&format!("{folder}/{name}.wgsl")), name, Capabilities::empty()))
        .collect()
}

fn parsed(text: &str, name: String, asked: Capabilities) -> Shader {
    let module = naga::front::wgsl::parse_str(text)
        .unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(text)));
    let mut validator = Validator::new(ValidationFlags::all(), asked);
    validator.subgroup_stages(ShaderStages::COMPUTE);
    validator.subgroup_operations(SubgroupOperationSet::ARITHMETIC);
    let info = validator
        .validate(&module)
        .unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(text)));
    Shader { name, module, info }
}

/// A file of the repository.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Names, without the ending, of a folder's files that have it.
pub(crate) fn names(folder: &str, ending: &str) -> BTreeSet<String> {
    let files = fs::read_dir(root().join(folder)).expect(folder);
    let paths = files.map(|file| file.expect(folder).path());
    let paths = paths.filter(|path| path.extension().is_some_and(|found| found == ending));
    paths.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect()
}

/// The repository.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Members of a struct and their offsets, and its size.
pub(crate) fn struct_layout(module: &Module, name: &str) -> (Vec<(String, usize)>, usize) {
    let layout = module.types.iter().find_map(|(_, ty)| match &ty.inner {
        TypeInner::Struct { members, span } if ty.name.as_deref() == Some(name) => {
            let members = members
                .iter()
                .map(|member| (member.name.clone().unwrap_or_default(), member.offset as usize));
            Some((members.collect(), *span as usize))
        }
        _ => None,
    });
    layout.unwrap_or_else(|| panic!("no struct {name}"))
}
