//! The server's id and its files in the data folder.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

use hetuflow_core::ServerId;

use super::start_error::StartError;

/// Makes the data folder, for its owner alone.
pub(super) fn make_data_dir(dir: &Path) -> Result<(), StartError> {
  use std::os::unix::fs::DirBuilderExt;
  let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
  made.map_err(|source| StartError::DataDir { path: dir.to_owned(), source })
}

/// The configured id, or the one that was made at the first start.
pub(super) fn server_id(dir: &Path, configured: Option<&ServerId>) -> Result<ServerId, StartError> {
  if let Some(id) = configured {
    return Ok(id.clone());
  }
  let path = dir.join("server.id");
  let kept = std::fs::read_to_string(&path).ok().and_then(|text| ServerId::new(text.trim()).ok());
  if let Some(id) = kept {
    return Ok(id);
  }
  let id = ServerId::generate();
  std::fs::write(&path, id.as_str()).map_err(|source| StartError::DataDir { path, source })?;
  Ok(id)
}

/// Says where the server listens, in `server.json`, in one step.
pub(super) fn write_server_json(dir: &Path, bind: SocketAddr) -> Result<(), StartError> {
  let path = dir.join("server.json");
  let text = serde_json::json!({
    "pid": std::process::id(), "bind": bind.to_string(), "url": format!("http://{bind}"),
  });
  let write = || {
    let part = dir.join("server.json.part");
    let mut file = std::fs::File::create(&part)?;
    file.write_all(text.to_string().as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&part, &path)
  };
  write().map_err(|source| StartError::DataDir { path: path.clone(), source })
}

/// Takes `server.json` away again.
pub(super) fn remove_server_json(dir: &Path) {
  // It is gone with the folder, or was never written.
  let _absent = std::fs::remove_file(dir.join("server.json"));
}
