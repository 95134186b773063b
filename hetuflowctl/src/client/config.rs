//! The config file: contexts, and which one is current.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::{CtlError, Exit};

/// All contexts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
  /// The context that is used where none is named.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub current: Option<String>,
  /// Contexts by name.
  pub contexts: BTreeMap<String, ContextEntry>,
  /// Words by name.
  #[serde(skip_serializing_if = "BTreeMap::is_empty")]
  pub aliases: BTreeMap<String, String>,
}

/// A server, and how to work on it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ContextEntry {
  /// The address.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub server: Option<String>,
  /// The namespace.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub namespace: Option<String>,
  /// The file with the token.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub token_file: Option<PathBuf>,
  /// Refuse everything that changes the server.
  #[serde(skip_serializing_if = "std::ops::Not::not")]
  pub read_only: bool,
  /// Changes need the context's name, by --confirm.
  #[serde(skip_serializing_if = "std::ops::Not::not")]
  pub protected: bool,
  /// How people tell it apart: red, yellow, green, blue, magenta or cyan.
  #[serde(skip_serializing_if = "Option::is_none")]
  pub colour: Option<String>,
}

impl Config {
  /// Reads the file; no file is no contexts.
  ///
  /// # Errors
  /// When it cannot be read or is not TOML of this form.
  pub fn load(path: &Path) -> Result<Self, CtlError> {
    let text = match std::fs::read_to_string(path) {
      Ok(text) => text,
      Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Self::default()),
      Err(error) => {
        return Err(CtlError::failure(format!("cannot read {}: {error}", path.display())));
      }
    };
    toml::from_str(&text).map_err(|error| {
      let mut wrong = CtlError::usage(format!("{} is not a config file", path.display()));
      wrong.facts = error.to_string().trim_end().lines().map(str::to_owned).collect();
      wrong
    })
  }

  /// Writes the file whole, or leaves it as it was.
  ///
  /// # Errors
  /// When the folder or the file cannot be written.
  pub fn save(&self, path: &Path) -> Result<(), CtlError> {
    let text =
      toml::to_string_pretty(self).map_err(|error| CtlError::failure(error.to_string()))?;
    write_private(path, text.as_bytes())
  }

  /// The entry of a name.
  ///
  /// # Errors
  /// Not found, with the nearest name.
  pub fn entry(&self, name: &str) -> Result<&ContextEntry, CtlError> {
    self.contexts.get(name).ok_or_else(|| {
      let error = CtlError::new(Exit::NotFound, format!("no context \"{name}\""));
      let names = self.contexts.keys().map(String::as_str);
      match hetuflow_core::config_text::nearest(name, names) {
        Some(near) => error.help(format!("did you mean  {near} ?")),
        None => error.help("hetuflowctl context list"),
      }
    })
  }
}

/// Writes a file that only its owner may read, by way of a new file beside it.
///
/// # Errors
/// When the folder or the file cannot be written.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), CtlError> {
  let told =
    |error: std::io::Error| CtlError::failure(format!("cannot write {}: {error}", path.display()));
  let folder =
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
  if !folder.exists() {
    std::fs::create_dir_all(folder).map_err(told)?;
    std::fs::set_permissions(folder, std::fs::Permissions::from_mode(0o700)).map_err(told)?;
  }
  let name = path.file_name().unwrap_or_default().to_string_lossy();
  let aside = folder.join(format!(".{name}.{}", std::process::id()));
  let written = std::fs::OpenOptions::new()
    .write(true)
    .create(true)
    .truncate(true)
    .mode(0o600)
    .open(&aside)
    .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
    .and_then(|()| std::fs::rename(&aside, path));
  written.map_err(|error| {
    let _ = std::fs::remove_file(&aside);
    told(error)
  })
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn what_is_saved_is_loaded_and_private() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("deep/ctl.toml");
    assert_eq!(Config::load(&path).expect("no file"), Config::default());
    let mut config = Config { current: Some("local".into()), ..Config::default() };
    let entry = ContextEntry { server: Some("http://127.0.0.1:1".into()), ..Default::default() };
    config.contexts.insert("local".into(), entry);
    config.save(&path).expect("saved");
    assert_eq!(Config::load(&path).expect("loaded"), config);
    let mode = std::fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(config.entry("locla").expect_err("unknown").help[0].contains("local"));
  }
}
