//! The parameters on the device, and the optimizer's memory beside them.

use ndarray::{Array1, Array2, Array3, Array4};

use super::sizes::Sizes;
use crate::backend::Memory;
use crate::config::{Optimizer, TrainConfig};
use crate::error::Result;
use crate::gpu::Gpu;
use crate::gpu::buffer::Buffers;
use crate::math::exp;
use crate::model::Parameters;

/// Uploads the parameters, with room for `shares` shares of the metric's gradient.
pub(super) fn upload(
    gpu: &Gpu,
    sizes: &Sizes,
    parameters: &Parameters,
    shares: usize,
) -> Result<Buffers> {
    let mut state = Buffers::default();
    state.add_filled(gpu, "records", &records(sizes, parameters))?;
    state.add_filled(gpu, "heads", &heads(parameters))?;
    state.add_filled(gpu, "anchors", &anchors(sizes, parameters))?;
    state.add_filled(gpu, "metric", &metric(sizes, parameters, shares))?;
    Ok(state)
}

/// Numbers an update rule keeps beside a parameter.
pub(super) fn moment_sections(rule: Optimizer) -> usize {
    match rule {
        Optimizer::Sgd => 0,
        Optimizer::AdaGrad => 1,
        Optimizer::Adam => 2,
    }
}

/// Adds the optimizer's memory, zeros.
pub(super) fn add_moments(
    gpu: &Gpu,
    sizes: &Sizes,
    config: &TrainConfig,
    state: &mut Buffers,
) -> Result<()> {
    let of_records = moment_sections(config.optimizer);
    let sections = if config.learn.scale { 2 } else { 1 };
    let moves_anchors = sizes.slopes && (config.learn.anchors || config.learn.scale);
    let remembers = usize::from(config.optimizer != Optimizer::Sgd);
    let of_anchors = if moves_anchors { 2 * sections * sizes.anchor_section() } else { 0 };
    state.add(gpu, "record_moments", of_records * sizes.all_record_quads() * 4)?;
    state.add(gpu, "head_moments", remembers * 2 * sizes.anchors * (sizes.outputs + 1))?;
    state.add(gpu, "anchor_moments", remembers * of_anchors)?;
    let of_metric = if config.learn.metric { 2 * sizes.features } else { 0 };
    state.add(gpu, "metric_moments", of_metric)
}

/// The parameters as they are on the device.
pub(super) fn download(gpu: &Gpu, sizes: &Sizes, state: &Buffers) -> Result<Parameters> {
    let Sizes { anchors: m, features: p, outputs: c, factors: d, .. } = *sizes;
    let section = sizes.anchor_section();
    let sections = if sizes.has_scales { 2 } else { 1 };
    let records: Vec<f32> = gpu.read(state.get("records"), sizes.all_record_quads() * 4)?;
    let heads: Vec<f32> = gpu.read(state.get("heads"), m * (c + 2))?;
    let anchors: Vec<f32> = gpu.read(state.get("anchors"), sections * section)?;
    let metric: Vec<f32> = gpu.read(state.get("metric"), p)?;
    let channel = 4 * sizes.channel_quads;
    let at = |i, c, j, f| records[record_place(sizes, i, j) * 4 + c * channel + f];
    let anchor = |offset| move |(i, j)| anchor_place(sizes, i, j) + offset;
    let (z, t) = (anchor(0), anchor(section));
    Ok(Parameters {
        anchors: Array2::from_shape_fn((m, p), |at| anchors[z(at)]),
        log_lipschitz: Array1::from_shape_fn(m, |i| heads[i * (c + 2) + c]),
        log_metric: Array1::from_vec(metric),
        anchor_scale: sizes.has_scales.then(|| Array2::from_shape_fn((m, p), |at| anchors[t(at)])),
        bias: Array2::from_shape_fn((m, c), |(i, channel)| heads[i * (c + 2) + channel]),
        linear: Array3::from_shape_fn((m, c, p), |(i, c, j)| at(i, c, j, channel - 2)),
        factors: Array4::from_shape_fn((m, c, p, d), |(i, c, j, f)| at(i, c, j, f)),
    })
}

/// The bytes of every buffer, as they are on the device.
pub(super) fn save(gpu: &Gpu, state: &Buffers) -> Result<Vec<(String, Vec<u8>)>> {
    let all = state.sorted().into_iter();
    all.map(|(name, buffer)| Ok((name.to_owned(), gpu.read(buffer, buffer.bytes())?))).collect()
}

/// Puts them back.
pub(super) fn restore(gpu: &Gpu, state: &Buffers, memory: &Memory) -> Result<()> {
    for (name, buffer) in state.sorted() {
        gpu.write(buffer, 0, memory.bytes(name, buffer.bytes())?)?;
    }
    Ok(())
}

/// First vector of four of an (anchor, feature) record.
fn record_place(sizes: &Sizes, anchor: usize, feature: usize) -> usize {
    let record = if sizes.sparse {
        feature * sizes.anchors + anchor
    } else {
        anchor * sizes.features + feature
    };
    record * sizes.record_quads()
}

/// Element of an (anchor, feature) in a section of `anchors`.
fn anchor_place(sizes: &Sizes, anchor: usize, feature: usize) -> usize {
    if sizes.sparse {
        feature * sizes.anchors + anchor
    } else {
        anchor * 4 * sizes.row_quads + feature
    }
}

/// Per channel v, zeros, w and ‖v‖².
fn records(sizes: &Sizes, parameters: &Parameters) -> Vec<f32> {
    let mut records = vec![0.0; sizes.all_record_quads() * 4];
    let channel_len = 4 * sizes.channel_quads;
    for (i, j) in pairs(sizes.anchors, sizes.features) {
        let record = &mut records[record_place(sizes, i, j) * 4..][..sizes.record_quads() * 4];
        for (c, channel) in record.chunks_exact_mut(channel_len).enumerate() {
            let mut square = 0.0_f32;
            for (f, v) in channel[..sizes.factors].iter_mut().enumerate() {
                *v = parameters.factors[[i, c, j, f]];
                square = v.mul_add(*v, square);
            }
            channel[channel_len - 2] = parameters.linear[[i, c, j]];
            channel[channel_len - 1] = square;
        }
    }
    records
}

/// Per anchor b of each channel, log L and L.
fn heads(parameters: &Parameters) -> Vec<f32> {
    let rows = parameters.bias.rows().into_iter().zip(&parameters.log_lipschitz);
    rows.flat_map(|(bias, &l)| bias.to_vec().into_iter().chain([l, exp(l)])).collect()
}

/// z, then t where scales are kept.
fn anchors(sizes: &Sizes, parameters: &Parameters) -> Vec<f32> {
    let section = sizes.anchor_section();
    let mut cells = vec![0.0; if sizes.has_scales { 2 * section } else { section }];
    for (i, j) in pairs(sizes.anchors, sizes.features) {
        let place = anchor_place(sizes, i, j);
        cells[place] = parameters.anchors[[i, j]];
        if sizes.has_scales {
            cells[section + place] = parameters.anchor_scale.as_ref().map_or(1.0, |t| t[[i, j]]);
        }
    }
    cells
}

/// τ, the weight of the distance, and room for each anchor's share of the gradient.
fn metric(sizes: &Sizes, parameters: &Parameters, shares: usize) -> Vec<f32> {
    let tau = &parameters.log_metric;
    let weight = |&tau: &f32| if sizes.sparse { exp(tau) } else { exp(0.5 * tau) };
    let room = std::iter::repeat_n(0.0, shares);
    tau.iter().copied().chain(tau.iter().map(weight)).chain(room).collect()
}

fn pairs(n: usize, m: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..n).flat_map(move |i| (0..m).map(move |j| (i, j)))
}
