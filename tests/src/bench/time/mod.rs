//! Time: how fast the next instants of a schedule are found, beside other implementations.

mod evaluation;
mod others;

use anyhow::Result;

use super::report::Report;

/// Measures what needs no server.
///
/// # Errors
/// When another implementation does not read what it should.
pub fn run(report: &mut Report) -> Result<()> {
  evaluation::run(report)
}
