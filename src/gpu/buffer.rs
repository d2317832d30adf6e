//! Buffers: labelled, counted, and read back.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use bytemuck::Pod;

use super::device::{Gpu, Refusal};
use crate::backend::gpu::step::STEP_PITCH;
use crate::error::Result;

/// Bytes that one upload or readback moves at a time, so that the staging beside it stays small.
const STAGING: u64 = 64 << 20;

/// A buffer of the device, filled with zeros at first.
#[derive(Debug)]
pub(crate) struct Buffer {
    pub(crate) raw: wgpu::Buffer,
    allocated: Arc<AtomicU64>,
}

impl Buffer {
    /// Its size.
    pub(crate) fn bytes(&self) -> usize {
        self.raw.size() as usize
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        self.allocated.fetch_sub(self.raw.size(), Ordering::Relaxed);
    }
}

/// Buffers by the names that the kernels have for them.
#[derive(Debug, Default, Clone)]
pub(crate) struct Buffers(HashMap<&'static str, Arc<Buffer>>);

impl Buffers {
    /// Adds a storage buffer of `words` four-byte elements.
    pub(crate) fn add(&mut self, gpu: &Gpu, name: &'static str, words: usize) -> Result<()> {
        self.0.insert(name, Arc::new(gpu.storage(name, words as u64 * 4)?));
        Ok(())
    }

    /// Adds a storage buffer with these contents.
    pub(crate) fn add_filled<T: Pod>(
        &mut self,
        gpu: &Gpu,
        name: &'static str,
        contents: &[T],
    ) -> Result<()> {
        let bytes: &[u8] = bytemuck::cast_slice(contents);
        let buffer = gpu.storage(name, bytes.len() as u64)?;
        gpu.write(&buffer, 0, contents)?;
        self.0.insert(name, Arc::new(buffer));
        Ok(())
    }

    /// Adds a uniform buffer with these contents.
    pub(crate) fn add_uniform<T: Pod>(
        &mut self,
        gpu: &Gpu,
        name: &'static str,
        contents: &T,
    ) -> Result<()> {
        let buffer = gpu.uniform(name, size_of::<T>() as u64)?;
        gpu.write(&buffer, 0, std::slice::from_ref(contents))?;
        self.0.insert(name, Arc::new(buffer));
        Ok(())
    }

    /// Adds the uniform buffer of `steps` steps.
    pub(crate) fn add_steps(&mut self, gpu: &Gpu, steps: usize) -> Result<()> {
        self.0.insert("step", Arc::new(gpu.uniform("step", steps as u64 * STEP_PITCH)?));
        Ok(())
    }

    /// Every buffer and its name, in the order of the names.
    pub(crate) fn sorted(&self) -> Vec<(&'static str, &Buffer)> {
        let mut all: Vec<_> = self.0.iter().map(|(name, buffer)| (*name, &**buffer)).collect();
        all.sort_unstable_by_key(|(name, _)| *name);
        all
    }

    /// The buffer of that name, if there is one.
    pub(crate) fn find(&self, name: &str) -> Option<&Arc<Buffer>> {
        self.0.get(name)
    }

    /// The buffer of that name.
    pub(crate) fn get(&self, name: &'static str) -> &Buffer {
        self.0.get(name).unwrap_or_else(|| panic!("no buffer `{name}`"))
    }

    /// These and `others`, which win where names meet.
    pub(crate) fn with(&self, others: &Self) -> Self {
        let mut all = self.clone();
        all.0.extend(others.0.iter().map(|(name, buffer)| (*name, Arc::clone(buffer))));
        all
    }
}

impl Gpu {
    /// Refuses a storage buffer that no kernel could reach the end of.
    pub(crate) fn check_binding(&self, name: &str, bytes: u64) -> Result<()> {
        let most = self.largest_binding();
        if bytes <= most {
            return Ok(());
        }
        Err(self.error(format!(
            "{} would take {}, and the device reaches {} of one buffer: {}",
            meaning(name),
            megabytes(bytes),
            megabytes(most),
            advice(name)
        )))
    }

    /// A storage buffer of at least one element.
    pub(crate) fn storage(&self, name: &str, bytes: u64) -> Result<Buffer> {
        self.check_binding(name, bytes)?;
        self.allocate(name, bytes, wgpu::BufferUsages::STORAGE)
    }

    /// A uniform buffer.
    pub(crate) fn uniform(&self, name: &str, bytes: u64) -> Result<Buffer> {
        self.allocate(name, bytes, wgpu::BufferUsages::UNIFORM)
    }

    /// A buffer that the results of queries are brought to.
    pub(super) fn query_results(&self, bytes: u64) -> Result<Buffer> {
        self.allocate("query_results", bytes, wgpu::BufferUsages::QUERY_RESOLVE)
    }

    fn allocate(&self, name: &str, bytes: u64, usage: wgpu::BufferUsages) -> Result<Buffer> {
        let usage = usage | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
        let size = bytes.next_multiple_of(16).max(16);
        let label = format!("llfm.{name}");
        let descriptor =
            wgpu::BufferDescriptor { label: Some(&label), size, usage, mapped_at_creation: false };
        let allocation = self.allocations.fetch_add(1, Ordering::Relaxed) + 1;
        let raw = if self.faults.allocate == Some(allocation) {
            Err(Refusal::OutOfMemory)
        } else {
            self.guarded(|| self.device.create_buffer(&descriptor))
        };
        let raw = raw.map_err(|refusal| {
            let there = megabytes(self.allocated_bytes());
            let needed = megabytes(size);
            match refusal {
                Refusal::OutOfMemory => self.error(format!(
                    "out of device memory: {} would take {needed} beside the {there} in use: {}",
                    meaning(name),
                    advice(name)
                )),
                Refusal::Invalid(message) => self.error(message),
            }
        })?;
        // After a loss the device makes buffers of nothing without a word.
        self.check()?;
        self.allocated.fetch_add(size, Ordering::Relaxed);
        Ok(Buffer { raw, allocated: Arc::clone(&self.allocated) })
    }

    /// Writes `contents` at element `first`, before the work submitted next.
    pub(crate) fn write<T: Pod>(&self, buffer: &Buffer, first: u64, contents: &[T]) -> Result<()> {
        let bytes: &[u8] = bytemuck::cast_slice(contents);
        let offset = first * size_of::<T>() as u64;
        self.written.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        for (i, part) in bytes.chunks(STAGING as usize).enumerate() {
            // What is written waits on the host for the next submission.
            let waiting = self.staged.fetch_add(part.len() as u64, Ordering::Relaxed);
            if waiting + part.len() as u64 > STAGING {
                let submission = self.submit(self.encoder())?;
                self.wait(Some(submission))?;
            }
            self.queue.write_buffer(&buffer.raw, offset + i as u64 * STAGING, part);
        }
        Ok(())
    }

    /// Reads the first `len` elements, after all work submitted before.
    pub(crate) fn read<T: Pod>(&self, buffer: &Buffer, len: usize) -> Result<Vec<T>> {
        let bytes = (len * size_of::<T>()) as u64;
        let mut contents = Vec::with_capacity(len);
        for first in (0..bytes).step_by(STAGING as usize) {
            let part = STAGING.min(bytes - first);
            self.read_part(buffer, first, part, &mut contents)?;
        }
        Ok(contents)
    }

    fn read_part<T: Pod>(
        &self,
        buffer: &Buffer,
        first: u64,
        bytes: u64,
        contents: &mut Vec<T>,
    ) -> Result<()> {
        let mut encoder = self.encoder();
        let mut reading = Reading::record(self, &mut encoder, buffer, first, bytes)?;
        self.submit(encoder)?;
        reading.begin();
        self.wait(None)?;
        reading.take(self, contents)
    }
}

/// A part of a buffer on its way to the host.
pub(crate) struct Reading {
    staging: wgpu::Buffer,
    bytes: u64,
    /// None once it is asked for.
    sender: Option<Sender<Mapped>>,
    receiver: Receiver<Mapped>,
}

type Mapped = std::result::Result<(), wgpu::BufferAsyncError>;

impl Reading {
    /// Records the copy of `bytes` bytes from byte `first` on, multiples of four.
    pub(crate) fn record(
        gpu: &Gpu,
        encoder: &mut wgpu::CommandEncoder,
        buffer: &Buffer,
        first: u64,
        bytes: u64,
    ) -> Result<Self> {
        let size = bytes.next_multiple_of(4);
        let descriptor = wgpu::BufferDescriptor {
            label: Some("llfm.readback"),
            size,
            usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        };
        let staging = gpu.guarded(|| gpu.device.create_buffer(&descriptor));
        let staging = staging.map_err(|_| gpu.error("out of memory while reading results"))?;
        encoder.copy_buffer_to_buffer(&buffer.raw, first, &staging, 0, size);
        let (sender, receiver) = channel();
        Ok(Self { staging, bytes, sender: Some(sender), receiver })
    }

    /// Asks for the copy, once it is submitted.
    pub(crate) fn begin(&mut self) {
        let Some(sender) = self.sender.take() else { return };
        self.staging.slice(..).map_async(wgpu::MapMode::Read, move |result| {
            let _ = sender.send(result);
        });
    }

    /// Adds the copy to `contents`, once the submission is done.
    pub(crate) fn take<T: Pod>(self, gpu: &Gpu, contents: &mut Vec<T>) -> Result<()> {
        // The answer may come by another thread that waits for the device, a moment later.
        let mapped = self.receiver.recv();
        let mapped = mapped.map_err(|_| gpu.error("the device gave no answer"))?;
        mapped.map_err(|error| gpu.error(error))?;
        let view = self.staging.slice(..).get_mapped_range().map_err(|error| gpu.error(error))?;
        let bytes = &view[..self.bytes as usize];
        contents.extend(bytemuck::pod_collect_to_vec::<u8, T>(bytes));
        Ok(())
    }
}

/// A buffer in the words of users.
fn meaning(name: &str) -> String {
    match name {
        "records" => "the local models".into(),
        "record_moments" => "the optimizer's memory of the local models".into(),
        "rows" | "entries" | "row_starts" => "the training rows".into(),
        "anchors" | "anchor_moments" | "heads" | "head_moments" => "the anchors".into(),
        name => format!("the buffer `{name}` of a batch"),
    }
}

/// What makes it smaller.
fn advice(name: &str) -> &'static str {
    match name {
        "rows" | "entries" | "row_starts" | "targets" | "order" => {
            "leave them to --data-placement stream, or use a smaller --batch-size, or --device cpu"
        }
        "record_moments" => "use fewer --anchors or --factors, --optimizer sgd, or --device cpu",
        "records" | "anchors" | "anchor_moments" | "heads" | "head_moments" => {
            "use fewer --anchors or --factors, or --device cpu"
        }
        _ => "use fewer --anchors, a smaller --batch-size, or --device cpu",
    }
}

/// A size as the errors name it.
pub(crate) fn megabytes(bytes: u64) -> String {
    let size = bytes as f64 / 1e6;
    if size < 1.0 { format!("{size:.4} MB") } else { format!("{size:.1} MB") }
}
