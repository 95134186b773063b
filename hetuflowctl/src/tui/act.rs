//! What changes the server: a plan with ids that are fixed when the key is pressed, its words, its
//! command, and the requests that it becomes once a person has said yes.

use hetuflow_core::{AgentStatus, CancelRequest, Subject, Topic};
use serde_json::json;

use super::keys::Action;
use super::store::Row;
use super::widget::list::Target;
use crate::client::{Call, path_of};

/// What is done to each target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verb {
  /// Start a job.
  Run,
  /// Run ended tasks once more.
  Retry,
  /// Stop tasks.
  Cancel,
  /// Kill tasks.
  Kill,
  /// Start tasks past what they wait for.
  Force,
  /// Switch jobs off.
  Disable,
  /// Switch jobs on.
  Enable,
  /// Agents take nothing new.
  Cordon,
  /// Agents take tasks again.
  Uncordon,
  /// Agents take nothing new and are waited for.
  Drain,
  /// Remove jobs.
  DeleteJob,
  /// Forget agents.
  DeleteAgent,
  /// Schedules fire no more until they are resumed.
  PauseSchedule,
  /// Paused schedules fire again.
  ResumeSchedule,
  /// Disabled schedules fire again.
  EnableSchedule,
}

impl Verb {
  /// For the title: `Cancel 2 tasks?`.
  pub fn title(self) -> (&'static str, &'static str) {
    match self {
      Self::Run => ("Run", "job"),
      Self::Retry => ("Retry", "task"),
      Self::Cancel => ("Cancel", "task"),
      Self::Kill => ("Kill", "task"),
      Self::Force => ("Force", "task"),
      Self::Disable => ("Disable", "job"),
      Self::Enable => ("Enable", "job"),
      Self::Cordon => ("Cordon", "agent"),
      Self::Uncordon => ("Uncordon", "agent"),
      Self::Drain => ("Drain", "agent"),
      Self::DeleteJob => ("Delete", "job"),
      Self::DeleteAgent => ("Delete", "agent"),
      Self::PauseSchedule => ("Pause", "schedule"),
      Self::ResumeSchedule => ("Resume", "schedule"),
      Self::EnableSchedule => ("Enable", "schedule"),
    }
  }

  /// What it will do, for people.
  pub fn explains(self) -> &'static str {
    match self {
      Self::Run => "Starts one task of each job now.",
      Self::Retry => "Makes one new task of each, with the same job and arguments.",
      Self::Cancel => "TERM, then KILL after the grace period. Their retries stop too.",
      Self::Kill => "KILL at once, without grace. Their retries stop too.",
      Self::Force => "Starts now, past its time, retry, earlier run or limit.",
      Self::Disable => "No schedule of theirs fires until they are enabled. Running tasks go on.",
      Self::Enable => "Their schedules fire again.",
      Self::Cordon => "They finish what they run and take nothing new.",
      Self::Uncordon => "They take tasks again.",
      Self::Drain => "What waits there goes back, what runs may end; then they are drained.",
      Self::DeleteJob => "Their schedules go with them. This cannot be undone.",
      Self::PauseSchedule => "It fires no more until it is resumed. Running tasks go on.",
      Self::ResumeSchedule | Self::EnableSchedule => "It fires again.",
      Self::DeleteAgent => "The server forgets them; only offline agents can be deleted.",
    }
  }

  /// The words of the CLI.
  pub fn words(self) -> &'static str {
    match self {
      Self::Run => "job run",
      Self::Retry => "task retry",
      Self::Cancel => "task cancel",
      Self::Kill => "task cancel --force",
      Self::Force => "task force",
      Self::Disable => "job disable",
      Self::Enable => "job enable",
      Self::Cordon => "agent cordon",
      Self::Uncordon => "agent uncordon",
      Self::Drain => "agent drain",
      Self::DeleteJob => "job delete --yes",
      Self::DeleteAgent => "agent delete --yes",
      Self::PauseSchedule => "schedule pause",
      Self::ResumeSchedule => "schedule resume",
      Self::EnableSchedule => "schedule enable",
    }
  }

  /// What is told when it was done.
  pub fn done(self) -> &'static str {
    match self {
      Self::Run => "started",
      Self::Retry => "retried",
      Self::Cancel => "asked to stop",
      Self::Kill => "asked to be killed",
      Self::Force => "let go",
      Self::Disable => "disabled",
      Self::Enable | Self::EnableSchedule => "enabled",
      Self::PauseSchedule => "paused",
      Self::ResumeSchedule => "resumed",
      Self::Cordon => "cordoned",
      Self::Uncordon => "uncordoned",
      Self::Drain => "draining",
      Self::DeleteJob | Self::DeleteAgent => "deleted",
    }
  }

  fn wants_word(self) -> bool {
    matches!(self, Self::Kill | Self::DeleteJob | Self::DeleteAgent)
  }

  /// The word that a person types.
  fn word(self) -> &'static str {
    match self {
      Self::Run => "run",
      Self::Retry => "retry",
      Self::Cancel => "cancel",
      Self::Kill => "kill",
      Self::Force => "force",
      Self::Disable => "disable",
      Self::Enable | Self::EnableSchedule => "enable",
      Self::PauseSchedule => "pause",
      Self::ResumeSchedule => "resume",
      Self::Cordon => "cordon",
      Self::Uncordon => "uncordon",
      Self::Drain => "drain",
      Self::DeleteJob | Self::DeleteAgent => "delete",
    }
  }
}

/// A change that a person has yet to confirm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
  /// What.
  pub verb: Verb,
  /// To what; nothing changes this set any more.
  pub targets: Vec<Target>,
  /// The word that has to be typed, where one key is too little.
  pub word: Option<String>,
  /// Makes a second sending of the same plan harmless.
  pub nonce: String,
}

impl Plan {
  /// A plan; `protected` contexts want a typed word for everything.
  pub fn new(verb: Verb, targets: Vec<Target>, protected: bool) -> Self {
    let word = match (verb, targets.as_slice()) {
      (Verb::DeleteJob | Verb::DeleteAgent, [one]) => Some(one.label.clone()),
      _ if verb.wants_word() || protected => Some(verb.word().to_owned()),
      _ => None,
    };
    let nonce = format!("tui-{}", hetuflow_core::TaskId::generate());
    Self { verb, targets, word, nonce }
  }

  /// The title of its dialog.
  pub fn title(&self, place: &str) -> String {
    let (verb, noun) = self.verb.title();
    match self.targets.as_slice() {
      [one] => format!("{verb} {noun} {} in {place}?", one.label),
      many => format!("{verb} {} {noun}s in {place}?", many.len()),
    }
  }

  /// The same as a command for a shell.
  pub fn command(&self) -> String {
    let ids: Vec<String> = self.targets.iter().map(|target| quoted(&target.label)).collect();
    match self.targets.first().and_then(|target| target.namespace.as_deref()) {
      Some(namespace) => {
        format!("hetuflowctl -n {} {} {}", quoted(namespace), self.verb.words(), ids.join(" "))
      }
      None => format!("hetuflowctl {} {}", self.verb.words(), ids.join(" ")),
    }
  }

  /// One request for each target.
  pub fn calls(&self) -> Vec<(Target, Call)> {
    self.targets.iter().map(|target| (target.clone(), self.call(target))).collect()
  }

  fn call(&self, target: &Target) -> Call {
    let id = target.id.as_str();
    let post = |path: &[&str]| Call::post(path_of(path));
    match self.verb {
      Verb::Run => {
        post(&["jobs", id, "run"]).json(&json!({})).idempotency_key(&format!("{}-{id}", self.nonce))
      }
      Verb::Retry => post(&["tasks", id, "retry"]).json(&json!({})),
      Verb::Cancel => post(&["tasks", id, "cancel"]).json(&cancel(false)),
      Verb::Kill => post(&["tasks", id, "cancel"]).json(&cancel(true)),
      Verb::Force => post(&["tasks", id, "force"]).json(&json!({ "reason": "hetuflowctl tui" })),
      Verb::Disable => post(&["jobs", id, "disable"]).json(&json!({})),
      Verb::Enable => post(&["jobs", id, "enable"]).json(&json!({})),
      Verb::Cordon => post(&["agents", id, "cordon"]).json(&json!({})),
      Verb::Uncordon => post(&["agents", id, "uncordon"]).json(&json!({})),
      Verb::Drain => post(&["agents", id, "drain"]).json(&json!({})),
      Verb::PauseSchedule => post(&["schedules", id, "pause"]).json(&json!({})),
      Verb::ResumeSchedule => post(&["schedules", id, "resume"]).json(&json!({})),
      Verb::EnableSchedule => post(&["schedules", id, "enable"]).json(&json!({})),
      Verb::DeleteJob => Call::delete(path_of(&["jobs", id])),
      Verb::DeleteAgent => Call::delete(path_of(&["agents", id])),
    }
  }
}

fn cancel(force: bool) -> CancelRequest {
  CancelRequest { reason: Some("hetuflowctl tui".to_owned()), force, grace_secs: None }
}

/// A word as a shell takes it.
pub fn quoted(word: &str) -> String {
  let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | '@' | ':');
  if !word.is_empty() && word.chars().all(plain) {
    return word.to_owned();
  }
  format!("'{}'", word.replace('\'', "'\\''"))
}

/// What an acting key means for a row; or why it means nothing.
pub fn verb_for(action: Action, row: &Row) -> Result<(Verb, Target), &'static str> {
  match (action, row) {
    (Action::Run, Row::Task(task)) => Ok((Verb::Run, job_of(task))),
    (Action::Run, Row::Job(_)) => Ok((Verb::Run, target_of(row))),
    (Action::Retry, Row::Task(task)) if task.status.is_final() => Ok((Verb::Retry, target_of(row))),
    (Action::Retry, Row::Task(_)) => Err("the task has not ended yet: nothing to retry"),
    (Action::Cancel | Action::Kill, Row::Task(task)) if task.status.is_final() => {
      Err("the task has ended already: nothing to stop")
    }
    (Action::Cancel, Row::Task(_)) => Ok((Verb::Cancel, target_of(row))),
    (Action::Kill, Row::Task(_)) => Ok((Verb::Kill, target_of(row))),
    (Action::Force, Row::Task(task)) if task.status.is_final() || task.status.is_on_agent() => {
      Err("it does not wait: nothing to force")
    }
    (Action::Force, Row::Task(_)) => Ok((Verb::Force, target_of(row))),
    (Action::Pause, Row::Job(job)) => {
      Ok((if job.enabled { Verb::Disable } else { Verb::Enable }, target_of(row)))
    }
    (Action::Pause, Row::Fire(_)) => Ok((Verb::PauseSchedule, target_of(row))),
    (Action::Cordon, Row::Agent(agent)) => {
      Ok((if agent.cordoned { Verb::Uncordon } else { Verb::Cordon }, target_of(row)))
    }
    (Action::Drain, Row::Agent(agent)) if agent.status == AgentStatus::Draining => {
      Err("it is being drained already: C lets it take tasks again")
    }
    (Action::Drain, Row::Agent(_)) => Ok((Verb::Drain, target_of(row))),
    (Action::Delete, Row::Job(_)) => Ok((Verb::DeleteJob, target_of(row))),
    (Action::Delete, Row::Agent(_)) => Ok((Verb::DeleteAgent, target_of(row))),
    _ => Err("that does not apply to this row"),
  }
}

fn job_of(task: &hetuflow_core::TaskRow) -> Target {
  Target {
    id: task.job_id.to_string(),
    label: task.job.clone(),
    detail: String::new(),
    namespace: Some(task.namespace_id.to_string()),
  }
}

/// A row as something that is acted on.
pub fn target_of(row: &Row) -> Target {
  let (id, label, detail, namespace) = match row {
    Row::Task(task) => (
      task.id.to_string(),
      task.id.short(),
      format!(
        "{}  {} {}/{}  {}",
        task.job,
        super::look::task_word(task.status),
        task.attempt,
        task.attempts_max,
        task.agent_id.as_ref().map(ToString::to_string).unwrap_or_default()
      ),
      Some(task.namespace_id.to_string()),
    ),
    Row::Job(job) => (
      job.id.to_string(),
      job.name.clone(),
      format!("v{}  {}", job.version, if job.enabled { "enabled" } else { "disabled" }),
      Some(job.namespace_id.to_string()),
    ),
    Row::Agent(agent) => (
      agent.id.to_string(),
      agent.id.to_string(),
      format!("{}  {}/{} slots", agent.status, agent.running, agent.slots),
      None,
    ),
    Row::Event(event) => (
      event.change.subject.id.clone(),
      event.name.clone(),
      event.change.event_type.clone(),
      Some(event.namespace_id.to_string()),
    ),
    Row::Server(server) => {
      (server.id.to_string(), server.id.to_string(), server.address.clone(), None)
    }
    Row::Fire(fire) => (
      fire.schedule_id.to_string(),
      fire.schedule.clone(),
      fire.job.clone(),
      Some(fire.namespace_id.to_string()),
    ),
  };
  Target { id, label, detail, namespace }
}

/// The command that shows a row.
pub fn show_command(row: &Row) -> String {
  let target = target_of(row);
  let noun = match row {
    Row::Task(_) => "task get",
    Row::Job(_) => "job get",
    Row::Agent(_) => "agent get",
    Row::Server(_) => "server get",
    Row::Fire(_) => "schedule get",
    Row::Event(event) => return format!("hetuflowctl events --since-seq {}", event.seq - 1),
  };
  match &target.namespace {
    Some(namespace) => {
      format!("hetuflowctl -n {} {noun} {}", quoted(namespace), quoted(&target.label))
    }
    None => format!("hetuflowctl {noun} {}", quoted(&target.label)),
  }
}

/// The command that shows what a warning is about.
pub fn subject_command(subject: &Subject, name: &str) -> String {
  let noun = match subject.kind {
    Topic::Job => "job get",
    Topic::Schedule => "schedule get",
    Topic::Agent => "agent get",
    Topic::Server => "server get",
    Topic::Namespace | Topic::Audit => "namespace get",
    Topic::Task => "task get",
    Topic::TaskInstance => "attempt get",
  };
  let by_name = matches!(subject.kind, Topic::Job | Topic::Schedule) && !name.is_empty();
  format!("hetuflowctl {noun} {}", quoted(if by_name { name } else { &subject.id }))
}

#[cfg(test)]
mod tests {
  use super::*;
  use crate::tui::test_data as data;

  #[test]
  fn commands_can_be_pasted() {
    let target = |label: &str| Target {
      id: "019".to_owned(),
      label: label.to_owned(),
      detail: String::new(),
      namespace: Some("etl".to_owned()),
    };
    let plan = Plan::new(Verb::Cancel, vec![target("k0v6e3rm"), target("xs81j5pn")], true);
    assert_eq!(plan.command(), "hetuflowctl -n etl task cancel k0v6e3rm xs81j5pn");
    assert_eq!(plan.title("prod"), "Cancel 2 tasks in prod?");
    assert_eq!(plan.word.as_deref(), Some("cancel"));
    let plan = Plan::new(Verb::DeleteJob, vec![target("it's; rm")], false);
    assert_eq!(plan.word.as_deref(), Some("it's; rm"));
    assert_eq!(plan.command(), "hetuflowctl -n etl job delete --yes 'it'\\''s; rm'");
    assert_eq!(Plan::new(Verb::Retry, vec![target("a")], false).word, None);
  }

  #[test]
  fn ended_tasks_are_not_stopped_and_living_ones_not_retried() {
    let row = |status| Row::Task(Box::new(data::task(1, "etl", status)));
    assert!(verb_for(Action::Cancel, &row("failed")).is_err());
    assert!(verb_for(Action::Retry, &row("running")).is_err());
    assert_eq!(verb_for(Action::Retry, &row("failed")).expect("fine").0, Verb::Retry);
    assert_eq!(verb_for(Action::Run, &row("failed")).expect("fine").1.label, "etl");
    assert!(verb_for(Action::Cordon, &row("failed")).is_err());
    assert!(verb_for(Action::Force, &row("running")).is_err());
    assert_eq!(verb_for(Action::Force, &row("waiting_retry")).expect("fine").0, Verb::Force);
  }
}
