//! The text of a unit.

use std::path::Path;

use crate::cli::ServiceRole;

/// What a unit is made of.
#[derive(Debug)]
pub struct Unit<'a> {
  /// What runs.
  pub role: ServiceRole,
  /// For one user, without root.
  pub user: bool,
  /// The program.
  pub program: &'a Path,
  /// Its config file.
  pub config: Option<&'a Path>,
}

/// What a server gives up: it only needs its folder and the network.
const HARD_SERVER: &str = "\
NoNewPrivileges=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=strict
ProtectHome=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictSUIDSGID=yes
LockPersonality=yes
SystemCallArchitectures=native
UMask=0077
";

/// An agent runs other people's programs: what would break them is not taken away.
const HARD_AGENT: &str = "\
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
LockPersonality=yes
UMask=0077
";

impl Unit<'_> {
  /// The unit. The programs do not tell systemd when they are ready, so the type is `exec`.
  pub fn text(&self) -> String {
    let (name, about) = match self.role {
      ServiceRole::Server => ("hetuflow-server", "hetuflow server: schedules and hands out tasks"),
      ServiceRole::Agent => ("hetuflow-agent", "hetuflow agent: runs tasks"),
    };
    let config = self.config.map(|path| format!(" --config {}", word(&path.display().to_string())));
    let mut text = format!(
      "# Written by hetuflowctl install-service.\n[Unit]\nDescription={about}\n{}\n[Service]\nType=exec\nExecStart={}{} start\n\
       Restart=on-failure\nRestartSec=2s\nTimeoutStopSec=30s\nLimitNOFILE=65536\n",
      if self.user { "" } else { "After=network-online.target\nWants=network-online.target\n" },
      word(&self.program.display().to_string()),
      config.unwrap_or_default(),
    );
    match self.role {
      ServiceRole::Agent => {
        // Only the agent is told to stop; its executor holds the tasks for the next one.
        text.push_str("KillMode=process\n");
        if !self.user {
          text.push_str("LoadCredential=token:/etc/hetuflow/agent.token\n");
          text.push_str("Environment=HETUFLOW__AGENT__TOKEN_FILE=%d/token\n");
        }
      }
      ServiceRole::Server if !self.user => text.push_str("DynamicUser=yes\n"),
      ServiceRole::Server => {}
    }
    text.push_str(&format!(
      "StateDirectory={name}\nStateDirectoryMode=0700\nWorkingDirectory=%S/{name}\n"
    ));
    // A user's own manager may not do most of this.
    if !self.user {
      text.push_str(match self.role {
        ServiceRole::Server => HARD_SERVER,
        ServiceRole::Agent => HARD_AGENT,
      });
    }
    let target = if self.user { "default.target" } else { "multi-user.target" };
    text.push_str(&format!("\n[Install]\nWantedBy={target}\n"));
    text
  }
}

/// A word of a command line: quoted where it must be, and `%` and `$` mean themselves.
fn word(text: &str) -> String {
  let text = text.replace('%', "%%").replace('$', "$$");
  if text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-+:=@%$".contains(c)) {
    return text;
  }
  format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn units() {
    let mut all = String::new();
    for role in [ServiceRole::Server, ServiceRole::Agent] {
      for user in [false, true] {
        let config = Path::new("/etc/hetu flow/100%.toml");
        let unit = Unit { role, user, program: Path::new("/usr/bin/x"), config: Some(config) };
        all.push_str(&format!("===== {role:?} user={user}\n{}", unit.text()));
      }
    }
    insta::assert_snapshot!(all);
  }
}
