//! Who an attempt runs as: what its job wants, what this host allows, and nothing else.

use std::ffi::OsStr;

use hetuflow_core::TaskConfig;

use super::prepare::refused;
use super::{Cause, ExecutorSettings};
use crate::process::{Account, own_uid};

/// The account of an attempt; none where it runs as we do. Blocks where the host asks the network.
///
/// # Errors
/// The cause with which the attempt ends without having been started.
pub fn account(config: &TaskConfig, settings: &ExecutorSettings) -> Result<Option<Account>, Cause> {
  decide(config.run_as.as_deref(), settings, own_uid(), Account::find)
}

fn decide(
  wanted: Option<&str>,
  settings: &ExecutorSettings,
  own_uid: u32,
  find: impl FnOnce(&str) -> std::io::Result<Option<Account>>,
) -> Result<Option<Account>, Cause> {
  let Some(name) = wanted else {
    return if own_uid == 0 && !settings.allow_root_tasks {
      Err(refused(NO_ROOT))
    } else {
      Ok(None)
    };
  };
  if own_uid != 0 {
    return Err(refused(format!(
      "run_as {name:?} needs an agent of root, and this one has uid {own_uid}: start the agent as \
       root, or take run_as out of the job and run the agent as {name}"
    )));
  }
  if !settings.run_as_allow.iter().any(|allowed| allowed == name) {
    return Err(refused(format!(
      "run_as {name:?} is not allowed on this host: add it to agent.run_as_allow in the agent's \
       own config ({}), and restart the agent",
      match settings.run_as_allow.join(", ").as_str() {
        "" => "nobody is in it".to_owned(),
        names => format!("in it: {names}"),
      }
    )));
  }
  match find(name) {
    Ok(Some(account)) if account.uid == 0 && !settings.allow_root_tasks => Err(refused(format!(
      "run_as {name:?} is root, and tasks of root are not allowed on this host: set \
       agent.allow_root_tasks = true in the agent's config, or name another user"
    ))),
    Ok(Some(account)) => Ok(Some(account)),
    Ok(None) => Err(refused(format!(
      "run_as {name:?}: this host has no such user; make it (useradd {name}), or name another one"
    ))),
    Err(error) => {
      Err(refused(format!("run_as {name:?}: this host cannot look the user up: {error}")))
    }
  }
}

const NO_ROOT: &str = "the agent is root, and tasks of root are not allowed on this host: name a user \
  with run_as in the job and add it to agent.run_as_allow in the agent's config, or set \
  agent.allow_root_tasks = true there";

/// What another user's task gets of the agent's environment: how to find programs and how to speak.
/// The rest is about root.
pub fn may_be_seen(name: &OsStr) -> bool {
  let name = name.to_string_lossy();
  matches!(name.as_ref(), "PATH" | "LANG" | "LANGUAGE" | "TZ") || name.starts_with("LC_")
}

#[cfg(test)]
mod tests {
  use super::*;

  fn settings(root: bool) -> ExecutorSettings {
    let run_as_allow = ["deploy", "toor", "gone"].map(str::to_owned).to_vec();
    ExecutorSettings { allow_root_tasks: root, run_as_allow, ..ExecutorSettings::default() }
  }

  fn who(name: &str) -> std::io::Result<Option<Account>> {
    let uid = match name {
      "gone" => return Ok(None),
      "toor" => 0,
      _ => 1000,
    };
    let (home, shell) = ("/home/x".into(), "/bin/sh".into());
    Ok(Some(Account { name: name.to_owned(), uid, gid: uid, home, shell }))
  }

  #[test]
  fn only_who_is_named_here_and_only_by_root() {
    for (wanted, root, own_uid, expected) in [
      (None, true, 0, Ok(None)),
      (None, false, 1000, Ok(None)),
      (None, false, 0, Err("allow_root_tasks")),
      (Some("deploy"), false, 0, Ok(Some(1000))),
      (Some("deploy"), true, 1000, Err("uid 1000")),
      (Some("bob"), true, 0, Err("agent.run_as_allow")),
      (Some("root"), true, 0, Err("agent.run_as_allow")),
      (Some("toor"), false, 0, Err("allow_root_tasks")),
      (Some("toor"), true, 0, Ok(Some(0))),
      (Some("gone"), true, 0, Err("no such user")),
    ] {
      let told = decide(wanted, &settings(root), own_uid, who);
      match (told, expected) {
        (Ok(told), Ok(expected)) => assert_eq!(told.map(|one| one.uid), expected, "{wanted:?}"),
        (Err(Cause::NotStarted { reason, message }), Err(part)) => {
          assert_eq!(reason, "not_started(refused)");
          assert!(message.contains(part), "{wanted:?}: {message}");
        }
        (told, expected) => panic!("{wanted:?} {root} {own_uid}: {told:?}, not {expected:?}"),
      }
    }
  }

  #[test]
  fn little_of_roots_environment_is_seen() {
    for (name, seen) in
      [("PATH", true), ("LC_ALL", true), ("HOME", false), ("SSH_AUTH_SOCK", false)]
    {
      assert_eq!(may_be_seen(OsStr::new(name)), seen, "{name}");
    }
  }
}
