//! The GPU as the backend uses it: adapters, device, buffers, pipelines, the kernels' text.

pub mod adapter;
mod device;
#[allow(dead_code, reason = "the device is yet to read it")]
mod fault;
mod shaders;

pub use adapter::Adapter;
pub use device::Gpu;
