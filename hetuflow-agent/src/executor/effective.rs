//! One config from the job's and the run's own.

use std::borrow::Cow;

use hetuflow_core::TaskConfig;

/// The config that counts: fields that the run sets stand in place of the job's; what to run is
/// taken from one of the two as a whole.
pub fn effective<'a>(job: &'a TaskConfig, run: Option<&'a TaskConfig>) -> Cow<'a, TaskConfig> {
  let Some(run) = run else { return Cow::Borrowed(job) };
  let mut config = job.clone();
  let names_command =
    run.cmd.is_some() || run.command.is_some() || run.script.is_some() || !run.args.is_empty();
  if names_command {
    config.cmd = run.cmd;
    config.command.clone_from(&run.command);
    config.script.clone_from(&run.script);
    config.args.clone_from(&run.args);
  }
  macro_rules! lay_over {
    ($($field:ident),+) => { $( if run.$field.is_some() { config.$field.clone_from(&run.$field); } )+ };
  }
  lay_over!(
    stdin,
    working_directory,
    timeout,
    capture_output,
    max_output_size,
    start_deadline_secs,
    stop_signal,
    stop_grace_secs,
    task_type
  );
  Cow::Owned(config)
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn the_command_is_taken_as_a_whole() {
    let read = |json| serde_json::from_str::<TaskConfig>(json).expect("config");
    let job = read(r#"{"cmd":"python","script":"print(1)","timeout":5,"stdin":"x"}"#);
    let run = read(r#"{"command":"echo hi","timeout":9}"#);
    let config = effective(&job, Some(&run));
    assert_eq!((config.cmd, config.script.as_deref()), (None, None));
    assert_eq!(config.command.as_deref(), Some("echo hi"));
    assert_eq!((config.timeout, config.stdin.as_deref()), (run.timeout, Some("x")));
    let run = read(r#"{"timeout":9}"#);
    assert_eq!(effective(&job, Some(&run)).script.as_deref(), Some("print(1)"));
  }
}
