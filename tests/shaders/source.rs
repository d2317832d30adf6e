//! The files of `shaders/`, parsed and validated.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
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
    compositions.into_iter().map(|(file, shared): (_, Vec<String>)| parsed(&shared, file)).collect()
}

fn parsed(shared: &[String], name: String) -> Shader {
    let files = shared.iter().map(|name| read(&format!("shaders/shared/{name}.wgsl")));
    let files: Vec<String> = files.chain([read(&format!("shaders/{name}.wgsl"))]).collect();
    let text = files.join("\n");
    let module = naga::front::wgsl::parse_str(&text)
        .unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(&text)));
    // No capabilities: the kernels ask for no feature of a device. Halves are unpacked with what wgpu
    // grants without one.
    let halves = shared.iter().any(|name| name == "rows_f16");
    let capabilities =
        if halves { Capabilities::SHADER_FLOAT16_IN_FLOAT32 } else { Capabilities::empty() };
    let info = Validator::new(ValidationFlags::all(), capabilities)
        .validate(&module)
        .unwrap_or_else(|error| panic!("{name}: {}", error.emit_to_string(&text)));
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
