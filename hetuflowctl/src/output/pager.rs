//! Long text for people goes through a pager, as `less`: only where stdout is a terminal, and only
//! where it would not fit.

use std::io::Write as _;
use std::process::{Command, Stdio};

use super::look::{Format, Look};

/// Quits where the text fits, keeps colours, leaves the text on the screen.
const DEFAULT: &str = "less -FIRX";

/// Whether what is shown now may go through a pager.
pub fn is_wanted(look: &Look) -> bool {
  look.out_tty && look.in_tty && matches!(look.format, Format::Table | Format::Wide)
}

/// Shows text: in the pager where it is longer than the terminal, else as it is.
///
/// # Errors
/// When stdout cannot be written.
pub fn show(text: &[u8], look: &Look) -> std::io::Result<()> {
  let lines = text.iter().filter(|byte| **byte == b'\n').count();
  let pager = pager_of(std::env::var("PAGER").ok());
  if lines >= look.height
    && let Some(pager) = pager
    && through(&pager, text).is_ok()
  {
    return Ok(());
  }
  let mut out = std::io::stdout().lock();
  match out.write_all(text).and_then(|()| out.flush()) {
    Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error),
    _ => Ok(()),
  }
}

/// `$PAGER`; empty or `cat` is none.
fn pager_of(variable: Option<String>) -> Option<String> {
  match variable.as_deref().map(str::trim) {
    None => Some(DEFAULT.to_owned()),
    Some("" | "cat") => None,
    Some(pager) => Some(pager.to_owned()),
  }
}

/// Fails only where nothing was shown.
fn through(pager: &str, text: &[u8]) -> std::io::Result<()> {
  let words = format!("exec {pager}");
  let mut child = Command::new("/bin/sh").args(["-c", &words]).stdin(Stdio::piped()).spawn()?;
  // Who leaves the pager early closes the pipe: that is no error.
  if let Some(mut stdin) = child.stdin.take() {
    let _ = stdin.write_all(text);
  }
  let status = child.wait()?;
  // A shell that finds no such program ends with these.
  match status.code() {
    Some(126 | 127) => Err(std::io::Error::other("there is no such pager")),
    _ => Ok(()),
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn which_pager() {
    assert_eq!(pager_of(None).as_deref(), Some("less -FIRX"));
    assert_eq!(pager_of(Some("most -s".into())).as_deref(), Some("most -s"));
    assert_eq!((pager_of(Some(String::new())), pager_of(Some("cat".into()))), (None, None));
  }

  #[test]
  fn a_pager_gets_the_text() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let pager = format!("cat > '{}'", file.path().display());
    through(&pager, b"one\ntwo\n").expect("shown");
    assert_eq!(std::fs::read(file.path()).expect("there"), b"one\ntwo\n");
    assert!(through("no-such-pager-here 2> /dev/null", b"x").is_err());
    through("true", &vec![b'x'; 1 << 20]).expect("leaving early is fine");
  }

  #[test]
  fn never_for_programs_and_pipes() {
    assert!(!is_wanted(&Look::sample(Format::Table, false)));
    assert!(!is_wanted(&Look::sample(Format::Json, true)));
  }
}
