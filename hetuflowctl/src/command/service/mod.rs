//! `install-service`: a systemd unit for a server or an agent.

mod unit;

use std::path::PathBuf;

use serde_json::json;

use crate::cli::{ServiceArgs, ServiceRole};
use crate::client::{CtlError, Exit};
use crate::command::dev::sibling;
use crate::output::{Outcome, View};
use unit::Unit;

/// Writes the unit, or prints it. An own unit that differs is left alone.
///
/// # Errors
/// When the program is not there, or the unit cannot be written.
pub fn run(args: &ServiceArgs) -> Result<Outcome, CtlError> {
  let name = match args.role {
    ServiceRole::Server => "hetuflow-server",
    ServiceRole::Agent => "hetuflow-agent",
  };
  let program = match sibling(name) {
    Ok(program) => program.canonicalize()?,
    // The unit may be meant for another machine.
    Err(_) if args.dry_run => PathBuf::from("/usr/local/bin").join(name),
    Err(error) => return Err(error),
  };
  let home = home();
  let config = match &args.service_config {
    Some(path) => Some(std::path::absolute(path)?),
    None => None,
  };
  let text =
    Unit { role: args.role, user: args.user, program: &program, config: config.as_deref() }.text();
  let folder = match (args.user, home) {
    (false, _) => PathBuf::from("/etc/systemd/system"),
    (true, Some(home)) => home.join("systemd/user"),
    (true, None) => return Err(CtlError::failure("no home folder: HOME is not set")),
  };
  let path = folder.join(format!("{name}.service"));
  let value = json!({ "path": path, "unit": text, "written": !args.dry_run });
  if args.dry_run {
    return Ok(
      Outcome::from(View::text(text, value)).note(format!("it would be {}", path.display())),
    );
  }
  let told = |error: std::io::Error| {
    let failed = CtlError::failure(format!("cannot write {}: {error}", path.display()));
    match error.kind() {
      std::io::ErrorKind::PermissionDenied if !args.user => failed
        .help(format!("sudo hetuflowctl install-service {}", name.trim_start_matches("hetuflow-")))
        .help("or for this user alone: --user"),
      _ => failed,
    }
  };
  match std::fs::read_to_string(&path) {
    Ok(known) if known != text => {
      let message = format!("{} is there already, with another text", path.display());
      return Err(CtlError::new(Exit::Conflict, message).help(format!(
        "move it away, or compare: hetuflowctl install-service {} --dry-run",
        name.trim_start_matches("hetuflow-")
      )));
    }
    Ok(_) => {}
    Err(_) => {
      std::fs::create_dir_all(&folder).map_err(told)?;
      std::fs::write(&path, &text).map_err(told)?;
    }
  }
  let scope = if args.user { "systemctl --user" } else { "systemctl" };
  let mut outcome = Outcome::from(View::text(format!("{}\n", path.display()), value))
    .note(format!("next: {scope} daemon-reload"))
    .note(format!("      {scope} enable --now {name}"));
  if args.role == ServiceRole::Agent && !args.user {
    outcome =
      outcome.note("      its token goes into /etc/hetuflow/agent.token, which only root may read");
  }
  if args.user {
    outcome =
      outcome.note("      loginctl enable-linger   # so that it lives on after you log out");
  }
  Ok(outcome)
}

/// `$XDG_CONFIG_HOME`, or `~/.config`.
fn home() -> Option<PathBuf> {
  let set =
    |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
  set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config")))
}
