//! Where the work of another scheduler is read from, and where manifests are written to.

use std::path::{Path, PathBuf};

use jiff::tz::TimeZone;
use serde_json::Value;

use super::crontab::Tab;
use super::found::Found;
use super::{cronicle, cronjob, crontab, systemd};
use crate::cli::{CrontabArgs, ImportHow, ImportVerb};
use crate::client::{CtlError, Exit};
use crate::command::apply::read_documents;
use crate::command::input_file::{read_bounded, read_text, utf8};

/// Longest source file.
const FILE_BYTES_MAX: u64 = 64 << 20;

impl ImportVerb {
  /// What to do with what is found.
  pub fn how(&self) -> &ImportHow {
    match self {
      Self::Crontab(args) => &args.how,
      Self::Systemd(args) | Self::Cronjob(args) | Self::Cronicle(args) => &args.how,
    }
  }
}

/// Reads all sources; what the source is called.
///
/// # Errors
/// When a file is missing or is of another kind.
pub fn read(
  verb: &ImportVerb,
  zone: (&str, &TimeZone),
  found: &mut Found,
) -> Result<&'static str, CtlError> {
  match verb {
    ImportVerb::Crontab(args) => crontabs(args, zone, found).map(|()| "crontab"),
    ImportVerb::Systemd(args) => {
      for path in files(&args.files, &["timer"])? {
        let text = read_text(&path, FILE_BYTES_MAX)?;
        systemd::import(&path, &text, zone, |service| std::fs::read_to_string(service).ok(), found);
      }
      Ok("systemd")
    }
    ImportVerb::Cronjob(args) => {
      for path in files(&args.files, &["yaml", "yml", "json"])? {
        let place = path.display().to_string();
        for document in read_documents(&place, &read_text(&path, FILE_BYTES_MAX)?)? {
          cronjob::import(&place, &document, zone, found);
        }
      }
      Ok("kubernetes")
    }
    ImportVerb::Cronicle(args) => {
      for path in files(&args.files, &["json", "txt"])? {
        let place = path.display().to_string();
        let events = cronicle::events(&read_text(&path, FILE_BYTES_MAX)?).ok_or_else(|| {
          CtlError::new(Exit::Invalid, format!("{place} is no export of Cronicle"))
            .help("on its server: /opt/cronicle/bin/control.sh export FILE")
        })?;
        for event in events {
          cronicle::import(&place, &event, zone, found);
        }
      }
      Ok("cronicle")
    }
  }
}

fn crontabs(
  args: &CrontabArgs,
  zone: (&str, &TimeZone),
  found: &mut Found,
) -> Result<(), CtlError> {
  if args.files.is_empty() {
    let mut command = std::process::Command::new("crontab");
    command.arg("-l");
    if let Some(user) = &args.user {
      command.args(["-u", user]);
    }
    let output = command
      .output()
      .map_err(|error| CtlError::new(Exit::NotFound, format!("cannot run crontab -l: {error}")))?;
    if !output.status.success() {
      let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
      return Err(CtlError::failure("crontab -l gave nothing").fact(words));
    }
    let name = args.user.as_ref().map_or("crontab".to_owned(), |user| format!("crontab of {user}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    crontab::import(&text, &Tab { name: &name, system: args.system, zone }, found);
    return Ok(());
  }
  for path in &args.files {
    let stdin = path.as_os_str() == "-";
    let name = if stdin { "stdin".to_owned() } else { path.display().to_string() };
    let text = match stdin {
      true => utf8(read_bounded(std::io::stdin(), &name, FILE_BYTES_MAX)?, &name)?,
      false => read_text(path, FILE_BYTES_MAX)?,
    };
    let etc = path == Path::new("/etc/crontab") || path.starts_with("/etc/cron.d");
    crontab::import(&text, &Tab { name: &name, system: args.system || etc, zone }, found);
  }
  Ok(())
}

/// The files, and those of folders that end so.
fn files(paths: &[PathBuf], endings: &[&str]) -> Result<Vec<PathBuf>, CtlError> {
  let mut all = Vec::new();
  for path in paths {
    if !path.is_dir() {
      all.push(path.clone());
      continue;
    }
    let entries = std::fs::read_dir(path)?.filter_map(|entry| Some(entry.ok()?.path()));
    let mut inside: Vec<PathBuf> = entries
      .filter(|file| {
        file.extension().and_then(|ext| ext.to_str()).is_some_and(|ext| endings.contains(&ext))
      })
      .collect();
    if inside.is_empty() {
      let wanted = endings.join(", *.");
      return Err(CtlError::new(Exit::NotFound, format!("no *.{wanted} in {}", path.display())));
    }
    inside.sort();
    all.extend(inside);
  }
  Ok(all)
}

/// A manifest as text.
///
/// # Errors
/// When it cannot be written as YAML.
pub fn yaml(manifest: &Value) -> Result<String, CtlError> {
  serde_saphyr::to_string(manifest)
    .map_err(|error| CtlError::failure(format!("cannot write YAML: {error}")))
}

/// Writes one file per job; a file that is there with another text is left alone.
///
/// # Errors
/// Conflict, before anything is written; or when the folder cannot be written.
pub fn write(found: &Found, folder: &Path) -> Result<(), CtlError> {
  let mut files = Vec::new();
  for one in &found.jobs {
    let path = folder.join(format!("{}.yaml", one.job.name));
    let text =
      format!("# From {}\n{}", one.place.replace(['\n', '\r'], " "), yaml(&one.manifest())?);
    match std::fs::read_to_string(&path) {
      Ok(known) if known != text => {
        let message = format!("{} is there already, with another text", path.display());
        return Err(CtlError::new(Exit::Conflict, message).help("give --write a new folder"));
      }
      Ok(_) => {}
      Err(_) => files.push((path, text)),
    }
  }
  std::fs::create_dir_all(folder)?;
  for (path, text) in files {
    std::fs::write(&path, text)
      .map_err(|error| CtlError::failure(format!("cannot write {}: {error}", path.display())))?;
  }
  Ok(())
}
