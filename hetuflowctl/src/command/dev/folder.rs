//! The folder of `dev`: locked while in use, marked as ours, with the children's config files.

use std::ffi::OsString;
use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::child::Recipe;
use crate::client::{CtlError, Exit, write_private};

const MARK: &str = "hetuflow-dev";
/// Ports tried after the wished one.
const PORTS: u16 = 100;

/// The folder, locked for as long as this lives.
#[derive(Debug)]
pub struct Folder {
  /// Where it is.
  pub path: PathBuf,
  _lock: File,
}

impl Folder {
  /// Makes or takes the folder; `reset` empties it first.
  ///
  /// # Errors
  /// Conflict, when another `dev` has it or it is somebody else's.
  pub fn take(path: &Path, reset: bool) -> Result<Self, CtlError> {
    let place = path.display();
    let told =
      |error: std::io::Error| CtlError::failure(format!("cannot use the folder {place}: {error}"));
    std::fs::create_dir_all(path).map_err(told)?;
    let path = path.canonicalize().map_err(told)?;
    let mark = path.join(MARK);
    let ours = mark.exists();
    let empty = std::fs::read_dir(&path).map_err(told)?.next().is_none();
    // A folder with other things in it is never written to, and surely never emptied.
    if !ours && !empty {
      return Err(
        CtlError::new(Exit::Conflict, format!("{place} holds other things"))
          .help("give --data with a new or empty folder"),
      );
    }
    let lock =
      File::options().create(true).truncate(false).write(true).open(&mark).map_err(told)?;
    flock(&lock, FlockOperation::NonBlockingLockExclusive).map_err(|_| {
      CtlError::new(Exit::Conflict, format!("another hetuflowctl dev works in {place}"))
        .help("give --data with another folder, or stop the other one")
    })?;
    if reset {
      for entry in std::fs::read_dir(&path).map_err(told)? {
        let entry = entry.map_err(told)?;
        if entry.file_name() == MARK {
          continue;
        }
        let removed = if entry.file_type().map_err(told)?.is_dir() {
          std::fs::remove_dir_all(entry.path())
        } else {
          std::fs::remove_file(entry.path())
        };
        removed.map_err(told)?;
      }
    }
    Ok(Self { path, _lock: lock })
  }

  /// The server's own folder.
  pub fn server(&self) -> PathBuf {
    self.path.join("server")
  }

  /// The token that the server writes.
  pub fn token(&self) -> PathBuf {
    self.server().join("admin.token")
  }

  /// The file that says where the server listens.
  pub fn server_json(&self) -> PathBuf {
    self.server().join("server.json")
  }

  /// Writes the server's config and says how to start it.
  ///
  /// # Errors
  /// When the folder cannot be written.
  pub fn server_recipe(
    &self,
    program: PathBuf,
    port: u16,
    db: Option<&str>,
  ) -> Result<Recipe, CtlError> {
    let data = self.server();
    std::fs::create_dir_all(&data)?;
    let url = match db {
      Some(url) => url.to_owned(),
      None => format!("sqlite:{}", data.join("hetuflow.db").display()),
    };
    let text = format!(
      "# Written by hetuflowctl dev at each start.\n\
       [server]\nbind_address = {}\ndata_dir = {}\n\n[database]\nurl = {}\n\n[auth]\nmode = \"token\"\n\n[log]\nlevel = \"info\"\n",
      quoted(&format!("127.0.0.1:{port}")),
      quoted(&data.display().to_string()),
      quoted(&url),
    );
    let config = self.path.join("server.toml");
    // The URL may hold a password.
    write_private(&config, text.as_bytes())?;
    // An old file would tell of a server that is gone.
    let _ = std::fs::remove_file(self.server_json());
    Ok(Recipe {
      name: "server".into(),
      program,
      args: start_args(&config),
      environment: Vec::new(),
    })
  }

  /// Writes an agent's config and says how to start it.
  ///
  /// # Errors
  /// When the folder cannot be written.
  pub fn agent_recipe(&self, program: PathBuf, number: u32, url: &str) -> Result<Recipe, CtlError> {
    let name = format!("agent-{number}");
    let home = self.path.join(&name);
    let (state, work) = (home.join("state"), home.join("work"));
    std::fs::create_dir_all(&state)?;
    std::fs::create_dir_all(&work)?;
    let text = format!(
      "# Written by hetuflowctl dev at each start.\n\
       [agent]\nagent_id = {}\ntoken_file = {}\nstate_dir = {}\nwork_dir = {}\ntasks_on_stop = \"stop\"\n\
       # Tasks run as whoever has started this, and that may be root.\nallow_root_tasks = true\n\n\
       [agent.connection]\nserver_base_url = {}\n\n[agent.polling]\nmax_concurrent_tasks = 10\n",
      quoted(&format!("dev-{number}")),
      quoted(&self.token().display().to_string()),
      quoted(&state.display().to_string()),
      quoted(&work.display().to_string()),
      quoted(url),
    );
    let config = self.path.join(format!("{name}.toml"));
    write_private(&config, text.as_bytes())?;
    let demo = self.path.join("demo");
    std::fs::create_dir_all(&demo)?;
    let environment = vec![("DEMO_DIR".to_owned(), demo.into_os_string())];
    Ok(Recipe { name, program, args: start_args(&config), environment })
  }
}

fn start_args(config: &Path) -> Vec<OsString> {
  vec!["start".into(), "--config".into(), config.as_os_str().to_owned()]
}

fn quoted(text: &str) -> String {
  toml::Value::String(text.to_owned()).to_string()
}

/// The wished port, or the next free one.
///
/// # Errors
/// Conflict, when none is free.
pub fn free_port(wished: u16) -> Result<u16, CtlError> {
  let last = wished.saturating_add(PORTS);
  for port in wished..=last {
    // Port 0 lets the kernel choose.
    if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
      return Ok(listener.local_addr()?.port());
    }
  }
  Err(
    CtlError::new(Exit::Conflict, format!("no port from {wished} to {last} is free"))
      .help("give --port"),
  )
}

/// A sibling program: beside this one, or on PATH.
///
/// # Errors
/// Not found, with both places.
pub fn sibling(name: &str) -> Result<PathBuf, CtlError> {
  let beside = std::env::current_exe()?.with_file_name(name);
  if beside.is_file() {
    return Ok(beside);
  }
  let path = std::env::var_os("PATH").unwrap_or_default();
  std::env::split_paths(&path)
    .map(|folder| folder.join(name))
    .find(|path| path.is_file())
    .ok_or_else(|| {
      CtlError::new(Exit::NotFound, format!("no program {name}"))
        .fact(format!("looked for {} and on PATH", beside.display()))
        .help("build all of it:  cargo build --release")
    })
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn only_our_own_folder_is_emptied() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("precious"), "x").expect("written");
    assert_eq!(Folder::take(folder.path(), true).expect_err("not ours").exit, 6);
    assert!(folder.path().join("precious").exists());

    let own = folder.path().join("dev");
    let first = Folder::take(&own, false).expect("made");
    std::fs::create_dir(own.join("server")).expect("made");
    assert_eq!(Folder::take(&own, true).expect_err("in use").exit, 6);
    assert!(own.join("server").exists());
    drop(first);
    Folder::take(&own, true).expect("ours");
    assert!(!own.join("server").exists());
  }

  #[test]
  fn a_taken_port_is_passed_over() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    assert_ne!(free_port(port).expect("another"), port);
  }
}
