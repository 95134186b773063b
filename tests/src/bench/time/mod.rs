//! Time: how fast the next instants of a schedule are found, beside other implementations; and what
//! the planner does under load.

mod evaluation;
mod others;
mod planner;

use anyhow::Result;

use super::args::Options;
use super::report::Report;
use super::target::Target;

/// Measures both.
///
/// # Errors
/// When another implementation does not read what it should, or something does not start.
pub async fn run(options: &Options, target: &Target, report: &mut Report) -> Result<()> {
  evaluation::run(report)?;
  planner::run(options, target, report).await
}
