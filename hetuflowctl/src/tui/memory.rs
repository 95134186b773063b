//! What is remembered between sessions: hidden columns, order and earlier filters of each list.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::model::Model;
use crate::client::write_private;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Kept {
  lists: BTreeMap<String, KeptList>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct KeptList {
  hidden: BTreeSet<String>,
  sort: String,
  earlier: Vec<String>,
}

/// Writes it; a disk that is full is no reason to stop.
pub fn save(path: &Path, model: &Model) {
  let lists = model.lists.iter().map(|(name, list)| {
    let kept = KeptList {
      hidden: list.hidden.clone(),
      sort: list.sort.clone(),
      earlier: list.earlier.clone(),
    };
    ((*name).to_owned(), kept)
  });
  if let Ok(text) = toml::to_string(&Kept { lists: lists.collect() }) {
    let _ = write_private(path, text.as_bytes());
  }
}

/// Reads it; what cannot be read counts as nothing.
pub fn load(path: &Path, model: &mut Model) {
  let text = std::fs::read_to_string(path).unwrap_or_default();
  let kept: Kept = toml::from_str(&text).unwrap_or_default();
  for (name, list) in &mut model.lists {
    if let Some(known) = kept.lists.get(*name) {
      list.hidden.clone_from(&known.hidden);
      list.sort.clone_from(&known.sort);
      list.earlier.clone_from(&known.earlier);
    }
  }
}
