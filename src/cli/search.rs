//! `llfm search`: which settings do best on rows they were not trained on.

mod args;
mod record;
mod results;

use indexmap::IndexSet;
use llfm::Result;
use llfm::config::name_of;
use llfm::metrics::EvalMetric;
use llfm::tune::halving::Halving;
use llfm::tune::pool;
use llfm::tune::space::Point;
use llfm::tune::trial::{Setup, Trial};
use serde_json::json;

use super::console::{Console, complain};
use super::report::{Facts, counted};
use super::tuning::tried::Tried;
use super::tuning::{Session, open_journal};
pub(crate) use args::SearchArgs;
use record::Record;

/// Runs the command.
pub(crate) fn run(args: &SearchArgs) -> Result<()> {
    let plan = args.check()?;
    let journal = args.journal();
    let mut session = Session::open("search", &args.tuning, plan.division, journal.as_deref())?;
    name_searched(&mut session.facts, &plan.points);
    let base = args.base();
    let tried = plan.points.iter().filter_map(|point| base.with(point).ok());
    session.make_room(tried.map(|tried| tried.settings));
    let halving = args.halving(session.config.epochs);
    let rungs = match halving {
        Some(halving) => halving.rungs(session.config.epochs)?.into_iter().map(Some).collect(),
        None => vec![None],
    };
    // More draws from the same space begin as fewer do, so that --random can be raised with --resume;
    // with halving, who goes on depends on who is there.
    let drawn = args.random.is_some();
    let points = (!drawn || halving.is_some()).then_some(plan.points.len());
    let header = session.header(
        &args.tuning,
        plan.division,
        &json!({
            "space": args.space_text(),
            "drawn": drawn,
            "points": points,
            "metric": plan.metric,
            "rungs": rungs,
        }),
    );
    let total = plan.points.len();
    // A trial that comes back would change who survived the rungs that are done.
    let again = |trial: &Trial| halving.is_none() && record::is_tried_again(trial, total);
    let (journal, done) = open_journal(journal.as_deref(), &header, &args.tuning, again)?;
    let mut record = Record::new(args, journal, done, total);
    record.take_shards(&header)?;
    let mut console = Console::new(args.tuning.output.is_some());
    session.introduce(&mut console, &args.tuning, &said(args, &plan, &rungs))?;
    let search = Search { args, plan: &plan, session: &session, halving, rungs: &rungs };
    let worked = search.work(&mut record, &mut console);
    let csv = record.write_csv(args.csv().as_deref());
    let ended = worked.and_then(|()| session.signals.check());
    if ended.is_err() && args.tuning.output.is_some() && !args.tuning.talk.quiet {
        complain("note", "the trials done are kept: the same command with --resume goes on");
    }
    ended?;
    let best = results::best(&record, plan.metric)?;
    if let Some(text) = results::lower_rung(best, &rungs).filter(|_| !args.tuning.talk.quiet) {
        complain("note", &text);
    }
    let written = results::write_best(args, &plan, &session, best, &rungs);
    results::report(args, &plan, &session, &record, best, &mut console)?;
    written.and(csv)
}

/// What was asked for, decided.
struct Plan {
    division: super::tuning::Division,
    metric: EvalMetric,
    points: Vec<Point>,
}

/// Names every method and loss that is tried, where they are searched, in place of one.
fn name_searched(facts: &mut Facts, points: &[Point]) {
    for (key, name) in [("method", &mut facts.method), ("loss", &mut facts.loss)] {
        let values = points.iter().flatten().filter(|(searched, _)| searched == key);
        let values: IndexSet<&str> = values.map(|(_, value)| value.as_str()).collect();
        if !values.is_empty() {
            *name = values.into_iter().collect::<Vec<_>>().join(", ");
        }
    }
}

/// The lines for people about what is going to be done.
fn said(args: &SearchArgs, plan: &Plan, rungs: &[Option<usize>]) -> Vec<(&'static str, String)> {
    let division = plan.division;
    let measured = match (division.folds, &args.tuning.parts.valid) {
        (Some(folds), _) => format!("{folds} folds"),
        (None, Some(path)) => format!("the rows of {}", path.display()),
        (None, None) => format!("{} of the rows", division.valid_fraction),
    };
    let repeats = match division.repeats {
        1 => String::new(),
        repeats => format!(", {repeats} repeats"),
    };
    let epochs: Vec<String> = rungs.iter().flatten().map(ToString::to_string).collect();
    let mut all = vec![
        ("trials", counted(plan.points.len(), "point")),
        ("measure", format!("{} on {measured}{repeats}", name_of(plan.metric))),
    ];
    if !epochs.is_empty() {
        all.push(("rungs", format!("of {} epochs", epochs.join(", "))));
    }
    all
}

/// The work of a search.
struct Search<'a> {
    args: &'a SearchArgs,
    plan: &'a Plan,
    session: &'a Session,
    halving: Option<Halving>,
    /// Epochs of each rung; `None`: those of the settings.
    rungs: &'a [Option<usize>],
}

impl Search<'_> {
    /// Tries every point, or on each rung those that got so far.
    fn work(&self, record: &mut Record, console: &mut Console) -> Result<()> {
        let shard = self.args.shard;
        let mut trials: Vec<usize> = (1..=self.plan.points.len())
            .filter(|&trial| shard.is_none_or(|shard| shard.has(trial)))
            .collect();
        let last = self.rungs.len();
        let mut rung = 1;
        loop {
            self.rung(rung, &trials, record, console)?;
            let Some(halving) = self.halving.filter(|_| rung < last) else { return Ok(()) };
            if self.session.signals.received().is_some() {
                return Ok(());
            }
            let scores: Vec<(usize, Option<f64>)> =
                trials.iter().map(|&trial| (trial, record.score(rung, trial))).collect();
            trials = halving.survivors(&scores, self.plan.metric);
            // One alone is chosen already: what remains is its score with all epochs.
            rung = if trials.len() == 1 { last } else { rung + 1 };
        }
    }

    /// Tries the points of a rung that are not in the record.
    fn rung(
        &self,
        rung: usize,
        trials: &[usize],
        record: &mut Record,
        console: &mut Console,
    ) -> Result<()> {
        let session = self.session;
        let missing: Vec<usize> =
            trials.iter().copied().filter(|&trial| !record.has(rung, trial)).collect();
        let check = |config: &_, shape: &_| session.check(config, shape);
        let bench = session.bench(&check);
        let base = self.args.base();
        let fit = |&trial: &usize, ending: &_| {
            let point = self.point(rung, trial);
            let setup = self.setup(&base, &point);
            let (splits, metric) = (&session.splits, self.plan.metric);
            session.unless_ended(ending, |watch| {
                let settings = point.into_iter().collect();
                bench.try_point((trial, rung), settings, setup, splits, metric, watch)
            })
        };
        pool::run(&missing, session.jobs, session.threads, fit, |_, done| {
            done.map_or(Ok(()), |trial| record.add(trial, self.plan.metric, console))
        })
    }

    /// What a trial tries: its point, and the epochs of the rung.
    fn point(&self, rung: usize, trial: usize) -> Point {
        let mut point = self.plan.points[trial - 1].clone();
        point.extend(self.rungs[rung - 1].map(|epochs| ("epochs".into(), epochs.to_string())));
        point
    }

    fn setup(&self, base: &Tried, point: &Point) -> Result<Setup> {
        let tried = base.with(point)?;
        args::check_point(&tried, point)?;
        let mut setup = self.session.setup.clone();
        setup.preparation.missing = tried.prepare.missing;
        setup.preparation.class_weight = tried.prepare.class_weight;
        setup.preparation.scale = tried.prepare.scale;
        setup.preparation.clip = tried.prepare.clip;
        self.args.check_patience(&tried.settings, self.plan.division)?;
        setup.settings = tried.settings;
        Ok(setup)
    }
}
