//! `-F`, `-l` and `--sort` go to commands that can use them; elsewhere they are refused, not ignored.

use crate::cli::{
  AgentVerb, AttemptVerb, BackfillVerb, Command, Global, JobVerb, NamespaceVerb, ScheduleVerb,
  ServerVerb, TaskVerb, TokenVerb,
};
use crate::client::CtlError;

/// Refuses flags that the command would ignore.
///
/// # Errors
/// Usage, with the flag.
pub fn check(global: &Global, command: &Command) -> Result<(), CtlError> {
  let refuse = |flag: &str, why: &str| Err(CtlError::usage(format!("{flag} {why}")));
  if !takes_filter(command) {
    if global.filter.is_some() {
      return refuse("-F", "is for lists and for verbs of many things");
    }
    if global.selector.is_some() && !is_run(command) {
      return refuse("-l", "is for lists and for verbs of many things");
    }
  }
  if global.sort.is_some() && !takes_sort(command) {
    return refuse("--sort", "is for lists");
  }
  Ok(())
}

fn takes_filter(command: &Command) -> bool {
  match command {
    Command::Ls(_)
    | Command::Logs(_)
    | Command::Wait(_)
    | Command::Cancel(_)
    | Command::Retry(_)
    | Command::Top(_)
    | Command::Queue(_) => true,
    Command::Task(verb) => matches!(
      verb,
      TaskVerb::List(_)
        | TaskVerb::Logs(_)
        | TaskVerb::Wait(_)
        | TaskVerb::Cancel(_)
        | TaskVerb::Retry(_)
        | TaskVerb::Mark(_)
        | TaskVerb::Skip(_)
        | TaskVerb::Reprioritise(_)
        | TaskVerb::Count(_)
    ),
    Command::Job(verb) => {
      matches!(
        verb,
        JobVerb::List(_)
          | JobVerb::Delete(_)
          | JobVerb::Enable(_)
          | JobVerb::Disable(_)
          | JobVerb::Export(_)
      )
    }
    Command::Schedule(verb) => matches!(
      verb,
      ScheduleVerb::List(_)
        | ScheduleVerb::Delete(_)
        | ScheduleVerb::Enable(_)
        | ScheduleVerb::Disable(_)
        | ScheduleVerb::Pause(_)
        | ScheduleVerb::Resume(_)
    ),
    Command::Agent(verb) => matches!(
      verb,
      AgentVerb::List(_)
        | AgentVerb::Cordon(_)
        | AgentVerb::Uncordon(_)
        | AgentVerb::Drain(_)
        | AgentVerb::Delete(_)
    ),
    _ => false,
  }
}

/// Where a run goes is said by `-l` too.
const fn is_run(command: &Command) -> bool {
  matches!(command, Command::Run(_) | Command::Job(JobVerb::Run(_)))
}

fn takes_sort(command: &Command) -> bool {
  match command {
    Command::Namespace(verb) => matches!(verb, NamespaceVerb::List(_)),
    Command::Token(verb) => matches!(verb, TokenVerb::List(_)),
    Command::Server(verb) => matches!(verb, ServerVerb::List(_)),
    Command::Backfill(BackfillVerb::List(_)) => true,
    Command::Context(_) | Command::Attempt(AttemptVerb::List(_)) => true,
    Command::Schedule(ScheduleVerb::Fires(_)) | Command::Agent(AgentVerb::Tasks(_)) => true,
    Command::Job(JobVerb::Versions(_) | JobVerb::History(_))
    | Command::Task(TaskVerb::Attempts(_)) => true,
    _ => takes_filter(command),
  }
}
