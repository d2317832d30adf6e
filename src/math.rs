//! Elementary functions in f32, written out so that kernels round alike on every machine and in
//! WGSL.
//!
//! The system's `exp` and `log` differ between platforms in their last bits, and WGSL's may be
//! wrong in most of them near 0.

/// eˣ, within 1.3 units in the last place; 0 below −87.3, infinite above 88.7.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = std::f32::consts::LOG2_E;
    // ln 2 in two parts: the first has trailing zero bits, so n · LN2_HI is exact.
    const LN2_HI: f32 = 0.693_359_4;
    const LN2_LO: f32 = -2.121_944_4e-4;
    let clamped = x.clamp(-87.3, 88.7);
    let n = (clamped * LOG2_E).round_ties_even();
    let r = n.mul_add(-LN2_LO, n.mul_add(-LN2_HI, clamped));
    let mut poly = 1.987_569_1e-4;
    for coefficient in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        poly = r.mul_add(poly, coefficient);
    }
    let mantissa = (r * r).mul_add(poly, r) + 1.0;
    // n may be 128: two factors keep each power of two representable.
    let half = (n as i32) >> 1;
    let power = |e: i32| f32::from_bits(((e + 127) << 23) as u32);
    let value = mantissa * power(half) * power(n as i32 - half);
    if x < -87.3 {
        0.0
    } else if x > 88.7 {
        f32::INFINITY
    } else {
        value
    }
}

/// log(1 + y) for y in [0, 1].
#[inline(always)]
pub(crate) fn log1p_unit(y: f32) -> f32 {
    // log(1 + y) = 2 atanh(s), s = y / (2 + y) ≤ 1/3: the odd series to s¹⁵.
    let s = y / (2.0 + y);
    let s2 = s * s;
    let mut poly: f32 = 1.0 / 15.0;
    for divisor in [13.0, 11.0, 9.0, 7.0, 5.0, 3.0] {
        poly = s2.mul_add(poly, 1.0 / divisor);
    }
    2.0 * (s * s2).mul_add(poly, s)
}

/// log(1 + eᶻ) without overflow.
#[inline(always)]
pub(crate) fn softplus(z: f32) -> f32 {
    z.max(0.0) + log1p_unit(exp(-z.abs()))
}

/// 1 / (1 + e⁻ᶻ) without overflow.
#[inline(always)]
pub(crate) fn sigmoid(z: f32) -> f32 {
    let e = exp(-z.abs());
    if z >= 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ulps(found: f32, expected: f64) -> f64 {
        let rounded = expected as f32;
        let unit = f64::from(f32::from_bits(rounded.to_bits() + 1)) - f64::from(rounded);
        (f64::from(found) - expected).abs() / unit
    }

    #[test]
    fn functions_stay_close_to_f64_over_their_range() {
        let mut worst = [0.0_f64; 3];
        for i in -870_000..880_000 {
            let x = i as f32 * 1e-4;
            worst[0] = worst[0].max(ulps(exp(x), f64::from(x).exp()));
            if x.abs() < 80.0 {
                let z = f64::from(x);
                worst[1] = worst[1].max(ulps(softplus(x), z.max(0.0) + (-z.abs()).exp().ln_1p()));
                worst[2] = worst[2].max(ulps(sigmoid(x), 1.0 / (1.0 + (-z).exp())));
            }
        }
        assert!(worst[0] < 1.3 && worst[1] < 3.0 && worst[2] < 3.0, "ULPs: {worst:?}");
    }

    #[test]
    fn extremes_do_not_overflow() {
        assert_eq!(exp(-1e30), 0.0);
        assert_eq!(exp(1e30), f32::INFINITY);
        assert_eq!(softplus(1e30), 1e30);
        assert_eq!(softplus(-1e30), 0.0);
        assert_eq!(sigmoid(-1e30), 0.0);
        assert_eq!(sigmoid(1e30), 1.0);
    }
}
