// Update rules, elementwise. Rust twin: src/optimizer.rs.

// 0 SGD, 1 AdaGrad, 2 Adam.
override rule: u32;

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
    var next = old;
    switch rule {
        case 0u: {
            next.theta = fma(rate, -gradient, old.theta);
        }
        case 1u: {
            next.second = fma(gradient, gradient, old.second);
            next.theta = fma(rate, -(gradient / (sqrt(next.second) + EPSILON)), old.theta);
        }
        default: {
            next.first = fma(BETA1, old.first, (1.0 - BETA1) * gradient);
            next.second = fma(BETA2, old.second, (1.0 - BETA2) * (gradient * gradient));
            let root = fma(sqrt(next.second), step.second_up, EPSILON);
            next.theta = fma(rate, -(next.first * step.first_up / root), old.theta);
        }
    }
    return next;
}

// The same for four parameters of the local models, with L2 in the gradient and decay beside it.
fn updated_model(old: Learned4, slope: vec4<f32>) -> Learned4 {
    var next = old;
    let gradient = fma(vec4(step.l2), old.theta, slope);
    let kept = old.theta * step.keep;
    let rate = vec4(step.rate);
    switch rule {
        case 0u: {
            next.theta = fma(rate, -gradient, kept);
        }
        case 1u: {
            next.second = fma(gradient, gradient, old.second);
            next.theta = fma(rate, -(gradient / (sqrt(next.second) + EPSILON)), kept);
        }
        default: {
            next.first = fma(vec4(BETA1), old.first, (1.0 - BETA1) * gradient);
            next.second = fma(vec4(BETA2), old.second, (1.0 - BETA2) * (gradient * gradient));
            let root = fma(sqrt(next.second), vec4(step.second_up), vec4(EPSILON));
            next.theta = fma(rate, -(next.first * step.first_up / root), kept);
        }
    }
    return next;
}
