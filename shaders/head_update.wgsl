// ∂b = Σ a, a = γ·∂ℓ/∂ŷ/b, for each channel, and ∂ log L = Σ (∂ℓ/∂u)·u / b, over an anchor's pairs.
//
// Head h of an anchor is the bias of channel h, or log L for h = C. Of dense rows the metric is stepped
// here, too: ∂τⱼ = Σᵢ of the anchors' parts, and then √e = e^(τ/2).
//
// A workgroup takes one (anchor, head), sums its slots in a fixed order and steps it; that of log L
// also writes L and K = Σκ. One more sums the losses of the rows, and others take eight features of
// the metric each. O(n_pairs·(C + 1) + m·p).

override n_anchors: u32;
override n_features: u32;
override n_outputs: u32;
override row_quads: u32;
override slopes: bool;
override learn_lipschitz: bool;
// Never of sparse rows.
override learn_metric: bool;

@group(0) @binding(2) var<storage, read> starts: array<u32>;
@group(0) @binding(3) var<storage, read> scores: array<f32>;
@group(0) @binding(4) var<storage, read> pulls: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read> row_losses: array<f32>;
@group(0) @binding(6) var<storage, read_write> heads: array<f32>;
@group(0) @binding(7) var<storage, read_write> head_moments: array<vec2<f32>>;
@group(0) @binding(8) var<storage, read_write> kappa_totals: array<f32>;
@group(0) @binding(9) var<storage, read_write> step_losses: array<f32>;
@group(0) @binding(10) var<storage, read_write> metric: array<f32>;
@group(0) @binding(11) var<storage, read_write> metric_moments: array<vec2<f32>>;

const LANES: u32 = 64u;
// Features of a workgroup; the anchors are shared by the lanes of each.
const FEATURES: u32 = 8u;

var<workgroup> sh_part: array<vec2<f32>, LANES>;

// This lane's share of an anchor's sum: of a, or of (κ, u·∂ℓ/∂u).
fn lane_share(anchor: u32, head: u32, lane: u32) -> vec2<f32> {
    let end = starts[anchor + 1u];
    var share = vec2<f32>();
    for (var slot = starts[anchor] + lane; slot < end; slot += LANES) {
        if head < n_outputs {
            share.y += scores[slot * n_outputs + head];
        } else {
            share += pulls[slot];
        }
    }
    return share;
}

// Steps a bias or log L; returns its new value.
fn step_head(anchor: u32, head: u32, gradient: f32) -> f32 {
    let at = anchor * (n_outputs + 2u) + head;
    let memory = anchor * (n_outputs + 1u) + head;
    var old = Learned(heads[at], 0.0, 0.0);
    if rule != SGD {
        old.first = head_moments[memory].x;
        old.second = head_moments[memory].y;
    }
    let moved = updated(old, gradient, step.rate);
    heads[at] = moved.theta;
    if rule != SGD {
        head_moments[memory] = vec2(moved.first, moved.second);
    }
    return moved.theta;
}

// This lane's share of a feature's sum over the anchors.
fn metric_share(feature: u32, lane: u32) -> f32 {
    var share = 0.0;
    if feature < n_features {
        for (var i = lane / FEATURES; i < n_anchors; i += LANES / FEATURES) {
            share += metric[2u * n_features + i * 4u * row_quads + feature];
        }
    }
    return share;
}

// Steps τ of a feature, and √e with it.
fn step_metric(feature: u32, gradient: f32) {
    var old = Learned(metric[feature], 0.0, 0.0);
    if rule != SGD {
        old.first = metric_moments[feature].x;
        old.second = metric_moments[feature].y;
    }
    let moved = updated(old, gradient, step.rate);
    metric[feature] = moved.theta;
    metric[n_features + feature] = exp_f32(0.5 * moved.theta);
    if rule != SGD {
        metric_moments[feature] = vec2(moved.first, moved.second);
    }
}

// Adds up what the lanes have, pairwise, down to `least` sums. In uniform control flow.
fn add_lanes(lane: u32, share: vec2<f32>, least: u32) -> vec2<f32> {
    sh_part[lane] = share;
    for (var width = LANES / 2u; width >= least; width /= 2u) {
        workgroupBarrier();
        if lane < width {
            sh_part[lane] += sh_part[lane + width];
        }
    }
    return sh_part[lane];
}

// Steps a head.
fn finish_head(anchor: u32, head: u32, sum: vec2<f32>) {
    if head < n_outputs {
        step_head(anchor, head, sum.y);
        return;
    }
    kappa_totals[anchor] = sum.x;
    // A lone anchor has weight 1 wherever it is: nothing pulls on it.
    if learn_lipschitz && n_anchors > 1u {
        let log_lipschitz = step_head(anchor, head, sum.y);
        heads[anchor * (n_outputs + 2u) + n_outputs + 1u] = exp_f32(log_lipschitz);
    }
}

@compute @workgroup_size(LANES)
fn head_update(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = flat_group(workgroup, workgroups);
    let n_heads = n_anchors * (n_outputs + 1u);
    if number > n_heads {
        let feature = (number - n_heads - 1u) * FEATURES + lane % FEATURES;
        if !learn_metric {
            return;
        }
        let gradient = add_lanes(lane, vec2(metric_share(feature, lane), 0.0), FEATURES).x;
        if lane < FEATURES && feature < n_features {
            step_metric(feature, gradient);
        }
        return;
    }
    if number == n_heads {
        var share = vec2<f32>();
        for (var row = lane; row < step.rows; row += LANES) {
            share.y += row_losses[row];
        }
        let loss = add_lanes(lane, share, 1u).y;
        if lane == 0u {
            step_losses[step.loss_slot] = loss;
        }
        return;
    }
    let anchor = number / (n_outputs + 1u);
    let head = number % (n_outputs + 1u);
    if head == n_outputs && !slopes {
        return;
    }
    let sum = add_lanes(lane, lane_share(anchor, head, lane), 1u);
    if lane == 0u {
        finish_head(anchor, head, sum);
    }
}
