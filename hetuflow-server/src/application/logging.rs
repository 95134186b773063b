//! What the server says about itself: lines on standard error.

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

use hetuflow_core::LOG_LIMITS;

use crate::config::LogConfig;

/// Begins logging; a second call changes nothing.
pub fn init_logging(config: &LogConfig) {
  let filter = EnvFilter::try_new(&config.level).unwrap_or_else(|_| EnvFilter::new("info"));
  let limits: Targets = LOG_LIMITS.parse().expect("the limits are readable: a test reads them");
  let terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
  let lines: Box<dyn Layer<Registry> + Send + Sync> = if config.format == "json" {
    fmt::layer().json().flatten_event(true).with_writer(std::io::stderr).boxed()
  } else {
    fmt::layer().with_ansi(terminal).with_writer(std::io::stderr).boxed()
  };
  // Set already: in tests that start several servers in one process.
  let _set = tracing_subscriber::registry().with(lines.with_filter(limits)).with(filter).try_init();
}
