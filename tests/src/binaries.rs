//! Where the built binaries lie.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

/// The three binaries that belong to the running test.
#[derive(Debug, Clone)]
pub struct Binaries {
  /// `hetuflow-server`.
  pub server: PathBuf,
  /// `hetuflow-agent`.
  pub agent: PathBuf,
  /// `hetuflowctl`.
  pub ctl: PathBuf,
}

impl Binaries {
  /// Finds the binaries: `HETUFLOW_BIN_DIR`, else the target folder that this executable is in.
  ///
  /// # Errors
  /// When one is missing; the text names the build command.
  pub fn find() -> Result<Self> {
    let dir = match std::env::var_os("HETUFLOW_BIN_DIR") {
      Some(dir) => PathBuf::from(dir),
      None => profile_dir(&std::env::current_exe().context("find the running executable")?),
    };
    Self::in_dir(&dir)
  }

  /// Takes the binaries from `dir`.
  ///
  /// # Errors
  /// When one is missing; the text names the build command.
  pub fn in_dir(dir: &Path) -> Result<Self> {
    let pick = |name: &str| {
      let path = dir.join(name);
      if !path.is_file() {
        bail!("{} is missing: run `cargo build --workspace --bins` first", path.display());
      }
      Ok(path)
    };
    Ok(Self {
      server: pick("hetuflow-server")?,
      agent: pick("hetuflow-agent")?,
      ctl: pick("hetuflowctl")?,
    })
  }
}

/// The folder of a cargo profile, given an executable in it, in its `deps` or its `examples`.
fn profile_dir(exe: &Path) -> PathBuf {
  let mut dir = exe.parent().unwrap_or(Path::new("."));
  if dir.ends_with("deps") || dir.ends_with("examples") {
    dir = dir.parent().unwrap_or(dir);
  }
  dir.to_owned()
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn finds_the_profile_folder() {
    assert_eq!(profile_dir(Path::new("/t/debug/deps/story-1")), Path::new("/t/debug"));
    assert_eq!(profile_dir(Path::new("/t/release/examples/x")), Path::new("/t/release"));
    assert_eq!(profile_dir(Path::new("/t/debug/hetuflow-test-postgres")), Path::new("/t/debug"));
  }

  #[test]
  fn a_missing_binary_names_the_build_command() {
    let dir = tempfile::tempdir().unwrap();
    let error = Binaries::in_dir(dir.path()).unwrap_err().to_string();
    assert!(error.contains("hetuflow-server is missing"), "{error}");
    assert!(error.contains("cargo build --workspace --bins"), "{error}");
  }
}
