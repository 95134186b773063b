//! Commands that are not ours: aliases, and programs called `hetuflowctl-NAME` on PATH.

use hetuflow_core::split_words;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use crate::client::{Config, CtlError, config_file};

const PREFIX: &str = "hetuflowctl-";

/// What a foreign command is.
#[derive(Debug)]
pub enum Outside {
  /// These words of ours.
  Words(Vec<OsString>),
  /// This program with these arguments.
  Program(PathBuf, Vec<OsString>),
}

/// Looks a command line up whose first word is not ours. `None`: nobody knows it.
///
/// # Errors
/// When the config or the words of an alias are broken.
pub fn outside(args: &[OsString]) -> Result<Option<Outside>, CtlError> {
  let Some((name, rest)) = args.split_first() else { return Ok(None) };
  let Some(name) = name.to_str().filter(|name| !name.starts_with('-') && !name.contains('/'))
  else {
    return Ok(None);
  };
  let path = match std::env::var_os("HETUFLOW_CONFIG") {
    Some(path) if !path.is_empty() => PathBuf::from(path),
    _ => config_file()?,
  };
  if let Some(text) = Config::load(&path)?.aliases.get(name) {
    let own = split_words(text)
      .map_err(|error| CtlError::usage(format!("the alias {error}")))?
      .into_iter()
      .map(OsString::from);
    return Ok(Some(Outside::Words(own.chain(rest.iter().cloned()).collect())));
  }
  Ok(plugins().remove(name).map(|program| Outside::Program(program, rest.to_vec())))
}

/// Plugins by name; the first on PATH counts.
pub fn plugins() -> BTreeMap<String, PathBuf> {
  let mut found = BTreeMap::new();
  for folder in std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()) {
    // An empty part of PATH is the current folder: nothing is run from there by accident.
    if !folder.is_absolute() {
      continue;
    }
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
      let file = entry.file_name();
      let Some(name) = file.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { continue };
      let runs = std::fs::metadata(entry.path())
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
      if runs && !name.is_empty() {
        found.entry(name.to_owned()).or_insert_with(|| entry.path());
      }
    }
  }
  found
}
