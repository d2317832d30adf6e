//! Which anchors share a vector: those that lie close together.

use crate::simd::{LANES, vectorized};

/// Rounds of Lloyd's algorithm before points are cut in two.
const ROUNDS: usize = 4;

/// The order of `n` points `[n, stride]` in which each [`LANES`] of them lie close together: cut in
/// two by 2-means (Lloyd 1982), at a whole number of groups, and so on.
pub(super) fn close_together(points: &[f32], stride: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..(points.len() / stride) as u32).collect();
    split(points, stride, &mut order);
    order
}

fn split(points: &[f32], stride: usize, ids: &mut [u32]) {
    if ids.len() > LANES {
        let middle = cut(points, stride, ids);
        let (first, second) = ids.split_at_mut(middle);
        rayon::join(|| split(points, stride, first), || split(points, stride, second));
    }
}

/// Orders the points along the line between two means, and returns how many belong to the first, in
/// whole groups.
fn cut(points: &[f32], stride: usize, ids: &mut [u32]) -> usize {
    let point = |id: u32| &points[id as usize * stride..][..stride];
    let farthest = |from: &[f32]| {
        let far = ids.iter().map(|&id| (squared_distance(point(id), from), id));
        let far = far.max_by(|a, b| a.0.total_cmp(&b.0));
        point(far.map_or(ids[0], |(_, id)| id)).to_vec()
    };
    let first = farthest(&mean(ids.iter().map(|&id| point(id)), stride));
    let mut means = [farthest(&first), first];
    let mut keys = Vec::new();
    for round in 0..=ROUNDS {
        // A point is nearer to the second mean where it is past the middle of the line between them.
        let line: Vec<f32> = means[1].iter().zip(&means[0]).map(|(b, a)| b - a).collect();
        let ends = means.iter().map(|mean| dot(mean, &line)).sum::<f32>();
        keys.clear();
        keys.extend(ids.iter().map(|&id| (dot(point(id), &line) - 0.5 * ends, id)));
        if round < ROUNDS {
            let side = |second: bool| {
                keys.iter().filter(move |key| (key.0 > 0.0) == second).map(|key| point(key.1))
            };
            means = [mean(side(false), stride), mean(side(true), stride)];
        }
    }
    keys.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    ids.iter_mut().zip(&keys).for_each(|(id, key)| *id = key.1);
    let first = keys.iter().filter(|key| key.0 <= 0.0).count();
    whole_groups(first, ids.len())
}

/// The cut nearest to `first` of `n` points that leaves whole groups before it, and no less than a
/// quarter of them on either side: outliers are not taken off a group at a time.
fn whole_groups(first: usize, n: usize) -> usize {
    let groups = n.div_ceil(LANES);
    let least = (groups / 4).max(1);
    ((first + LANES / 2) / LANES).clamp(least, groups - least) * LANES
}

fn mean<'a>(points: impl Iterator<Item = &'a [f32]>, stride: usize) -> Vec<f32> {
    let (mut sum, mut n) = (vec![0.0; stride], 0.0);
    for point in points {
        sum.iter_mut().zip(point).for_each(|(sum, x)| *sum += x);
        n += 1.0_f32;
    }
    sum.iter_mut().for_each(|sum| *sum /= n.max(1.0));
    sum
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    lanes(a, b, |x, y| x * y)
}

fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    lanes(a, b, |x, y| (x - y) * (x - y))
}

/// Sum over the features, which come in whole vectors.
fn lanes(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    vectorized(
        #[inline(always)]
        || {
            let mut sums = [0.0; LANES];
            for (a, b) in a.as_chunks::<LANES>().0.iter().zip(b.as_chunks::<LANES>().0) {
                for l in 0..LANES {
                    sums[l] += term(a[l], b[l]);
                }
            }
            sums.iter().sum()
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clouds_of_whole_groups_come_out_whole() {
        // Points of five clouds in turn, two groups of each.
        let cloud = |i: usize| i % 5;
        let points: Vec<f32> = (0..10 * LANES)
            .flat_map(|i| {
                let place = move |j: usize| if j == cloud(i) { 10.0 } else { 0.0 };
                (0..LANES).map(move |j| place(j) + 0.01 * ((7 * i + j) % 11) as f32)
            })
            .collect();
        let mut order = close_together(&points, LANES);
        for group in order.chunks(LANES) {
            let first = cloud(group[0] as usize);
            assert!(group.iter().all(|&i| cloud(i as usize) == first), "{group:?}");
        }
        order.sort_unstable();
        assert!(order.into_iter().eq(0..10 * LANES as u32));
    }

    #[test]
    fn points_that_cannot_be_told_apart_are_cut_all_the_same() {
        for points in [vec![1.0; 40 * LANES], vec![f32::NAN; 33 * LANES], Vec::new()] {
            let mut order = close_together(&points, LANES);
            order.sort_unstable();
            assert!(order.into_iter().eq(0..(points.len() / LANES) as u32));
        }
    }
}
