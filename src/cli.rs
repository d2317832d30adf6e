//! The command line: flags in, events out, errors to exit codes.

mod args;
mod bench;
mod compare;
mod config_file;
mod console;
mod cv;
mod device;
mod devices;
mod evaluate;
mod explain;
mod inspect;
mod load;
mod machine;
mod memory;
mod outputs;
mod predict;
mod progress;
mod report;
mod reproduce;
mod search;
mod signals;
mod space_file;
mod train;
mod tuning;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use llfm::{Error, Result};

use console::Console;

/// Train locally linear factorization machines, and predict with them.
///
/// A locally linear factorization machine spreads each row over its nearest anchor points and blends
/// the factorization machines that live there: fast as a linear model, accurate on data that is not
/// linear. It classifies (two classes or many), and predicts values and ratings.
#[derive(Debug, Parser)]
#[command(name = "llfm", version, max_term_width = 100, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  llfm train letter.libsvm --test letter.t.libsvm --model letter.llfm
  llfm evaluate letter.llfm letter.t.libsvm
  llfm predict letter.llfm new.libsvm --proba > probabilities.csv
  llfm inspect letter.llfm
  llfm cv letter.libsvm --folds 5
  llfm search letter.libsvm --grid anchors=20,50,100 --output letter
  llfm devices
  llfm compare
  llfm bench letter
  llfm reproduce banana magic04 letter

`llfm train --help` explains every setting. Exit codes: 0 done, 1 the GPU differs\n(compare), 2 usage, 3 data, 4 model file,
5 device, 6 input/output, 7 training diverged, 130/143/129 interrupted (after saving).";

#[derive(Debug, Subcommand)]
enum Command {
    Train(Box<args::TrainArgs>),
    Predict(args::PredictArgs),
    Evaluate(args::EvaluateArgs),
    Inspect(args::InspectArgs),
    Devices(args::DevicesArgs),
    Compare(Box<compare::CompareArgs>),
    Bench(bench::BenchArgs),
    Reproduce(reproduce::ReproduceArgs),
    Cv(Box<cv::CvArgs>),
    Search(Box<search::SearchArgs>),
    /// Print a completion script for a shell
    Completions {
        /// Shell to complete in
        shell: clap_complete::Shell,
    },
    /// Print the manual page, in roff
    Man,
}

/// Runs the command line of this process.
pub(crate) fn main() -> ExitCode {
    survive_file_limit();
    match run(std::env::args_os().collect()) {
        Ok(code) => code,
        // Whoever read our output has seen enough: `llfm … | head` is no failure.
        Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::BrokenPipe => {
            ExitCode::SUCCESS
        }
        Err(error) => {
            console::complain("error", &with_causes(&error));
            ExitCode::from(error.exit_code())
        }
    }
}

/// Makes a file that would grow beyond what the system allows (`ulimit -f`) an error of writing, as a
/// full disk is, instead of the end of the process.
fn survive_file_limit() {
    #[cfg(unix)]
    {
        let noticed = std::sync::Arc::default();
        // Where it cannot be had, things are as they were.
        let _ = signal_hook::flag::register(signal_hook::consts::SIGXFSZ, noticed);
    }
}

fn run(argv: Vec<std::ffi::OsString>) -> Result<ExitCode> {
    let parsed = config_file::parse(Cli::command(), argv)?
        .and_then(|matches| Cli::from_arg_matches(&matches));
    match parsed {
        Ok(cli) => dispatch(cli.command),
        Err(error) => show_clap(&error),
    }
}

fn dispatch(command: Command) -> Result<ExitCode> {
    let done = match command {
        // The only command whose answer may be no.
        Command::Compare(args) => return compare::run(&args),
        Command::Train(args) => train::run(&args),
        Command::Cv(args) => cv::run(&args),
        Command::Search(args) => search::run(&args),
        Command::Predict(args) => predict::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Devices(args) => devices::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Reproduce(args) => reproduce::run(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "llfm", &mut script);
            print_bytes(&script)
        }
        Command::Man => print_bytes(&manual()?),
    };
    done.map(|()| ExitCode::SUCCESS)
}

/// One page for the command and, as each has settings of its own, one section a subcommand.
fn manual() -> Result<Vec<u8>> {
    let mut page = Vec::new();
    let mut command = Cli::command();
    command.build();
    let broken = Error::io("write", std::path::Path::new("the manual"));
    let mut render = || -> io::Result<()> {
        let whole = clap_mangen::Man::new(command.clone());
        whole.render_title(&mut page)?;
        whole.render_name_section(&mut page)?;
        whole.render_synopsis_section(&mut page)?;
        whole.render_description_section(&mut page)?;
        for sub in command.get_subcommands().filter(|s| s.get_name() != "help") {
            let man = clap_mangen::Man::new(sub.clone());
            writeln!(page, ".SH \"LLFM {}\"", sub.get_name().to_uppercase())?;
            man.render_synopsis_section(&mut page)?;
            man.render_description_section(&mut page)?;
            man.render_options_section(&mut page)?;
            if sub.get_after_help().is_some() {
                man.render_extra_section(&mut page)?;
            }
        }
        whole.render_extra_section(&mut page)?;
        whole.render_version_section(&mut page)?;
        Ok(())
    };
    render().map_err(broken)?;
    Ok(page)
}

fn print_bytes(bytes: &[u8]) -> Result<()> {
    let mut console = Console::new(false);
    console.bytes(bytes)?;
    console.flush()
}

/// Shows help, version or a usage error as clap words it, our name in front of errors.
fn show_clap(error: &clap::Error) -> Result<ExitCode> {
    if !error.use_stderr() {
        error.print().map_err(console::stdout_error)?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = error.render();
    let text =
        if console::colours(&io::stderr()) { text.ansi().to_string() } else { text.to_string() };
    let _ = write!(io::stderr(), "llfm: {text}");
    Ok(ExitCode::from(2))
}

fn with_causes(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    text
}
