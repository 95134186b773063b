//! Who this agent is: its id, its host, its start.

use std::collections::HashMap;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use hetuflow_core::{
  AgentCapabilities, AgentId, LABEL_BYTES_MAX, Labels, MEASURED_LABELS, PROTOCOL_VERSION,
  TASK_TYPES_FEATURE,
};

use crate::config::Settings;
use crate::connection::Introduction;
use crate::executor::boot_id;

/// Why there is no id.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
  /// Another agent has the state folder.
  #[error("another agent{owner} uses the folder {path}; give each agent a state_dir of its own")]
  Taken {
    /// Which.
    path: String,
    /// Its process, as ` (pid 7)`, where that is known.
    owner: String,
  },
  /// The folder cannot be made.
  #[error("cannot make the folder {path}")]
  Folder {
    /// Which.
    path: String,
    /// Why.
    #[source]
    source: std::io::Error,
  },
  /// The file cannot be read or written.
  #[error("cannot keep the agent's id in {path}")]
  File {
    /// Which.
    path: String,
    /// Why.
    #[source]
    source: std::io::Error,
  },
}

/// The state folder as this agent's own, for as long as this lives; the kernel gives it back
/// whatever becomes of the process.
#[derive(Debug)]
pub struct StateLock {
  _file: std::fs::File,
}

/// Takes the state folder for this process. Call it after [`agent_id`], which makes the folder.
///
/// # Errors
/// [`IdentityError::Taken`] while another agent lives in it.
pub fn lock_state(settings: &Settings) -> Result<StateLock, IdentityError> {
  let path = settings.agent.state_dir.join("lock");
  let failed = |source| IdentityError::File { path: path.display().to_string(), source };
  let mut options = std::fs::OpenOptions::new();
  let options = options.read(true).write(true).create(true).truncate(false).mode(0o600);
  let mut file = options.open(&path).map_err(failed)?;
  match file.try_lock() {
    Ok(()) => {}
    Err(std::fs::TryLockError::WouldBlock) => {
      let pid = std::fs::read_to_string(&path).unwrap_or_default();
      let known = pid.trim().parse::<u32>().ok();
      let owner = known.map_or_else(String::new, |pid| format!(" (pid {pid})"));
      let path = settings.agent.state_dir.display().to_string();
      return Err(IdentityError::Taken { path, owner });
    }
    Err(std::fs::TryLockError::Error(source)) => return Err(failed(source)),
  }
  file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id())).map_err(failed)?;
  Ok(StateLock { _file: file })
}

/// The configured id, or the one made at the first start.
///
/// # Errors
/// [`IdentityError`] when an id was made before and cannot be read, or cannot be kept.
pub fn agent_id(settings: &Settings) -> Result<String, IdentityError> {
  for dir in [&settings.agent.state_dir, &settings.agent.work_dir, &settings.process.run_base_dir] {
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir);
    made.map_err(|source| IdentityError::Folder { path: dir.display().to_string(), source })?;
  }
  if let Some(id) = &settings.agent.agent_id {
    return Ok(id.clone());
  }
  let path = settings.agent.state_dir.join("agent_id");
  keep_id(&path).map_err(|source| IdentityError::File { path: path.display().to_string(), source })
}

fn keep_id(path: &Path) -> std::io::Result<String> {
  let mut options = std::fs::OpenOptions::new();
  match options.write(true).create_new(true).mode(0o600).open(path) {
    Ok(mut file) => {
      let id = AgentId::generate();
      file.write_all(id.as_str().as_bytes())?;
      file.sync_all()?;
      Ok(id.as_str().to_owned())
    }
    Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
      let text = std::fs::read_to_string(path)?;
      AgentId::new(text.trim()).map(|id| id.as_str().to_owned()).map_err(std::io::Error::other)
    }
    Err(error) => Err(error),
  }
}

/// The epoch of this start: its instant, and in any case more than that of the start before, also
/// when the wall clock was set back in between.
pub fn next_epoch(settings: &Settings, now_us: i64) -> i64 {
  let path = settings.agent.state_dir.join("epoch");
  let last = std::fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<i64>().ok());
  let epoch = last.map_or(now_us, |last| now_us.max(last + 1));
  if let Err(error) = std::fs::write(&path, epoch.to_string()) {
    tracing::warn!(%error, path = %path.display(), "the epoch of this start cannot be kept");
  }
  epoch
}

/// What is said about this agent on every connection; the rest is filled in there.
pub fn introduction(
  settings: &Settings,
  agent_id: &str,
  agent_epoch: i64,
  journal_id: String,
) -> Introduction {
  let hostname = sysinfo::System::host_name().unwrap_or_default();
  let agent = &settings.agent;
  let mut metadata: std::collections::HashMap<_, _> = agent.metadata.clone().into_iter().collect();
  let name = if agent.name.is_empty() { hostname.clone() } else { agent.name.clone() };
  metadata.entry("name".to_owned()).or_insert(name);
  // What is in force here, so that nobody has to find out by an attempt that got away.
  let in_force = crate::executor::in_force_here(settings.process.confine.cgroups);
  metadata.insert("sys_cgroup".to_owned(), in_force.keeper.to_owned());
  metadata.insert("sys_limits".to_owned(), in_force.words());
  Introduction {
    agent_id: agent_id.to_owned(),
    namespace_id: agent.namespaces.first().cloned().unwrap_or_else(|| "default".to_owned()),
    namespaces: agent.namespaces.clone(),
    capabilities: AgentCapabilities {
      max_concurrent_tasks: settings.polling.max_concurrent_tasks,
      labels: own_labels(&agent.labels, &hostname, in_force.keeper),
      supported_task_types: settings.task_types.keys().cloned().collect(),
      features: vec![TASK_TYPES_FEATURE.to_owned()],
      resources: declared(settings),
      ..AgentCapabilities::default()
    },
    metadata,
    version: env!("CARGO_PKG_VERSION").to_owned(),
    hostname,
    os_info: sysinfo::System::long_os_version().unwrap_or_else(|_| std::env::consts::OS.to_owned()),
    protocol_version: PROTOCOL_VERSION,
    boot_id: boot_id(),
    journal_id,
    agent_epoch,
    ..Introduction::default()
  }
}

/// What the settings say it has; the server goes by what was measured for the rest.
fn declared(settings: &Settings) -> HashMap<String, serde_json::Value> {
  let all = [("cpu", settings.resources.cpu), ("memory_mb", settings.resources.memory_mb)];
  let said = all.into_iter().filter(|(_, count)| *count > 0);
  said.map(|(name, count)| (name.to_owned(), count.into())).collect()
}

/// The labels of the settings, and what was measured.
pub fn own_labels(labels: &Labels, hostname: &str, cgroup: &str) -> Labels {
  let mut labels = labels.clone();
  let memory = sysinfo::System::new().map_or(0, |mut system| {
    system.refresh_memory_specifics(sysinfo::MemoryRefreshKind::nothing().with_ram());
    system.total_memory() >> 20
  });
  let cpus = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
  let plain = hostname.chars().filter(|c| !c.is_control());
  let hostname: String = plain.take(LABEL_BYTES_MAX / 4).collect();
  for (key, value) in [
    ("os", std::env::consts::OS.to_owned()),
    ("arch", std::env::consts::ARCH.to_owned()),
    ("hostname", hostname),
    ("cpus", cpus.to_string()),
    ("memory_mb", memory.to_string()),
    ("cgroup", cgroup.to_owned()),
  ] {
    labels.insert(format!("{MEASURED_LABELS}{key}"), value);
  }
  labels
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn what_is_measured_cannot_be_said() {
    let given =
      Labels::from([("zone", "a"), ("sys_os", "minix")].map(|(k, v)| (k.into(), v.into())));
    let labels = own_labels(&given, "host-1", "v2");
    assert_eq!(labels["zone"], "a");
    assert_eq!((labels["sys_os"].as_str(), labels["sys_hostname"].as_str()), ("linux", "host-1"));
    assert!(labels["sys_cpus"].parse::<u32>().is_ok_and(|cpus| cpus > 0));
    assert!(labels["sys_memory_mb"].parse::<u64>().is_ok_and(|memory| memory > 16));
  }

  #[test]
  fn a_made_id_is_kept() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("agent_id");
    let first = keep_id(&path).expect("made");
    assert_eq!(keep_id(&path).expect("kept"), first);
    std::fs::write(&path, "not an id").expect("written");
    assert!(keep_id(&path).is_err(), "a broken id is not replaced in silence");
  }
}
