//! Twins of `local_coding` and `pair_list`.

use super::view::{Active, RowCode, SlotPair, View, whole, wide};
use crate::anchor_dropout::Left;
use crate::compare::Checked;
use crate::config::Coding;
use crate::kernel::ROW_CHUNK;
use crate::kernel::anchor_update::Pull;
use crate::kernel::local_coding::{Coder, Pair};
use crate::kernel::pair_list::{PairList, RowChunk};

/// γ below which an anchor may be active on one side alone: its weight is continuous there.
const NO_WEIGHT: f32 = 1e-4;
/// Relative difference of two u between which a fixed number of neighbours may choose freely.
const TIE: f32 = 1e-6;

/// What the rows' codes should be, cell by cell.
#[derive(Default)]
struct Codes {
    /// Found and expected.
    gamma: [Vec<f64>; 2],
    counts: [Vec<f64>; 2],
    normalizers: [Vec<f64>; 2],
    /// u by rank, then u and pull of each active anchor.
    pulls: [Vec<f64>; 2],
    /// Whether the row is among the anchor's, `[b, m]`.
    rows: [Vec<f64>; 2],
}

/// Distances that it measured, and how it codes them.
pub(super) fn anchor_coding(view: &View<'_>) -> Vec<Checked> {
    [super::distance::dense(view), local_coding(view)].concat()
}

/// γ `[b, m]` with zeros, S, k, u, L·h, and the rows of each anchor.
pub(super) fn local_coding(view: &View<'_>) -> Vec<Checked> {
    let mut codes = Codes::default();
    let [_, _, multipliers] = view.heads(view.before("heads"));
    let (mut left, mut pairs) = (Left::default(), Vec::new());
    let dropout = view.trace.rates.anchor_dropout;
    for row in 0..view.rows() {
        let distance = distances(view, row);
        let coder = Coder { coding: view.config.coding, neighbors: view.config.neighbors };
        pairs.clear();
        let normalizer =
            dropout.code(&coder, row as u32, &distance, &multipliers, &mut left, &mut pairs);
        codes.add(view, row, &mut pairs, normalizer);
        if view.shape.anchors > 1 {
            codes.add_pulls(view, row, &pairs, &distance, &multipliers);
        }
    }
    let outputs = [
        ("gamma", codes.gamma),
        ("count", codes.counts),
        ("normalizer", codes.normalizers),
        ("u and pull", codes.pulls),
        ("rows", codes.rows),
    ];
    outputs.map(|(output, [found, expected])| view.checked(output, found, expected)).to_vec()
}

/// Distances of a row; a lone anchor's are not computed.
fn distances(view: &View<'_>, row: usize) -> Vec<f32> {
    let m = view.shape.anchors;
    if m == 1 {
        return vec![0.0];
    }
    let distance = view.coded_distances();
    (0..m).map(|i| distance[i * view.capacity() + row]).collect()
}

/// The active anchors of a row after coding.
fn active<'a>(view: &View<'a>, row: usize) -> Vec<&'a Active> {
    let (codes, active): (&[RowCode], &[Active]) =
        (view.after("row_codes"), view.after("active_anchors"));
    // Nonsense is compared, not followed.
    let count = (codes[row].count as usize).min(view.trace.sizes.most_active);
    (0..count).map(|rank| &active[rank * view.capacity() + row]).collect()
}

impl Codes {
    fn add(&mut self, view: &View<'_>, row: usize, pairs: &mut [Pair], normalizer: f32) {
        let m = view.shape.anchors;
        let found = active(view, row);
        let adaptive = view.config.coding == Coding::Adaptive;
        if !adaptive {
            swap_ties(pairs, &found);
        }
        let mut gamma = [vec![0.0_f32; m], vec![0.0; m]];
        let mut uses = vec![false; m];
        for it in &found {
            match gamma[0].get_mut(it.anchor as usize) {
                Some(cell) => {
                    *cell = it.gamma;
                    uses[it.anchor as usize] = true;
                }
                // No such anchor.
                None => gamma[0][0] = f32::NAN,
            }
        }
        for pair in &*pairs {
            gamma[1][pair.anchor as usize] = pair.gamma;
        }
        let code = view.after::<RowCode>("row_codes")[row];
        let count = pairs.len() as u32;
        let agrees = |i: usize| {
            uses[i] == pairs.iter().any(|pair| pair.anchor as usize == i)
                || gamma.iter().all(|gamma| gamma[i] <= NO_WEIGHT)
        };
        let tied = adaptive && found.len() == code.count as usize && (0..m).all(agrees);
        self.counts[0].push(f64::from(code.count));
        self.counts[1].push(f64::from(if tied { code.count } else { count }));
        self.normalizers[0].push(f64::from(code.normalizer));
        self.normalizers[1].push(f64::from(normalizer));
        let sets = view.row_sets(view.after("row_sets"));
        self.rows[0].extend(whole((0..m).map(|i| u32::from(sets.slot(i, row).is_some()))));
        self.rows[1].extend(whole(uses.into_iter().map(u32::from)));
        for (all, gamma) in self.gamma.iter_mut().zip(gamma) {
            all.extend(wide(&gamma));
        }
    }

    fn add_pulls(
        &mut self,
        view: &View<'_>,
        row: usize,
        pairs: &[Pair],
        distance: &[f32],
        multipliers: &[f32],
    ) {
        let found = active(view, row);
        let [all_found, expected] = &mut self.pulls;
        for (it, pair) in found.iter().zip(pairs) {
            all_found.push(f64::from(it.u));
            expected.push(f64::from(pair.u));
        }
        for it in found {
            let i = it.anchor as usize;
            let (d, l) = (distance.get(i), multipliers.get(i));
            let (d, l) = (d.copied().unwrap_or(f32::NAN), l.copied().unwrap_or(f32::NAN));
            let single = view.config.coding == Coding::Single;
            let pull = Pull::new(0, 1.0, d * l, d, l, view.plain()).kappa;
            all_found.extend([f64::from(it.u), f64::from(it.pull)]);
            expected.extend([f64::from(d * l), if single { 0.0 } else { f64::from(pull) }]);
        }
    }
}

/// Lets the twin take the anchors that were found, where they are as near as those it took.
fn swap_ties(pairs: &mut [Pair], found: &[&Active]) {
    let taken: Vec<u32> = pairs.iter().map(|pair| pair.anchor).collect();
    let mut others = found.iter().filter(|it| !taken.contains(&it.anchor));
    let left = |pair: &&mut Pair| found.iter().all(|it| it.anchor != pair.anchor);
    for pair in pairs.iter_mut().filter(left) {
        if let Some(other) = others.next()
            && (other.u - pair.u).abs() <= TIE * pair.u
        {
            pair.anchor = other.anchor;
        }
    }
}

/// Where each anchor's pairs begin, the pairs, their slots, and the sums over the steps.
pub(super) fn pair_list(view: &View<'_>) -> Vec<Checked> {
    let (m, order) = (view.shape.anchors, view.order());
    let mut chunks = coded_rows(view);
    let mut list = PairList::default();
    list.fill(m, &mut chunks);
    let found: &[SlotPair] = view.after("pairs");
    let words = |pair: &SlotPair| [pair.row, pair.data_row, pair.anchor];
    let mut expected = Vec::new();
    for (slot, &row) in list.rows.iter().enumerate() {
        let (chunk, origin) = list.origin(slot);
        expected.extend([row, order[row as usize], chunks[chunk].pairs[origin].anchor]);
    }
    let (sets, active) =
        (view.row_sets(view.after("row_sets")), view.after::<Active>("active_anchors"));
    let mut places = [Vec::new(), Vec::new()];
    for row in 0..view.rows() {
        let chunk = &chunks[row / ROW_CHUNK];
        let pairs = &chunk.pairs[chunk.span(row % ROW_CHUNK)];
        for i in 0..m {
            let own = pairs.iter().find(|pair| pair.anchor as usize == i);
            places[0].push(sets.slot(i, row).unwrap_or(u32::MAX));
            places[1].push(own.map_or(u32::MAX, |pair| pair.slot));
        }
        for (rank, pair) in pairs.iter().enumerate() {
            places[0].push(active[rank * view.capacity() + row].slot);
            places[1].push(pair.slot);
        }
    }
    let starts = &view.after::<u32>("starts")[..=m];
    let [found_places, expected_places] = places;
    let mut checks = vec![
        view.checked("starts", whole(starts.iter().copied()), whole(list.starts.clone())),
        view.checked(
            "pairs",
            whole(found[..list.n_pairs()].iter().flat_map(words)),
            whole(expected),
        ),
        view.checked("slots", whole(found_places), whole(expected_places)),
    ];
    checks.extend(totals(view, &list, &chunks));
    checks
}

/// Pairs and Σγ of each anchor, added to those of the steps before.
fn totals(view: &View<'_>, list: &PairList, chunks: &[RowChunk]) -> [Checked; 2] {
    let m = view.shape.anchors;
    let [before, after]: [&[[u32; 2]]; 2] =
        [view.before("anchor_totals"), view.after("anchor_totals")];
    let gamma_of = |total: &[u32; 2]| f64::from(f32::from_bits(total[1]));
    let mut gamma: Vec<f64> = before[..m].iter().map(gamma_of).collect();
    for pair in chunks.iter().flat_map(|chunk| &chunk.pairs) {
        gamma[pair.anchor as usize] += f64::from(pair.gamma);
    }
    let pairs = (0..m).map(|i| before[i][0] + list.span(i).len() as u32);
    let found = after[..m].iter().map(|total| total[0]);
    [
        view.checked("total pairs", whole(found), whole(pairs)),
        view.checked("total gamma", after[..m].iter().map(gamma_of).collect(), gamma),
    ]
}

/// The rows as `local_coding` left them: their pairs by rank.
fn coded_rows(view: &View<'_>) -> Vec<RowChunk> {
    let (codes, active): (&[RowCode], &[Active]) =
        (view.before("row_codes"), view.before("active_anchors"));
    let mut chunks = vec![RowChunk::default(); view.rows().div_ceil(ROW_CHUNK)];
    for (c, chunk) in chunks.iter_mut().enumerate() {
        chunk.clear();
        for row in c * ROW_CHUNK..((c + 1) * ROW_CHUNK).min(view.rows()) {
            let ranks = 0..codes[row].count as usize;
            chunk.pairs.extend(ranks.map(|rank| {
                let it = &active[rank * view.capacity() + row];
                Pair { anchor: it.anchor, gamma: it.gamma, ..Pair::default() }
            }));
            chunk.ends.push(chunk.pairs.len() as u32);
            chunk.normalizers.push(1.0);
        }
    }
    chunks
}
