//! The rules of a job, checked here as the server checks them, with the place of each break.

use hetuflow_core::{FieldError, JobForCreate};

use super::files::Source;
use super::locate::{locate, problem_at};
use super::manifest::Place;
use super::problem::Problem;

/// Checks every rule.
pub fn check_job(job: &mut JobForCreate, place: &Place, source: &Source) -> Vec<Problem> {
  let mut errors: Vec<FieldError> = Vec::new();
  job.check(&mut errors);
  errors
    .iter()
    // A rule that is broken only because a part could not be read is told by that part.
    .filter(|error| !locate(&place.node, &error.field).holds(&place.left_out))
    .map(|error| problem_at(error, &error.field, place, source))
    .collect()
}
