//! `__complete`: what could stand at the end of a command line. It is quick, and silent when
//! anything fails: a shell shows whatever it prints.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::Value;

use super::object::Kind;
use super::session::Session;
use crate::cli::{CompleteArgs, walk};
use crate::client::{Call, Client, Config};
use crate::output::{Outcome, View};

/// The whole answer takes no longer.
const PATIENCE: Duration = Duration::from_millis(90);
const NAMES_MAX: usize = 1000;

/// Prints one candidate per line.
pub async fn run(session: &Session, args: &CompleteArgs) -> Outcome {
  let mut words: Vec<String> =
    args.words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
  let last = words.pop().unwrap_or_default();
  let mut found =
    tokio::time::timeout(PATIENCE, candidates(session, &words, &last)).await.unwrap_or_default();
  found.retain(|one| one.starts_with(&last) && one.chars().all(|c| !c.is_control()));
  let mut text = found.iter().map(|one| format!("{one}\n")).collect::<String>();
  text.truncate(1 << 20);
  View::Raw(text.into_bytes()).into()
}

async fn candidates(session: &Session, words: &[String], last: &str) -> BTreeSet<String> {
  let (path, next) = walk(words);
  let before = words.last().map_or("", String::as_str);
  match before {
    "-c" | "--context" => return contexts(session),
    "-n" | "--namespace" => return names(session, Kind::Namespace).await,
    "--agent" => return names(session, Kind::Agent).await,
    "--job" => return names(session, Kind::Job).await,
    _ => {}
  }
  let mut found: BTreeSet<String> = next.into_iter().collect();
  if last.starts_with('-') {
    return found;
  }
  found.retain(|one| !one.starts_with('-'));
  let path: Vec<&str> = path.iter().map(String::as_str).collect();
  match path.as_slice() {
    ["context", _] => found.extend(contexts(session)),
    ["namespace", "create"] | ["job", "create" | "list"] | ["schedule", "list" | "create"] => {}
    ["run"] | ["job", _] => found.extend(names(session, Kind::Job).await),
    ["schedule", _] => found.extend(names(session, Kind::Schedule).await),
    ["agent", _] => found.extend(names(session, Kind::Agent).await),
    ["namespace", _] => found.extend(names(session, Kind::Namespace).await),
    ["secret", "get" | "set" | "delete"] => found.extend(names(session, Kind::Secret).await),
    ["semaphore", "get" | "usage" | "set" | "delete"] => {
      found.extend(names(session, Kind::Semaphore).await);
    }
    ["token", "get" | "delete"] => found.extend(names(session, Kind::Token).await),
    ["logs" | "wait" | "cancel" | "retry"] | ["task", _] => {
      found
        .extend(names(session, Kind::Job).await.into_iter().map(|name| format!("{name}@latest")));
    }
    ["get" | "describe" | "ls"] => found.extend(of_kind(session, &path, words, last).await),
    _ => {}
  }
  found
}

/// `get job NAME` and `get job/NAME`.
async fn of_kind(
  session: &Session,
  path: &[&str],
  words: &[String],
  last: &str,
) -> BTreeSet<String> {
  const KINDS: [&str; 10] = [
    "job",
    "schedule",
    "task",
    "attempt",
    "agent",
    "namespace",
    "token",
    "secret",
    "semaphore",
    "server",
  ];
  let at = words.iter().position(|word| path.contains(&word.as_str())).unwrap_or(0);
  let kind = words.get(at + 1).filter(|word| !word.starts_with('-'));
  if let Some(kind) = kind.and_then(|word| Kind::read(word).ok()).filter(|_| path != ["ls"]) {
    return names(session, kind).await;
  }
  match last.split_once('/').and_then(|(word, _)| Some((word, Kind::read(word).ok()?))) {
    Some((word, kind)) => {
      names(session, kind).await.into_iter().map(|name| format!("{word}/{name}")).collect()
    }
    None => KINDS.into_iter().map(str::to_owned).collect(),
  }
}

fn contexts(session: &Session) -> BTreeSet<String> {
  let config = session.origin().and_then(|origin| Config::load(&origin.config));
  config.map(|config| config.contexts.into_keys().collect()).unwrap_or_default()
}

async fn names(session: &Session, kind: Kind) -> BTreeSet<String> {
  let Ok(place) = session.place() else { return BTreeSet::new() };
  let namespace = place.namespace.clone();
  let Ok(client) = Client::new(place, PATIENCE, 0) else { return BTreeSet::new() };
  let mut call = Call::get(kind.path()).query("limit", NAMES_MAX);
  if kind.in_namespace() {
    call = call.query("namespace_id", namespace);
  }
  let Ok(page) = client.fetch::<Value>(call).await else { return BTreeSet::new() };
  let rows = page.get("data").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
  rows.iter().filter_map(|row| row.get(kind.name_field())?.as_str().map(str::to_owned)).collect()
}
