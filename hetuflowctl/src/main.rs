//! `hetuflowctl`, the terminal suite. This file reads the words, builds what the command needs,
//! and is the only place that ends the process.

mod cli;
mod client;
mod command;
mod output;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Parser as _;
use clap::error::ErrorKind;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Cli, Command, help_text, write_completions};
use crate::client::{CtlError, Exit};
use crate::command::{Outside, Session, look, outside};
use crate::output::{Failure, Format, Look, Wishes, emit, show_error};

const INTERRUPTED: u8 = 130;
const TERMINATED: u8 = 143;

fn main() -> ExitCode {
  let cli = match read_words() {
    Ok(cli) => cli,
    Err(exit) => return exit,
  };
  // These need no runtime, no config and no server.
  match &cli.command {
    Command::Completions(args) => return write_out(&write_completions(args)),
    Command::Help(args) => {
      return match help_text(args) {
        Some(text) => write_out(text.as_bytes()),
        None => {
          let error =
            CtlError::usage(format!("no help on \"{}\"", args.words.join(" ").escape_debug()))
              .help("topics: exit-codes, formats, environment, time; or any command");
          fail(error, &look(&cli.global))
        }
      };
    }
    Command::Child(args) => {
      let Err(error) = command::run_child(args);
      return fail(error, &look(&cli.global));
    }
    _ => {}
  }
  let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
  let runtime = match runtime {
    Ok(runtime) => runtime,
    Err(error) => return fail(CtlError::from(error), &look(&cli.global)),
  };
  let session = Session::new(cli.global);
  let exit = match runtime.block_on(supervised(&session, &cli.command)) {
    Ok(exit) => ExitCode::from(exit),
    Err(error) => fail(error, &session.look),
  };
  // A read of stdin that nobody will answer must not hold us up.
  runtime.shutdown_background();
  exit
}

/// Reads the words. A first word that is no command of ours may be an alias or a plugin.
fn read_words() -> Result<Cli, ExitCode> {
  let error = match Cli::try_parse() {
    Ok(cli) => return Ok(cli),
    Err(error) => error,
  };
  let args: Vec<std::ffi::OsString> = std::env::args_os().skip(1).collect();
  if error.kind() != ErrorKind::InvalidSubcommand {
    return Err(refused(&error));
  }
  let plain = Look::new(Wishes::default());
  match outside(&args) {
    Ok(Some(Outside::Words(words))) => {
      let words = std::iter::once("hetuflowctl".into()).chain(words);
      Cli::try_parse_from(words).map_err(|error| refused(&error))
    }
    Ok(Some(Outside::Program(program, args))) => {
      use std::os::unix::process::CommandExt as _;
      let told = std::process::Command::new(&program).args(args).exec();
      let error = CtlError::failure(format!("cannot execute {}: {told}", program.display()));
      Err(fail(error, &plain))
    }
    Ok(None) => Err(refused(&error)),
    Err(error) => Err(fail(error, &plain)),
  }
}

/// The command and its output, bounded by `--timeout` and by signals.
async fn supervised(session: &Session, command: &Command) -> Result<u8, Failure> {
  let work = async {
    let outcome = command::run(session, command).await?;
    emit(outcome, &session.look, &mut std::io::stdout()).await
  };
  // dev has its own signals, and its own end; waiting for a server tells what it waited for.
  if matches!(command, Command::Dev(_)) {
    return work.await;
  }
  let bounded = async {
    match session.global.timeout {
      Some(limit) if !matches!(command, Command::Status(args) if args.wait_ready) => {
        tokio::time::timeout(limit, work)
          .await
          .unwrap_or_else(|_| Err(timed_out(session, limit).into()))
      }
      _ => work.await,
    }
  };
  let (mut interrupt, mut terminate) =
    (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
  tokio::select! {
    exit = bounded => exit,
    _ = interrupt.recv() => Ok(interrupted(session, INTERRUPTED)),
    _ = terminate.recv() => Ok(interrupted(session, TERMINATED)),
  }
}

fn interrupted(session: &Session, exit: u8) -> u8 {
  if let Some(words) = session.what_goes_on() {
    session.look.say(words);
  }
  exit
}

fn timed_out(session: &Session, limit: std::time::Duration) -> CtlError {
  let limit = hetuflow_core::format_duration(limit);
  let error = CtlError::new(Exit::Timeout, format!("--timeout {limit} passed"));
  match session.what_goes_on() {
    Some(words) => error.fact(words),
    None => error,
  }
}

/// Words that clap does not take: help and version are no errors.
fn refused(error: &clap::Error) -> ExitCode {
  let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
  let wants_json = std::env::args_os().skip(1).collect::<Vec<_>>().windows(2).any(|pair| {
    (pair[0] == "-o" || pair[0] == "--output") && (pair[1] == "json" || pair[1] == "jsonl")
  }) || std::env::args_os().any(|word| {
    ["-ojson", "-ojsonl", "--output=json", "--output=jsonl"].iter().any(|json| word == *json)
  });
  if asked || !wants_json {
    let _ = error.print();
    return ExitCode::from(if asked { 0 } else { Exit::Usage as u8 });
  }
  let text = error.render().to_string();
  let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
  let first = lines.next().unwrap_or_default();
  let mut told = CtlError::usage(first.strip_prefix("error: ").unwrap_or(first));
  told.facts = lines.map(str::to_owned).collect();
  let look = Look { format: Format::Json, ..Look::new(Wishes::default()) };
  fail(told, &look)
}

fn fail(error: impl Into<Failure>, look: &Look) -> ExitCode {
  let error: Failure = error.into();
  let _ = std::io::stderr().write_all(show_error(&error, look).as_bytes());
  ExitCode::from(error.exit)
}

/// Bytes on stdout; a reader that is gone is no error.
fn write_out(bytes: &[u8]) -> ExitCode {
  let mut out = std::io::stdout().lock();
  match out.write_all(bytes).and_then(|()| out.flush()) {
    Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
    _ => ExitCode::SUCCESS,
  }
}
