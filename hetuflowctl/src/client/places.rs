//! Where our files are.

use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use etcetera::base_strategy::Xdg;

use super::error::CtlError;

fn folders() -> Result<Xdg, CtlError> {
  Xdg::new().map_err(|_| {
    CtlError::failure("no home folder: HOME is not set").help("set HOME, or give --config FILE")
  })
}

/// The config file.
///
/// # Errors
/// When there is no home folder.
pub fn config_file() -> Result<PathBuf, CtlError> {
  Ok(folders()?.config_dir().join("hetuflow/ctl.toml"))
}

/// The file of a context's stored token, beside the config file.
pub fn token_file(config: &Path, context: &str) -> PathBuf {
  config.parent().unwrap_or(Path::new(".")).join("tokens").join(context)
}

/// The folder of `dev`.
///
/// # Errors
/// When there is no home folder.
pub fn data_folder() -> Result<PathBuf, CtlError> {
  Ok(folders()?.data_dir().join("hetuflow/dev"))
}

/// The folder of what the full-screen face remembers.
///
/// # Errors
/// When there is no home folder.
pub fn state_folder() -> Result<PathBuf, CtlError> {
  let folders = folders()?;
  let state = folders.state_dir().unwrap_or_else(|| folders.data_dir());
  Ok(state.join("hetuflow"))
}
