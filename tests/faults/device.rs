//! Rows 32 to 37: devices that are not there, too small, or fail.

use std::process::Command;

use llfm::gpu::adapter::Kind;

use crate::bench::{Bench, Done, clouds};
use crate::gpu::gpu_or_skip;

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(300, 1));
    bench
}

/// A command on a machine without any driver.
fn driverless(bench: &Bench, line: &str) -> Command {
    let args: Vec<&str> = line.split(' ').collect();
    let mut command = bench.command(&args);
    for variable in ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"] {
        command.env(variable, bench.path("absent.json"));
    }
    // DirectX and Metal need no file that could be hidden.
    command.env("WGPU_BACKEND", "vulkan").env_remove("LLFM_ADAPTER");
    command
}

fn done(mut command: Command) -> Done {
    Done::from(command.output().expect("llfm starts"))
}

#[cfg(target_os = "linux")]
#[test]
fn fault_32_without_a_driver_auto_takes_the_cpu() {
    let bench = bench();
    let train = "train data.csv --device auto --epochs 1";
    let found = done(driverless(&bench, train)).succeeds();
    assert_eq!(found.err.matches("no GPU found").count(), 1, "{}", found.err);
    assert!(found.out.contains("cpu, "), "{}", found.out);
    let stored = format!("{train} --row-storage u8");
    let stored = done(driverless(&bench, &stored)).succeeds();
    assert!(stored.err.contains("where --row-storage has no effect"), "{}", stored.err);
    let quiet = done(driverless(&bench, &format!("{train} --quiet --json"))).succeeds();
    assert!(!quiet.err.contains("llfm:"), "{}", quiet.err);
    let result = quiet.result();
    assert_eq!((&result["device"], &result["adapter"]), (&"cpu".into(), &().into()));
}

#[cfg(target_os = "linux")]
#[test]
fn fault_32_without_a_driver_gpu_says_what_to_install() {
    let bench = bench();
    let hint = ["no GPU", "mesa-vulkan-drivers", "llfm devices", "--device cpu"];
    for device in ["gpu", "gpu:geforce"] {
        let line = format!("train data.csv --model m.llfm --device {device}");
        done(driverless(&bench, &line)).fails(5, &hint);
    }
    let mut command = driverless(&bench, "train data.csv --device auto");
    command.env("LLFM_ADAPTER", "geforce");
    done(command).fails(5, &["geforce", "LLFM_ADAPTER", "mesa-vulkan-drivers"]);
    assert_eq!(bench.names(), ["data.csv"]);
}

#[cfg(target_os = "linux")]
#[test]
fn fault_32_devices_without_a_driver() {
    let bench = Bench::new();
    let page = done(driverless(&bench, "devices")).succeeds().out;
    for word in ["cpu", "thread", "takes the CPU: no GPU found", "mesa-vulkan-drivers"] {
        assert!(page.contains(word), "`{word}` is not in: {page}");
    }
    let events = done(driverless(&bench, "devices --json")).succeeds().json_lines();
    assert_eq!((events.len(), &events[0]["device"]), (1, &"cpu".into()));
    assert!(events[0]["install"].is_string());
}

#[test]
fn fault_35_an_allocation_that_fails() {
    let Some(adapter) = gpu_or_skip() else { return };
    let bench = bench();
    let line = "train data.csv --device gpu --epochs 1 --model m.llfm";
    let words = ["MB", &adapter.facts().name, "--device cpu"];
    for (fault, placement) in [("allocate:1", "resident"), ("allocate:5", "stream")] {
        let line = format!("{line} --data-placement {placement}");
        bench.line_with(("LLFM_FAULT", fault), &line).fails(5, &words);
        // Nothing was trained yet.
        assert_eq!(bench.names(), ["data.csv"], "no litter");
    }
    // Whatever it is that does not fit beside the rows, without them it may.
    for allocation in [1, 3, 4, 8, 20] {
        let fault = format!("allocate:{allocation}");
        let line = format!("{line} --force --json");
        let result = bench.line_with(("LLFM_FAULT", &fault), &line).succeeds().result();
        assert_eq!(result["data_placement"], "stream", "{fault}");
    }
}

#[test]
fn fault_36_a_lost_device_leaves_the_model_so_far() {
    let Some(_) = gpu_or_skip() else { return };
    let bench = bench();
    let train = "train data.csv --device gpu --epochs 5000 --batch-size 64 --model m.llfm";
    let lost = bench.line_with(("LLFM_FAULT", "lose:100"), &format!("{train} --json"));
    let lost = lost.fails(5, &["model so far is in m.llfm", "measured on the CPU"]);
    assert_eq!(lost.result()["stopped"], "device");
    let page = bench.line("inspect m.llfm --json").succeeds().result();
    assert!(page["summary"]["best_epochs"][0].as_u64() > Some(0), "{page}");
    let result = bench.line("evaluate m.llfm data.csv --json").succeeds().result();
    assert!(result["test"]["accuracy"].as_f64() > Some(0.7), "{result}");
    let again = bench.line_with(("LLFM_FAULT", "lose:100"), &format!("{train} --force"));
    assert!(again.fails(5, &["lost"]).out.contains("ended by the device"));
}

#[test]
fn fault_36_a_lost_device_fails_predictions() {
    let Some(adapter) = gpu_or_skip() else { return };
    let bench = Bench::with_model();
    let line = "predict m.llfm train.csv --device gpu --output p.txt";
    bench.line_with(("LLFM_FAULT", "lose:1"), line).fails(5, &[&adapter.facts().name]);
    assert!(!bench.path("p.txt").exists());
}

#[test]
fn fault_37_a_shader_that_does_not_compile() {
    let Some(adapter) = gpu_or_skip() else { return };
    let bench = bench();
    let line = "train data.csv --device gpu --model m.llfm";
    let broken = bench.line_with(("LLFM_FAULT", "shader:blend"), line);
    broken.fails(5, &["blend", &adapter.facts().name]);
    assert_eq!(bench.names(), ["data.csv"], "no litter");
}

#[test]
fn fault_33_a_software_adapter_is_not_taken_by_auto() {
    let Some(adapter) = gpu_or_skip() else { return };
    if adapter.facts().kind != Kind::Software || std::env::var_os("LLFM_ADAPTER").is_some() {
        return; // There is a better one, which auto takes.
    }
    let (bench, name) = (bench(), adapter.facts().name.as_str());
    let done = bench.line("train data.csv --epochs 1 --device auto --json").succeeds();
    assert_eq!(done.result()["device"], "cpu");
    for words in ["no hardware GPU found", name, "--device gpu takes", "computing on the CPU"] {
        assert_eq!(done.err.matches(words).count(), 1, "{}", done.err);
    }
    let done = bench.line("train data.csv --epochs 1 --device gpu --json").succeeds();
    assert_eq!(
        (&done.result()["device"], &done.result()["adapter"]),
        (&"gpu".into(), &name.into())
    );
}

#[test]
fn fault_34_a_buffer_that_no_kernel_reaches() {
    let Some(adapter) = gpu_or_skip() else { return };
    let bench = Bench::new();
    bench.write("data.csv", &clouds(3000, 1));
    let train = "train data.csv --device gpu --epochs 1 --anchors 8 --model m.llfm --force --json";
    let whole = bench.line(train).succeeds().result();
    assert_eq!(whole["data_placement"], "resident");
    let scores = || bench.line("predict m.llfm data.csv --raw").succeeds().out;
    let (model, expected) = (bench.read("m.llfm"), scores());
    // Rows of 24 kB come a part at a time, to the same end; a model that does not fit is told.
    let parts = bench.line_with(("LLFM_FAULT", "limit:16384"), train).succeeds().result();
    assert_eq!(parts["data_placement"], "stream");
    assert_eq!(scores(), expected, "the same weights");
    bench.line(train).succeeds();
    let words = ["MB", &adapter.facts().name, "--device cpu"];
    bench.line_with(("LLFM_FAULT", "limit:256"), train).fails(5, &words);
    assert!(bench.read("m.llfm") == model, "the old one is still there");
}
