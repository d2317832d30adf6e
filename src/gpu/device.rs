//! An open device: errors turned into [`Error::Device`], work submitted and waited for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::Adapter;
use super::fault::Faults;
use super::pipeline::Compiled;
use crate::backend::gpu::sizes::Offer;
use crate::backend::gpu::tuning::Variant;
use crate::error::{Error, Result};

/// A device ready for work, and its queue.
#[derive(Debug)]
pub struct Gpu {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    pub(crate) limits: wgpu::Limits,
    pub(super) compiled: Mutex<Compiled>,
    pub(super) allocated: Arc<AtomicU64>,
    /// Bytes written since the last submission, and since the device was opened.
    pub(super) staged: AtomicU64,
    pub(super) written: AtomicU64,
    pub(super) faults: Faults,
    /// Forms of kernels that somebody asked for.
    pub(crate) variant: Variant,
    /// Whether the driver has subgroups, and whether it is a program on the CPU.
    subgroups: bool,
    pub(crate) software: bool,
    /// Allocations and submissions so far.
    pub(super) allocations: AtomicU64,
    submissions: AtomicU64,
    name: String,
    trouble: Arc<Mutex<Trouble>>,
}

/// What went wrong outside an error scope, the first of each kind.
#[derive(Debug, Default)]
struct Trouble {
    lost: Option<String>,
    failed: Option<String>,
}

impl Gpu {
    /// Opens the adapter's device with all its limits.
    ///
    /// # Errors
    /// [`Error::Device`] where the driver refuses.
    pub fn open(adapter: &Adapter) -> Result<Arc<Self>> {
        Self::open_with(adapter, Faults::from_env()?, Variant::default())
    }

    /// The same with forms of the kernels that the rules would not choose, for measurements.
    ///
    /// # Errors
    /// [`Error::Device`] where the driver refuses, and for subgroups where there are none; [`Error::Usage`] for
    /// numbers of lanes that the kernels cannot share sums by.
    pub fn open_variant(adapter: &Adapter, variant: Variant) -> Result<Arc<Self>> {
        variant.check()?;
        Self::open_with(adapter, Faults::from_env()?, variant)
    }

    /// The same, with faults that only this device has.
    pub(crate) fn open_with(
        adapter: &Adapter,
        faults: Faults,
        variant: Variant,
    ) -> Result<Arc<Self>> {
        let info = adapter.inner.get_info();
        let name = info.name;
        let features = optional_features(adapter, &faults);
        let subgroups = features.contains(wgpu::Features::SUBGROUP);
        if variant.subgroups == Some(true) && !subgroups {
            return Err(Error::Device(format!("{name}: the driver has no subgroups")));
        }
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("llfm"),
            required_features: features,
            // The defaults of the standard are far below what adapters bind.
            required_limits: adapter.inner.limits(),
            ..Default::default()
        };
        let (device, queue) = pollster::block_on(adapter.inner.request_device(&descriptor))
            .map_err(|error| Error::Device(format!("{name}: {error}")))?;
        let trouble = Arc::new(Mutex::new(Trouble::default()));
        let (lost, failed) = (Arc::clone(&trouble), Arc::clone(&trouble));
        device.set_device_lost_callback(move |_reason, message| {
            lost.lock().expect("no panic inside").lost.get_or_insert(message);
        });
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            failed.lock().expect("no panic inside").failed.get_or_insert(error.to_string());
        }));
        Ok(Arc::new(Self {
            limits: device.limits(),
            device,
            queue,
            compiled: Mutex::default(),
            allocated: Arc::default(),
            staged: AtomicU64::new(0),
            written: AtomicU64::new(0),
            faults,
            variant,
            subgroups,
            software: info.device_type == wgpu::DeviceType::Cpu,
            allocations: AtomicU64::new(0),
            submissions: AtomicU64::new(0),
            name,
            trouble,
        }))
    }

    /// The adapter's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the sizes of a model's work depend on.
    pub(crate) fn offer(&self) -> Offer {
        Offer {
            largest_binding: self.largest_binding(),
            // A program that acts as a GPU takes longer for them.
            subgroups: self.subgroups && !self.software,
            variant: self.variant,
        }
    }

    /// Bytes of all buffers that are alive.
    pub fn allocated_bytes(&self) -> u64 {
        self.allocated.load(Ordering::Relaxed)
    }

    /// Bytes that the host has written to buffers so far.
    #[cfg(test)]
    pub(crate) fn written_bytes(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// The most bytes of one buffer a kernel can reach.
    pub(crate) fn largest_binding(&self) -> u64 {
        let limits = [self.limits.max_storage_buffer_binding_size, self.limits.max_buffer_size];
        // Indices of the kernels have 32 bits, and so have the bindings of most interfaces.
        let indexable = Some(i32::MAX as u64);
        limits.into_iter().chain(indexable).chain(self.faults.limit).min().expect("limits")
    }

    /// Fails if anything went wrong since the device was opened.
    pub(crate) fn check(&self) -> Result<()> {
        let trouble = || self.trouble.lock().expect("no panic inside");
        if trouble().failed.is_some() {
            // Whatever fails on a lost device fails for that: the word of it may not be here yet.
            let _ = self.device.poll(wgpu::PollType::Poll);
        }
        let trouble = trouble();
        match (&trouble.lost, &trouble.failed) {
            (Some(why), _) if why.is_empty() => Err(self.error("the device was lost")),
            (Some(why), _) => Err(self.error(format!("the device was lost: {why}"))),
            (None, Some(message)) => Err(self.error(message)),
            (None, None) => Ok(()),
        }
    }

    /// A device error that names the adapter.
    pub(crate) fn error(&self, message: impl std::fmt::Display) -> Error {
        Error::Device(format!("{}: {message}", self.name))
    }

    /// Runs `make` and turns whatever the device says against it into an error.
    pub(super) fn guarded<T>(&self, make: impl FnOnce() -> T) -> std::result::Result<T, Refusal> {
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let made = make();
        let invalid = pollster::block_on(validation.pop());
        let out_of_memory = pollster::block_on(memory.pop());
        match (out_of_memory, invalid) {
            (Some(_), _) => Err(Refusal::OutOfMemory),
            (None, Some(error)) => Err(Refusal::Invalid(error.to_string())),
            (None, None) => Ok(made),
        }
    }

    /// Hands recorded work to the device.
    pub(crate) fn submit(&self, encoder: wgpu::CommandEncoder) -> Result<wgpu::SubmissionIndex> {
        if self.faults.lose == Some(self.submissions.fetch_add(1, Ordering::Relaxed)) {
            self.device.destroy();
        }
        let index = self.queue.submit([encoder.finish()]);
        self.staged.store(0, Ordering::Relaxed);
        self.check()?;
        Ok(index)
    }

    /// Waits for a submission, or for all of them.
    pub(crate) fn wait(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let poll = wgpu::PollType::Wait { submission_index: submission, timeout: None };
        let polled = self.device.poll(poll);
        self.check()?;
        polled.map(|_| ()).map_err(|error| self.error(error))
    }

    /// An encoder for commands.
    pub(crate) fn encoder(&self) -> wgpu::CommandEncoder {
        self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default())
    }
}

/// What is used where the adapter has it: times of passes, which only measurements take.
fn optional_features(adapter: &Adapter, faults: &Faults) -> wgpu::Features {
    let mut wanted = wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::SUBGROUP;
    wanted.set(wgpu::Features::TIMESTAMP_QUERY, !faults.no_timestamps);
    adapter.inner.features() & wanted
}

/// What a device says to a request.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("out of device memory")]
    OutOfMemory,
    #[error("{0}")]
    Invalid(String),
}
