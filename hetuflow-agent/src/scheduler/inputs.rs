//! Files that attempts find when they start: asked for as soon as the attempt is here, and it does
//! not start before it has all of them. It takes no slot till then.

use std::collections::HashSet;
use std::time::Duration;

use hetuflow_core::{ContentHash, InputNote, TaskId, TaskInstanceId, TaskInstanceStatus};

use super::Report;
use super::attempt::{Attempt, Phase};
use super::room::Scheduler;

/// What an attempt still waits for.
#[derive(Debug)]
pub struct Inputs {
  missing: HashSet<ContentHash>,
  all: Vec<ContentHash>,
  since_us: i64,
}

/// A file for an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedFile {
  /// The task.
  pub task_id: TaskId,
  /// The attempt.
  pub instance_id: TaskInstanceId,
  /// Its fence.
  pub fence: i64,
  /// The content.
  pub content_hash: ContentHash,
  /// Its bytes.
  pub file_size: u64,
}

/// Why an attempt cannot have its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFetched {
  /// In one word, for programs.
  pub reason: &'static str,
  /// For people.
  pub message: String,
}

/// How many bytes attempts may find, and how long they may wait for them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputLimits {
  /// Bytes of one file.
  pub file_bytes: u64,
  /// Bytes of all files of an attempt.
  pub total_bytes: u64,
  /// Longest wait for them.
  pub wait: Duration,
}

impl InputLimits {
  /// Refuses what the server has not found, or what is too large.
  fn check(&self, inputs: &[InputNote]) -> Result<(), NotFetched> {
    let mut sum = 0_u64;
    for input in inputs {
      if input.content_hash.is_none() {
        let why = input.reason.clone().unwrap_or_else(|| "its server has not found it".to_owned());
        return Err(NotFetched { reason: "input_missing", message: told(&input.to, &why) });
      }
      sum = sum.saturating_add(input.file_size);
      let over = |key: &str, limit: u64| {
        let why = format!("larger than agent.process.{key} allows: {limit} bytes");
        Err(NotFetched { reason: "input_limit", message: told(&input.to, &why) })
      };
      if input.file_size > self.file_bytes {
        return over("input_size_max", self.file_bytes);
      }
      if sum > self.total_bytes {
        return over("input_total_max", self.total_bytes);
      }
    }
    Ok(())
  }
}

fn told(target: &str, why: &str) -> String {
  format!("the file for {}: {why}", target.escape_debug())
}

impl Attempt {
  /// Whether nothing is missing that it needs to start.
  pub fn has_inputs(&self) -> bool {
    self.inputs.as_ref().is_none_or(|inputs| inputs.missing.is_empty())
  }

  fn notes(&self) -> &[InputNote] {
    match &self.phase {
      Phase::Queued(start) => &start.task.inputs,
      _ => &[],
    }
  }
}

impl Scheduler {
  /// Asks for the files of an attempt that waits; says why it cannot have them.
  pub(super) fn ask_for_inputs(
    &self,
    instance_id: TaskInstanceId,
    attempt: &mut Attempt,
  ) -> Result<(), NotFetched> {
    if attempt.notes().is_empty() {
      return Ok(());
    }
    self.settings.inputs.check(attempt.notes())?;
    let (mut missing, mut all, mut files) = (HashSet::new(), Vec::new(), Vec::new());
    for note in attempt.notes() {
      let Some(content_hash) = note.content_hash else { continue };
      if missing.insert(content_hash) {
        all.push(content_hash);
        let (task_id, fence, file_size) = (attempt.task_id, attempt.fence, note.file_size);
        files.push(WantedFile { task_id, instance_id, fence, content_hash, file_size });
      }
    }
    let since_us = self.clock.now_us();
    attempt.inputs = Some(Box::new(Inputs { missing, all, since_us }));
    (self.reports)(Report::Fetch(files));
    Ok(())
  }

  /// A file has come, or does not come.
  pub(super) fn note_fetched(
    &mut self,
    instance_id: TaskInstanceId,
    hash: ContentHash,
    outcome: Result<(), NotFetched>,
  ) {
    let Some(attempt) = self.attempts.get_mut(&instance_id) else { return };
    let target = attempt.notes().iter().find(|note| note.content_hash == Some(hash));
    let target = target.map(|note| note.to.clone()).unwrap_or_default();
    let Some(inputs) = &mut attempt.inputs else { return };
    match outcome {
      Ok(()) => {
        if inputs.missing.remove(&hash) && inputs.missing.is_empty() && attempt.is_queued() {
          let due_us = attempt.due_us;
          if !self.unsure.has(instance_id) {
            let now_us = self.clock.now_us() + self.offset();
            self.agenda.add(instance_id, due_us, now_us);
          }
        }
      }
      Err(failure) if attempt.is_queued() => {
        let message = told(&target, &failure.message);
        self.refuse_inputs(instance_id, &NotFetched { message, ..failure });
      }
      Err(_) => {}
    }
  }

  /// Ends an attempt that cannot have its files.
  pub(super) fn refuse_inputs(&mut self, instance_id: TaskInstanceId, failure: &NotFetched) {
    let now = self.server_time(self.clock.now_us());
    self.end_queued(instance_id, TaskInstanceStatus::NotStarted, now, |update| {
      update.reason = Some(format!("not_started({})", failure.reason));
      update.error_message = Some(failure.message.clone());
    });
  }

  /// Ends attempts that have waited too long for their files.
  pub(super) fn expire_fetches(&mut self) {
    let wait = self.settings.inputs.wait;
    let wait_us = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
    let now_us = self.clock.now_us();
    let late = |attempt: &Attempt| {
      attempt.inputs.as_ref().is_some_and(|inputs| {
        !inputs.missing.is_empty() && now_us.saturating_sub(inputs.since_us) > wait_us
      })
    };
    let late: Vec<_> = self
      .attempts
      .iter()
      .filter(|(_, one)| one.is_queued() && late(one))
      .map(|(id, _)| *id)
      .collect();
    for instance_id in late {
      let secs = wait.as_secs();
      let message = format!(
        "its files did not come within {secs} s: agent.process.input_fetch_timeout says how long it waits"
      );
      self.refuse_inputs(instance_id, &NotFetched { reason: "input_timeout", message });
    }
  }

  /// An attempt has its files where it needs them, or is over: the cache may forget them.
  pub(super) fn let_inputs_go(&self, instance_id: TaskInstanceId, attempt: &mut Attempt) {
    if attempt.inputs.take().is_some() {
      (self.reports)(Report::LetGo(instance_id));
    }
  }

  /// Contents that attempts need which have not started yet.
  pub(super) fn inputs_in_use(&self) -> Vec<ContentHash> {
    let inputs = self.attempts.values().filter_map(|attempt| attempt.inputs.as_ref());
    inputs.flat_map(|inputs| inputs.all.iter().copied()).collect()
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn what_is_missing_or_too_large_is_named() {
    let limits = InputLimits { file_bytes: 100, total_bytes: 150, wait: Duration::from_secs(1) };
    let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad".parse().ok();
    let note = |to: &str, content_hash, file_size| InputNote {
      to: to.to_owned(),
      content_hash,
      file_size,
      mode: 0o644,
      reason: None,
    };
    let why = |notes: &[InputNote]| limits.check(notes).map_err(|failure| failure.reason);
    assert_eq!(why(&[note("a", hash, 100), note("b", hash, 50)]), Ok(()));
    assert_eq!(why(&[note("a", hash, 101)]), Err("input_limit"));
    assert_eq!(why(&[note("a", hash, 100), note("b", hash, 51)]), Err("input_limit"));
    assert_eq!(why(&[note("a", None, 0)]), Err("input_missing"));
    let words = limits.check(&[note("a\u{1b}b", None, 0)]).expect_err("missing").message;
    assert_eq!(words, "the file for a\\u{1b}b: its server has not found it");
  }
}
