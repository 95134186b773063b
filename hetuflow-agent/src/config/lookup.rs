//! Which file is read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use hetuflow_core::config_text::Problem;

/// A config before it is read: text, environment, home.
#[derive(Debug, Clone, Default)]
pub struct Source {
  /// The file's name; empty for none.
  pub file: String,
  /// Its text.
  pub text: String,
  /// The process's environment.
  pub environment: HashMap<String, String>,
}

impl Source {
  /// Finds and reads the file: the given one, `$HETUFLOW_CONFIG`, `$ULTIMATE_CONFIG_PATH`,
  /// `~/.hetuflow/agent.toml`, `/etc/hetuflow/agent.toml`, or none.
  ///
  /// # Errors
  /// When a file that somebody has named cannot be read.
  pub fn find(
    given: Option<&Path>,
    environment: HashMap<String, String>,
  ) -> Result<Self, Vec<Problem>> {
    let named = |key: &str| environment.get(key).filter(|text| !text.is_empty()).map(PathBuf::from);
    let named = given
      .map(Path::to_owned)
      .or_else(|| named("HETUFLOW_CONFIG"))
      .or_else(|| named("ULTIMATE_CONFIG_PATH"));
    if let Some(path) = named {
      return match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Self { file: path.display().to_string(), text, environment }),
        Err(error) => Err(vec![Problem {
          place: path.display().to_string(),
          key: "--config".to_owned(),
          message: format!("cannot be read: {error}"),
          hint: None,
        }]),
      };
    }
    let home = environment.get("HOME").map(|home| Path::new(home).join(".hetuflow/agent.toml"));
    for path in home.into_iter().chain([PathBuf::from("/etc/hetuflow/agent.toml")]) {
      if let Ok(text) = std::fs::read_to_string(&path) {
        return Ok(Self { file: path.display().to_string(), text, environment });
      }
    }
    Ok(Self { environment, ..Self::default() })
  }

  /// Where the agent lives if nobody says.
  pub fn default_state_dir(&self) -> PathBuf {
    match self.environment.get("HOME").filter(|home| home.starts_with('/')) {
      Some(home) => Path::new(home).join(".hetuflow/agent"),
      None => PathBuf::from("/var/lib/hetuflow-agent"),
    }
  }

  /// Where things lie that no disk may see: in memory, on most hosts.
  pub fn default_runtime_dir(&self) -> Option<PathBuf> {
    if rustix::process::geteuid().is_root() {
      return Some(PathBuf::from("/run/hetuflow-agent"));
    }
    let own = self.environment.get("XDG_RUNTIME_DIR").filter(|dir| dir.starts_with('/'));
    own.map(|dir| Path::new(dir).join("hetuflow-agent"))
  }
}
