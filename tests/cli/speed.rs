//! `llfm bench`: what it measures, says and refuses.

use llfm::gpu::adapter::Kind;
use serde_json::Value;

use crate::bench::Bench;
use crate::gpu::gpu_or_skip;

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

#[test]
fn programs_get_the_machine_a_line_a_method_and_a_result() {
    let bench = Bench::new();
    let done =
        bench.line("bench ijcnn1 MovieLens --rows 300 --quick --threads 2 --json").succeeds();
    let lines = done.json_lines();
    let start = &lines[0];
    assert_eq!((&start["event"], &start["command"]), (&"start".into(), &"bench".into()));
    for key in ["cpu", "simd", "version", "commit", "device"] {
        assert!(start[key].is_string(), "{key}: {start}");
    }
    assert!(start["cores"].is_u64() && start["threads"] == 2 && start["software"] == false);
    assert!(number(&start["floors"]["flops_per_second"]) > 1e6, "{start}");
    assert!(number(&start["floors"]["copies"][0]["bytes_per_second"]) > 1e6, "{start}");
    let jobs: Vec<(&str, &str)> = lines[1..5]
        .iter()
        .map(|job| (job["shape"].as_str().unwrap_or(""), job["method"].as_str().unwrap_or("")))
        .collect();
    let expected =
        [("ijcnn1", "fm"), ("ijcnn1", "llfm-jo"), ("movielens", "fm"), ("movielens", "llfm-jo")];
    assert_eq!(jobs, expected);
    for job in &lines[1..5] {
        assert_eq!((&job["event"], &job["rows"]), (&"bench".into(), &300.into()));
        for key in ["score_error", "gradient_error"] {
            assert!(number(&job[key][0]) <= number(&job[key][1]), "{key}: {job}");
        }
        assert!(job["epochs_timed"].as_u64() >= Some(1), "{job}");
        let per_second = 300.0 / number(&job["seconds"]);
        assert!((number(&job["rows_per_second"]) / per_second - 1.0).abs() < 1e-9, "{job}");
        let phases = job["phases"].as_array().expect("phases");
        let total: f64 = phases.iter().map(|phase| number(&phase["seconds"])).sum();
        let seconds = number(&job["seconds"]);
        assert!(total > 0.0 && total <= seconds, "{total} of {seconds}: {job}");
        for phase in phases {
            for key in ["share", "gflops_per_second", "gigabytes_per_second", "of_floor"] {
                assert!(number(&phase[key]) >= 0.0, "{key}: {phase}");
            }
        }
        let has = |name: &str| phases.iter().any(|phase| phase["phase"] == name);
        assert!(has("gather") && has("score") && has("models") && has("blend"), "{job}");
        assert_eq!(has("anchors"), job["method"] == "llfm-jo", "{job}");
    }
    assert!(number(&lines[2]["mean_active"]) > 1.0, "{}", lines[2]);
    let result = done.result();
    assert_eq!((&result["event"], &result["jobs"]), (&"result".into(), &4.into()));
}

#[test]
fn people_get_the_machine_and_a_table_a_method() {
    let bench = Bench::new();
    let line = "bench letter --method llfm-do --rows 200 --quick --anchors 9 --factors 3 \
                --batch-size 50 --target-active 2";
    let done = bench.line(line).succeeds();
    for word in [
        "GFLOP/s; copies",
        "letter: 200 rows, 16 features, 26 classes",
        "rows/s",
        "m 9, d 3, batch 50",
        "checked: scores",
        "of floor",
        "coding",
        "most memory taken",
    ] {
        let elsewhere = word.starts_with("most") && !cfg!(target_os = "linux");
        assert!(elsewhere || done.out.contains(word), "`{word}` is not in: {}", done.out);
    }
    assert!(!done.out.contains("fm  ") && !done.out.contains("\n  anchors"), "{}", done.out);
}

const ON_GPU: &str = "bench ijcnn1 --method llfm-jo --rows 300 --quick --anchors 8 --device gpu";

#[test]
fn a_gpu_has_rows_a_second_and_software_no_figure() {
    let Some(adapter) = gpu_or_skip() else { return };
    let bench = Bench::new();
    let done = bench.line(ON_GPU).succeeds();
    assert!(
        done.out.contains("rows/s") && done.out.contains("dispatch to dispatch"),
        "{}",
        done.out
    );
    let software = adapter.facts().kind == Kind::Software;
    assert_eq!(done.out.contains("no GPU figure"), software, "{}", done.out);
    let lines = bench.line(&format!("{ON_GPU} --json")).succeeds().json_lines();
    assert_eq!(
        (&lines[0]["floors"], &lines[1]["phases"]),
        (&Value::Null, &Vec::<Value>::new().into())
    );
    assert_eq!((&lines[0]["software"], &lines[1]["device"]), (&software.into(), &"gpu".into()));
    let floors = &lines[0]["gpu_floors"];
    assert!(number(&floors["flops_per_second"]) > 1e6, "{floors}");
    assert!(number(&floors["copies"][1]["bytes_per_second"]) > 1e6, "{floors}");
    assert!(number(&floors["dispatch_seconds"]) > 0.0, "{floors}");
}

#[test]
fn a_gpu_is_shown_kernel_by_kernel() {
    if gpu_or_skip().is_none() {
        return;
    }
    let bench = Bench::new();
    let done = bench.line(ON_GPU).succeeds();
    for word in [
        "kernel ",
        "dispatches",
        "floor ms",
        "\n  fm_score ",
        "\n  blend ",
        "a step: ",
        "an epoch of",
    ] {
        assert!(done.out.contains(word), "`{word}` is not in: {}", done.out);
    }
    let job = &bench.line(&format!("{ON_GPU} --json")).succeeds().json_lines()[1];
    let kernels = job["kernels"].as_array().expect("kernels");
    let timed = job["step"]["kernel_seconds"].is_number();
    assert_eq!(timed, !done.out.contains("no timestamps"), "{job}");
    for kernel in kernels {
        assert!(kernel["kernel"].is_string() && kernel["dispatches"] == 1, "{kernel}");
        assert!(number(&kernel["floor_seconds"]) > 0.0, "{kernel}");
        for key in ["seconds", "share", "gflops_per_second", "gigabytes_per_second", "of_floor"] {
            assert_eq!(kernel[key].is_number(), timed, "{key}: {kernel}");
        }
    }
    let step = &job["step"];
    assert_eq!(step["dispatches"], kernels.len(), "{step}");
    assert!(number(&step["uploaded_bytes"]) > 256.0 && number(&step["bytes"]) > 0.0, "{step}");
    assert!(number(&step["floor"]["waiting"]) <= number(&step["floor"]["seconds"]), "{step}");
}

#[test]
fn without_timestamps_a_gpu_is_not_timed_kernel_by_kernel() {
    if gpu_or_skip().is_none() {
        return;
    }
    let bench = Bench::new();
    let run = |line: &str| bench.line_with(("LLFM_FAULT", "timestamps:off"), line);
    let done = run(ON_GPU).succeeds();
    assert!(done.out.contains("no timestamps") && done.out.contains("floor ms"), "{}", done.out);
    assert!(!done.out.contains("of floor"), "{}", done.out);
    run(&format!("{ON_GPU} --trace t.json")).fails(5, &["timestamps", "--trace", "--device gpu:"]);
    assert_eq!(bench.names(), Vec::<String>::new());
}

#[test]
fn a_trace_has_every_dispatch_and_replaces_the_file() {
    let Some(adapter) = gpu_or_skip() else { return };
    let bench = Bench::new();
    bench.write("t.json", "an older file");
    let done = bench.line(&format!("{} --trace t.json", ON_GPU.replace("llfm-jo", "fm,llfm-jo")));
    if done.code == 5 {
        done.fails(5, &["timestamps"]);
        return;
    }
    done.succeeds();
    let trace: Value = serde_json::from_slice(&bench.read("t.json")).expect("JSON");
    let events = trace["traceEvents"].as_array().expect("events");
    let named =
        |name: &str| events.iter().filter(|event| event["name"] == name).collect::<Vec<_>>();
    assert_eq!(named("process_name")[0]["args"]["name"], adapter.facts().name.as_str());
    let jobs: Vec<&Value> =
        named("thread_name").iter().map(|event| &event["args"]["name"]).collect();
    assert_eq!(jobs, ["ijcnn1 fm", "ijcnn1 llfm-jo"]);
    let scores = named("fm_score");
    // 300 rows are one step of each method.
    assert_eq!(scores.len(), 2, "{trace}");
    for (job, score) in (1..).zip(&scores) {
        assert_eq!((&score["ph"], &score["tid"]), (&"X".into(), &job.into()));
        assert_eq!(score["args"]["step"], 0);
        assert!(score["args"]["workgroups"].as_u64() > Some(0), "{score}");
        assert!(number(&score["ts"]) >= 0.0 && number(&score["dur"]) >= 0.0, "{score}");
    }
    assert!(number(&scores[1]["ts"]) >= number(&scores[0]["ts"]), "one job after the other");
}

#[test]
fn a_trace_of_the_cpu_or_to_nowhere_is_refused() {
    let bench = Bench::new();
    bench.line("bench ijcnn1 --quick --trace t.json").fails(2, &["--trace", "--device gpu"]);
    let line = "bench ijcnn1 --quick --device auto --trace no/t.json";
    bench.line(line).fails(6, &["no/t.json", "no folder"]);
    assert_eq!(bench.names(), Vec::<String>::new());
}

#[test]
fn what_cannot_be_measured_is_refused_before_any_work() {
    let bench = Bench::new();
    let shapes = ["ijcnn1", "letter", "mnist", "covtype", "movielens", "criteo"];
    bench.line("bench netflix").fails(2, &[&["netflix"][..], &shapes].concat());
    for flags in ["--rows 0", "--method gbm", "--factors 5000", "--batch-size 0", "--anchors 0"] {
        let flag = flags.split(' ').next().unwrap_or_default();
        bench.line(&format!("bench ijcnn1 {flags}")).fails(2, &[flag]);
    }
    bench.line("bench criteo --anchors 60000 --factors 4000").fails(2, &["--anchors", "MB"]);
}

#[test]
fn shapes_beyond_the_device_are_left_out_unless_they_were_named() {
    if gpu_or_skip().is_none() {
        return;
    }
    let bench = Bench::new();
    let named = "bench mnist --rows 100 --quick --method llfm-jo --device gpu";
    bench.line_with(("LLFM_FAULT", "limit:1000000"), named).fails(5, &["mnist, llfm-jo", "MB"]);
    let all = "bench --rows 20 --quick --method llfm-jo --anchors 5 --device gpu --json";
    let lines = bench.line_with(("LLFM_FAULT", "limit:40000000"), all).succeeds().json_lines();
    let of = |event: &str| lines.iter().filter(|line| line["event"] == event).count();
    assert!(of("refused") > 0 && of("bench") > 0, "{lines:?}");
    let refused = lines.iter().find(|line| line["event"] == "refused").expect("counted");
    assert!(refused["why"].as_str().is_some_and(|why| why.contains("MB")), "{refused}");
    assert_eq!(refused["method"], "llfm-jo");
}
