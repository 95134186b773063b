//! Manifest files: found, read within bounds, checked to be UTF-8.

use std::path::{Path, PathBuf};

use super::problem::Problem;
use crate::client::{CtlError, Exit};
use crate::command::input_file::{read_bounded, read_file};

/// Longest manifest file.
pub const FILE_BYTES_MAX: u64 = 1 << 20;
/// Most files of one apply.
const FILES_MAX: usize = 1000;

/// A manifest file's text.
#[derive(Debug, Clone)]
pub struct Source {
  /// Its name, as given.
  pub name: String,
  /// Its text, without a byte order mark.
  pub text: String,
}

impl Source {
  /// A text with a name.
  pub fn new(name: impl Into<String>, text: impl Into<String>) -> Self {
    let text: String = text.into();
    let text = text.strip_prefix('\u{feff}').map_or(text.clone(), str::to_owned);
    Self { name: name.into(), text }
  }

  /// A line, counted from 1.
  pub fn line(&self, number: usize) -> &str {
    self.text.lines().nth(number.saturating_sub(1)).unwrap_or_default()
  }
}

/// Folders inside folders are followed so deep.
const DEPTH_MAX: usize = 32;

/// Reads all files; folders give their `*.yaml` and `*.yml`, and with `recursive` those of the
/// folders in them.
///
/// # Errors
/// Not found, or not readable as text.
pub fn read_all(
  paths: &[PathBuf],
  recursive: bool,
) -> Result<(Vec<Source>, Vec<Problem>), CtlError> {
  let (mut sources, mut problems) = (Vec::new(), Vec::new());
  for path in paths {
    if path.as_os_str() == "-" {
      take(
        "stdin",
        read_bounded(std::io::stdin(), "stdin", FILE_BYTES_MAX)?,
        &mut sources,
        &mut problems,
      );
      continue;
    }
    for file in files_of(path, recursive)? {
      let name = file.display().to_string();
      take(&name, read_file(&file, FILE_BYTES_MAX)?, &mut sources, &mut problems);
    }
  }
  Ok((sources, problems))
}

fn take(name: &str, bytes: Vec<u8>, sources: &mut Vec<Source>, problems: &mut Vec<Problem>) {
  match String::from_utf8(bytes) {
    Ok(text) => sources.push(Source::new(name, text)),
    Err(error) => {
      let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
      let line = good.iter().filter(|byte| **byte == b'\n').count() + 1;
      let bad = error.as_bytes()[good.len()];
      problems.push(
        Problem::in_file(name, "yaml.utf8", format!("line {line} is not UTF-8: byte 0x{bad:02x}"))
          .hint("save the file as UTF-8"),
      );
    }
  }
}

fn files_of(path: &Path, recursive: bool) -> Result<Vec<PathBuf>, CtlError> {
  let place = path.display();
  let metadata = std::fs::metadata(path).map_err(|error| match error.kind() {
    std::io::ErrorKind::NotFound => CtlError::new(Exit::NotFound, format!("no file {place}"))
      .help("a folder takes all its manifests, - reads stdin:  hetuflowctl help apply"),
    _ => CtlError::failure(format!("cannot read {place}: {error}")),
  })?;
  if !metadata.is_dir() {
    return Ok(vec![path.to_owned()]);
  }
  let mut files = Vec::new();
  in_folder(path, if recursive { DEPTH_MAX } else { 0 }, &mut files)?;
  if files.len() > FILES_MAX {
    return Err(CtlError::new(
      Exit::Invalid,
      format!("{place} has more than {FILES_MAX} manifests"),
    ));
  }
  if files.is_empty() {
    let error = CtlError::new(Exit::Invalid, format!("nothing to apply: no *.yaml in {place}"));
    return Err(if recursive { error } else { error.help("-R looks into the folders in it too") });
  }
  files.sort();
  Ok(files)
}

/// The manifests of a folder; links to folders are not followed.
fn in_folder(path: &Path, deeper: usize, files: &mut Vec<PathBuf>) -> Result<(), CtlError> {
  let told =
    |error: std::io::Error| CtlError::failure(format!("cannot read {}: {error}", path.display()));
  for entry in std::fs::read_dir(path).map_err(told)? {
    let entry = entry.map_err(told)?;
    let folder = entry.file_type().map_err(told)?.is_dir();
    let entry = entry.path();
    let yaml = entry.extension().is_some_and(|ext| ext == "yaml" || ext == "yml");
    if folder && deeper > 0 {
      in_folder(&entry, deeper - 1, files)?;
    } else if yaml && entry.is_file() {
      files.push(entry);
    }
    if files.len() > FILES_MAX {
      break;
    }
  }
  Ok(())
}

#[cfg(test)]
mod tests {
  use super::*;

  /// RELIABILITY B081 and B096: bounded reads, no hang.
  #[test]
  fn files_that_are_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let missing = folder.path().join("missing.yaml");
    assert_eq!(read_all(&[missing], false).expect_err("missing").exit, 3);
    assert_eq!(read_all(&[folder.path().to_owned()], false).expect_err("empty folder").exit, 8);
    assert_eq!(read_all(&["/dev/zero".into()], false).expect_err("a device").exit, 8);
    let long = folder.path().join("long.yaml");
    std::fs::write(&long, vec![b'#'; 2 << 20]).expect("written");
    assert_eq!(read_all(&[long], false).expect_err("too long").exit, 8);
    let fifo = folder.path().join("fifo");
    rustix::fs::mknodat(
      rustix::fs::CWD,
      &fifo,
      rustix::fs::FileType::Fifo,
      rustix::fs::Mode::RWXU,
      0,
    )
    .expect("a pipe");
    let link = folder.path().join("link.yaml");
    std::os::unix::fs::symlink(&fifo, &link).expect("a link");
    assert_eq!(read_all(&[link], false).expect_err("a pipe").exit, 8);
  }

  #[test]
  fn folders_in_folders() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir_all(folder.path().join("a/b")).expect("made");
    std::fs::write(folder.path().join("a/b/c.yaml"), "x: 1").expect("written");
    let paths = [folder.path().to_owned()];
    assert_eq!(read_all(&paths, false).expect_err("nothing at the top").exit, 8);
    assert_eq!(read_all(&paths, true).expect("found").0.len(), 1);
  }

  /// RELIABILITY B092.
  #[test]
  fn encodings() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.yaml");
    std::fs::write(&path, b"# ok\nname: caf\xe9\n").expect("written");
    let (_, problems) = read_all(std::slice::from_ref(&path), false).expect("read");
    assert_eq!(problems[0].code, "yaml.utf8");
    assert!(problems[0].message.contains("line 2"), "{problems:?}");
    std::fs::write(&path, b"\xef\xbb\xbfa: 1\r\n").expect("written");
    assert_eq!(read_all(&[path], false).expect("read").0[0].text, "a: 1\r\n");
  }
}
