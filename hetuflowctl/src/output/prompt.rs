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

/// Asks for one of some words; each has a letter of its own, and an empty line means the first.
/// `--yes` takes it too.
///
/// # Errors
/// Usage, where nobody can be asked.
pub fn choose<T: Copy>(
  look: &Look,
  question: &str,
  choices: &[(char, &str, T)],
) -> Result<T, Failure> {
  let first = choices.first().expect("somebody gives choices").2;
  if look.yes {
    return Ok(first);
  }
  if !look.interactive() {
    return Err(Fault::usage(format!("{question} needs an answer")).with_help("give --yes"));
  }
  eprintln!("{question}");
  for (letter, words, _) in choices {
    eprintln!("  {letter}  {words}");
  }
  let letters: Vec<String> = choices.iter().map(|choice| choice.0.to_string()).collect();
  let letters = letters.join("/");
  loop {
    eprint!("{letters}? ");
    std::io::stderr().flush()?;
    let mut line = String::new();
    let end = std::io::stdin().read_line(&mut line)? == 0;
    match picked(&line, choices) {
      Some(found) => return Ok(found),
      None if end => return Ok(first),
      None => eprintln!("one of {letters}, or nothing for the first"),
    }
  }
}

/// What a typed line means.
fn picked<T: Copy>(line: &str, choices: &[(char, &str, T)]) -> Option<T> {
  let line = line.trim();
  let mut all = choices.iter();
  if line.is_empty() {
    return all.next().map(|choice| choice.2);
  }
  let is =
    |letter: char| line.len() == 1 && line.eq_ignore_ascii_case(letter.encode_utf8(&mut [0; 4]));
  all.find(|choice| is(choice.0)).map(|choice| choice.2)
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

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn an_answer_is_a_letter_or_nothing() {
    let choices = [('s', "skip", 1), ('l', "last", 2)];
    for (line, expected) in
      [("\n", Some(1)), ("l\n", Some(2)), (" L ", Some(2)), ("x", None), ("ll", None)]
    {
      assert_eq!(picked(line, &choices), expected, "{line:?}");
    }
  }
}
