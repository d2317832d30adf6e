//! Raw scores, why they are what they are, and the weights behind them.

use std::collections::HashMap;

use llfm::model::Model;
use serde_json::Value;

use crate::bench::{Bench, clouds, curve, rings};

fn ratings() -> String {
    let rate = |i: usize| if (i / 20 + i % 20).is_multiple_of(2) { 5 } else { 1 };
    (0..400).map(|i| format!("{}\t{}\t{}\n", i / 20, i % 20, rate(i))).collect()
}

/// A model of each kind: two classes, many, values, a lone machine on sparse rows, an ensemble
/// with a categorical column.
pub(crate) fn benches() -> Vec<(Bench, &'static str)> {
    let words = |text: &str| {
        let mut lines = text.lines().enumerate();
        let head = lines.next().map(|(_, line)| format!("kind,{line}\n")).unwrap_or_default();
        let rows = lines.map(|(i, line)| format!("{},{line}\n", ["a", "b"][i % 2]));
        head + &rows.collect::<String>()
    };
    let cases = [
        ("data.svm", rings(120, 1), "--factors 3"),
        ("data.csv", clouds(150, 1), "--factors 2 --ensemble 2"),
        ("data.csv", curve(150, 1), "--anchors 6"),
        ("u1.base", ratings(), "--method fm"),
        ("u1.base", ratings(), "--valid-fraction 0.1"),
        ("data.csv", words(&curve(150, 1)), "--ensemble 3 --method llfm-apl"),
        ("data.csv", clouds(150, 1), "--factors 0 --positive cat"),
    ];
    let trained = cases.into_iter().map(|(name, text, flags)| {
        let bench = Bench::new();
        bench.write(name, &text);
        bench.line(&format!("train {name} --epochs 3 --model m.llfm {flags}")).succeeds();
        (bench, name)
    });
    trained.collect()
}

fn numbers(line: &str) -> Vec<f64> {
    line.split(',').map(|number| number.parse().expect("a number")).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

#[test]
fn all_contributions_sum_to_the_raw_score_of_every_kind_of_model() {
    for (bench, data) in benches() {
        let predicted = bench.line(&format!("predict m.llfm {data}")).succeeds().out;
        let raw = bench.line(&format!("predict m.llfm {data} --raw")).succeeds().out;
        let all = bench.line(&format!("predict m.llfm {data} --explain 100000")).succeeds();
        let lines = all.json_lines();
        assert_eq!(lines.len(), raw.lines().count());
        for (i, (line, (raw, predicted))) in
            lines.iter().zip(raw.lines().zip(predicted.lines())).enumerate()
        {
            let raw = numbers(raw).into_iter().fold(f64::NEG_INFINITY, f64::max);
            let terms = list(&line["terms"]);
            let sum = terms.iter().map(|term| number(&term["contribution"])).sum::<f64>();
            let score = number(&line["bias"]) + sum;
            assert!((score - raw).abs() < 1e-4 * (1.0 + raw.abs()), "{score} is not {raw}: {line}");
            assert_eq!((number(&line["score"]) as f32, number(&line["rest"])), (raw as f32, 0.0));
            let prediction = &line["prediction"];
            let shown = prediction.as_str().map_or_else(|| prediction.to_string(), str::to_owned);
            match shown.parse::<f32>() {
                Ok(value) => assert_eq!(Ok(value), predicted.parse()),
                Err(_) => assert_eq!(shown, predicted),
            }
            assert_eq!(line["row"], i + 1);
        }
    }
}

#[test]
fn the_anchors_of_each_member_share_the_row_and_blend_to_the_score() {
    for (bench, data) in benches() {
        let done = bench.line(&format!("predict m.llfm {data} --explain")).succeeds();
        for line in done.json_lines() {
            let mut members: HashMap<u64, (f64, f64)> = HashMap::new();
            for anchor in list(&line["anchors"]) {
                let of = members.entry(anchor["member"].as_u64().unwrap_or(0)).or_default();
                of.0 += number(&anchor["gamma"]);
                of.1 += number(&anchor["gamma"]) * number(&anchor["score"]);
            }
            assert!(members.values().all(|(gamma, _)| (gamma - 1.0).abs() < 1e-5), "{line}");
            let blended = members.values().map(|m| m.1).sum::<f64>() / members.len() as f64;
            let score = number(&line["score"]);
            assert!((blended - score).abs() < 1e-4 * (1.0 + score.abs()), "{blended}: {line}");
        }
    }
}

#[test]
fn the_largest_terms_come_first_and_the_rest_is_their_complement() {
    let bench = Bench::new();
    bench.write("data.csv", &curve(150, 1));
    bench.line("train data.csv --epochs 3 --model m.llfm").succeeds();
    let all = bench.line("predict m.llfm data.csv --explain").succeeds().json_lines();
    let two = bench.line("predict --explain=2 m.llfm data.csv").succeeds().json_lines();
    let none = bench.line("predict m.llfm data.csv --explain 0").succeeds().json_lines();
    for ((all, two), none) in all.iter().zip(&two).zip(&none) {
        let terms = list(&all["terms"]);
        assert_eq!(
            (terms.len(), list(&two["terms"]), list(&none["terms"])),
            (3, &terms[..2], &[][..])
        );
        let size = |term: &Value| number(&term["contribution"]).abs();
        assert!(terms.is_sorted_by(|a, b| size(a) >= size(b)), "{all}");
        assert_eq!(number(&two["rest"]), number(&terms[2]["contribution"]));
        let whole = number(&none["bias"]) + number(&none["rest"]);
        assert!((whole - number(&none["score"])).abs() < 1e-3, "{none}");
        let pair = terms.iter().find(|term| list(&term["features"]).len() == 2);
        assert_eq!(pair.map(|term| &term["features"]), Some(&serde_json::json!(["a", "b"])));
    }
}

#[test]
fn the_score_explained_is_that_of_the_named_class() {
    let bench = Bench::with_model();
    let proba = bench.line("predict m.llfm test.csv --proba").succeeds().out;
    let lines = bench.line("predict m.llfm test.csv --explain").succeeds().json_lines();
    for (line, proba) in lines.iter().zip(proba.lines()) {
        assert_eq!(line["class"], line["prediction"]);
        let most = numbers(proba).into_iter().fold(0.0, f64::max);
        assert_eq!(number(&line["probability"]) as f32, most as f32);
    }
    bench.write("two.svm", &rings(120, 1));
    bench.line("train two.svm --epochs 3 --model two.llfm").succeeds();
    let proba = bench.line("predict two.llfm two.svm --proba").succeeds().out;
    let lines = bench.line("predict two.llfm two.svm --explain").succeeds().json_lines();
    for (line, proba) in lines.iter().zip(proba.lines()) {
        assert_eq!(line["class"], "1", "of two the positive one");
        assert_eq!(number(&line["probability"]) as f32, numbers(proba)[0] as f32);
    }
    let names = list(&lines[0]["terms"]).iter().flat_map(|term| list(&term["features"]));
    assert!(names.into_iter().all(|name| ["1", "2", "3"].contains(&name.as_str().unwrap_or(""))));
}

#[test]
fn raw_scores_give_the_probabilities_and_are_not_limited() {
    let bench = Bench::with_model();
    let raw = bench.line("predict m.llfm test.csv --raw").succeeds().out;
    let proba = bench.line("predict m.llfm test.csv --proba").succeeds().out;
    for (raw, proba) in raw.lines().zip(proba.lines()) {
        let powers: Vec<f64> = numbers(raw).into_iter().map(f64::exp).collect();
        for (power, p) in powers.iter().zip(numbers(proba)) {
            assert!((power / powers.iter().sum::<f64>() - p).abs() < 1e-5, "{raw}: {proba}");
        }
    }
    bench.write("u1.base", &ratings());
    bench.line("train u1.base --epochs 10 --method fm --model r.llfm").succeeds();
    let (plain, raw) = (
        bench.line("predict r.llfm u1.base").succeeds().out,
        bench.line("predict r.llfm u1.base --raw").succeeds().out,
    );
    let mut beyond = 0;
    for (plain, raw) in plain.lines().zip(raw.lines()) {
        let raw = numbers(raw)[0];
        assert_eq!(numbers(plain)[0], raw.clamp(1.0, 5.0));
        beyond += usize::from(!(1.0..=5.0).contains(&raw));
    }
    assert!(beyond > 0, "some prediction has to leave the scale for this to be a test");
}

#[test]
fn the_forms_of_a_prediction_exclude_each_other() {
    let bench = Bench::with_model();
    for flags in ["--raw --proba", "--explain 3 --proba", "--raw --explain=1"] {
        bench.line(&format!("predict m.llfm test.csv {flags}")).fails(2, &["cannot be used with"]);
    }
    bench.line("predict --explain m.llfm test.csv").fails(2, &["behind MODEL"]);
    bench
        .line("predict m.llfm test.csv --explain --device gpu")
        .fails(2, &["--explain", "--device"]);
}

#[test]
fn the_text_of_a_model_has_every_weight_by_name() {
    for (bench, _) in benches() {
        let text = bench.line("inspect m.llfm --text").succeeds().out;
        let model = Model::load(&bench.path("m.llfm")).expect("it was just written");
        let mut found = Vec::new();
        for line in text.lines().filter(|line| !line.contains('·') && !line.contains('×')) {
            let (label, values) = match line.split_once('\t') {
                Some((name, values)) => (name, values),
                None => line.rsplit_once(' ').unwrap_or_default(),
            };
            if line.contains('\t') || label.ends_with("log L") || label.ends_with("bias") {
                found.extend(values.split(' ').map(|x| x.parse::<f32>().expect("a number")));
            }
        }
        let mut expected = Vec::new();
        for x in &model.members {
            expected.extend(&x.log_metric);
            for i in 0..x.n_anchors() {
                expected.push(x.log_lipschitz[i]);
                for j in 0..x.n_features() {
                    expected.push(x.anchors[[i, j]]);
                    expected.extend(x.anchor_scale.as_ref().map(|t| t[[i, j]]));
                }
                for c in 0..x.n_outputs() {
                    expected.push(x.bias[[i, c]]);
                    for j in 0..x.n_features() {
                        expected.push(x.linear[[i, c, j]]);
                        expected.extend((0..x.n_factors()).map(|f| x.factors[[i, c, j, f]]));
                    }
                }
            }
        }
        assert_eq!(found, expected);
        for j in 0..model.preprocess.n_features() {
            let line = format!("\n  {}\t", model.preprocess.feature_name(j));
            assert!(text.contains(&line), "{line:?}");
        }
    }
    let bench = Bench::with_model();
    bench.line("inspect m.llfm --text --json").fails(2, &["--text"]);
}
