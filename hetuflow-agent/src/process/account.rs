//! Users of this host, by name.

use std::io;
use std::path::PathBuf;

/// A user of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
  /// The name.
  pub name: String,
  /// The number.
  pub uid: u32,
  /// The number of its first group.
  pub gid: u32,
  /// Its folder, which need not exist.
  pub home: PathBuf,
  /// Its shell.
  pub shell: PathBuf,
}

impl Account {
  /// Looks a user up as the host does, in files or over the network. Blocks.
  ///
  /// # Errors
  /// When the host cannot say.
  pub fn find(name: &str) -> io::Result<Option<Self>> {
    let found = nix::unistd::User::from_name(name).map_err(io::Error::from)?;
    Ok(found.map(|user| Self {
      name: user.name,
      uid: user.uid.as_raw(),
      gid: user.gid.as_raw(),
      home: user.dir,
      shell: user.shell,
    }))
  }
}

/// Who this process is.
pub fn own_uid() -> u32 {
  rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn users_are_found_by_name() {
    let root = Account::find("root").expect("readable").expect("there");
    assert_eq!((root.uid, root.gid), (0, 0));
    assert_eq!(Account::find("no-such-user-here").expect("readable"), None);
  }
}
