//! What a command computes on: chosen, opened, and named to the user.

use std::sync::Arc;

use llfm::backend::{Device, Placement};
use llfm::gpu::Gpu;
use llfm::gpu::adapter::{self, Adapter, Choice, Facts, Kind, Request};
use llfm::{Error, Result};

use super::args::RunArgs;
use super::console::complain;
use super::report::counted;

/// An open device.
pub(crate) struct Compute {
    pub(crate) device: Device,
    /// The GPU's adapter.
    adapter: Option<Facts>,
}

impl RunArgs {
    /// Sets up the threads and opens the device; says on standard error where `auto` found no GPU.
    pub(crate) fn start(&self, placement: Placement, quiet: bool) -> Result<Compute> {
        if self.device == Request::Cpu && placement != Placement::Auto {
            return Err(Error::Usage(
                "--data-placement is for a GPU: leave it out, or --device cpu".into(),
            ));
        }
        self.start_threads()?;
        match adapter::choose(&self.device)? {
            Choice::Cpu { why } => Ok(Compute::cpu(why.as_deref(), quiet)),
            Choice::Gpu(adapter) => match (Compute::gpu(&adapter, placement), &self.device) {
                // Nobody asked for this adapter.
                (Err(Error::Device(message)), Request::Auto) if adapter::named().is_none() => {
                    Ok(Compute::cpu(Some(&message), quiet))
                }
                (opened, _) => opened,
            },
        }
    }
}

impl RunArgs {
    /// Sets up the threads for rows that are streamed, which only the CPU trains on.
    pub(crate) fn start_streaming(&self, placement: Placement) -> Result<Compute> {
        if !matches!(self.device, Request::Auto | Request::Cpu) || placement != Placement::Auto {
            return Err(Error::Usage(
                "--stream trains on the CPU: leave out --device and --data-placement, or --stream where \
                 the rows fit memory"
                    .into(),
            ));
        }
        self.start_threads()?;
        Ok(Compute::cpu(None, true))
    }

    fn start_threads(&self) -> Result<()> {
        let Some(threads) = self.threads else { return Ok(()) };
        rayon::ThreadPoolBuilder::new()
            .num_threads(usize::from(threads))
            .build_global()
            .map_err(|e| Error::Device(format!("cannot start {threads} threads: {e}")))
    }
}

impl Compute {
    /// The CPU, and why it had to be.
    fn cpu(why: Option<&str>, quiet: bool) -> Self {
        if let (Some(why), false) = (why, quiet) {
            complain("note", &format!("{why}; computing on the CPU"));
        }
        Self { device: Device::Cpu, adapter: None }
    }

    fn gpu(adapter: &Adapter, placement: Placement) -> Result<Self> {
        let gpu: Arc<Gpu> = Gpu::open(adapter)?;
        let device = Device::Gpu { gpu, placement };
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
