//! Which adapters there are, and which one to take.

use crate::error::{Error, Result};

/// A compute adapter of this machine.
#[derive(Debug, Clone)]
pub struct Adapter {
    pub(crate) inner: wgpu::Adapter,
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

/// The first adapter.
///
/// # Errors
/// [`Error::Device`] where there is none.
pub fn first() -> Result<Adapter> {
    let instance =
        wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
    let inner = adapters.into_iter().next().ok_or_else(|| Error::Device("no adapter".into()))?;
    Ok(Adapter { inner })
}
