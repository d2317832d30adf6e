//! The GPU as the backend uses it: adapters, device, buffers, pipelines, the kernels' text.

pub mod adapter;
mod device;
mod shaders;

pub use adapter::Adapter;
pub use device::Gpu;
