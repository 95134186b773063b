//! Finding PostgreSQL, and the user that may run it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};

/// An installed PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Install {
  /// The `initdb` program.
  pub initdb: PathBuf,
  /// The `postgres` program.
  pub postgres: PathBuf,
}

/// A user that is not root, for programs which refuse to run as root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Unprivileged {
  /// User id.
  pub(super) uid: u32,
  /// Its primary group.
  pub(super) gid: u32,
}

impl Install {
  /// Looks in `PG_BIN`, then `PATH`, then `/usr/lib/postgresql/*/bin`, newest first.
  ///
  /// # Errors
  /// When none has both programs; the text says how to install PostgreSQL.
  pub fn find() -> Result<Self> {
    Self::find_in(
      std::env::var_os("PG_BIN"),
      std::env::var_os("PATH"),
      Path::new("/usr/lib/postgresql"),
    )
  }

  /// [`Install::find`] with its surroundings given. A `PG_BIN` without PostgreSQL is an error.
  fn find_in(pg_bin: Option<OsString>, path: Option<OsString>, debian: &Path) -> Result<Self> {
    if let Some(dir) = pg_bin {
      let dir = PathBuf::from(dir);
      let Some(install) = Self::in_dir(&dir) else {
        bail!("PG_BIN={} has no initdb and postgres in it", dir.display());
      };
      return Ok(install);
    }
    let path = path.unwrap_or_default();
    let found = std::env::split_paths(&path).chain(debian_dirs(debian)).find_map(|dir| {
      let install = Self::in_dir(&dir)?;
      Some(install)
    });
    let Some(install) = found else {
      bail!("PostgreSQL is not installed: apt-get install -y postgresql (or set PG_BIN)");
    };
    Ok(install)
  }

  /// The two programs, if `dir` has both.
  fn in_dir(dir: &Path) -> Option<Self> {
    let install = Self { initdb: dir.join("initdb"), postgres: dir.join("postgres") };
    (install.initdb.is_file() && install.postgres.is_file()).then_some(install)
  }
}

/// Debian's versioned folders, newest version first.
fn debian_dirs(root: &Path) -> Vec<PathBuf> {
  let entries = std::fs::read_dir(root).into_iter().flatten().flatten();
  let mut versions: Vec<(u32, PathBuf)> = entries
    .filter_map(|entry| {
      let version = entry.file_name().to_str()?.parse().ok()?;
      Some((version, entry.path().join("bin")))
    })
    .collect();
  versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
  versions.into_iter().map(|(_, dir)| dir).collect()
}

impl Unprivileged {
  /// The user to change to: none when we are not root, else `postgres`, else `nobody`.
  ///
  /// # Errors
  /// When we are root and the machine knows neither.
  pub(super) fn needed() -> Result<Option<Self>> {
    if !rustix::process::geteuid().is_root() {
      return Ok(None);
    }
    let passwd = std::fs::read_to_string("/etc/passwd")?;
    match Self::from_passwd(&passwd) {
      Some(user) => Ok(Some(user)),
      None => bail!("we are root, and /etc/passwd has neither `postgres` nor `nobody`"),
    }
  }

  /// Picks the user from the text of `/etc/passwd`.
  fn from_passwd(passwd: &str) -> Option<Self> {
    let find = |name: &str| {
      let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
      let mut ids = line.split(':').skip(2);
      Some(Self { uid: ids.next()?.parse().ok()?, gid: ids.next()?.parse().ok()? })
    };
    find("postgres").or_else(|| find("nobody"))
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  /// Makes a folder that looks like PostgreSQL's.
  fn fake(dir: &Path) -> PathBuf {
    std::fs::create_dir_all(dir).unwrap();
    for name in ["initdb", "postgres"] {
      std::fs::write(dir.join(name), "").unwrap();
    }
    dir.to_owned()
  }

  #[test]
  fn variable_then_path_then_newest_version() {
    let dir = tempfile::tempdir().unwrap();
    let debian = dir.path().join("lib");
    fake(&debian.join("9/bin"));
    let newest = fake(&debian.join("15/bin"));
    std::fs::create_dir_all(debian.join("16/bin")).unwrap();
    let on_path = fake(&dir.path().join("path"));
    let named = fake(&dir.path().join("named"));
    let find = |pg_bin: Option<&PathBuf>, path: Option<&PathBuf>| {
      let as_os = |dir: &PathBuf| dir.clone().into_os_string();
      Install::find_in(pg_bin.map(as_os), path.map(as_os), &debian).unwrap().initdb
    };
    assert_eq!(find(Some(&named), Some(&on_path)), named.join("initdb"));
    assert_eq!(find(None, Some(&on_path)), on_path.join("initdb"));
    assert_eq!(find(None, None), newest.join("initdb"));
  }

  #[test]
  fn a_missing_postgresql_says_how_to_install_it() {
    let dir = tempfile::tempdir().unwrap();
    let error = Install::find_in(None, None, dir.path()).unwrap_err().to_string();
    assert!(error.contains("apt-get install -y postgresql"), "{error}");
    let error = Install::find_in(Some(dir.path().into()), None, dir.path()).unwrap_err();
    assert!(error.to_string().starts_with("PG_BIN="), "{error}");
  }

  #[test]
  fn prefers_postgres_over_nobody() {
    let nobody = "root:x:0:0::/root:/bin/sh\nnobody:x:65534:65533::/:/bin/false\n";
    assert_eq!(Unprivileged::from_passwd(nobody).unwrap().uid, 65534);
    let both = format!("{nobody}postgres:x:101:104::/:/bin/bash\n");
    let expected = Unprivileged { uid: 101, gid: 104 };
    assert_eq!(Unprivileged::from_passwd(&both), Some(expected));
    assert_eq!(Unprivileged::from_passwd("postgresql:x:1:2::/:/bin/sh\n"), None);
  }
}
