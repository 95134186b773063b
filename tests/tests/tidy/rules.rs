//! STYLE §1's table, and the other things that nobody may write, with their exceptions.

use crate::imports::rooms_named;
use crate::source::Source;

/// Files longer than this are reported.
pub const LONG_FILE_LINES: usize = 500;

/// Every package of the workspace.
pub const PACKAGES: &[&str] =
  &["hetuflow-core", "hetuflow-server", "hetuflow-agent", "hetuflowctl", "tests"];

/// A crate and what each of its rooms may use. `config` may be read by every room, `application`
/// may use its whole crate, and only `main.rs` may use `application`.
pub struct House {
  /// The package.
  pub name: &'static str,
  /// Rooms and what they may use besides `config` and themselves.
  pub rooms: &'static [(&'static str, &'static [&'static str])],
}

/// The three crates with rooms.
pub const CRATES: &[House] = &[
  House {
    name: "hetuflow-server",
    rooms: &[
      ("infra", &[]),
      ("service", &["infra"]),
      ("broker", &["service", "infra"]),
      ("scheduler", &["broker", "service", "infra"]),
      ("endpoint", &["service"]),
      ("gateway", &["service", "broker"]),
    ],
  },
  House {
    name: "hetuflow-agent",
    rooms: &[
      ("process", &[]),
      ("executor", &["process"]),
      ("scheduler", &["executor"]),
      ("connection", &[]),
    ],
  },
  House {
    name: "hetuflowctl",
    rooms: &[
      ("cli", &[]),
      ("client", &[]),
      ("output", &[]),
      ("command", &["cli", "client", "output"]),
      ("tui", &["client"]),
    ],
  },
];

impl House {
  /// The findings in one file.
  pub fn check(&self, source: &Source) -> Vec<String> {
    let inner = source.path.trim_start_matches(self.name).trim_start_matches("/src/");
    let parts: Vec<&str> = inner.split('/').collect();
    let room = parts[0].trim_end_matches(".rs");
    let wiring = ["main", "application"];
    if wiring.contains(&room) {
      return Vec::new();
    }
    let allowed = self.rooms.iter().find(|(name, _)| *name == room).map(|(_, allowed)| *allowed);
    let allowed = match (room, allowed) {
      ("lib", _) => return self.check_lib(source),
      ("config", _) => &[],
      (_, Some(allowed)) => allowed,
      (_, None) => return vec![format!("{}: no room of STYLE §1", source.path)],
    };
    // `room/a/b.rs` is the module `room::a::b`; a `mod.rs` is its folder.
    let depth = parts.len() - usize::from(inner.ends_with("/mod.rs"));
    let code: String = source.code().map(|(_, line)| format!("{line}\n")).collect();
    let named = rooms_named(&code, depth).into_iter();
    named
      .filter(|other| self.is_room(other) && other != room && other != "config")
      .filter(|other| !allowed.contains(&other.as_str()))
      .map(|other| format!("{}: {room} uses {other}", source.path))
      .collect()
  }

  /// A library root may declare rooms and re-export, but not use `application`.
  fn check_lib(&self, source: &Source) -> Vec<String> {
    let hits = source.lines_with("crate::application");
    hits.map(|line| format!("{line}: lib uses application")).collect()
  }

  /// Whether a name is a room, `config` and `application` included.
  fn is_room(&self, name: &str) -> bool {
    matches!(name, "config" | "application") || self.rooms.iter().any(|(room, _)| *room == name)
  }
}

/// A text that must not stand below a folder.
pub struct Forbidden {
  /// The folder or file.
  pub below: &'static str,
  /// The text.
  pub text: &'static str,
  /// Why not.
  pub why: &'static str,
  /// Files that may, each with its reason beside it.
  pub exceptions: &'static [&'static str],
}

impl Forbidden {
  /// Whether this file may, or lies in an `application` room and spawning is what is forbidden.
  pub fn excepts(&self, path: &str) -> bool {
    let wiring = self.text == "tokio::spawn(" && path.contains("/src/application");
    wiring || self.exceptions.contains(&path)
  }
}

/// A rule without exceptions.
const fn never(below: &'static str, text: &'static str, why: &'static str) -> Forbidden {
  Forbidden { below, text, why, exceptions: &[] }
}

/// Why a bare spawn is refused.
const SPAWN: &str = "belongs to `application`, which owns every task";

/// The last column of STYLE §1's table, and bare spawns.
pub const FORBIDDEN: &[Forbidden] = &[
  never("hetuflow-core/src", "tokio::", "is I/O; core has none"),
  never("hetuflow-core/src", "axum::", "is I/O; core has none"),
  never("hetuflow-core/src", "clap::", "belongs to the binaries"),
  never("hetuflow-server/src/infra", "axum::", "is HTTP; infra has none"),
  never("hetuflow-server/src/service", "axum::", "is HTTP; service has none"),
  never("hetuflow-server/src/service", "http::", "is HTTP; service has none"),
  never("hetuflow-server/src/broker", "axum::", "is a socket; broker defines AgentLink"),
  never("hetuflow-server/src/scheduler", "axum::", "is HTTP; scheduler has none"),
  never("hetuflow-server/src/endpoint", "sqlx::", "is SQL; it lives in infra"),
  never("hetuflow-server/src/endpoint", "sea_query::", "is SQL; it lives in infra"),
  never("hetuflow-server/src/gateway", "sqlx::", "is SQL; it lives in infra"),
  never("hetuflow-server/src/gateway", "sea_query::", "is SQL; it lives in infra"),
  never("hetuflow-server/src/service", "sea_query::", "builds SQL; it lives in infra"),
  never("hetuflow-server/src/broker", "sea_query::", "builds SQL; it lives in infra"),
  never("hetuflow-server/src/scheduler", "sea_query::", "builds SQL; it lives in infra"),
  never("hetuflow-agent/src", "sqlx::", "is the database; agents never see it"),
  never("hetuflowctl/src", "sqlx::", "is the database; ctl never sees it"),
  never("hetuflowctl/src/command", "ratatui::", "belongs to tui"),
  never("hetuflowctl/src/command", "println!", "prints; commands return data"),
  never("hetuflowctl/src/tui", "clap::", "belongs to cli"),
  never("hetuflowctl/src/tui", "println!", "writes over the screen"),
  never("hetuflow-server/src", "tokio::spawn(", SPAWN),
  never("hetuflow-agent/src", "tokio::spawn(", SPAWN),
  never("hetuflowctl/src", "tokio::spawn(", SPAWN),
];
