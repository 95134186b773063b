//! Completion scripts.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::Cli;

/// For which shell.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
  /// The shell
  pub shell: Shell,
}

/// The script for a shell.
pub fn write_completions(args: &CompletionsArgs) -> Vec<u8> {
  let mut script = Vec::new();
  clap_complete::generate(args.shell, &mut Cli::command(), "hetuflowctl", &mut script);
  script
}
