//! Models of any finite weights score any finite rows: no panic, each row as if it were alone, finite
//! where the weights are of a size that training reaches.

use std::path::Path;
use std::sync::OnceLock;

use arbitrary::{Result, Unstructured};
use llfm::config::{Coding, Distance, Loss, Method, defaults};
use llfm::data::{
    Csr, Features, LabelMap, Notes, Preprocess, PreprocessOptions, ReadOptions, Scale, Task, read,
};
use llfm::model::{Model, Parameters, Summary, TargetScale};
use llfm::settings::Settings;
use ndarray::{Array, Array2, Dimension, IntoDimension};

use super::{model, with_file};

/// Features of dense rows, at most; of sparse rows two to this power.
const MOST: usize = 5;

/// Checks the model and the rows that an input stands for.
pub fn rows(data: &[u8]) {
    let mut bytes = Unstructured::new(data);
    if let Ok((model, features, extreme)) = problem(&mut bytes) {
        let path = Path::new("m.llfm");
        let saved = model.to_bytes(path).expect("finite weights");
        let model = Model::from_bytes(&saved, path).expect("a model that was saved");
        let finite = model::scored(&model, &features);
        assert!(finite || extreme, "scores of small numbers are finite");
        alone(&model, &features);
    }
}

/// Rows score the same together and alone.
fn alone(model: &Model, features: &Features) {
    let sparse = model.preprocess.is_sparse();
    let device = llfm::backend::Device::Cpu;
    let scorer = llfm::predict::Scorer::new(&model.members, &model.config, sparse, &device);
    let mut scorer = scorer.expect("the CPU");
    let bits = |scores: Array2<f32>| -> Vec<u32> {
        // Which NaN it is means nothing.
        scores.iter().map(|x| if x.is_nan() { u32::MAX } else { x.to_bits() }).collect()
    };
    let together = bits(scorer.score(features).expect("the CPU").outputs);
    let mut each = Vec::new();
    for row in 0..features.n_rows() as u32 {
        let one = features.select(&[row]);
        each.extend(bits(scorer.score(&one).expect("the CPU").outputs));
    }
    assert_eq!(together, each);
}

fn problem(bytes: &mut Unstructured) -> Result<(Model, Features, bool)> {
    let sparse: bool = bytes.arbitrary()?;
    let extreme: bool = bytes.arbitrary()?;
    let power = bytes.int_in_range(1..=MOST)?;
    let preprocess = preprocess(sparse, power);
    let p = preprocess.n_features();
    let n_classes = bytes.int_in_range(0..=3)?;
    let loss = match n_classes {
        0 | 1 => Loss::Squared,
        2 => *bytes.choose(&[Loss::Logistic, Loss::Hinge])?,
        _ => *bytes.choose(&[Loss::Softmax, Loss::Ovr])?,
    };
    let (task, labels) = match n_classes {
        0 | 1 => (Task::Regression, LabelMap::Values { range: [-1.0, 2.0], clamp: n_classes == 1 }),
        2 => (Task::Binary, classes(2)),
        _ => (Task::Multiclass, classes(3)),
    };
    let coding =
        *bytes.choose(&[Coding::Adaptive, Coding::Soft, Coding::Inverse, Coding::Single])?;
    let anchors = if coding == Coding::Single { 1 } else { bytes.int_in_range(1..=70)? };
    let settings = Settings {
        method: Some(if coding == Coding::Single { Method::Fm } else { Method::LlfmJo }),
        loss: Some(Some(loss)),
        anchors: (coding != Coding::Single).then_some(anchors),
        factors: Some(bytes.int_in_range(0..=17)?),
        distance: None,
        ensemble: Some(bytes.int_in_range(1..=2)?),
        ..Settings::default()
    };
    let outputs = loss.n_outputs(labels.n_classes());
    let shape = defaults::DataShape {
        rows: 10,
        features: p,
        nonzeros: 10 * p,
        sparse,
        classes: labels.n_classes().max(1),
        task,
    };
    let mut config = defaults::resolve(&settings, &shape).expect("settings that fit");
    config.coding = coding;
    config.neighbors = bytes.int_in_range(1..=9)?;
    config.distance = *bytes.choose(&[Distance::SqEuclidean, Distance::Euclidean])?;
    let mut members = Vec::new();
    for _ in 0..config.ensemble {
        members.push(parameters(bytes, extreme, [anchors, outputs, p, config.factors])?);
    }
    let n = bytes.int_in_range(1..=70)?;
    let features = features(bytes, extreme, sparse, n, p)?;
    let target_scale = match task {
        Task::Regression => {
            TargetScale { mean: number(bytes, extreme)?, deviation: number(bytes, extreme)?.abs() }
        }
        _ => TargetScale::default(),
    };
    let summary = Summary::default();
    Ok((Model { config, preprocess, labels, target_scale, members, summary }, features, extreme))
}

fn classes(n: usize) -> LabelMap {
    let names = (0..n).map(|class| class.to_string()).collect();
    LabelMap::Classes { names, rest: false }
}

/// Rows as they are: `power` columns, or hashed into 2^`power`.
fn preprocess(sparse: bool, power: usize) -> Preprocess {
    static ALL: OnceLock<[[Preprocess; MOST]; 2]> = OnceLock::new();
    let fit = |sparse: bool, power: usize| {
        let (name, text) = match sparse {
            true => ("a.svm", "1 1:1\n0 2:1\n".to_owned()),
            false => ("a.csv", format!("{}1\n{}0\n", "1,".repeat(power), "2,".repeat(power))),
        };
        let hash_bits = sparse.then_some(power as u8);
        let options = ReadOptions { hash_bits, ..ReadOptions::default() };
        let unscaled = PreprocessOptions { scale: Some(Scale::None), ..Default::default() };
        with_file(name, text.as_bytes(), |path| {
            let rows = read(&path, &options, &mut Notes::new()).expect("rows");
            Preprocess::fit(&rows, &unscaled, &path, &mut Notes::new()).expect("rows fit")
        })
    };
    let all = ALL.get_or_init(|| {
        [false, true].map(|sparse| std::array::from_fn(|power| fit(sparse, power + 1)))
    });
    all[usize::from(sparse)][power - 1].clone()
}

fn parameters(
    bytes: &mut Unstructured,
    extreme: bool,
    [m, c, p, d]: [usize; 4],
) -> Result<Parameters> {
    // Training keeps the logarithms of L and of the metric small.
    let mut logarithm = |n| array(bytes, extreme, n).map(|a| if extreme { a } else { a / 20.0 });
    let (log_lipschitz, log_metric) = (logarithm(m)?, logarithm(p)?);
    let has_scale: bool = bytes.arbitrary()?;
    Ok(Parameters {
        anchors: array(bytes, extreme, (m, p))?,
        log_lipschitz,
        log_metric,
        anchor_scale: has_scale.then(|| array(bytes, extreme, (m, p))).transpose()?,
        bias: array(bytes, extreme, (m, c))?,
        linear: array(bytes, extreme, (m, c, p))?,
        factors: array(bytes, extreme, (m, c, p, d))?,
    })
}

fn features(
    bytes: &mut Unstructured,
    extreme: bool,
    sparse: bool,
    n: usize,
    p: usize,
) -> Result<Features> {
    let cells = array(bytes, extreme, (n, p))?;
    if !sparse {
        return Ok(Features::Dense(cells));
    }
    let mut rows = Csr { n_cols: p, offsets: vec![0], ..Csr::default() };
    for row in cells.outer_iter() {
        for (j, &value) in row.iter().enumerate().filter(|(_, value)| **value != 0.0) {
            rows.indices.push(j as u32);
            rows.values.push(value);
        }
        rows.offsets.push(rows.values.len());
    }
    Ok(Features::Sparse(rows))
}

/// Numbers from the input; as soon as it has ended, those before come again.
fn array<D: Dimension>(
    bytes: &mut Unstructured,
    extreme: bool,
    dim: impl IntoDimension<Dim = D>,
) -> Result<Array<f32, D>> {
    let dim = dim.into_dimension();
    let length = bytes.int_in_range(0..=15)?;
    let mut some = Vec::new();
    for _ in 0..=length {
        some.push(number(bytes, extreme)?);
    }
    let all = (0..dim.size()).map(|i| some[i % some.len()]).collect();
    Ok(Array::from_shape_vec(dim, all).expect("as many as the shape has"))
}

/// A finite number: any, or one up to 100.
pub fn number(bytes: &mut Unstructured, extreme: bool) -> Result<f32> {
    const SOME: [f32; 12] = [
        0.0,
        1.0,
        0.5,
        f32::EPSILON,
        f32::MIN_POSITIVE,
        1e-45,
        f32::MAX,
        1e38,
        1.8e19,
        1e-20,
        16_777_216.0,
        88.7,
    ];
    let kind: u8 = bytes.arbitrary()?;
    let sign = if kind & 1 == 0 { 1.0 } else { -1.0 };
    if !extreme {
        let small: i16 = bytes.arbitrary()?;
        return Ok(f32::from(small) / 327.67);
    }
    Ok(match kind >> 1 {
        k if (k as usize) < SOME.len() => sign * SOME[k as usize],
        k if k < 64 => f32::from(bytes.arbitrary::<i16>()?) / 1024.0,
        _ => {
            let any = f32::from_bits(bytes.arbitrary()?);
            if any.is_finite() { any } else { sign * f32::MAX }
        }
    })
}
