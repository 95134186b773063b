//! Files that tasks leave, and files for tasks to find.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use hetuflow_core::ArtifactState;

use super::list::Paging;
use super::object::{Many, Names};
use super::value::read_duration;

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
  /// Put a file there, for tasks to find
  Put(ArtifactPut),
  /// Show the files that a task finds when it starts, once it was handed out
  Inputs(ArtifactInputs),
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

/// A file to put there.
#[derive(Debug, Clone, Args)]
pub struct ArtifactPut {
  /// The file; - is stdin
  #[arg(value_name = "FILE|-")]
  pub file: PathBuf,
  /// How it is called; the last part of its path where not said
  #[arg(long, value_name = "NAME")]
  pub name: Option<String>,
  /// How long it is kept; as the server says where not said
  #[arg(long, value_name = "DUR", value_parser = read_duration)]
  pub retention: Option<Duration>,
}

/// Whose files.
#[derive(Debug, Clone, Args)]
pub struct ArtifactInputs {
  /// The task
  #[arg(value_name = "TASK")]
  pub task: String,
}
