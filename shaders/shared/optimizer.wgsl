// Update rules, elementwise. Rust twin: src/optimizer.rs.

// SGD keeps no memory, AdaGrad only the second.
override rule: u32;

const SGD: u32 = 0u;
const ADA_GRAD: u32 = 1u;
const ADAM: u32 = 2u;

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.999;
const EPSILON: f32 = 1e-8;

// A parameter and the rule's memory of it: Adam's mean of the gradients, and the sum (AdaGrad) or
// mean (Adam) of their squares.
struct Learned {
    theta: f32,
    first: f32,
    second: f32,
}

// Four of them.
struct Learned4 {
    theta: vec4<f32>,
    first: vec4<f32>,
    second: vec4<f32>,
}

// One step along `gradient` with step size `rate`.
fn updated(old: Learned, gradient: f32, rate: f32) -> Learned {
    var moved = old;
    switch rule {
        case SGD: {
            moved.theta = fma(rate, -gradient, old.theta);
        }
        case ADA_GRAD: {
            moved.second = fma(gradient, gradient, old.second);
            moved.theta = fma(rate, -(gradient / (sqrt(moved.second) + EPSILON)), old.theta);
        }
        default: {
            moved.first = fma(BETA1, old.first, (1.0 - BETA1) * gradient);
            moved.second = fma(BETA2, old.second, (1.0 - BETA2) * (gradient * gradient));
            let root = fma(sqrt(moved.second), step.second_up, EPSILON);
            moved.theta = fma(rate, -(moved.first * step.first_up / root), old.theta);
        }
    }
    return moved;
}

// The same for four parameters of the local models, with L2 in the gradient and decay beside it.
fn updated_model(old: Learned4, slope: vec4<f32>) -> Learned4 {
    var moved = old;
    let gradient = fma(vec4(step.l2), old.theta, slope);
    let kept = old.theta * step.keep;
    let rate = vec4(step.rate);
    switch rule {
        case SGD: {
            moved.theta = fma(rate, -gradient, kept);
        }
        case ADA_GRAD: {
            moved.second = fma(gradient, gradient, old.second);
            moved.theta = fma(rate, -(gradient / (sqrt(moved.second) + EPSILON)), kept);
        }
        default: {
            moved.first = fma(vec4(BETA1), old.first, (1.0 - BETA1) * gradient);
            moved.second = fma(vec4(BETA2), old.second, (1.0 - BETA2) * (gradient * gradient));
            let root = fma(sqrt(moved.second), vec4(step.second_up), vec4(EPSILON));
            moved.theta = fma(rate, -(moved.first * step.first_up / root), kept);
        }
    }
    return moved;
}
