// ŷ_c = Σᵢ γᵢ fᵢ_c. With ℓ the row's loss times its weight, g_c = ∂ℓ/∂ŷ_c / b, aᵢ = Σ_c g_c fᵢ_c, φ = Σ γᵢ aᵢ and ā the mean of a:
// adaptive ∂ℓ/∂uᵢ = [(φ − aᵢ) − kγᵢ(φ − ā)] / S; soft γᵢ(φ − aᵢ); inverse γᵢ(φ − aᵢ)ωᵢ.
//
// `outputs` has ŷ and then g; `scores` f and then γg; `pulls` a and then (κ, u·∂ℓ/∂u).
//
// A workgroup takes one row and writes all that belongs to it. O(k·C) a row.

override n_outputs: u32;
override capacity: u32;
override coding: u32;
override loss: u32;
override slopes: bool;
override train: bool;

@group(0) @binding(2) var<storage, read> active_anchors: array<Active>;
@group(0) @binding(3) var<storage, read> row_codes: array<RowCode>;
@group(0) @binding(4) var<storage, read> order: array<u32>;
@group(0) @binding(5) var<storage, read> targets: array<vec2<u32>>;
@group(0) @binding(6) var<storage, read_write> scores: array<f32>;
@group(0) @binding(7) var<storage, read_write> outputs: array<f32>;
@group(0) @binding(8) var<storage, read_write> row_losses: array<f32>;
@group(0) @binding(9) var<storage, read_write> pulls: array<vec2<f32>>;

const LANES: u32 = 32u;

const SINGLE: u32 = 0u;
const ADAPTIVE: u32 = 1u;
const SOFT: u32 = 2u;

const LOGISTIC: u32 = 0u;
const SOFTMAX: u32 = 1u;
const ONE_VS_REST: u32 = 2u;
const SQUARED: u32 = 3u;

// As in local_coding.
const INVERSE_FLOOR: f32 = 1e-6;
// Below every score.
const LOWEST: f32 = -3.4e38;
// Beyond every loss of a run that goes well: WGSL need not have a NaN to say so.
const NO_LOSS: f32 = 3e38;

var<workgroup> sh_part: array<f32, LANES>;
// ŷ of the row's own class.
var<workgroup> sh_own: f32;

// The sum of a number of every lane, pairwise. In uniform control flow.
fn sum_over_lanes(lane: u32, part: f32) -> f32 {
    sh_part[lane] = part;
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width {
            sh_part[lane] += sh_part[lane + width];
        }
    }
    return workgroupUniformLoad(&sh_part[0]);
}

// The largest of a number of every lane. In uniform control flow.
fn max_over_lanes(lane: u32, part: f32) -> f32 {
    sh_part[lane] = part;
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width {
            sh_part[lane] = max(sh_part[lane], sh_part[lane + width]);
        }
    }
    return workgroupUniformLoad(&sh_part[0]);
}

// ŷ; a lane sums the channels it later turns into slopes, so none waits for another. Returns how
// many of the lane's are not finite.
fn blend_scores(row: u32, k: u32, lane: u32) -> f32 {
    var lane_broken = 0.0;
    for (var c = lane; c < n_outputs; c += LANES) {
        var output = 0.0;
        for (var rank = 0u; rank < k; rank++) {
            let it = active_anchors[rank * capacity + row];
            output = fma(it.gamma, scores[it.slot * n_outputs + c], output);
        }
        outputs[row * n_outputs + c] = output;
        lane_broken += select(1.0, 0.0, is_finite(output));
    }
    return lane_broken;
}

// log Σ_c e^ŷ_c − ŷ_class, shifted by the largest score; its slopes times `share` in `outputs`.
fn softmax_slopes(row: u32, class_of_row: u32, share: f32, lane: u32) -> f32 {
    let first = row * n_outputs;
    var lane_max = LOWEST;
    for (var c = lane; c < n_outputs; c += LANES) {
        let output = outputs[first + c];
        lane_max = max(lane_max, output);
        if c == class_of_row {
            sh_own = output;
        }
    }
    let largest = max_over_lanes(lane, lane_max);
    var lane_sum = 0.0;
    for (var c = lane; c < n_outputs; c += LANES) {
        let power = exp_f32(outputs[first + c] - largest);
        outputs[first + c] = power;
        lane_sum += power;
    }
    let sum = sum_over_lanes(lane, lane_sum);
    for (var c = lane; c < n_outputs; c += LANES) {
        let slope = outputs[first + c] / sum - select(0.0, 1.0, c == class_of_row);
        outputs[first + c] = slope * share;
    }
    return log_at_least_one(sum) + (largest - workgroupUniformLoad(&sh_own));
}

// A loss and its slope.
struct LossSlope {
    value: f32,
    slope: f32,
}

// Loss of one channel, where the channels' losses add up.
fn channel_loss(output: f32, channel: u32, row_target: u32) -> LossSlope {
    if loss == SQUARED {
        let away = output - bitcast<f32>(row_target);
        return LossSlope(0.5 * away * away, away);
    }
    // One against the rest has a channel a class; with two classes class 1 is positive.
    let positive = row_target == select(1u, channel, loss == ONE_VS_REST);
    let sign_of_class = select(-1.0, 1.0, positive);
    let margin = sign_of_class * output;
    if loss == LOGISTIC || loss == ONE_VS_REST {
        return LossSlope(softplus(-margin), -sign_of_class * sigmoid(-margin));
    }
    // Hinge; slope 0 at the kink.
    let below = 1.0 - margin;
    return LossSlope(max(below, 0.0), select(0.0, -sign_of_class, below > 0.0));
}

// Σ_c of the channels' losses; their slopes times `share` in `outputs`.
fn channel_slopes(row: u32, row_target: u32, share: f32, lane: u32) -> f32 {
    var lane_loss = 0.0;
    for (var c = lane; c < n_outputs; c += LANES) {
        let at = row * n_outputs + c;
        let found = channel_loss(outputs[at], c, row_target);
        outputs[at] = found.slope * share;
        lane_loss += found.value;
    }
    return sum_over_lanes(lane, lane_loss);
}

// What smoothing adds to the label of a channel: ε/C, and −ε to that of the row's own class.
fn added_label(channel: u32, class_of_row: u32) -> f32 {
    // A single channel is that of class 1 of two.
    let own = channel + select(0u, 1u, n_outputs == 1u) == class_of_row;
    return step.label_smoothing * (1.0 / f32(max(n_outputs, 2u)) - select(0.0, 1.0, own));
}

// What smoothing takes off the loss: Σ_c of the added labels times ŷ_c. In uniform control flow.
fn smoothed_off(row: u32, class_of_row: u32, lane: u32) -> f32 {
    var lane_taken = 0.0;
    for (var c = lane; c < n_outputs; c += LANES) {
        lane_taken = fma(added_label(c, class_of_row), outputs[row * n_outputs + c], lane_taken);
    }
    return sum_over_lanes(lane, lane_taken);
}

// The same of the slopes times `share` in `outputs`.
fn smooth_slopes(row: u32, class_of_row: u32, share: f32, lane: u32) {
    for (var c = lane; c < n_outputs; c += LANES) {
        outputs[row * n_outputs + c] -= added_label(c, class_of_row) * share;
    }
}

// ∂ℓ/∂u / b of one active anchor.
fn distance_slope(it: Active, a: f32, phi: f32, mean: f32, code: RowCode) -> f32 {
    let below = phi - a;
    switch coding {
        case SINGLE: {
            return 0.0;
        }
        case ADAPTIVE: {
            return (below - f32(code.count) * it.gamma * (phi - mean)) / code.normalizer;
        }
        case SOFT: {
            return it.gamma * below;
        }
        default: {
            return it.gamma * below / (it.u + INVERSE_FLOOR);
        }
    }
}

// κ and u·∂ℓ/∂u of the row's pairs; a lane takes the anchors of some ranks.
fn pull_anchors(row: u32, code: RowCode, lane: u32) {
    var lane_phi = 0.0;
    var lane_total = 0.0;
    for (var rank = lane; rank < code.count; rank += LANES) {
        let it = active_anchors[rank * capacity + row];
        var a = 0.0;
        for (var c = 0u; c < n_outputs; c++) {
            a = fma(outputs[row * n_outputs + c], scores[it.slot * n_outputs + c], a);
        }
        pulls[it.slot].x = a;
        lane_phi = fma(it.gamma, a, lane_phi);
        lane_total += a;
    }
    let phi = sum_over_lanes(lane, lane_phi);
    let mean = sum_over_lanes(lane, lane_total) / f32(code.count);
    for (var rank = lane; rank < code.count; rank += LANES) {
        let it = active_anchors[rank * capacity + row];
        let slope = distance_slope(it, pulls[it.slot].x, phi, mean, code);
        pulls[it.slot] = slope * vec2(it.pull, it.u);
    }
}

@compute @workgroup_size(LANES)
fn blend(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let row = flat_group(workgroup, workgroups);
    if row >= step.rows {
        return;
    }
    let code = row_codes[row];
    let lane_broken = blend_scores(row, code.count, lane);
    if !train {
        return;
    }

    let labels = targets[order[step.first_row + row]];
    let weight = bitcast<f32>(labels.y);
    // What the row's slopes have of the batch's.
    let share = step.inverse_batch * weight;
    var row_loss = 0.0;
    if step.label_smoothing > 0.0 {
        row_loss = -smoothed_off(row, labels.x, lane);
    }
    if loss == SOFTMAX {
        row_loss += softmax_slopes(row, labels.x, share, lane);
    } else {
        row_loss += channel_slopes(row, labels.x, share, lane);
    }
    if step.label_smoothing > 0.0 {
        smooth_slopes(row, labels.x, share, lane);
    }
    // A row that overflowed has no loss, and its slopes may be lost: the host must hear of it.
    let broken = sum_over_lanes(lane, lane_broken) > 0.0;
    if lane == 0u {
        row_losses[row] = select(row_loss * weight, NO_LOSS, broken);
    }

    // From here on lanes read the slopes of others.
    storageBarrier();
    if slopes {
        pull_anchors(row, code, lane);
    }
    // Every lane has read the scores it needs.
    storageBarrier();
    for (var item = lane; item < code.count * n_outputs; item += LANES) {
        let it = active_anchors[item / n_outputs * capacity + row];
        let c = item % n_outputs;
        scores[it.slot * n_outputs + c] = it.gamma * outputs[row * n_outputs + c];
    }
}
