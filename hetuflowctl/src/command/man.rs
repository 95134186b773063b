//! `man`: manual pages.

use serde_json::json;

use crate::cli::{ManArgs, man_pages};
use crate::client::CtlError;
use crate::output::{Outcome, View};

/// Writes all pages into a folder, or prints the first one.
///
/// # Errors
/// When the folder cannot be written.
pub fn run(args: &ManArgs) -> Result<Outcome, CtlError> {
  let pages = man_pages();
  let Some(folder) = &args.dir else {
    return Ok(
      View::Raw(pages.into_iter().next().map(|(_, page)| page).unwrap_or_default()).into(),
    );
  };
  std::fs::create_dir_all(folder)?;
  for (name, page) in &pages {
    let path = folder.join(name);
    std::fs::write(&path, page)
      .map_err(|error| CtlError::failure(format!("cannot write {}: {error}", path.display())))?;
  }
  let text = format!("{} pages in {}\n", pages.len(), folder.display());
  let names: Vec<&String> = pages.iter().map(|(name, _)| name).collect();
  Ok(View::text(text, json!({ "dir": folder, "pages": names })).into())
}
