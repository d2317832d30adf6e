//! Pipelines: bindings read from the WGSL, bound by name.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use wgpu::naga;

use super::buffer::{Buffer, Buffers};
use super::device::Gpu;
use super::shaders::Shader;
use crate::backend::RowStorage;
use crate::error::{Error, Result};

/// Values of the `override` constants, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Constants(pub(crate) BTreeMap<&'static str, f64>);

/// A compiled kernel.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) name: &'static str,
    raw: wgpu::ComputePipeline,
    layout: wgpu::BindGroupLayout,
    bindings: Vec<Binding>,
}

/// One buffer of a kernel, as its WGSL declares it.
#[derive(Debug, Clone)]
pub(crate) struct Binding {
    pub(crate) name: String,
    index: u32,
    access: Access,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// A uniform struct of so many bytes.
    Uniform(u64),
    Read,
    Write,
}

/// A kernel with its buffers, ready to be recorded.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) pipeline: Arc<Pipeline>,
    group: wgpu::BindGroup,
    stepped: bool,
}

/// The uniform whose place in its buffer is chosen when a dispatch is recorded.
const STEPPED: &str = "step";

impl Binding {
    /// Whether the kernel writes it.
    pub(crate) fn is_written(&self) -> bool {
        self.access == Access::Write
    }

    /// Whether it is a storage buffer.
    pub(crate) fn is_storage(&self) -> bool {
        !matches!(self.access, Access::Uniform(_))
    }

    fn layout(&self) -> wgpu::BindGroupLayoutEntry {
        let (ty, size) = match self.access {
            Access::Uniform(size) => {
                (wgpu::BufferBindingType::Uniform, wgpu::BufferSize::new(size))
            }
            access => {
                (wgpu::BufferBindingType::Storage { read_only: access == Access::Read }, None)
            }
        };
        wgpu::BindGroupLayoutEntry {
            binding: self.index,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty,
                has_dynamic_offset: self.name == STEPPED,
                min_binding_size: size,
            },
            count: None,
        }
    }
}

/// What is compiled once.
type Text = (&'static str, RowStorage);

/// What a device has compiled.
#[derive(Debug, Default)]
pub(super) struct Compiled {
    /// By source, as forms of a kernel have the same entry point, and the storage of the rows it reads.
    programs: HashMap<Text, Arc<Program>>,
    /// By these and the values of the constants.
    pipelines: HashMap<(Text, String), Arc<Pipeline>>,
}

/// A shader before its constants have values.
#[derive(Debug)]
struct Program {
    module: wgpu::ShaderModule,
    bindings: Vec<Binding>,
    /// Names of its `override` constants.
    constants: Vec<String>,
}

impl Gpu {
    /// The shader compiled for rows stored so and these constants; compiled once.
    pub(crate) fn pipeline(
        &self,
        shader: &Shader,
        storage: RowStorage,
        all: &Constants,
    ) -> Result<Arc<Pipeline>> {
        let mut compiled = self.compiled.lock().expect("no panic inside");
        let storage = shader.depends_on(storage);
        let text = (shader.source, storage);
        let program = match compiled.programs.entry(text) {
            Entry::Occupied(known) => Arc::clone(known.get()),
            Entry::Vacant(free) => {
                Arc::clone(free.insert(Arc::new(self.program(shader, storage)?)))
            }
        };
        let value = |name: &String| {
            let known = all.0.get_key_value(name.as_str()).map(|(name, value)| (*name, *value));
            known.ok_or_else(|| self.broken(shader, format!("no value for `{name}`")))
        };
        let constants = program.constants.iter().map(value).collect::<Result<Vec<_>>>()?;
        let key = (text, format!("{constants:?}"));
        if let Some(pipeline) = compiled.pipelines.get(&key) {
            return Ok(Arc::clone(pipeline));
        }
        let made = self.guarded(|| self.compile(shader.name, &program, &constants));
        let pipeline = Arc::new(made.map_err(|refusal| self.broken(shader, refusal))?);
        compiled.pipelines.insert(key, Arc::clone(&pipeline));
        Ok(pipeline)
    }

    fn program(&self, shader: &Shader, storage: RowStorage) -> Result<Program> {
        let source = &*self.faults.inject(shader.name, shader.text(storage))?;
        let (bindings, constants) =
            reflect(shader.name, source).map_err(|message| self.broken(shader, message))?;
        let module = self.guarded(|| self.module(shader.name, source));
        let module = module.map_err(|refusal| self.broken(shader, refusal))?;
        Ok(Program { module, bindings, constants })
    }

    fn broken(&self, shader: &Shader, why: impl std::fmt::Display) -> Error {
        self.error(format!("kernel `{}` does not compile: {why}", shader.name))
    }

    fn compile(
        &self,
        name: &'static str,
        program: &Program,
        constants: &[(&str, f64)],
    ) -> Pipeline {
        let bindings = program.bindings.clone();
        let entries: Vec<_> = bindings.iter().map(Binding::layout).collect();
        let layout = self.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some(name),
            entries: &entries,
        });
        let whole = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
            label: Some(name),
            bind_group_layouts: &[Some(&layout)],
            immediate_size: 0,
        });
        let raw = self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: Some(&whole),
            module: &program.module,
            entry_point: Some(name),
            compilation_options: wgpu::PipelineCompilationOptions {
                constants,
                // Every kernel writes its workgroup memory before it reads it.
                zero_initialize_workgroup_memory: false,
            },
            cache: None,
        });
        Pipeline { name, raw, layout, bindings }
    }

    /// Bounds are checked where debug assertions are; a release trusts the kernels' own guards.
    fn module(&self, name: &str, source: &str) -> wgpu::ShaderModule {
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(name),
            source: wgpu::ShaderSource::Wgsl(source.into()),
        };
        if cfg!(debug_assertions) || self.faults.edit.is_some() {
            return self.device.create_shader_module(descriptor);
        }
        let checks = wgpu::ShaderRuntimeChecks::unchecked();
        #[expect(
            unsafe_code,
            reason = "kernels guard loops and tails, the host what it hands them"
        )]
        unsafe {
            self.device.create_shader_module_trusted(descriptor, checks)
        }
    }
}

impl Pipeline {
    /// Its bindings.
    pub(crate) fn bindings(&self) -> &[Binding] {
        &self.bindings
    }

    /// Binds each name to the buffer that has it; `step` to the first bytes of that buffer.
    pub(crate) fn bind(self: &Arc<Self>, gpu: &Gpu, buffers: &Buffers) -> Result<Bound> {
        let entry = |binding: &Binding| {
            let missing = || gpu.error(format!("kernel `{}` misses `{}`", self.name, binding.name));
            let buffer: &Buffer = buffers.find(&binding.name).ok_or_else(missing)?;
            let size = match binding.access {
                Access::Uniform(size) => wgpu::BufferSize::new(size),
                _ => None,
            };
            let binding_of = wgpu::BufferBinding { buffer: &buffer.raw, offset: 0, size };
            let resource = wgpu::BindingResource::Buffer(binding_of);
            Ok(wgpu::BindGroupEntry { binding: binding.index, resource })
        };
        let entries = self.bindings.iter().map(entry).collect::<Result<Vec<_>>>()?;
        let descriptor = wgpu::BindGroupDescriptor {
            label: Some(self.name),
            layout: &self.layout,
            entries: &entries,
        };
        let group = gpu.guarded(|| gpu.device.create_bind_group(&descriptor));
        let group = group.map_err(|refusal| gpu.error(format!("{}: {refusal:?}", self.name)))?;
        let stepped = self.bindings.iter().any(|binding| binding.name == STEPPED);
        Ok(Bound { pipeline: Arc::clone(self), group, stepped })
    }
}

impl Bound {
    /// Records a dispatch of `groups` workgroups with the step `offset` bytes into its buffer.
    pub(crate) fn record(&self, pass: &mut wgpu::ComputePass<'_>, groups: u64, offset: u32) {
        let Some((x, y)) = folded(groups) else { return };
        pass.set_pipeline(&self.pipeline.raw);
        let offsets = [offset];
        pass.set_bind_group(0, &self.group, if self.stepped { &offsets } else { &[] });
        pass.dispatch_workgroups(x, y, 1);
    }
}

/// A grid of at least `groups` workgroups, folded where a dimension would exceed what every device
/// takes; none for no work.
fn folded(groups: u64) -> Option<(u32, u32)> {
    const MOST: u64 = 65_535;
    let y = groups.div_ceil(MOST);
    if y == 0 {
        return None;
    }
    // The last row of the grid may be a part: kernels guard their tails.
    Some((groups.div_ceil(y) as u32, u32::try_from(y).expect("grids below 2^48")))
}

/// Bindings that the entry point uses, and names of the constants its file declares.
fn reflect(name: &str, source: &str) -> std::result::Result<(Vec<Binding>, Vec<String>), String> {
    let module = naga::front::wgsl::parse_str(source).map_err(|e| e.emit_to_string(source))?;
    let flags = naga::valid::ValidationFlags::all();
    let mut validator = naga::valid::Validator::new(flags, naga::valid::Capabilities::all());
    let info = validator.validate(&module).map_err(|e| e.emit_to_string(source))?;
    let entry = module.entry_points.iter().position(|entry| entry.name == name);
    let uses = info.get_entry_point(entry.ok_or("no such entry point")?);
    let mut layouter = naga::proc::Layouter::default();
    layouter.update(module.to_ctx()).map_err(|e| e.to_string())?;
    let mut bindings = Vec::new();
    for (handle, variable) in module.global_variables.iter() {
        let (Some(binding), false) = (&variable.binding, uses[handle].is_empty()) else {
            continue;
        };
        let access = match variable.space {
            naga::AddressSpace::Storage { access } => {
                let written = access.contains(naga::StorageAccess::STORE);
                if written { Access::Write } else { Access::Read }
            }
            _ => Access::Uniform(u64::from(layouter[variable.ty].size)),
        };
        let name = variable.name.clone().unwrap_or_default();
        bindings.push(Binding { name, index: binding.binding, access });
    }
    let names = module.overrides.iter().filter_map(|(_, constant)| constant.name.clone());
    Ok((bindings, names.collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_cover_the_work_within_the_limits() {
        assert_eq!(folded(0), None);
        assert_eq!(folded(1), Some((1, 1)));
        assert_eq!(folded(65_535), Some((65_535, 1)));
        for groups in [65_536, 100_001, 131_071, 5_000_000, 1 << 33] {
            let (x, y) = folded(groups).unwrap();
            let grid = u64::from(x) * u64::from(y);
            assert!(x <= 65_535 && grid >= groups && grid < groups + u64::from(y), "{groups}");
        }
    }
}
