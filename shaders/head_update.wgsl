// ∂b = Σ a, a = γ·∂ℓ/∂ŷ/b, for each channel, and ∂ log L = Σ (∂ℓ/∂u)·u / b, over an anchor's pairs.
//
// Head h of an anchor is the bias of channel h, or log L for h = C.
//
// A workgroup takes one (anchor, head), sums its slots in a fixed order and steps it; that of log L
// also writes L and K = Σκ. One more sums the losses of the rows. O(n_pairs·(C + 1)).

override n_anchors: u32;
override n_outputs: u32;
override slopes: bool;
override learn_lipschitz: bool;

@group(0) @binding(2) var<storage, read> starts: array<u32>;
@group(0) @binding(3) var<storage, read> scores: array<f32>;
@group(0) @binding(4) var<storage, read> pulls: array<vec2<f32>>;
@group(0) @binding(5) var<storage, read> row_losses: array<f32>;
@group(0) @binding(6) var<storage, read_write> heads: array<f32>;
@group(0) @binding(7) var<storage, read_write> head_moments: array<vec2<f32>>;
@group(0) @binding(8) var<storage, read_write> kappa_totals: array<f32>;
@group(0) @binding(9) var<storage, read_write> step_losses: array<f32>;

const LANES: u32 = 64u;

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

@compute @workgroup_size(LANES)
fn head_update(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let number = flat_group(workgroup, workgroups);
    let anchor = number / (n_outputs + 1u);
    let head = number % (n_outputs + 1u);
    let sums_losses = number == n_anchors * (n_outputs + 1u);
    if (anchor >= n_anchors && !sums_losses) || (head == n_outputs && !slopes) {
        return;
    }

    var share = vec2<f32>();
    if sums_losses {
        for (var row = lane; row < step.rows; row += LANES) {
            share.y += row_losses[row];
        }
    } else {
        share = lane_share(anchor, head, lane);
    }
    sh_part[lane] = share;
    for (var width = LANES / 2u; width > 0u; width /= 2u) {
        workgroupBarrier();
        if lane < width {
            sh_part[lane] += sh_part[lane + width];
        }
    }
    if lane != 0u {
        return;
    }

    let sum = sh_part[0];
    if sums_losses {
        step_losses[step.loss_slot] = sum.y;
    } else if head < n_outputs {
        step_head(anchor, head, sum.y);
    } else {
        kappa_totals[anchor] = sum.x;
        // A lone anchor has weight 1 wherever it is: nothing pulls on it.
        if learn_lipschitz && n_anchors > 1u {
            let log_lipschitz = step_head(anchor, head, sum.y);
            heads[anchor * (n_outputs + 2u) + n_outputs + 1u] = exp_f32(log_lipschitz);
        }
    }
}
