//! Jobs.

use clap::{Args, Subcommand};
use hetuflow_core::{HERD_DEFAULT, JobStatus, PLAN_DAYS_DEFAULT, PLAN_DAYS_MAX, Ts};

use super::apply::ManifestArgs;
use super::backfill::BackfillArgs;
use super::examples;
use super::list::{Paging, Watching};
use super::object::{FileArgs, Many, ManyJobs, Name, Names};
use super::run::RunArgs;
use super::value::{read_instant, read_pair, read_past};

/// Verbs of jobs.
#[derive(Debug, Subcommand)]
pub enum JobVerb {
  /// List jobs
  #[command(visible_alias = "ls", after_help = examples::JOBS)]
  List(JobList),
  /// Show jobs
  #[command(visible_alias = "show")]
  Get(Names),
  /// Make a job from a manifest; it must not exist yet
  Create(FileArgs),
  /// Edit a job with its schedules in $VISUAL or $EDITOR, then apply it
  Edit(JobEdit),
  /// Change the description, the owner, labels or the environment of a job
  Update(JobUpdate),
  /// Check manifests; nothing is changed
  Validate(JobValidate),
  /// The fires that manifests would add, remove and move; nothing is changed
  Plan(JobPlanArgs),
  /// Why a job fails, is late, or never runs
  Why(Name),
  /// Delete jobs with their schedules
  #[command(visible_alias = "rm")]
  Delete(Many),
  /// Start a task of a job now
  Run(Box<RunArgs>),
  /// Let jobs run
  #[command(visible_alias = "resume")]
  Enable(ManyJobs),
  /// Keep jobs from running
  #[command(visible_alias = "pause")]
  Disable(ManyJobs),
  /// The newest runs of a job
  History(JobHistory),
  /// The versions of a job
  Versions(Name),
  /// What differs between two versions of a job
  Diff(JobDiff),
  /// Make an earlier version of a job the newest
  Rollback(JobRollback),
  /// How the runs of a job went: counts, success rate, durations
  Stats(JobStats),
  /// Make a job like another one, without its schedules
  Clone(JobClone),
  /// Give a job another name
  Rename(JobRename),
  /// Run the schedule of a job for instants of the past
  Backfill(BackfillArgs),
  /// Jobs with their schedules as manifests for apply
  Export(JobExport),
}

/// What to plan.
#[derive(Debug, Clone, Args)]
pub struct JobPlanArgs {
  /// The manifests.
  #[command(flatten)]
  pub manifests: ManifestArgs,
  /// How far to look, in days
  #[arg(long, value_name = "N", default_value_t = PLAN_DAYS_DEFAULT, value_parser = clap::value_parser!(i64).range(1..=PLAN_DAYS_MAX))]
  pub days: i64,
  /// From this instant on; now where not given
  #[arg(long, value_name = "TIME", value_parser = read_instant, allow_hyphen_values = true)]
  pub from: Option<Ts>,
  /// So many schedules in one minute are told
  #[arg(long, value_name = "N", default_value_t = HERD_DEFAULT, value_parser = clap::value_parser!(i64).range(2..))]
  pub herd: i64,
  /// As apply --scope
  #[arg(long, value_name = "K=V", value_parser = read_pair)]
  pub scope: Vec<(String, String)>,
  /// As apply --prune
  #[arg(long, requires = "scope")]
  pub prune: bool,
  /// Exit 10 where a fire would change
  #[arg(long)]
  pub exit_code: bool,
}

/// Which job to edit.
#[derive(Debug, Clone, Args)]
pub struct JobEdit {
  /// The job
  pub name: String,
  /// Only where the job still has this version; else exit 6
  #[arg(long, value_name = "N")]
  pub if_version: Option<i64>,
}

/// A change of some settings.
#[derive(Debug, Clone, Args)]
pub struct JobUpdate {
  /// The job
  pub name: String,
  /// What it is for
  #[arg(long)]
  pub description: Option<String>,
  /// Who looks after it
  #[arg(long)]
  pub owner: Option<String>,
  /// Give it a label
  #[arg(long, value_name = "K=V", value_parser = read_pair)]
  pub label: Vec<(String, String)>,
  /// Take a label away
  #[arg(long, value_name = "K")]
  pub unset_label: Vec<String>,
  /// Give it a variable of the environment
  #[arg(long, value_name = "K=V", value_parser = read_pair)]
  pub env: Vec<(String, String)>,
  /// Take a variable away
  #[arg(long, value_name = "K")]
  pub unset_env: Vec<String>,
  /// Only where the job still has this version; else exit 6
  #[arg(long, value_name = "N")]
  pub if_version: Option<i64>,
}

impl JobUpdate {
  /// Whether no setting is named.
  pub fn changes_nothing(&self) -> bool {
    self.description.is_none()
      && self.owner.is_none()
      && self.label.is_empty()
      && self.unset_label.is_empty()
      && self.env.is_empty()
      && self.unset_env.is_empty()
  }
}

/// Which manifests to check.
#[derive(Debug, Clone, Args)]
pub struct JobValidate {
  /// The manifests.
  #[command(flatten)]
  pub manifests: ManifestArgs,
  /// Also ask the server whether it would take them
  #[arg(long = "with-server")]
  pub server: bool,
}

/// Which runs.
#[derive(Debug, Clone, Args)]
pub struct JobHistory {
  /// The job
  pub name: String,
  /// In these states: failed,lost…
  #[arg(long, value_name = "STATES")]
  pub state: Option<String>,
  /// At most so many rows; 0 is all
  #[arg(short = 'N', long, value_name = "N", default_value_t = 20)]
  pub limit: u32,
}

/// Which versions.
#[derive(Debug, Clone, Args)]
pub struct JobDiff {
  /// The job
  pub name: String,
  /// The older version
  #[arg(value_name = "V1")]
  pub from: i64,
  /// The newer version; the newest where not said
  #[arg(value_name = "V2")]
  pub to: Option<i64>,
}

/// Back to which version.
#[derive(Debug, Clone, Args)]
pub struct JobRollback {
  /// The job
  pub name: String,
  /// The version
  #[arg(value_name = "V")]
  pub version: i64,
  /// Only where the job still has this version; else exit 6
  #[arg(long, value_name = "N")]
  pub if_version: Option<i64>,
  /// Only show what would change
  #[arg(long)]
  pub dry_run: bool,
}

/// Figures of which time.
#[derive(Debug, Clone, Args)]
pub struct JobStats {
  /// The job
  pub name: String,
  /// Runs made since then: 7d is seven days ago
  #[arg(long, value_name = "TIME", value_parser = read_past, allow_hyphen_values = true)]
  pub since: Option<Ts>,
}

/// A copy.
#[derive(Debug, Clone, Args)]
pub struct JobClone {
  /// The job
  pub from: String,
  /// The name of the copy
  pub to: String,
}

/// Another name.
#[derive(Debug, Clone, Args)]
pub struct JobRename {
  /// The job
  pub from: String,
  /// The new name
  pub to: String,
  /// Only where the job still has this version; else exit 6
  #[arg(long, value_name = "N")]
  pub if_version: Option<i64>,
}

/// Which jobs to write.
#[derive(Debug, Clone, Args)]
pub struct JobExport {
  /// Jobs; all of the namespace where none is named
  pub names: Vec<String>,
}

/// Which jobs.
#[derive(Debug, Clone, Args)]
pub struct JobList {
  /// With this name
  #[arg(long)]
  pub name: Option<String>,
  /// enabled, disabled or created
  #[arg(long, value_parser = |text: &str| text.parse::<JobStatus>().map_err(|error| error.to_string()))]
  pub status: Option<JobStatus>,
  /// How many.
  #[command(flatten)]
  pub paging: Paging,
  /// Whether it goes on.
  #[command(flatten)]
  pub watching: Watching,
}
