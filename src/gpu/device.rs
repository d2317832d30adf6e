//! An open device.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::gpu::Adapter;

/// A device ready for work, and its queue.
#[derive(Debug)]
pub struct Gpu {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
}

impl Gpu {
    /// Opens the adapter's device with all its limits.
    ///
    /// # Errors
    /// [`Error::Device`] where the driver refuses.
    pub fn open(adapter: &Adapter) -> Result<Arc<Self>> {
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("llfm"),
            required_limits: adapter.inner.limits(),
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(adapter.inner.request_device(&descriptor))
            .map_err(|error| Error::Device(error.to_string()))?;
        Ok(Arc::new(Self { device, queue }))
    }
}
