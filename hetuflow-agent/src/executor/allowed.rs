//! Which programs jobs may name on this host: all of them, or those of the list in its own config.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::Cause;
use super::prepare::{refused, spawn_failed};
use crate::process::{Launch, find_program};

/// Variables by which an allowed program would find or load something that is not on the list; those of
/// programs that many hosts have.
const LEADS_ASTRAY: [&str; 24] = [
  "PATH",
  "HOME",
  "GCONV_PATH",
  "GLIBC_TUNABLES",
  "ENV",
  "BASH_ENV",
  "PYTHONPATH",
  "PYTHONHOME",
  "PYTHONSTARTUP",
  "PYTHONUSERBASE",
  "NODE_OPTIONS",
  "NODE_PATH",
  "PERL5LIB",
  "PERL5OPT",
  "PERLLIB",
  "RUBYLIB",
  "RUBYOPT",
  "CLASSPATH",
  "JAVA_TOOL_OPTIONS",
  "JDK_JAVA_OPTIONS",
  "_JAVA_OPTIONS",
  "OPENSSL_CONF",
  "TAR_OPTIONS",
  "TAR_RSH",
];
/// What such variables begin with: the system's loader, functions of a shell, git.
const LEAD_ASTRAY: [&str; 3] = ["LD_", "BASH_FUNC_", "GIT_"];

/// The list of a host that has one.
#[derive(Debug, Clone, Copy)]
pub struct Allowed<'a> {
  list: &'a [String],
  /// Where the agent itself finds programs.
  search: &'a OsStr,
}

impl<'a> Allowed<'a> {
  /// None where everything may run.
  pub fn by(list: &'a [String], search: &'a OsStr) -> Option<Self> {
    (!list.is_empty()).then_some(Self { list, search })
  }

  /// The launch with the file of its program, which is on the list.
  ///
  /// # Errors
  /// When it is not, or is nowhere.
  pub fn program(self, launch: Launch) -> Result<Launch, Cause> {
    let found = find_program(&launch.name, &launch.search, &launch.directory);
    let found = found.map_err(|error| spawn_failed(&error))?;
    match place(&found) {
      Some(place) if self.list.iter().any(|entry| self.covers(entry, &place)) => {
        // What was looked at is what runs: the way to it may lead elsewhere for another process.
        Ok(Launch { program: place, ..launch })
      }
      _ => Err(refused(format!(
        "the program {} is not allowed on this host: add it to agent.commands_allow in the agent's \
         own config (in it: {}), and restart the agent",
        found.display(),
        self.list.join(", ")
      ))),
    }
  }

  /// Looks at the names of what a job, or who runs it, puts into the environment.
  ///
  /// # Errors
  /// When one of them would make the list worth nothing.
  pub fn environment<'n>(self, mut names: impl Iterator<Item = &'n String>) -> Result<(), Cause> {
    let astray = |name: &&String| {
      LEADS_ASTRAY.contains(&name.as_str()) || LEAD_ASTRAY.iter().any(|p| name.starts_with(p))
    };
    match names.find(astray) {
      None => Ok(()),
      Some(name) => Err(refused(format!(
        "the variable {name} would let a program run something that is not in agent.commands_allow \
         of this host: take it out of the environment of the job or of the run"
      ))),
    }
  }

  /// Whether an entry is this program, or the folder above it.
  fn covers(self, entry: &str, program: &Path) -> bool {
    if entry.ends_with('/') {
      return std::fs::canonicalize(entry).is_ok_and(|folder| program.starts_with(folder));
    }
    let found = find_program(OsStr::new(entry), self.search, Path::new("/"));
    found.ok().and_then(|found| place(&found)).as_deref() == Some(program)
  }
}

/// Where a file really lies, under the name by which it is called: one file may be many programs.
fn place(file: &Path) -> Option<PathBuf> {
  let folder = std::fs::canonicalize(file.parent()?).ok()?;
  Some(folder.join(file.file_name()?))
}

#[cfg(test)]
mod tests {
  use std::os::unix::fs::{PermissionsExt, symlink};

  use super::*;

  fn program(path: &Path) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    std::fs::write(path, "#!/bin/sh\n").expect("written");
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("set");
  }

  #[test]
  fn only_what_is_listed_wherever_it_seems_to_be() {
    let dir = tempfile::tempdir().expect("dir");
    let at = |name: &str| dir.path().join(name);
    for name in ["bin/tar", "bin/sh", "jobs/backup", "jobs/deep/one", "tmp/tar", "tmp/backup"] {
      program(&at(name));
    }
    symlink(at("bin"), at("usr")).expect("a link to a folder");
    symlink(at("bin/sh"), at("tmp/sh")).expect("a link to a file");
    symlink(at("bin/sh"), at("bin/many")).expect("another name");
    let list = ["tar".to_owned(), format!("{}/", at("jobs").display())];
    let search = at("bin").into_os_string();
    let allowed = Allowed::by(&list, &search).expect("a list");
    let told = |name: &str, path: &str, directory: &str| {
      let launch = Launch {
        name: name.into(),
        search: at(path).into_os_string(),
        directory: at(directory),
        ..Launch::default()
      };
      allowed.program(launch).map(|launch| launch.program)
    };
    let absolute = |name: &str| at(name).display().to_string();
    for (name, path, directory, expected) in [
      ("tar", "bin", "", Some("bin/tar")),
      ("tar", "usr", "", Some("bin/tar")),
      ("tar", "tmp", "", None),
      ("./tar", "bin", "tmp", None),
      ("../bin/tar", "bin", "tmp", Some("bin/tar")),
      ("./backup", "bin", "jobs", Some("jobs/backup")),
      ("./deep/one", "bin", "jobs", Some("jobs/deep/one")),
      ("deep/../../tmp/backup", "bin", "jobs", None),
      ("sh", "bin", "", None),
      ("sh", "tmp", "", None),
      ("many", "bin", "", None),
      (&absolute("jobs/backup"), "bin", "", Some("jobs/backup")),
      (&absolute("bin/sh"), "bin", "", None),
      ("/nowhere/at/all", "bin", "", None),
      ("..", "bin", "", None),
    ] {
      match (told(name, path, directory), expected) {
        (Ok(found), Some(expected)) => assert_eq!(found, at(expected), "{name}"),
        (Err(Cause::NotStarted { .. }), None) => {}
        (told, expected) => panic!("{name}: {told:?}, not {expected:?}"),
      }
    }
  }

  #[test]
  fn no_variable_leads_astray() {
    let list = ["tar".to_owned()];
    let allowed = Allowed::by(&list, OsStr::new("/bin")).expect("a list");
    for (name, fine) in [
      ("COLOUR", true),
      ("PATHS", true),
      ("PATH", false),
      ("LD_PRELOAD", false),
      ("BASH_FUNC_tar%%", false),
    ] {
      let names = ["A".to_owned(), name.to_owned()];
      assert_eq!(allowed.environment(names.iter()).is_ok(), fine, "{name}");
    }
    assert!(Allowed::by(&[], OsStr::new("/bin")).is_none());
  }
}
