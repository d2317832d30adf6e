//! What to try: lists and ranges of values, a setting each.

use std::collections::HashSet;

use rand::Rng;

use crate::data::split::below;
use crate::error::{Error, Result};
use crate::random::{Generator, Purpose, stream};

/// Points of a grid beyond which it is a mistake: a trial takes seconds at least.
const MAX_GRID: usize = 100_000;
/// Draws in a row that only repeat earlier points, after which a space counts as used up.
const MAX_MISSES: usize = 10_000;

/// Settings to try together: names of flags without dashes, and values as flags take them.
pub type Point = Vec<(String, String)>;

/// The values of one setting.
#[derive(Debug, Clone, PartialEq)]
pub struct Dimension {
    /// Name of the flag, without dashes.
    pub key: String,
    /// Its values.
    pub values: Values,
}

/// Where the values of a setting come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Each of these.
    List(Vec<String>),
    /// Any number from `min` to `max`.
    Range {
        /// Least value.
        min: f64,
        /// Greatest value.
        max: f64,
        /// Whether it is the logarithm that is evenly distributed.
        log: bool,
        /// Whether only whole numbers are meant.
        whole: bool,
    },
}

impl Dimension {
    /// Reads `KEY=V,V,…`, or `KEY=V;V;…` for values that have commas themselves.
    ///
    /// # Errors
    /// What is expected, in words.
    pub fn list(text: &str) -> std::result::Result<Self, String> {
        let wrong = || format!("expected KEY=VALUE,VALUE,… as in anchors=10,20, found `{text}`");
        let (key, values) = text.split_once('=').ok_or_else(wrong)?;
        let values: Vec<String> = if values.contains(';') {
            let values = values.strip_suffix(';').unwrap_or(values);
            values.split(';').map(|value| value.trim().to_owned()).collect()
        } else {
            values.split(',').map(|value| value.trim().to_owned()).collect()
        };
        if key.is_empty() || values.iter().any(String::is_empty) {
            return Err(wrong());
        }
        let mut seen = HashSet::new();
        if let Some(twice) = values.iter().find(|value| !seen.insert(value.as_str())) {
            return Err(format!("`{key}` has the value {twice} twice"));
        }
        Ok(Self { key: key.to_owned(), values: Values::List(values) })
    }

    /// Reads `KEY=LO..HI` or `KEY=LO..HI:log`; `whole` tells whether a key takes whole numbers only.
    ///
    /// # Errors
    /// What is expected, in words.
    pub fn range(text: &str, whole: impl Fn(&str) -> bool) -> std::result::Result<Self, String> {
        let wrong = || {
            format!(
                "expected KEY=LOW..HIGH or KEY=LOW..HIGH:log as in l2=1e-6..1e-3:log, found `{text}`"
            )
        };
        let (key, range) = text.split_once('=').ok_or_else(wrong)?;
        let (range, log) = range.strip_suffix(":log").map_or((range, false), |range| (range, true));
        let (min, max) = range.split_once("..").ok_or_else(wrong)?;
        let number = |text: &str| {
            let number: Option<f64> = text.trim().parse().ok();
            number.filter(|x| x.is_finite()).ok_or_else(wrong)
        };
        let (min, max) = (number(min)?, number(max)?);
        let whole = whole(key);
        if min >= max {
            return Err(format!("`{key}`: {min} is not below {max}"));
        }
        if log && min <= 0.0 {
            return Err(format!("`{key}`: a logarithmic range begins above 0, found {min}"));
        }
        let counts = |x: f64| x.fract() == 0.0 && (0.0..1e15).contains(&x);
        if whole && !(counts(min) && counts(max)) {
            return Err(format!("`{key}` takes whole numbers, found {min}..{max}"));
        }
        Ok(Self { key: key.to_owned(), values: Values::Range { min, max, log, whole } })
    }

    /// The values at its ends, or all of a list: those to be checked before work begins.
    pub fn examples(&self) -> Vec<String> {
        match &self.values {
            Values::List(values) => values.clone(),
            Values::Range { min, max, .. } => vec![shown(*min), shown(*max)],
        }
    }

    /// How many different values there are; `None` of a range of numbers with fractions.
    fn size(&self) -> Option<usize> {
        match self.values {
            Values::List(ref values) => Some(values.len()),
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked")]
            Values::Range { min, max, whole: true, .. } => Some((max - min) as usize + 1),
            Values::Range { .. } => None,
        }
    }

    fn draw(&self, random: &mut Generator) -> String {
        // 53 random bits: from 0 to below 1.
        let unit = |random: &mut Generator| (random.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
        match &self.values {
            Values::List(values) => values[below(random, values.len() as u64)].clone(),
            &Values::Range { min, max, log, whole } => {
                // A whole number owns the half to either side of it.
                let half = if whole { 0.5 } else { 0.0 };
                let (low, high) = (min - half, max + half);
                let u = unit(random);
                let x = if log { low * (high / low).powf(u) } else { low + u * (high - low) };
                let x = if whole { x.round() } else { four_digits(x) };
                // −0.3 rounds to −0, and adding 0 takes the sign away.
                shown(x.clamp(min, max) + 0.0)
            }
        }
    }
}

/// Every combination, the last setting changing fastest.
///
/// # Errors
/// [`Error::Usage`] for a range, which has no end of values, a setting named twice, and for more
/// combinations than anyone can wait for.
pub fn grid(space: &[Dimension]) -> Result<Vec<Point>> {
    check(space)?;
    let mut points: Vec<Point> = vec![Vec::new()];
    for dimension in space {
        let Values::List(values) = &dimension.values else {
            return Err(Error::Usage(format!(
                "the range of `{}` has no end of values: say how many to draw by --random N, or list \
                 values",
                dimension.key
            )));
        };
        if points.len().saturating_mul(values.len()) > MAX_GRID {
            return Err(Error::Usage(format!(
                "the grid has more than {MAX_GRID} points: list fewer values, or draw some by --random N"
            )));
        }
        let with = |point: &Point, value: &String| {
            let mut point = point.clone();
            point.push((dimension.key.clone(), value.clone()));
            point
        };
        points = points
            .iter()
            .flat_map(|point| values.iter().map(move |value| with(point, value)))
            .collect();
    }
    Ok(points)
}

/// Some random points, each setting drawn by itself and no point twice; fewer than `n` where there
/// are no more.
///
/// Numbers with fractions are rounded to four digits. The first points of a longer draw are those
/// of a shorter one.
///
/// # Errors
/// [`Error::Usage`] for a setting named twice.
pub fn draw(space: &[Dimension], n: usize, seed: u64) -> Result<Vec<Point>> {
    check(space)?;
    let sizes = space.iter().map(Dimension::size);
    let size = sizes.reduce(|a, b| Some(a?.saturating_mul(b?))).flatten().unwrap_or(usize::MAX);
    let mut random = stream(seed, 0, Purpose::Search);
    let (mut points, mut seen, mut misses) = (Vec::new(), HashSet::new(), 0);
    while points.len() < n.min(size) && misses < MAX_MISSES {
        let one = |d: &Dimension| (d.key.clone(), d.draw(&mut random));
        let point: Point = space.iter().map(one).collect();
        if seen.insert(point.clone()) {
            points.push(point);
            misses = 0;
        } else {
            misses += 1;
        }
    }
    Ok(points)
}

fn check(space: &[Dimension]) -> Result<()> {
    let mut seen = HashSet::new();
    match space.iter().find(|dimension| !seen.insert(&dimension.key)) {
        Some(twice) => Err(Error::Usage(format!("`{}` is searched twice", twice.key))),
        None => Ok(()),
    }
}

/// Rounded to four significant digits, as many as a search can tell apart.
fn four_digits(x: f64) -> f64 {
    format!("{x:.3e}").parse().unwrap_or(x)
}

/// A number as people write it.
fn shown(x: f64) -> String {
    if x == 0.0 || (1e-3..1e15).contains(&x.abs()) { x.to_string() } else { format!("{x:e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Dimension {
        Dimension::list(text).expect("a list")
    }

    fn range(text: &str) -> Dimension {
        Dimension::range(text, |key| key == "anchors").expect("a range")
    }

    fn values(points: &[Point], key: &str) -> Vec<f64> {
        let all = points.iter().flatten().filter(|(name, _)| name == key);
        all.map(|(_, value)| value.parse().expect("a number")).collect()
    }

    #[test]
    fn a_grid_has_every_combination_in_a_stable_order() {
        let points = grid(&[list("anchors=5,10"), list("learn=anchors,metric;none;")]);
        let show = |point: &Point| {
            let all: Vec<String> = point.iter().map(|(k, v)| format!("{k}={v}")).collect();
            all.join(" ")
        };
        let shown: Vec<String> = points.expect("a grid").iter().map(show).collect();
        let expected = [
            "anchors=5 learn=anchors,metric",
            "anchors=5 learn=none",
            "anchors=10 learn=anchors,metric",
            "anchors=10 learn=none",
        ];
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_is_no_grid_is_refused() {
        let ten = "0,1,2,3,4,5,6,7,8,9";
        let large: Vec<Dimension> = (0..6).map(|i| list(&format!("k{i}={ten}"))).collect();
        assert!(grid(&large[..5]).is_ok_and(|points| points.len() == MAX_GRID));
        let cases = [large, vec![range("l2=0..1")], vec![list("a=1"), list("a=2")]];
        for space in cases {
            assert_eq!(grid(&space).expect_err("is refused").exit_code(), 2);
        }
        for text in ["anchors", "=1,2", "anchors=", "anchors=1,,2", "anchors=1,1"] {
            assert!(Dimension::list(text).is_err(), "{text}");
        }
        for text in
            ["l2", "l2=1", "l2=2..1", "l2=0..1:log", "l2=a..b", "l2=0..inf", "anchors=1.5..3"]
        {
            assert!(Dimension::range(text, |key| key == "anchors").is_err(), "{text}");
        }
    }

    #[test]
    fn draws_lie_in_their_ranges_and_never_repeat() {
        let space =
            [range("anchors=3..40"), range("l2=1e-6..1e-2:log"), range("clip=1..9"), list("k=a,b")];
        let points = draw(&space, 500, 7).expect("points");
        assert_eq!(points.len(), 500);
        assert_eq!(points.iter().collect::<HashSet<_>>().len(), 500);
        let whole = values(&points, "anchors");
        assert!(whole.iter().all(|x| (3.0..=40.0).contains(x) && x.fract() == 0.0));
        assert!(whole.contains(&3.0) && whole.contains(&40.0), "both ends are reached");
        let logs = values(&points, "l2");
        assert!(logs.iter().all(|x| (1e-6..=1e-2).contains(x)));
        let small = logs.iter().filter(|&&x| x < 1e-4).count();
        assert!((200..300).contains(&small), "half of a logarithmic range: {small}");
        let low = values(&points, "clip").iter().filter(|&&x| x < 5.0).count();
        assert!((200..300).contains(&low), "half of a linear range: {low}");
    }

    #[test]
    fn whole_numbers_from_0_have_no_sign() {
        let points = draw(&[range("anchors=0..2"), range("l2=0..1")], 100, 0).expect("points");
        let drawn: HashSet<&str> = points.iter().map(|point| point[0].1.as_str()).collect();
        assert_eq!(drawn, HashSet::from(["0", "1", "2"]));
    }

    #[test]
    fn a_longer_draw_begins_as_a_shorter_one_and_a_small_space_ends() {
        let space = [range("anchors=1..4:log"), list("k=a,b")];
        let some = draw(&space, 5, 0).expect("points");
        let all = draw(&space, 100, 0).expect("points");
        assert_eq!((some.len(), all.len()), (5, 8));
        assert_eq!(some, all[..5]);
        assert_ne!(all, draw(&space, 100, 1).expect("points"));
    }
}
