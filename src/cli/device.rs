//! What a command computes on: chosen, opened, and named to the user.

use std::sync::Arc;

use llfm::backend::{Device, Placement, RowStorage};
use llfm::gpu::Gpu;
use llfm::gpu::adapter::{self, Adapter, Choice, Facts, Kind, Request};
use llfm::{Error, Result};

use super::args::{GpuRowArgs, RunArgs};
use super::console::complain;
use super::report::counted;

/// An open device.
pub(crate) struct Compute {
    pub(crate) device: Device,
    /// The GPU's adapter.
    adapter: Option<Facts>,
}

impl GpuRowArgs {
    /// The first flag that asks for other than the default.
    fn given(self) -> Option<&'static str> {
        let place = self.data_placement != Placement::default();
        let storage = self.row_storage != RowStorage::default();
        place.then_some("--data-placement").or(storage.then_some("--row-storage"))
    }
}

impl RunArgs {
    /// Sets up the threads and opens the device; says on standard error where `auto` found no GPU.
    pub(crate) fn start(&self, rows: GpuRowArgs, quiet: bool) -> Result<Compute> {
        if let (Request::Cpu, Some(flag)) = (&self.device, rows.given()) {
            let message = format!("{flag} is for a GPU: leave out either it or --device cpu");
            return Err(Error::Usage(message));
        }
        self.start_threads()?;
        match adapter::choose(&self.device)? {
            Choice::Cpu { why } => Ok(Compute::cpu(why.as_deref(), rows.given(), quiet)),
            Choice::Gpu(adapter) => match (Compute::gpu(&adapter, rows), &self.device) {
                // Nobody asked for this adapter.
                (Err(Error::Device(message)), Request::Auto) if adapter::named().is_none() => {
                    Ok(Compute::cpu(Some(&message), rows.given(), quiet))
                }
                (opened, _) => opened,
            },
        }
    }
}

impl RunArgs {
    /// Opens the GPU once more.
    pub(crate) fn reopen(&self, rows: GpuRowArgs) -> Result<Compute> {
        match adapter::choose(&self.device)? {
            Choice::Gpu(adapter) => Compute::gpu(&adapter, rows),
            Choice::Cpu { .. } => Err(Error::Device("there is no GPU any more".into())),
        }
    }
}

impl RunArgs {
    /// Sets up the threads for rows that are streamed, which only the CPU trains on.
    pub(crate) fn start_streaming(&self, rows: GpuRowArgs) -> Result<Compute> {
        if !matches!(self.device, Request::Auto | Request::Cpu) || rows.given().is_some() {
            return Err(Error::Usage(
                "--stream trains on the CPU: leave out --device, --data-placement and --row-storage, or \
                 --stream where the rows fit memory"
                    .into(),
            ));
        }
        self.start_threads()?;
        Ok(Compute::cpu(None, None, true))
    }

    fn start_threads(&self) -> Result<()> {
        // 0: as many as there are cores. Started here, as threads that start when they are first needed
        // cannot fail but by a panic.
        let threads = usize::from(self.threads.unwrap_or(0));
        rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().map_err(|e| {
            let number = if threads == 0 { String::new() } else { format!("{threads} ") };
            Error::Device(format!("cannot start {number}threads: {e}; ask for fewer by --threads"))
        })
    }
}

impl Compute {
    /// The CPU, why it had to be, and a flag that is given for a GPU.
    fn cpu(why: Option<&str>, idle: Option<&str>, quiet: bool) -> Self {
        if let (Some(why), false) = (why, quiet) {
            let idle = idle.map(|flag| format!(", where {flag} has no effect")).unwrap_or_default();
            complain("note", &format!("{why}; computing on the CPU{idle}"));
        }
        Self { device: Device::Cpu, adapter: None }
    }

    fn gpu(adapter: &Adapter, rows: GpuRowArgs) -> Result<Self> {
        let gpu: Arc<Gpu> = Gpu::open(adapter)?;
        let (placement, storage) = (rows.data_placement, rows.row_storage);
        let device = Device::Gpu { gpu, placement, storage };
        Ok(Self { device, adapter: Some(adapter.facts().clone()) })
    }

    /// What the events call it.
    pub(crate) fn kind(&self) -> &'static str {
        if self.adapter.is_some() { "gpu" } else { "cpu" }
    }

    /// The name of the adapter, where there is one.
    pub(crate) fn adapter(&self) -> Option<&str> {
        self.adapter.as_ref().map(|facts| facts.name.as_str())
    }

    /// Whether a GPU is a program on the CPU, whose speed says nothing.
    pub(crate) fn is_software(&self) -> bool {
        self.adapter.as_ref().is_some_and(|facts| facts.kind == Kind::Software)
    }

    /// The line for people.
    pub(crate) fn describe(&self) -> String {
        match &self.adapter {
            Some(facts) => facts.to_string(),
            None => format!("cpu, {}", counted(rayon::current_num_threads(), "thread")),
        }
    }
}
