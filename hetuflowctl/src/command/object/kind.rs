//! The kinds of things that a server has.

use hetuflow_core::config_text::nearest;

use crate::client::CtlError;

/// A kind of thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
  /// What to run.
  Job,
  /// When to run.
  Schedule,
  /// One planned piece of work.
  Task,
  /// One attempt.
  Attempt,
  /// A machine that runs tasks.
  Agent,
  /// A namespace.
  Namespace,
  /// A token.
  Token,
  /// A file that a task has left.
  Artifact,
  /// A secret.
  Secret,
  /// A limit that tasks share.
  Semaphore,
  /// A server.
  Server,
}

const WORDS: [(&str, Kind); 29] = [
  ("job", Kind::Job),
  ("jobs", Kind::Job),
  ("j", Kind::Job),
  ("schedule", Kind::Schedule),
  ("schedules", Kind::Schedule),
  ("sched", Kind::Schedule),
  ("s", Kind::Schedule),
  ("task", Kind::Task),
  ("tasks", Kind::Task),
  ("t", Kind::Task),
  ("attempt", Kind::Attempt),
  ("attempts", Kind::Attempt),
  ("instance", Kind::Attempt),
  ("ti", Kind::Attempt),
  ("agent", Kind::Agent),
  ("agents", Kind::Agent),
  ("namespace", Kind::Namespace),
  ("namespaces", Kind::Namespace),
  ("ns", Kind::Namespace),
  ("token", Kind::Token),
  ("tokens", Kind::Token),
  ("artifact", Kind::Artifact),
  ("artifacts", Kind::Artifact),
  ("secret", Kind::Secret),
  ("secrets", Kind::Secret),
  ("semaphore", Kind::Semaphore),
  ("semaphores", Kind::Semaphore),
  ("sem", Kind::Semaphore),
  ("server", Kind::Server),
];

impl Kind {
  /// Reads the word that people type.
  ///
  /// # Errors
  /// Usage, with the nearest word.
  pub fn read(word: &str) -> Result<Self, CtlError> {
    let word = word.to_ascii_lowercase();
    let found = WORDS.iter().find(|(known, _)| *known == word).map(|(_, kind)| *kind);
    let extra = [("servers", Self::Server), ("srv", Self::Server), ("a", Self::Agent)];
    let found =
      found.or_else(|| extra.iter().find(|(known, _)| *known == word).map(|(_, kind)| *kind));
    found.ok_or_else(|| {
      let error = CtlError::usage(format!("\"{}\" is no kind of thing", word.escape_debug()));
      let error = match nearest(&word, WORDS.iter().map(|(known, _)| *known)) {
        Some(near) => error.help(format!("did you mean  {near} ?")),
        None => error,
      };
      error.help(
        "kinds: job, schedule, task, attempt, agent, namespace, token, secret, semaphore, artifact, \
         server",
      )
    })
  }

  /// The word in messages and before the slash.
  pub const fn word(self) -> &'static str {
    match self {
      Self::Job => "job",
      Self::Schedule => "schedule",
      Self::Task => "task",
      Self::Attempt => "attempt",
      Self::Agent => "agent",
      Self::Namespace => "namespace",
      Self::Token => "token",
      Self::Artifact => "artifact",
      Self::Secret => "secret",
      Self::Semaphore => "semaphore",
      Self::Server => "server",
    }
  }

  /// The route.
  pub const fn path(self) -> &'static str {
    match self {
      Self::Job => "/jobs",
      Self::Schedule => "/schedules",
      Self::Task => "/tasks",
      Self::Attempt => "/task-instances",
      Self::Agent => "/agents",
      Self::Namespace => "/namespaces",
      Self::Token => "/auth/tokens",
      Self::Artifact => "/artifacts",
      Self::Secret => "/secrets",
      Self::Semaphore => "/semaphores",
      Self::Server => "/servers",
    }
  }

  /// The route of one thing.
  pub fn path_of(self, name: &str) -> String {
    format!("{}{}", self.path(), crate::client::path_of(&[name]))
  }

  /// Whether its names belong to a namespace.
  pub const fn in_namespace(self) -> bool {
    matches!(self, Self::Job | Self::Schedule | Self::Task | Self::Secret | Self::Semaphore)
  }

  /// The JSON field that people know it by.
  pub const fn name_field(self) -> &'static str {
    match self {
      Self::Job | Self::Schedule | Self::Token | Self::Secret | Self::Semaphore => "name",
      _ => "id",
    }
  }
}

/// The name without its `kind/`.
pub fn bare(kind: Kind, name: &str) -> &str {
  name.strip_prefix(kind.word()).and_then(|rest| rest.strip_prefix('/')).unwrap_or(name)
}
