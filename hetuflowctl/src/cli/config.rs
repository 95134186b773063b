//! `config`, `alias`, `plugin`, `man`, completion of names, and what the API says about itself.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, Subcommand};

use super::Cli;

/// Verbs of the config file.
#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
  /// What is in force
  View {
    /// Say where each value comes from
    #[arg(long)]
    show_origin: bool,
  },
  /// One value of the file
  Get {
    /// As contexts.prod.server, aliases.NAME or current
    key: String,
  },
  /// Change one value of the file
  Set {
    /// As contexts.prod.namespace
    key: String,
    /// The value
    value: String,
  },
  /// Take one value out of the file
  Unset {
    /// As contexts.prod.read_only
    key: String,
  },
  /// Open the file in $VISUAL or $EDITOR; what is broken is not kept
  Edit,
  /// Where the file is
  Path,
}

/// Verbs of aliases.
#[derive(Debug, Subcommand)]
pub enum AliasVerb {
  /// List aliases
  #[command(visible_alias = "ls")]
  List,
  /// Give some words a name: alias set failed 'task list --status failed'
  Set {
    /// The name
    name: String,
    /// The words
    words: String,
  },
  /// Forget an alias
  #[command(visible_alias = "rm")]
  Unset {
    /// The name
    name: String,
  },
}

/// Verbs of plugins.
#[derive(Debug, Subcommand)]
pub enum PluginVerb {
  /// Programs called hetuflowctl-NAME on PATH: hetuflowctl NAME runs them
  #[command(visible_alias = "ls")]
  List,
}

/// Where manual pages go.
#[derive(Debug, Clone, Args)]
pub struct ManArgs {
  /// Write one page per command into this folder; the first page goes to stdout without it
  #[arg(long, value_name = "DIR")]
  pub dir: Option<PathBuf>,
}

/// The words of a command line that is being typed.
#[derive(Debug, Clone, Args)]
pub struct CompleteArgs {
  /// The words after the program; the last one is not finished
  #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
  pub words: Vec<OsString>,
}

/// A field of the API.
#[derive(Debug, Clone, Args)]
pub struct FieldArgs {
  /// As task.exit_code or job.spec.config.timeout
  #[arg(value_name = "FIELD")]
  pub field: String,
}

/// A kind of manifest or object.
#[derive(Debug, Clone, Args)]
pub struct SchemaArgs {
  /// job or namespace: the manifest; task, schedule, agent, …: the object
  pub kind: String,
}

/// All manual pages, by file name.
pub fn man_pages() -> Vec<(String, Vec<u8>)> {
  let mut root = Cli::command();
  root.build();
  let mut pages = Vec::new();
  man_page(&root, "hetuflowctl", &mut pages);
  pages
}

fn man_page(command: &clap::Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) {
  let mut page = Vec::new();
  let named = command.clone().display_name(name.to_owned());
  if clap_mangen::Man::new(named).title(name).render(&mut page).is_ok() {
    pages.push((format!("{name}.1"), page));
  }
  for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
  {
    man_page(sub, &format!("{name}-{}", sub.get_name()), pages);
  }
}

/// Whether a word is a command of ours.
pub fn is_command(word: &str) -> bool {
  let root = Cli::command();
  root.find_subcommand(word).is_some()
}

/// The command that shows the help page of what was typed.
pub fn help_command(words: impl Iterator<Item = OsString>) -> String {
  let words: Vec<String> = words.filter_map(|word| word.into_string().ok()).collect();
  let (path, _) = walk(&words);
  let words = ["hetuflowctl"].into_iter().chain(path.iter().map(String::as_str));
  words.chain(["--help"]).collect::<Vec<_>>().join(" ")
}

/// What the words lead to: the names of the commands on the way, and what may follow.
pub fn walk(words: &[String]) -> (Vec<String>, Vec<String>) {
  let mut command = Cli::command();
  command.build();
  let (mut path, mut here) = (Vec::new(), &command);
  for word in words.iter().filter(|word| !word.starts_with('-')) {
    match here.find_subcommand(word) {
      Some(sub) => {
        path.push(sub.get_name().to_owned());
        here = sub;
      }
      None if !path.is_empty() => break,
      None => {}
    }
  }
  let subs = here.get_subcommands().filter(|sub| !sub.is_hide_set());
  let mut next: Vec<String> = subs.map(|sub| sub.get_name().to_owned()).collect();
  let flags = here.get_arguments().filter(|arg| !arg.is_hide_set());
  next.extend(flags.filter_map(|arg| arg.get_long().map(|long| format!("--{long}"))));
  (path, next)
}
