// Elementary functions, written out: the built-in `exp` and `log` may be wrong in most of their
// bits.
// Rust twin, with the error bounds: src/math.rs.

// e^x, within 1.3 units in the last place; 0 below -87.3. Above 88.7, where f32 ends, the largest
// finite number: WGSL need not have an infinity.
fn exp_f32(x: f32) -> f32 {
    let clamped = clamp(x, -87.3, 88.7);
    let n = round(clamped * 1.44269504);
    // ln 2 in two parts: the first has trailing zero bits, so n * 0.6933594 is exact.
    let r = fma(n, 2.1219444e-4, fma(n, -0.6933594, clamped));
    var poly = 1.9875691e-4;
    poly = fma(r, poly, 1.3981999e-3);
    poly = fma(r, poly, 8.333452e-3);
    poly = fma(r, poly, 4.1665796e-2);
    poly = fma(r, poly, 1.6666665e-1);
    poly = fma(r, poly, 0.5);
    let mantissa = fma(r * r, poly, r) + 1.0;
    // n may be 128: two factors keep each power of two representable.
    let half = i32(n) >> 1u;
    let value = mantissa * power_of_two(half) * power_of_two(i32(n) - half);
    return select(value, 0.0, x < -87.3);
}

// Neither infinite nor NaN, told by its bits: comparisons with NaN may be folded away, and `max`,
// `min` and `clamp` may lose it.
fn is_finite(x: f32) -> bool {
    return (bitcast<u32>(x) & 0x7f800000u) != 0x7f800000u;
}

fn power_of_two(e: i32) -> f32 {
    return bitcast<f32>(u32(e + 127) << 23u);
}

// log(1 + y) for y in [0, 1]: 2 atanh(y / (2 + y)), the odd series to the fifteenth power.
fn log1p_unit(y: f32) -> f32 {
    let s = y / (2.0 + y);
    let s2 = s * s;
    var poly = 1.0 / 15.0;
    poly = fma(s2, poly, 1.0 / 13.0);
    poly = fma(s2, poly, 1.0 / 11.0);
    poly = fma(s2, poly, 1.0 / 9.0);
    poly = fma(s2, poly, 1.0 / 7.0);
    poly = fma(s2, poly, 1.0 / 5.0);
    poly = fma(s2, poly, 1.0 / 3.0);
    return 2.0 * fma(s * s2, poly, s);
}

// log(x) for x >= 1.
fn log_at_least_one(x: f32) -> f32 {
    let bits = bitcast<u32>(x);
    let exponent = f32(i32(bits >> 23u) - 127);
    let mantissa = bitcast<f32>((bits & 0x007fffffu) | 0x3f800000u);
    return fma(exponent, 0.69314718, log1p_unit(mantissa - 1.0));
}

// log(1 + e^z) without overflow.
fn softplus(z: f32) -> f32 {
    return max(z, 0.0) + log1p_unit(exp_f32(-abs(z)));
}

// 1 / (1 + e^-z) without overflow.
fn sigmoid(z: f32) -> f32 {
    let e = exp_f32(-abs(z));
    return select(e, 1.0, z >= 0.0) / (1.0 + e);
}
