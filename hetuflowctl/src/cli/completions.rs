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
  script.extend_from_slice(match args.shell {
    Shell::Bash => BASH,
    Shell::Zsh => ZSH,
    Shell::Fish => FISH,
    _ => b"",
  });
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
