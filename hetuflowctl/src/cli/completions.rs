//! Completion scripts.

use clap::{Args, CommandFactory, ValueEnum};
use clap_complete::{Generator, Shell, generate};
use clap_complete_nushell::Nushell;

use super::Cli;

/// For which shell.
#[derive(Debug, Clone, Args)]
pub struct CompletionsArgs {
  /// The shell
  #[arg(value_enum)]
  pub shell: CompletionShell,
}

/// A shell that completes words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CompletionShell {
  /// GNU bash
  Bash,
  /// Z shell
  Zsh,
  /// fish
  Fish,
  /// PowerShell
  Powershell,
  /// Elvish
  Elvish,
  /// Nushell
  Nushell,
}

/// The script for a shell.
pub fn write_completions(args: &CompletionsArgs) -> Vec<u8> {
  match args.shell {
    CompletionShell::Bash => with_names(Shell::Bash, BASH),
    CompletionShell::Zsh => with_names(Shell::Zsh, ZSH),
    CompletionShell::Fish => with_names(Shell::Fish, FISH),
    CompletionShell::Powershell => with_names(Shell::PowerShell, b""),
    CompletionShell::Elvish => with_names(Shell::Elvish, b""),
    CompletionShell::Nushell => with_names(Nushell, b""),
  }
}

fn with_names(shell: impl Generator, names: &[u8]) -> Vec<u8> {
  let mut script = Vec::new();
  generate(shell, &mut Cli::command(), "hetuflowctl", &mut script);
  script.extend_from_slice(names);
  script
}

/// Names of jobs, agents, contexts and so on come from the program itself, as they are now.
const BASH: &[u8] = b"
_hetuflowctl_names() {
  _hetuflowctl \"$@\"
  local line
  while IFS= read -r line; do
    COMPREPLY+=(\"$line\")
  done < <(hetuflowctl __complete -- \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null)
}
complete -F _hetuflowctl_names -o bashdefault -o default hetuflowctl hfctl
";

const ZSH: &[u8] = b"
_hetuflowctl_names() {
  local -a names
  names=(${(f)\"$(hetuflowctl __complete -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)\"})
  compadd -a names
  _hetuflowctl \"$@\"
}
compdef _hetuflowctl_names hetuflowctl hfctl
";

const FISH: &[u8] = b"
complete -c hetuflowctl -f -a '(hetuflowctl __complete -- (commandline -opc)[2..] (commandline -ct) 2>/dev/null)'
";
