//! The agent's own log: stderr, and a file per day.

use std::sync::OnceLock;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_appender::rolling::{Builder, RollingFileAppender, Rotation};
use tracing_subscriber::filter::{FilterExt, LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use hetuflow_core::LOG_LIMITS;

use crate::config::LogSection;

/// Lines that may wait to be written; their places are taken from memory at the start. What comes
/// faster than the disk is dropped rather than waited for.
const WAITING_LINES: usize = 1024;

/// Writes out what is left when it is dropped.
#[derive(Debug)]
pub struct LogGuard {
  _file: Option<WorkerGuard>,
}

/// Where the level of the log that was started can be changed.
static HANDLES: OnceLock<Vec<reload::Handle<Targets, Registry>>> = OnceLock::new();

/// What is worth a line, from now on.
///
/// # Errors
/// Words about a level that is not readable.
pub fn set_log_level(level: &str) -> Result<(), String> {
  let filter = read_level(level)?;
  for handle in HANDLES.get().into_iter().flatten() {
    handle.reload(filter.clone()).map_err(|error| error.to_string())?;
  }
  Ok(())
}

/// Names and levels are all that a level says here; filters of fields would bring regular
/// expressions into a process that has to be small.
///
/// # Errors
/// Words about a level that is not readable.
pub fn read_level(level: &str) -> Result<Targets, String> {
  level.parse::<Targets>().map_err(|error| error.to_string())
}

/// What no level may write.
fn limits() -> Targets {
  LOG_LIMITS.parse().expect("the limits are readable: a test reads them")
}

/// Starts logging. Without a usable folder only stderr is written, and a line says so.
pub fn start_logging(section: &LogSection) -> LogGuard {
  let (file, problem) = match log_file(section) {
    Ok(file) => {
      let queue = NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES);
      (Some(queue.finish(file)), None)
    }
    Err(error) => (None, Some(error)),
  };
  let (writer, guard) = file.unzip();
  let json = section.json;
  let mut handles = Vec::new();
  let mut filter = || {
    let info = || Targets::new().with_default(LevelFilter::INFO);
    let (filter, handle) =
      reload::Layer::new(read_level(&section.level).unwrap_or_else(|_| info()));
    handles.push(handle);
    filter.and(limits())
  };
  let mut layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = Vec::new();
  // A file that nobody rotates stands behind the executor's stderr.
  if section.stderr || writer.is_none() {
    let layer = fmt::layer().with_ansi(false).with_writer(std::io::stderr);
    let layer = if json { layer.json().boxed() } else { layer.boxed() };
    layers.push(layer.with_filter(filter()).boxed());
  }
  if let Some(writer) = writer {
    let layer = fmt::layer().with_ansi(false).with_writer(writer);
    let layer = if json { layer.json().boxed() } else { layer.boxed() };
    layers.push(layer.with_filter(filter()).boxed());
  }
  // A second agent in one process (a test) keeps the first one's log.
  if tracing_subscriber::registry().with(layers).try_init().is_ok() {
    let _first = HANDLES.set(handles);
  }
  if let Some(problem) = problem {
    tracing::warn!(dir = %section.dir.display(), problem, "no log file; stderr only");
  }
  LogGuard { _file: guard }
}

/// The file of today; of the older ones as many are kept as the settings say.
fn log_file(section: &LogSection) -> Result<RollingFileAppender, String> {
  std::fs::create_dir_all(&section.dir).map_err(|error| error.to_string())?;
  Builder::new()
    .rotation(Rotation::DAILY)
    .filename_prefix(section.name)
    .filename_suffix("log")
    .max_log_files(section.keep)
    .build(&section.dir)
    .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
  use std::io::Write;

  use super::*;

  fn section(dir: &std::path::Path) -> LogSection {
    LogSection {
      level: "info".to_owned(),
      json: false,
      dir: dir.to_owned(),
      keep: 3,
      name: "hetuflow-agent",
      stderr: true,
    }
  }

  #[test]
  fn a_file_per_day_and_only_so_many() {
    let dir = tempfile::tempdir().expect("dir");
    let mine = |day: u32| format!("hetuflow-agent.2020-01-0{day}.log");
    for day in 1..=5 {
      std::fs::write(dir.path().join(mine(day)), "old").expect("written");
      // Which is older is told by the time of making, which must differ.
      std::thread::sleep(std::time::Duration::from_millis(10));
    }
    std::fs::write(dir.path().join("notes.log"), "of somebody else").expect("written");
    let section = section(dir.path());
    let names = || {
      let files = std::fs::read_dir(dir.path()).expect("read");
      let names =
        files.map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned());
      let mut names: Vec<String> = names.collect();
      names.sort_unstable();
      names
    };
    log_file(&section).expect("a file").write_all(b"first\n").expect("written");
    let first = names();
    let [fourth, fifth, today, others] = first.as_slice() else { panic!("{first:?}") };
    assert_eq!((fourth, fifth), (&mine(4), &mine(5)));
    assert!(today.starts_with("hetuflow-agent.20") && others == "notes.log", "{first:?}");
    // A restart on the same day goes on in the same file.
    log_file(&section).expect("a file").write_all(b"second\n").expect("written");
    assert!(names().iter().all(|name| first.contains(name)), "{:?}", names());
    let text = std::fs::read_to_string(dir.path().join(today)).expect("read");
    assert_eq!(text, "first\nsecond\n");
  }

  #[test]
  fn limits_take_away_and_never_add() {
    use tracing::Level;
    let limits = limits();
    assert!(!limits.would_enable("tungstenite::protocol::frame", &Level::TRACE));
    assert!(limits.would_enable("hetuflow_agent::executor", &Level::TRACE));
    let info = read_level("info").expect("a level");
    let handshake = "tungstenite::handshake::client";
    assert!(!(info.would_enable(handshake, &Level::DEBUG)));
    let all = read_level("tungstenite::protocol=trace").expect("a level");
    let frame = "tungstenite::protocol";
    assert!(all.would_enable(frame, &Level::TRACE) && !limits.would_enable(frame, &Level::TRACE));
  }

  #[test]
  fn a_folder_that_cannot_be_made_is_no_end() {
    assert!(log_file(&section(std::path::Path::new("/proc/nowhere"))).is_err());
  }
}
