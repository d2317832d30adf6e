//! Which adapters there are, and which one to take.

mod choice;

use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use wgpu::{DeviceType, DownlevelFlags};

use crate::error::Result;
pub use choice::install_hint;

/// The environment variable that names the adapter where the request does not.
pub const ADAPTER_VARIABLE: &str = "LLFM_ADAPTER";

/// What the kernels need of an adapter: ten buffers, which SwiftShader has and hardware exceeds; else what
/// everyone promises that keeps to WebGPU.
const STORAGE_BUFFERS: u32 = 10;
const WORKGROUP_MEMORY: u32 = 16 << 10;
const WORKGROUP_SIZE: u32 = 256;

/// A compute adapter of this machine.
#[derive(Debug, Clone)]
pub struct Adapter {
    pub(crate) inner: wgpu::Adapter,
    facts: Facts,
}

/// What an adapter is, and what it can.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// Name, as the driver gives it.
    pub name: String,
    /// The interface it is reached through.
    pub backend: Api,
    /// Hardware or not.
    pub kind: Kind,
    /// Driver and its version.
    pub driver: String,
    /// Bytes of the largest buffer.
    pub max_buffer_bytes: u64,
    /// Bytes of a buffer that a kernel sees at once.
    pub max_binding_bytes: u64,
    /// Bytes of memory a workgroup shares.
    pub workgroup_memory_bytes: u32,
    /// Storage buffers a kernel may bind.
    pub storage_buffers: u32,
    /// Why the kernels cannot run there.
    pub unusable: Option<String>,
}

/// The interface an adapter is reached through; in the order of preference where two reach the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Api {
    /// Vulkan.
    Vulkan,
    /// Metal.
    Metal,
    /// DirectX 12.
    Dx12,
}

/// What an adapter is made of, the fastest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A GPU with memory of its own.
    Discrete,
    /// A GPU that shares the memory of the CPU.
    Integrated,
    /// A GPU lent to a virtual machine.
    Virtual,
    /// The driver does not say.
    Other,
    /// A program on the CPU.
    Software,
}

/// What the user asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Request {
    /// A hardware GPU where there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A GPU, software included; by name where one is given.
    Gpu(Option<String>),
}

/// What a request comes to.
#[derive(Debug, Clone)]
pub enum Choice {
    /// The CPU.
    Cpu {
        /// Why no GPU, where one could have been taken.
        why: Option<String>,
    },
    /// This adapter.
    Gpu(Adapter),
}

impl Adapter {
    /// What it is, and what it can.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }
}

impl Kind {
    /// Whether there is a GPU behind it, as far as the driver says.
    pub fn is_hardware(self) -> bool {
        matches!(self, Self::Discrete | Self::Integrated | Self::Virtual)
    }
}

/// The adapters of this machine, the best first, those included that cannot be used.
pub fn all() -> Vec<Adapter> {
    let instance =
        wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let backends = wgpu::Backends::PRIMARY - wgpu::Backends::BROWSER_WEBGPU;
    let found = pollster::block_on(instance.enumerate_adapters(backends)).into_iter();
    let mut adapters: Vec<Adapter> =
        found.filter_map(|inner| Some(Adapter { facts: Facts::of(&inner)?, inner })).collect();
    adapters.sort_by_key(|adapter| adapter.facts.rank());
    adapters
}

/// Takes what is asked for.
///
/// # Errors
/// [`Error::Device`](crate::Error::Device) where it is not there; the CPU always is.
pub fn choose(request: &Request) -> Result<Choice> {
    match request {
        Request::Cpu => Ok(Choice::Cpu { why: None }),
        _ => choose_of(&all(), request),
    }
}

/// Takes what is asked for from [`all`] the adapters; a request without a name is completed by
/// `LLFM_ADAPTER`.
///
/// # Errors
/// [`Error::Device`](crate::Error::Device) where it is not there.
pub fn choose_of(adapters: &[Adapter], request: &Request) -> Result<Choice> {
    let facts: Vec<&Facts> = adapters.iter().map(Adapter::facts).collect();
    Ok(match choice::choose(&facts, request, named().as_deref())? {
        choice::Pick::Cpu { why } => Choice::Cpu { why },
        choice::Pick::Gpu(i) => Choice::Gpu(adapters[i].clone()),
    })
}

/// The adapter the environment names.
pub fn named() -> Option<String> {
    let name = std::env::var_os(ADAPTER_VARIABLE)?;
    Some(name.to_string_lossy().into_owned()).filter(|name| !name.is_empty())
}

impl Facts {
    /// `None` for an interface we do not use.
    fn of(adapter: &wgpu::Adapter) -> Option<Self> {
        let (info, limits) = (adapter.get_info(), adapter.limits());
        let computes =
            adapter.get_downlevel_capabilities().flags.contains(DownlevelFlags::COMPUTE_SHADERS);
        let mut facts = Self {
            name: info.name,
            backend: Api::of(info.backend)?,
            kind: Kind::of(info.device_type),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
            max_buffer_bytes: limits.max_buffer_size,
            max_binding_bytes: limits.max_storage_buffer_binding_size,
            workgroup_memory_bytes: limits.max_compute_workgroup_storage_size,
            storage_buffers: limits.max_storage_buffers_per_shader_stage,
            unusable: None,
        };
        facts.unusable = match limits.max_compute_invocations_per_workgroup {
            _ if !computes => Some("it has no compute shaders".into()),
            size if size < WORKGROUP_SIZE => {
                Some(format!("workgroups of {size}, {WORKGROUP_SIZE} are needed"))
            }
            _ => facts.lack(),
        };
        Some(facts)
    }

    /// What the limits fall short of.
    fn lack(&self) -> Option<String> {
        if self.storage_buffers < STORAGE_BUFFERS {
            let found = self.storage_buffers;
            return Some(format!("{found} storage buffers a kernel, {STORAGE_BUFFERS} are needed"));
        }
        let memory = self.workgroup_memory_bytes;
        (memory < WORKGROUP_MEMORY)
            .then(|| format!("{memory} bytes of workgroup memory, {WORKGROUP_MEMORY} are needed"))
    }

    fn rank(&self) -> (Kind, Api) {
        (self.kind, self.backend)
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.backend)
    }
}

impl Api {
    fn of(backend: wgpu::Backend) -> Option<Self> {
        match backend {
            wgpu::Backend::Vulkan => Some(Self::Vulkan),
            wgpu::Backend::Metal => Some(Self::Metal),
            wgpu::Backend::Dx12 => Some(Self::Dx12),
            wgpu::Backend::Noop | wgpu::Backend::Gl | wgpu::Backend::BrowserWebGpu => None,
        }
    }
}

impl fmt::Display for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Vulkan => "Vulkan",
            Self::Metal => "Metal",
            Self::Dx12 => "DX12",
        })
    }
}

impl Kind {
    fn of(kind: DeviceType) -> Self {
        match kind {
            DeviceType::DiscreteGpu => Self::Discrete,
            DeviceType::IntegratedGpu => Self::Integrated,
            DeviceType::VirtualGpu => Self::Virtual,
            DeviceType::Cpu => Self::Software,
            DeviceType::Other => Self::Other,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Discrete => "discrete",
            Self::Integrated => "integrated",
            Self::Virtual => "virtual",
            Self::Other => "other",
            Self::Software => "software",
        })
    }
}

impl FromStr for Request {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        match text.split_once(':').unwrap_or((text, "")) {
            ("auto", "") => Ok(Self::Auto),
            ("cpu", "") => Ok(Self::Cpu),
            ("gpu", name) => Ok(Self::Gpu((!name.is_empty()).then(|| name.to_owned()))),
            _ => Err("expected auto, cpu, gpu or gpu:NAME".into()),
        }
    }
}
