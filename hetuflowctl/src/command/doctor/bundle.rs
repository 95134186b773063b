//! `doctor --bundle`: one file for whoever is asked for help. It names what was seen, and holds no
//! secrets.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::mask::masked;
use super::tar::archive;
use crate::client::{Call, Client, Config, CtlError, write_private};
use crate::command::events;
use crate::command::session::Session;

/// Newest events in a bundle.
const EVENTS_MAX: usize = 10_000;
/// Level of compression: quick, and good enough for JSON.
const LEVEL: i32 = 3;

/// What is asked of the server, each answer a file.
const ASKED: [(&str, &str); 9] = [
  ("server/version.json", "/system/version"),
  ("server/info.json", "/system/info"),
  ("server/health.json", "/system/health"),
  ("server/servers.json", "/servers"),
  ("server/agents.json", "/agents?limit=1000"),
  ("server/gateway-stats.json", "/gateway/stats"),
  ("server/gateway-connections.json", "/gateway/connections"),
  ("server/namespaces.json", "/namespaces?limit=1000"),
  ("server/tasks-not-ended.json", "/tasks?limit=1000&filter=state%3Dlive"),
];

/// A bundle that is wanted, with the form of its name checked.
#[derive(Debug)]
pub struct Bundle {
  path: PathBuf,
  packed: bool,
}

impl Bundle {
  /// By the name of the file: `.tar` is plain, `.tar.zst` is packed.
  ///
  /// # Errors
  /// Usage, for another name.
  pub fn new(path: &Path) -> Result<Self, CtlError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let packed = name.ends_with(".tar.zst") || name.ends_with(".tzst");
    if !packed && !name.ends_with(".tar") {
      let error = CtlError::usage(format!("--bundle: what form is {}?", path.display()));
      return Err(error.help("hetuflowctl doctor --bundle report.tar.zst").help("or report.tar"));
    }
    Ok(Self { path: path.to_owned(), packed })
  }

  /// Writes it; the words for stderr.
  ///
  /// # Errors
  /// When the file cannot be written.
  pub async fn write(
    &self,
    session: &Session,
    (client, checks): (Option<&Client>, &Value),
  ) -> Result<String, CtlError> {
    let mut files = vec![
      ("doctor.json".to_owned(), text_of(checks)),
      ("client.json".to_owned(), text_of(&masked(own(session)))),
    ];
    let mut missing = Vec::new();
    match client {
      Some(client) => of_server(session, client, &mut files, &mut missing).await,
      None => missing.push("server: it does not answer, or does not accept the token".to_owned()),
    }
    if !missing.is_empty() {
      files.push(("missing.txt".to_owned(), (missing.join("\n") + "\n").into_bytes()));
    }
    let count = files.len();
    for (name, _) in &mut files {
      name.insert_str(0, "hetuflow-bundle/");
    }
    let mut bytes = archive(&files, session.look.now.millis() / 1000);
    if self.packed {
      bytes = zstd::encode_all(bytes.as_slice(), LEVEL)?;
    }
    write_private(&self.path, &bytes)?;
    let size = bytes.len().div_ceil(1024);
    Ok(format!("{count} files, {size} KiB, without secrets, in {}", self.path.display()))
  }
}

fn text_of(value: &Value) -> Vec<u8> {
  let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
  text.push(b'\n');
  text
}

/// This program and its config: contexts in full, of aliases only the names.
fn own(session: &Session) -> Value {
  let config = session.origin().and_then(|origin| Config::load(&origin.config));
  let config = match config {
    Ok(config) => json!({
      "current": config.current,
      "contexts": config.contexts,
      "aliases": config.aliases.keys().collect::<Vec<_>>(),
    }),
    Err(error) => json!({ "broken": error.message }),
  };
  let variables: Vec<String> = std::env::vars_os()
    .filter_map(|(name, _)| name.into_string().ok())
    .filter(|name| name.starts_with("HETUFLOW_"))
    .collect();
  json!({
    "version": env!("CARGO_PKG_VERSION"),
    "os": std::env::consts::OS,
    "arch": std::env::consts::ARCH,
    "at": session.look.now,
    "config": config,
    "variables_set": variables,
    "terminal": { "width": session.look.width, "term": std::env::var("TERM").ok() },
  })
}

async fn of_server(
  session: &Session,
  client: &Client,
  files: &mut Vec<(String, Vec<u8>)>,
  missing: &mut Vec<String>,
) {
  for (name, path) in ASKED {
    match client.fetch::<Value>(Call::get(path)).await {
      Ok(answer) => files.push((name.to_owned(), text_of(&masked(answer)))),
      Err(error) => missing.push(format!("{name}: {}", error.message)),
    }
  }
  match events::newest(session, EVENTS_MAX).await {
    Ok(events) => {
      let lines = events.into_iter().map(|event| format!("{}\n", masked(event)));
      files.push(("events.jsonl".to_owned(), lines.collect::<String>().into_bytes()));
    }
    Err(error) => missing.push(format!("events.jsonl: {}", error.message)),
  }
}
