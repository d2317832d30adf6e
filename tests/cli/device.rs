//! What computes: which adapter is taken, and what happens when it fails.

use std::process::Command;

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

/// A command with one variable set.
fn with(bench: &Bench, (name, value): (&str, &str), line: &str) -> Done {
    let args: Vec<&str> = line.split(' ').collect();
    let mut command = bench.command(&args);
    command.env(name, value);
    done(command)
}

#[cfg(target_os = "linux")]
#[test]
fn without_a_driver_auto_takes_the_cpu_and_says_so_in_a_line() {
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
fn without_a_driver_gpu_says_what_to_install() {
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
fn devices_without_a_driver_lists_the_cpu_and_what_to_install() {
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
fn devices_lists_the_adapters_and_what_auto_takes() {
    let Some(adapter) = gpu_or_skip() else { return };
    let (bench, name) = (Bench::new(), adapter.facts().name.as_str());
    let page = bench.line("devices").succeeds().out;
    for word in [name, "Vulkan", "cpu", "--device auto takes"] {
        let elsewhere = word == "Vulkan" && !cfg!(target_os = "linux");
        assert!(elsewhere || page.contains(word), "`{word}` is not in: {page}");
    }
    let events = bench.line("devices --json").succeeds().json_lines();
    let (result, adapters) = events.split_last().expect("there is a result");
    let found = adapters.iter().find(|event| event["name"] == name).expect("the adapter is there");
    assert_eq!(found["event"], "adapter");
    for key in
        ["max_buffer_bytes", "max_binding_bytes", "workgroup_memory_bytes", "storage_buffers"]
    {
        assert!(found[key].as_u64() > Some(0), "{key}");
    }
    let hardware = adapters.iter().any(|event| {
        let kind = event["kind"].as_str().unwrap_or_default();
        event["unusable"].is_null() && ["discrete", "integrated", "virtual"].contains(&kind)
    });
    if std::env::var_os("LLFM_ADAPTER").is_none() {
        assert_eq!(result["device"], if hardware { "gpu" } else { "cpu" });
    }
    // Auto does what the environment says; what it cannot is shown, not failed at.
    let named = with(&bench, ("LLFM_ADAPTER", name), "devices --json").succeeds().result();
    assert_eq!((&named["device"], &named["adapter"]), (&"gpu".into(), &name.into()));
    let lost = with(&bench, ("LLFM_ADAPTER", "nonsense"), "devices").succeeds().out;
    assert!(lost.contains("fails") && lost.contains("nonsense"), "{lost}");
}

#[test]
fn an_adapter_that_is_not_there_is_refused_with_those_that_are() {
    let Some(adapter) = gpu_or_skip() else { return };
    let (bench, name) = (bench(), adapter.facts().name.as_str());
    bench.line("train data.csv --device gpu:nonsense").fails(5, &["nonsense", name]);
    for device in ["auto", "gpu"] {
        let line = format!("train data.csv --device {device}");
        let named = with(&bench, ("LLFM_ADAPTER", "nonsense"), &line);
        named.fails(5, &["LLFM_ADAPTER", "nonsense", name]);
    }
    with(&bench, ("LLFM_ADAPTER", "nonsense"), "train data.csv --epochs 1 --device cpu").succeeds();
}

#[test]
fn an_unknown_fault_is_a_usage_error() {
    let Some(_) = gpu_or_skip() else { return };
    let line = "train data.csv --device gpu";
    with(&bench(), ("LLFM_FAULT", "burn:1"), line).fails(2, &["LLFM_FAULT", "burn:1", "lose:N"]);
}

#[test]
fn a_gpu_trains_predicts_and_evaluates() {
    let Some(adapter) = gpu_or_skip() else { return };
    let (bench, name) = (bench(), adapter.facts().name.as_str());
    let train = "train data.csv --epochs 4 --device gpu --model m.llfm --force";
    let page = bench.line(train).succeeds().out;
    assert!(page.contains(name), "{page}");
    let mut accuracies = Vec::new();
    for placement in ["resident", "stream"] {
        let line = format!("{train} --json --data-placement {placement}");
        let result = bench.line(&line).succeeds().result();
        assert_eq!((&result["device"], &result["adapter"]), (&"gpu".into(), &name.into()));
        accuracies.push(result["train"]["accuracy"].clone());
    }
    assert_eq!(accuracies[0], accuracies[1], "where rows lie changes nothing");
    let evaluate = "evaluate m.llfm data.csv --json --device";
    let [gpu, cpu] = ["gpu", "cpu"].map(|device| {
        let result = bench.line(&format!("{evaluate} {device}")).succeeds().result();
        assert_eq!(result["device"], device);
        result["test"]["loss"].as_f64().expect("a loss")
    });
    assert!((gpu - cpu).abs() < 1e-3 * cpu, "{gpu} and {cpu}");
    let [gpu, cpu] = ["gpu", "cpu"].map(|device| {
        bench.line(&format!("predict m.llfm data.csv --device {device}")).succeeds().out
    });
    let different = gpu.lines().zip(cpu.lines()).filter(|(a, b)| a != b).count();
    assert!(gpu.lines().count() == 300 && different <= 1, "{different} rows differ");
}

#[test]
fn an_allocation_that_fails_says_how_much_was_needed() {
    let Some(adapter) = gpu_or_skip() else { return };
    let bench = bench();
    let line = "train data.csv --device gpu --epochs 1 --model m.llfm";
    let words = ["MB", &adapter.facts().name, "--device cpu"];
    for (fault, placement) in [("allocate:1", "resident"), ("allocate:5", "stream")] {
        let line = format!("{line} --data-placement {placement}");
        with(&bench, ("LLFM_FAULT", fault), &line).fails(5, &words);
        // Nothing was trained yet.
        assert_eq!(bench.names(), ["data.csv"], "no litter");
    }
    // Whatever it is that does not fit beside the rows, without them it may.
    for allocation in [1, 3, 4, 8, 20] {
        let fault = format!("allocate:{allocation}");
        let line = format!("{line} --force --json");
        let result = with(&bench, ("LLFM_FAULT", &fault), &line).succeeds().result();
        assert_eq!(result["data_placement"], "stream", "{fault}");
    }
}

#[test]
fn a_loss_that_overflows_is_a_divergence_as_on_the_cpu() {
    let Some(_) = gpu_or_skip() else { return };
    let bench = bench();
    for rule in ["sgd", "adagrad", "adam"] {
        for rate in ["1e22", "1e26"] {
            let line = format!(
                "train data.csv --method fm --optimizer {rule} --learning-rate {rate} --l2 0 \
                 --epochs 2 --batch-size 32 --device gpu"
            );
            bench.line(&line).fails(7, &["diverged", "--learning-rate"]);
        }
    }
    let line = "train data.csv --learning-rate 1e22 --epochs 2 --device gpu";
    bench.line(line).fails(7, &["diverged"]);
}

#[test]
fn a_batch_of_more_rows_than_there_are_is_all_of_them() {
    let Some(_) = gpu_or_skip() else { return };
    let bench = bench();
    let bytes = |size: usize| {
        let line = format!("train data.csv --batch-size {size} --epochs 1 --device gpu --json");
        bench.line(&line).succeeds().result()["device_memory_bytes"].as_u64()
    };
    assert_eq!(bytes(300), bytes(1_000_000));
}

#[test]
fn a_placement_needs_a_gpu() {
    let bench = bench();
    let line = "train data.csv --device cpu --data-placement resident";
    bench.line(line).fails(2, &["--data-placement", "--device cpu"]);
    let line = "train data.csv --device cpu --row-storage u8";
    bench.line(line).fails(2, &["--row-storage", "--device cpu"]);
    let line = "train data.csv --stream --row-storage f16";
    bench.line(line).fails(2, &["--stream", "--row-storage"]);
}

#[test]
fn dense_rows_are_stored_in_fewer_bytes_where_it_is_asked_for() {
    let Some(_) = gpu_or_skip() else { return };
    let bench = bench();
    let mut sizes = Vec::new();
    for storage in ["f32", "f16", "u8"] {
        let line = format!("train data.csv --epochs 4 --device gpu --row-storage {storage}");
        let result = bench.line(&format!("{line} --json")).succeeds().result();
        assert_eq!(result["row_storage"], storage);
        assert!(result["train"]["accuracy"].as_f64() > Some(0.9), "{result}");
        sizes.push(result["device_memory_bytes"].as_u64().expect("bytes"));
        let said = bench.line(&line).succeeds().err;
        assert_eq!(said.contains(&format!("device as {storage},")), storage != "f32", "{said}");
    }
    assert!(sizes.is_sorted_by(|a, b| a > b), "{sizes:?}");
}

#[test]
fn sparse_rows_have_one_storage() {
    let Some(_) = gpu_or_skip() else { return };
    let bench = bench();
    bench.write("data.svm", &"1 3:1 20000:2\n0 5:1\n".repeat(40));
    for storage in ["f16", "u8"] {
        let line = format!("train data.svm --device gpu --row-storage {storage} --model m.llfm");
        bench.line(&line).fails(2, &["--row-storage", "sparse", "leave it out"]);
        assert_eq!(bench.names(), ["data.csv", "data.svm"], "no litter");
    }
    bench.line("train data.svm --device gpu --row-storage f32 --epochs 1").succeeds();
}

#[test]
fn a_lost_device_leaves_the_model_so_far() {
    let Some(_) = gpu_or_skip() else { return };
    let bench = bench();
    let train = "train data.csv --device gpu --epochs 5000 --batch-size 64 --model m.llfm";
    let lost = with(&bench, ("LLFM_FAULT", "lose:100"), &format!("{train} --json"));
    let lost = lost.fails(5, &["the best model so far is in m.llfm", "measured on the CPU"]);
    assert_eq!(lost.result()["stopped"], "device");
    let page = bench.line("inspect m.llfm --json").succeeds().result();
    assert!(page["summary"]["best_epochs"][0].as_u64() > Some(0), "{page}");
    let result = bench.line("evaluate m.llfm data.csv --json").succeeds().result();
    assert!(result["test"]["accuracy"].as_f64() > Some(0.7), "{result}");
    let again = with(&bench, ("LLFM_FAULT", "lose:100"), &format!("{train} --force"));
    assert!(again.fails(5, &["lost"]).out.contains("ended by the device"));
}

#[test]
fn a_lost_device_fails_predictions_without_a_file_left_half() {
    let Some(adapter) = gpu_or_skip() else { return };
    let bench = Bench::with_model();
    let line = "predict m.llfm train.csv --device gpu --output p.txt";
    with(&bench, ("LLFM_FAULT", "lose:1"), line).fails(5, &[&adapter.facts().name]);
    assert!(!bench.path("p.txt").exists());
}

#[test]
fn a_shader_that_does_not_compile_is_named_with_the_adapter() {
    let Some(adapter) = gpu_or_skip() else { return };
    let bench = bench();
    let line = "train data.csv --device gpu --model m.llfm";
    let broken = with(&bench, ("LLFM_FAULT", "shader:blend"), line);
    broken.fails(5, &["blend", &adapter.facts().name]);
    assert_eq!(bench.names(), ["data.csv"], "no litter");
}
