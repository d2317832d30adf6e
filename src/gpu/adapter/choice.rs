//! The choice itself, over facts alone: the adapters of a test are made up.

use super::{ADAPTER_VARIABLE, Facts, Request};
use crate::error::{Error, Result};

/// What is taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Pick {
    Cpu { why: Option<String> },
    Gpu(usize),
}

/// Takes the first that fits of adapters sorted from best to worst; `named` is the name the
/// environment gives to requests without one.
pub(super) fn choose(adapters: &[&Facts], request: &Request, named: Option<&str>) -> Result<Pick> {
    let usable = |i: &usize| adapters[*i].unusable.is_none();
    match (request, named) {
        (Request::Cpu, _) => Ok(Pick::Cpu { why: None }),
        (Request::Gpu(Some(name)), _) => by_name(adapters, name, "--device gpu:NAME"),
        (_, Some(name)) => by_name(adapters, name, ADAPTER_VARIABLE),
        (Request::Gpu(None), None) => {
            let first = (0..adapters.len()).find(usable);
            first.map(Pick::Gpu).ok_or_else(|| Error::Device(none(adapters)))
        }
        (Request::Auto, None) => {
            let first = (0..adapters.len()).find(|i| usable(i) && adapters[*i].kind.is_hardware());
            Ok(first.map_or_else(|| Pick::Cpu { why: Some(why_cpu(adapters)) }, Pick::Gpu))
        }
    }
}

/// The first usable adapter of that number, interface or part of a name.
fn by_name(adapters: &[&Facts], name: &str, source: &str) -> Result<Pick> {
    if adapters.is_empty() {
        return Err(Error::Device(format!("no GPU `{name}` ({source}): {}", none(adapters))));
    }
    let wanted = name.to_lowercase();
    // Longer numbers are those of models: 4090.
    let number = wanted.parse().ok().filter(|_: &usize| wanted.len() <= 2);
    let fits = |i: &usize| match number {
        Some(number) => *i == number,
        None => {
            let facts = adapters[*i];
            facts.name.to_lowercase().contains(&wanted)
                || facts.backend.to_string().to_lowercase() == wanted
        }
    };
    let fitting: Vec<usize> = (0..adapters.len()).filter(fits).collect();
    let Some(&first) = fitting.first() else {
        return Err(Error::Device(format!(
            "no GPU `{name}` ({source}); there {}: {}; name one by its number or a part of its name, or use \
             --device cpu",
            if adapters.len() == 1 { "is" } else { "are" },
            list(adapters)
        )));
    };
    match (fitting.iter().find(|i| adapters[**i].unusable.is_none()), &adapters[first].unusable) {
        (Some(&usable), _) => Ok(Pick::Gpu(usable)),
        (None, reason) => Err(Error::Device(format!(
            "{} cannot be used: {}; use --device cpu, or another adapter of `llfm devices`",
            adapters[first],
            reason.as_deref().unwrap_or_default()
        ))),
    }
}

fn list(adapters: &[&Facts]) -> String {
    let shown: Vec<String> =
        adapters.iter().enumerate().map(|(i, facts)| format!("{i} {facts}")).collect();
    shown.join(", ")
}

/// Why `auto` takes the CPU.
fn why_cpu(adapters: &[&Facts]) -> String {
    let usable = adapters.iter().find(|facts| facts.unusable.is_none());
    match (usable, adapters.first()) {
        (Some(facts), _) => format!(
            "no hardware GPU found, only {} {}, which --device gpu takes",
            facts.kind, facts.name
        ),
        (None, Some(facts)) => {
            let reason = facts.unusable.as_deref().unwrap_or_default();
            format!("{facts} cannot be used ({reason})")
        }
        (None, None) => "no GPU found".into(),
    }
}

/// That there is nothing to compute on, and what to do about it.
fn none(adapters: &[&Facts]) -> String {
    match adapters.first() {
        None => format!("no GPU found: {}; or use --device cpu", install_hint()),
        Some(_) => format!("{}: use --device cpu", why_cpu(adapters)),
    }
}

/// What to install where no adapter is found, on this operating system.
pub fn install_hint() -> &'static str {
    match std::env::consts::OS {
        "linux" => {
            "install the Vulkan driver of the GPU: NVIDIA's own, or mesa-vulkan-drivers and libvulkan1 \
             for AMD, Intel and software (`sudo apt install mesa-vulkan-drivers libvulkan1` on Debian \
             and Ubuntu), and see `llfm devices`"
        }
        "windows" => {
            "install the driver of the GPU's vendor, for DirectX 12 or Vulkan, and see `llfm devices`"
        }
        "macos" => "a Mac whose GPU supports Metal is needed; see `llfm devices`",
        _ => "install a Vulkan driver, and see `llfm devices`",
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Api, Kind};
    use super::*;

    fn facts(name: &str, backend: Api, kind: Kind) -> Facts {
        Facts {
            name: name.into(),
            backend,
            kind,
            driver: "driver 1".into(),
            max_buffer_bytes: 1 << 30,
            max_binding_bytes: 1 << 27,
            workgroup_memory_bytes: 16 << 10,
            storage_buffers: 10,
            unusable: None,
        }
    }

    fn sorted(mut all: Vec<Facts>) -> Vec<Facts> {
        all.sort_by_key(Facts::rank);
        all
    }

    fn pick(all: &[Facts], request: &str, named: Option<&str>) -> Result<Pick> {
        let all: Vec<&Facts> = all.iter().collect();
        choose(&all, &request.parse().expect("a request"), named)
    }

    #[track_caller]
    fn name_of(all: &[Facts], request: &str, named: Option<&str>) -> String {
        match pick(all, request, named).expect("a choice") {
            Pick::Gpu(i) => all[i].to_string(),
            Pick::Cpu { why } => format!("cpu: {}", why.unwrap_or_default()),
        }
    }

    #[track_caller]
    fn refusal(all: &[Facts], request: &str, named: Option<&str>) -> String {
        let error = pick(all, request, named).expect_err("nothing to take");
        assert_eq!(error.exit_code(), 5);
        error.to_string()
    }

    /// A desktop with two GPUs, one of them seen twice, and software.
    fn desktop() -> Vec<Facts> {
        sorted(vec![
            facts("llvmpipe", Api::Vulkan, Kind::Software),
            facts("Radeon 780M", Api::Vulkan, Kind::Integrated),
            facts("GeForce RTX 4090", Api::Dx12, Kind::Discrete),
            facts("GeForce RTX 4090", Api::Vulkan, Kind::Discrete),
        ])
    }

    #[test]
    fn auto_and_gpu_take_the_best_hardware() {
        for request in ["auto", "gpu"] {
            assert_eq!(name_of(&desktop(), request, None), "GeForce RTX 4090 (Vulkan)");
        }
        let lent = sorted(vec![
            facts("llvmpipe", Api::Vulkan, Kind::Software),
            facts("Virtio", Api::Vulkan, Kind::Virtual),
        ]);
        assert_eq!(name_of(&lent, "auto", None), "Virtio (Vulkan)");
        assert_eq!(name_of(&desktop(), "cpu", Some("nothing")), "cpu: ");
    }

    #[test]
    fn software_is_taken_when_it_is_asked_for() {
        let all = [facts("llvmpipe", Api::Vulkan, Kind::Software)];
        let auto = name_of(&all, "auto", None);
        assert!(auto.starts_with("cpu: ") && auto.contains("software llvmpipe"), "{auto}");
        assert_eq!(name_of(&all, "gpu", None), "llvmpipe (Vulkan)");
        assert_eq!(name_of(&all, "gpu:LLVM", None), "llvmpipe (Vulkan)");
        assert_eq!(name_of(&all, "auto", Some("llvmpipe")), "llvmpipe (Vulkan)");
    }

    #[test]
    fn a_name_is_a_part_of_the_name_a_number_or_an_interface() {
        let all = desktop();
        for (name, found) in [
            ("radeon", "Radeon 780M (Vulkan)"),
            ("geforce", "GeForce RTX 4090 (Vulkan)"),
            ("1", "GeForce RTX 4090 (DX12)"),
            ("3", "llvmpipe (Vulkan)"),
            ("4090", "GeForce RTX 4090 (Vulkan)"),
            ("dx12", "GeForce RTX 4090 (DX12)"),
        ] {
            assert_eq!(name_of(&all, &format!("gpu:{name}"), None), found);
            assert_eq!(name_of(&all, "gpu", Some(name)), found);
            assert_eq!(name_of(&all, "auto", Some(name)), found);
        }
        // The command line wins.
        assert_eq!(name_of(&all, "gpu:radeon", Some("geforce")), "Radeon 780M (Vulkan)");
    }

    #[test]
    fn an_unknown_name_lists_the_adapters_and_says_who_gave_it() {
        let message = refusal(&desktop(), "gpu:tpu", None);
        for word in ["`tpu`", "--device gpu:NAME", "2 Radeon 780M (Vulkan)", "3 llvmpipe"] {
            assert!(message.contains(word), "`{word}` is not in: {message}");
        }
        assert!(refusal(&desktop(), "auto", Some("tpu")).contains("LLFM_ADAPTER"));
        assert!(refusal(&desktop(), "gpu:9", None).contains("`9`"));
    }

    #[test]
    fn without_an_adapter_auto_takes_the_cpu_and_gpu_says_what_to_install() {
        assert_eq!(name_of(&[], "auto", None), "cpu: no GPU found");
        for (request, named) in [("gpu", None), ("gpu:radeon", None), ("auto", Some("radeon"))] {
            let message = refusal(&[], request, named);
            assert!(
                message.contains("llfm devices") && message.contains("--device cpu"),
                "{message}"
            );
            assert!(message.contains("no GPU"), "{message}");
        }
    }

    #[test]
    fn what_cannot_run_the_kernels_is_never_taken() {
        let mut all = desktop();
        all[0].unusable = Some("4 storage buffers a kernel, 10 are needed".into());
        assert_eq!(name_of(&all, "auto", None), "GeForce RTX 4090 (DX12)");
        assert_eq!(name_of(&all, "gpu:geforce", None), "GeForce RTX 4090 (DX12)");
        assert!(refusal(&all, "gpu:0", None).contains("4 storage buffers"));
        all.truncate(1);
        assert!(name_of(&all, "auto", None).contains("4 storage buffers"));
        assert!(refusal(&all, "gpu", None).contains("4 storage buffers"));
    }

    #[test]
    fn limits_below_what_the_kernels_need_are_named() {
        let sound = facts("gpu", Api::Vulkan, Kind::Discrete);
        assert_eq!(sound.lack(), None);
        let few = Facts { storage_buffers: 4, ..sound.clone() };
        assert!(few.lack().is_some_and(|lack| lack.contains('4') && lack.contains("10")));
        let small = Facts { workgroup_memory_bytes: 8192, ..sound };
        assert!(small.lack().is_some_and(|lack| lack.contains("8192")));
    }
}
