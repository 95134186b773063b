//! Finding the file and reading it.

use std::path::{Path, PathBuf};

use hetuflow_core::config_text::{ConfigText, Problem, Setting};

use super::Config;

/// Settings with where each came from.
#[derive(Debug)]
pub struct LoadedConfig {
  /// The settings.
  pub config: Config,
  /// The file, where there is one.
  pub file: Option<PathBuf>,
  /// Every setting with its origin.
  pub settings: Vec<Setting>,
}

/// Why no settings could be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
  /// The file cannot be read.
  #[error("cannot read {path}")]
  Unreadable {
    /// The file.
    path: PathBuf,
    /// Why.
    #[source]
    source: std::io::Error,
  },
  /// Everything that is wrong.
  #[error("{} problems in the configuration", .0.len())]
  Problems(Vec<Problem>),
}

/// Where a file may be, in this order.
fn candidates() -> Vec<PathBuf> {
  let mut paths = vec![PathBuf::from("config.toml"), PathBuf::from("resources/app.toml")];
  if let Some(home) = std::env::var_os("HOME") {
    paths.push(Path::new(&home).join(".hetuflow/server.toml"));
  }
  paths.push(PathBuf::from("/etc/hetuflow/server.toml"));
  paths
}

fn find_file(named: Option<&Path>) -> Option<PathBuf> {
  if let Some(path) = named {
    return Some(path.to_owned());
  }
  for variable in ["HETUFLOW_CONFIG", "ULTIMATE_CONFIG_PATH"] {
    if let Some(path) = std::env::var_os(variable).filter(|path| !path.is_empty()) {
      return Some(path.into());
    }
  }
  candidates().into_iter().find(|path| path.is_file())
}

/// Reads the settings: defaults, file, environment, flags.
///
/// # Errors
/// [`ConfigError`] with everything that is wrong.
pub fn load(named: Option<&Path>, bind: Option<&str>) -> Result<LoadedConfig, ConfigError> {
  let file = find_file(named);
  let content = match &file {
    Some(path) => std::fs::read_to_string(path)
      .map_err(|source| ConfigError::Unreadable { path: path.clone(), source })?,
    None => String::new(),
  };
  let name = file.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
  let mut text = ConfigText::new(&name, &content, std::env::vars());
  if let Some(url) = std::env::var("DATABASE_URL").ok().filter(|url| !url.is_empty()) {
    text.set("database.url", url, "environment variable DATABASE_URL");
  }
  if let Some(bind) = bind {
    text.set("server.bind_address", bind, "flag --bind");
  }
  let config = Config::read(&mut text);
  let settings = text.finish().map_err(ConfigError::Problems)?;
  Ok(LoadedConfig { config, file, settings })
}
