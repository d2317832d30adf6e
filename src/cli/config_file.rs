//! `--config FILE.toml`, and `--space FILE.toml` of a search: the flags as flat keys; the command line
//! wins.
//!
//! Every key becomes the flag of the same name, and the parser of the flags checks it: a setting
//! means the same in both places, by construction.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};
use llfm::error::Place;
use llfm::{Error, Result};
use toml::de::{DeTable, DeValue};

use super::space_file;

/// Parses a command line, and the settings file it names.
///
/// The inner result is clap's: a usage error, or a request for help.
pub(crate) fn parse(
    mut command: Command,
    mut argv: Vec<OsString>,
) -> Result<std::result::Result<ArgMatches, clap::Error>> {
    let mut given = match command.try_get_matches_from_mut(&argv) {
        Ok(given) => given,
        Err(error) => return Ok(Err(error)),
    };
    // What an earlier file says counts as given on the command line for a later one.
    for file_flag in ["space", "config"] {
        let Some((name, sub)) = given.subcommand() else { break };
        let Ok(Some(file)) = sub.try_get_one::<PathBuf>(file_flag) else { continue };
        let (name, file) = (name.to_owned(), file.clone());
        let text = std::fs::read_to_string(&file).map_err(Error::io("read", &file))?;
        let source = Source { flag: file_flag, file: &file, text: &text };
        let flags = flags_of(&source, &mut command, &name, sub)?;
        // Right behind the subcommand: at the end a `--` may have closed the flags.
        let at = argv.iter().position(|arg| *arg == *name).map_or(argv.len(), |i| i + 1);
        argv.splice(at..at, flags);
        given = match command.try_get_matches_from_mut(&argv) {
            Ok(given) => given,
            Err(error) => return Ok(Err(error)),
        };
    }
    Ok(Ok(given))
}

/// A settings file, and the flag that named it.
struct Source<'a> {
    flag: &'static str,
    file: &'a Path,
    text: &'a str,
}

fn flags_of(
    source: &Source<'_>,
    command: &mut Command,
    name: &str,
    given: &ArgMatches,
) -> Result<Vec<OsString>> {
    let (file, text) = (source.file, source.text);
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        fault(file, text, at, error.message())
    })?;
    if source.flag == "space" {
        space_file::check_tables(table.get_ref())
            .map_err(|(at, message)| fault(file, text, at, &message))?;
    }
    let mut flags = Vec::new();
    for (key, value) in table.get_ref() {
        let line = key.span().start;
        let key = key.get_ref().as_ref();
        if let DeValue::Table(table) = value.get_ref()
            && space_file::is_table(source.flag, key)
        {
            for (line, flag) in space_file::flags(key, table, text) {
                let (key, value) = flag.map_err(|message| fault(file, text, line, &message))?;
                let flag = Some(format!("--{key}={value}"));
                flags.extend(checked(source, line, command, name, given, key, flag)?);
            }
            continue;
        }
        let arg = argument(command, name, key)
            .ok_or_else(|| fault(file, text, line, &unknown(key, name)))?;
        let flag = flag_of(key, arg, value.get_ref(), &text[value.span()])
            .map_err(|message| fault(file, text, line, &message))?;
        flags.extend(checked(source, line, command, name, given, key, flag)?);
    }
    Ok(flags)
}

fn argument<'a>(command: &'a Command, name: &str, key: &str) -> Option<&'a Arg> {
    command
        .find_subcommand(name)
        .and_then(|sub| sub.get_arguments().find(|arg| arg.get_long() == Some(key)))
        .filter(|arg| !matches!(arg.get_id().as_str(), "config" | "space" | "help"))
}

/// A flag that its parser takes, unless the command line rules it out.
fn checked(
    source: &Source<'_>,
    line: usize,
    command: &mut Command,
    name: &str,
    given: &ArgMatches,
    key: &str,
    flag: Option<String>,
) -> Result<Option<OsString>> {
    let Some(flag) = flag.map(OsString::from) else { return Ok(None) };
    let chosen = argument(command, name, key)
        .is_some_and(|arg| overruled(arg, command.find_subcommand(name), given));
    // Alone on a command line, a bad value can be blamed on its line of the file.
    let alone = [OsString::from("llfm"), name.into(), flag.clone(), "-".into()];
    match command.try_get_matches_from_mut(alone) {
        // What a flag requires may stand in another line, or on the command line.
        Err(error) if error.kind() != ErrorKind::MissingRequiredArgument => {
            Err(fault(source.file, source.text, line, &first_sentence(&error)))
        }
        _ => Ok((!chosen).then_some(flag)),
    }
}

/// Whether the command line has this flag, or one that excludes it.
fn overruled(arg: &Arg, command: Option<&Command>, given: &ArgMatches) -> bool {
    let chosen =
        |arg: &Arg| given.value_source(arg.get_id().as_str()) == Some(ValueSource::CommandLine);
    // A conflict is written down with only one of the two flags.
    let exclude = |command: &Command, a: &Arg, b: &Arg| {
        command.get_arg_conflicts_with(a).iter().any(|other| other.get_id() == b.get_id())
    };
    let excluded = command.is_some_and(|command| {
        let mut others = command.get_arguments().filter(|other| chosen(other));
        others.any(|other| exclude(command, arg, other) || exclude(command, other, arg))
    });
    chosen(arg) || excluded
}

/// A key and its value as a flag; `None` for a switch that is off.
fn flag_of(
    key: &str,
    arg: &Arg,
    value: &DeValue,
    source: &str,
) -> std::result::Result<Option<String>, String> {
    let switch = matches!(arg.get_action(), ArgAction::SetTrue | ArgAction::Count);
    match (value, switch) {
        (DeValue::Boolean(on), true) => Ok(on.then(|| format!("--{key}"))),
        (_, true) => Err(format!("`{key}` is true or false, found {source}")),
        _ => Ok(Some(format!("--{key}={}", scalar(key, value, source)?))),
    }
}

pub(crate) fn scalar(
    key: &str,
    value: &DeValue,
    source: &str,
) -> std::result::Result<String, String> {
    match value {
        DeValue::String(text) => Ok(text.to_string()),
        // As written, so that no digit is lost on the way; TOML allows `_` between digits.
        DeValue::Integer(_) | DeValue::Float(_) => Ok(source.replace('_', "")),
        DeValue::Array(items) if items.is_empty() && key == "learn" => {
            Err("`learn` is empty: write [\"none\"]".into())
        }
        DeValue::Array(items) => {
            let items = items.iter().map(|item| scalar(key, item.get_ref(), source));
            Ok(items.collect::<std::result::Result<Vec<_>, _>>()?.join(","))
        }
        _ => Err(format!("`{key}` cannot be {source}: write a number or a \"text\"")),
    }
}

fn unknown(key: &str, command: &str) -> String {
    let kebab = key.replace('_', "-");
    let hint = if kebab == key {
        format!("`llfm {command} --help` lists them all")
    } else {
        format!("did you mean `{kebab}`?")
    };
    format!("unknown setting `{key}`: {hint}")
}

fn first_sentence(error: &clap::Error) -> String {
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let lines: Vec<&str> =
        text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
    lines.join(" ")
}

/// An error at a byte of the settings file.
fn fault(file: &Path, text: &str, at: usize, message: &str) -> Error {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = before.iter().filter(|&&byte| byte == b'\n').count() as u64 + 1;
    Error::usage(&Place::line(file, line), message)
}
