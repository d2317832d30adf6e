//! What computes: which adapter is taken, and what happens when it fails.

use crate::bench::{Bench, clouds};
use crate::gpu::gpu_or_skip;

fn bench() -> Bench {
    let bench = Bench::new();
    bench.write("data.csv", &clouds(300, 1));
    bench
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
    let named = bench.line_with(("LLFM_ADAPTER", name), "devices --json").succeeds().result();
    assert_eq!((&named["device"], &named["adapter"]), (&"gpu".into(), &name.into()));
    let lost = bench.line_with(("LLFM_ADAPTER", "nonsense"), "devices").succeeds().out;
    assert!(lost.contains("fails") && lost.contains("nonsense"), "{lost}");
}

#[test]
fn an_adapter_that_is_not_there_is_refused_with_those_that_are() {
    let Some(adapter) = gpu_or_skip() else { return };
    let (bench, name) = (bench(), adapter.facts().name.as_str());
    bench.line("train data.csv --device gpu:nonsense").fails(5, &["nonsense", name]);
    for device in ["auto", "gpu"] {
        let line = format!("train data.csv --device {device}");
        let named = bench.line_with(("LLFM_ADAPTER", "nonsense"), &line);
        named.fails(5, &["LLFM_ADAPTER", "nonsense", name]);
    }
    bench
        .line_with(("LLFM_ADAPTER", "nonsense"), "train data.csv --epochs 1 --device cpu")
        .succeeds();
}

#[test]
fn an_unknown_fault_is_a_usage_error() {
    let Some(_) = gpu_or_skip() else { return };
    let line = "train data.csv --device gpu";
    bench().line_with(("LLFM_FAULT", "burn:1"), line).fails(2, &["LLFM_FAULT", "burn:1", "lose:N"]);
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
