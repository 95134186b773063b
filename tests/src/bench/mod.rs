//! The benchmarks: real binaries, real databases, and the machine's own limits in the same run.
//!
//! Each bench fills a [`Report`]: what was measured beside the bars, what the machine can do
//! without us, and what it cost. Nothing here asserts a time; what makes a bench fail is work that
//! was lost, done twice or handed back wrong.

mod agent;
mod args;
pub mod baselines;
mod fire;
mod held;
mod idle;
mod latency;
mod logs;
pub mod payload;
mod queue;
mod report;
mod rig;
mod sample;
mod spawn;
mod stamps;
mod store;
mod target;
mod terminal;
mod time;
mod usage;

use anyhow::Result;

pub use args::{Bench, Db, Options, USAGE};
pub use report::Report;
pub use sample::Sample;
pub use target::Target;

/// Runs the bench that the options name.
///
/// # Errors
/// When something does not start or answer; lost or wrong work is a problem in the report instead.
pub async fn run(options: &Options) -> Result<Report> {
  let target = Target::open(&options.db)?;
  let mut report = Report::new(options, &target).await?;
  match options.bench {
    Bench::Queue => queue::run(options, &target, &mut report).await?,
    Bench::Latency => latency::run(options, &target, &mut report).await?,
    Bench::Spawn => spawn::run(options, &target, &mut report).await?,
    Bench::Fire => fire::run(options, &target, &mut report).await?,
    Bench::Logs => logs::run(options, &target, &mut report).await?,
    Bench::Idle => idle::run(options, &target, &mut report).await?,
    Bench::Agent => agent::run(options, &mut report).await?,
    Bench::Terminal => terminal::run(options, &mut report).await?,
    Bench::Time => time::run(options, &target, &mut report).await?,
    Bench::Held => held::run(options, &target, &mut report).await?,
    Bench::Limits => limits(&target, &mut report).await?,
  }
  Ok(report)
}

/// The machine's own limits alone, without server and agents.
async fn limits(target: &Target, report: &mut Report) -> Result<()> {
  baselines::commits(target, report).await?;
  baselines::bare_queue(target, report).await?;
  baselines::spawns(report)?;
  baselines::stamps(report)?;
  baselines::timer(report);
  baselines::output(report)
}
