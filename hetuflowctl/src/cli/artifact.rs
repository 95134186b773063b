//! Files that tasks leave.

use clap::{Args, Subcommand};
use hetuflow_core::ArtifactState;

use super::list::Paging;
use super::object::{Many, Names};

/// Verbs of artifacts.
#[derive(Debug, Subcommand)]
pub enum ArtifactVerb {
  /// List files that tasks have left
  #[command(visible_alias = "ls")]
  List(ArtifactList),
  /// Show files, without their bytes
  #[command(visible_alias = "show")]
  Get(Names),
  /// Write the bytes of a file here
  #[command(visible_aliases = ["fetch", "cat"])]
  Download(ArtifactDownload),
  /// Forget files
  #[command(visible_alias = "rm")]
  Delete(Many),
}

/// Which files.
#[derive(Debug, Clone, Args)]
pub struct ArtifactList {
  /// Only of this task, or of this attempt: TASK#2
  #[arg(value_name = "TASK")]
  pub task: Option<String>,
  /// uploading, stored, refused or lost
  #[arg(long, value_parser = |text: &str| text.parse::<ArtifactState>().map_err(|error| error.to_string()))]
  pub state: Option<ArtifactState>,
  /// How many.
  #[command(flatten)]
  pub paging: Paging,
}

/// Bytes to get.
#[derive(Debug, Clone, Args)]
pub struct ArtifactDownload {
  /// The id of a file; or a task, with the name of one of its files
  #[arg(value_name = "ID|TASK")]
  pub target: String,
  /// Its name: the newest file of the task that is called so
  pub name: Option<String>,
  /// Where to write it; - is stdout; where not said, the last part of its name, here
  #[arg(long, value_name = "F")]
  pub to: Option<String>,
  /// Write over what is there
  #[arg(long)]
  pub force: bool,
}
