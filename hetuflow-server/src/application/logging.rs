//! What the server says about itself: lines on standard error.

use tracing_subscriber::EnvFilter;

use hetuflow_core::LOG_LIMITS;

use crate::config::LogConfig;

/// Begins logging; a second call changes nothing.
pub fn init_logging(config: &LogConfig) {
  let filter = EnvFilter::try_new(format!("{},{LOG_LIMITS}", config.level))
    .unwrap_or_else(|_| EnvFilter::new("info"));
  let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
  // Set already: in tests that start several servers in one process.
  let _set = if config.format == "json" {
    builder.json().flatten_event(true).try_init()
  } else {
    builder.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).try_init()
  };
}
