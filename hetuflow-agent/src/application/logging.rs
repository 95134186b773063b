//! The agent's own log: stderr, and a file per day.

use tracing_appender::non_blocking::WorkerGuard;
use tracing_appender::rolling::{Builder, Rotation};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, fmt};

use crate::config::LogSection;

/// Writes out what is left when it is dropped.
#[derive(Debug)]
pub struct LogGuard {
  _file: Option<WorkerGuard>,
}

/// Starts logging. Without a usable folder only stderr is written, and a line says so.
pub fn start_logging(section: &LogSection) -> LogGuard {
  let filter = || EnvFilter::try_new(&section.level).unwrap_or_else(|_| EnvFilter::new("info"));
  let file =
    std::fs::create_dir_all(&section.dir).map_err(|error| error.to_string()).and_then(|()| {
      Builder::new()
        .rotation(Rotation::DAILY)
        .filename_prefix("hetuflow-agent")
        .filename_suffix("log")
        .max_log_files(section.keep)
        .build(&section.dir)
        .map_err(|error| error.to_string())
    });
  let (file, problem) = match file {
    Ok(file) => (Some(tracing_appender::non_blocking(file)), None),
    Err(error) => (None, Some(error)),
  };
  let (writer, guard) = file.unzip();
  let json = section.json;
  let to_file = writer.map(|writer| {
    let layer = fmt::layer().with_ansi(false).with_writer(writer);
    if json { layer.json().boxed() } else { layer.boxed() }.with_filter(filter())
  });
  let layer = fmt::layer().with_ansi(false).with_writer(std::io::stderr);
  let to_stderr = if json { layer.json().boxed() } else { layer.boxed() }.with_filter(filter());
  // A second agent in one process (a test) keeps the first one's log.
  let _already_started = tracing_subscriber::registry().with(to_stderr).with(to_file).try_init();
  if let Some(problem) = problem {
    tracing::warn!(dir = %section.dir.display(), problem, "no log file; stderr only");
  }
  LogGuard { _file: guard }
}
