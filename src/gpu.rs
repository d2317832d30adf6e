//! The GPU as the backend uses it: adapters, device, buffers, pipelines, the kernels' text.

pub mod adapter;
pub(crate) mod buffer;
mod device;
pub(crate) mod fault;
pub(crate) mod pipeline;
pub(crate) mod queries;
pub(crate) mod shaders;

pub use crate::backend::gpu::tuning::Variant;
pub use adapter::Adapter;
pub use device::Gpu;

#[cfg(test)]
pub(crate) mod testing;
