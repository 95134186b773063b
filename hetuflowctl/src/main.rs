//! `hetuflowctl`, the terminal suite. This file reads the words, builds what the command needs,
//! and is the only place that ends the process.

mod cli;
mod client;
mod command;
mod output;
mod tui;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use clap::error::ErrorKind;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{Cli, Command, TuiArgs, help_command, help_text, write_completions};
use crate::client::{Client, CtlError, Exit, Origin, Place};
use crate::command::{Outside, Session, look, outside, pasteable};
use crate::output::{
  Failure, Format, Look, Wishes, emit, pager_is_wanted, show_error, show_in_pager,
};

const INTERRUPTED: u8 = 130;
const TERMINATED: u8 = 143;
/// Longest work after a signal.
const POLITE_TIME_MAX: std::time::Duration = std::time::Duration::from_secs(5);

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
              .help("topics: exit-codes, filters, formats, environment, time; or any command");
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
  let done = match &cli.command {
    Command::Tui(args) => runtime.block_on(full_screen(&session, args)),
    command => runtime.block_on(supervised(&session, command)),
  };
  let exit = match done {
    Ok(exit) => ExitCode::from(exit),
    Err(error) => fail(error, &session.look),
  };
  // A read of stdin that nobody will answer must not hold us up.
  runtime.shutdown_background();
  exit
}

/// Reads the words. A first word that is no command of ours may be an alias or a plugin.
fn read_words() -> Result<Cli, ExitCode> {
  let error = match parse(std::env::args_os()) {
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
      parse(words).map_err(|error| refused(&error))
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

/// Parses words. Inside of a task `HETUFLOW_OUTPUT` is the path of its result file, and no form.
fn parse(words: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Cli, clap::Error> {
  use clap::{CommandFactory as _, FromArgMatches as _};
  let own = std::env::var_os("HETUFLOW_OUTPUT").is_some_and(|form| Path::new(&form).is_absolute());
  let mut command = Cli::command();
  if own {
    command = command.mut_arg("output", |arg| arg.env("HETUFLOW_OUTPUT_FORM"));
  }
  let mut matches = command.clone().try_get_matches_from(words)?;
  Cli::from_arg_matches_mut(&mut matches).map_err(|error| error.format(&mut command))
}

/// The command and its output, bounded by `--timeout` and by signals.
async fn supervised(session: &Session, command: &Command) -> Result<u8, Failure> {
  let work = async {
    let outcome = command::run(session, command).await?;
    let pages = command.is_long_text() && !session.global.no_pager;
    if !pages || !pager_is_wanted(&session.look) {
      return emit(outcome, &session.look, &mut std::io::stdout()).await;
    }
    let mut text = Vec::new();
    let exit = emit(outcome, &session.look, &mut text).await?;
    show_in_pager(&text, &session.look)?;
    Ok(exit)
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
  let exit = tokio::select! {
    biased;
    // A signal that came while a pager had the terminal was meant for the pager.
    exit = bounded => return exit,
    _ = interrupt.recv() => INTERRUPTED,
    _ = terminate.recv() => TERMINATED,
  };
  // What was asked for with the first signal is done politely; the second one ends at once.
  let politely = async {
    if let Some(words) = session.interrupt().await {
      session.look.say(words);
    }
  };
  tokio::select! {
    () = politely => {}
    _ = interrupt.recv() => {}
    _ = terminate.recv() => {}
    () = tokio::time::sleep(POLITE_TIME_MAX) => {}
  }
  Ok(exit)
}

/// The full-screen face has its own signals, and its own end.
async fn full_screen(session: &Session, args: &TuiArgs) -> Result<u8, Failure> {
  let mut out = std::io::stdout();
  if args.print_keys {
    let place = session.place()?;
    out.write_all(tui::print_keys(&place.config)?.as_bytes())?;
    return Ok(0);
  }
  let client = session.client()?.clone();
  let (global, origin) = (session.global.clone(), session.origin()?);
  let wanted = tui::Wanted {
    screen: args.screen.clone(),
    filter: args.filter.clone(),
    namespace: session.list_namespace()?,
    ascii: args.ascii,
    no_mouse: args.no_mouse,
    theme: args.theme.clone(),
    color: match global.color {
      cli::When::Auto => None,
      cli::When::Always => Some(true),
      cli::When::Never => Some(false),
    },
    fps: args.fps,
    snapshot: args.snapshot.then_some((args.size, args.ansi)),
    record: args.record.clone(),
    replay: args.replay.clone(),
  };
  let switch = Box::new(move |name: &str| {
    let wish = Origin { context: Some(name.to_owned()), server: None, ..origin.clone() };
    Client::new(Place::settle(&wish)?, global.request_timeout, 0)
  });
  let (exit, text) = tui::open(tui::Options { wanted, client, switch }).await?;
  out.write_all(text.as_bytes())?;
  Ok(exit)
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
    ["-ojson", "-ojsonl", "-o=json", "--output=json", "--output=jsonl"].iter().any(|j| word == *j)
  }) || std::env::var("HETUFLOW_OUTPUT")
    .is_ok_and(|form| form == "json" || form == "jsonl");
  if asked || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand && !wants_json {
    let _ = error.print();
    return ExitCode::from(if asked { 0 } else { Exit::Usage as u8 });
  }
  let plain = error.render().to_string();
  let text = mask_passwords(&plain);
  let help = help_command(std::env::args_os().skip(1));
  if !wants_json {
    let colours = Look::new(Wishes::default()).err_color && text == plain;
    let text = if colours { error.render().ansi().to_string() } else { text };
    let body: String = text.split_inclusive('\n').filter(|line| !is_pointer(line)).collect();
    let told = format!("{}\n\nhelp: {help}\n", body.trim_end());
    let _ = std::io::stderr().write_all(told.as_bytes());
    return ExitCode::from(Exit::Usage as u8);
  }
  let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !is_pointer(line));
  let first = lines.next().unwrap_or_default();
  let mut told = CtlError::usage(first.strip_prefix("error: ").unwrap_or(first)).help(help);
  told.facts = lines.map(str::to_owned).collect();
  let look = Look { format: Format::Json, ..Look::new(Wishes::default()) };
  fail(told, &look)
}

/// clap's last line, which names no command that could be pasted.
fn is_pointer(line: &str) -> bool {
  line.starts_with("For more information, try ")
}

/// The same words without what stands between `//` and `@`: whoever types a password into an
/// address must not find it in the log of a job.
fn mask_passwords(text: &str) -> String {
  let mask = |line: &str| match (line.find("//"), line.rfind('@')) {
    (Some(from), Some(to)) if from < to => format!("{}//***{}", &line[..from], &line[to..]),
    _ => line.to_owned(),
  };
  text.split_inclusive('\n').map(mask).collect()
}

fn fail(error: impl Into<Failure>, look: &Look) -> ExitCode {
  let mut error: Failure = error.into();
  pasteable(&mut error);
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
