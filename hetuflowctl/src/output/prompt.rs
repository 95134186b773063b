//! Questions: only where stdin and stderr are terminals (R5).

use std::io::Write as _;

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

use super::fault::{Failure, Fault};
use super::look::Look;

/// Asks; `--yes` answers.
///
/// # Errors
/// Usage, where nobody can be asked.
pub fn ask(look: &Look, question: &str) -> Result<bool, Failure> {
  if look.yes {
    return Ok(true);
  }
  if !look.interactive() {
    return Err(Fault::usage(format!("{question} needs a yes")).with_help("give --yes"));
  }
  eprint!("{question}?  [y/N] ");
  std::io::stderr().flush()?;
  let mut line = String::new();
  std::io::stdin().read_line(&mut line)?;
  Ok(matches!(line.trim(), "y" | "Y" | "yes"))
}

/// Asks for a word to be typed, where a plain yes would be too easy; `--yes` answers.
///
/// # Errors
/// Usage, where nobody can be asked.
pub fn ask_word(look: &Look, question: &str, word: &str) -> Result<bool, Failure> {
  if look.yes {
    return Ok(true);
  }
  if !look.interactive() {
    return Err(Fault::usage(format!("{question} needs a yes")).with_help("give --yes"));
  }
  eprint!("{question}?  type {word} to go on: ");
  std::io::stderr().flush()?;
  let mut line = String::new();
  std::io::stdin().read_line(&mut line)?;
  Ok(line.trim() == word)
}

/// Reads a line without showing it.
///
/// # Errors
/// Usage, where nobody can be asked.
pub fn read_secret(look: &Look, question: &str) -> Result<String, Failure> {
  if !look.interactive() {
    return Err(
      Fault::usage("no token was given").with_help("give --token-stdin or --token-file F"),
    );
  }
  eprint!("{question}: ");
  std::io::stderr().flush()?;
  let stdin = std::io::stdin();
  let shown = tcgetattr(&stdin).map_err(std::io::Error::from)?;
  let mut hidden = shown.clone();
  hidden.local_modes.remove(LocalModes::ECHO);
  tcsetattr(&stdin, OptionalActions::Now, &hidden).map_err(std::io::Error::from)?;
  let mut line = String::new();
  let read = stdin.read_line(&mut line);
  tcsetattr(&stdin, OptionalActions::Now, &shown).map_err(std::io::Error::from)?;
  eprintln!();
  read?;
  Ok(line)
}
