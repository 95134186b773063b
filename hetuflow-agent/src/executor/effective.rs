//! One config from the job's and the run's own.

use hetuflow_core::TaskConfig;

/// The config that counts: the run's own as a whole where it has one, else the job's. The server
/// reads retries, delivery and selector by the same rule.
pub fn effective<'a>(job: &'a TaskConfig, run: Option<&'a TaskConfig>) -> &'a TaskConfig {
  run.unwrap_or(job)
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn a_runs_own_config_stands_in_place_of_the_jobs() {
    let read = |json| serde_json::from_str::<TaskConfig>(json).expect("config");
    let job = read(r#"{"cmd":"python","script":"print(1)","timeout":5,"stdin":"x"}"#);
    let run = read(r#"{"command":"echo hi"}"#);
    assert_eq!(effective(&job, Some(&run)), &run);
    assert_eq!(effective(&job, None), &job);
  }
}
