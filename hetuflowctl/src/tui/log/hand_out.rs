//! The log for other programs: an exact file, a command's input, the pager.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use sha2::{Digest as _, Sha256};

use super::glyph::{glyphs, text_of};
use super::store::LogSnapshot;

/// A file that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
  /// How many bytes.
  pub bytes: u64,
  /// Their SHA-256 in hexadecimal.
  pub sha256: String,
}

struct Hashing<W>(W, Sha256);

impl<W: Write> Write for Hashing<W> {
  fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
    let taken = self.0.write(bytes)?;
    self.1.update(&bytes[..taken]);
    Ok(taken)
  }

  fn flush(&mut self) -> io::Result<()> {
    self.0.flush()
  }
}

/// Writes every byte to a new file that only we can read; blocks.
///
/// # Errors
/// When the file is there already, or cannot be written; half a file is removed.
pub fn export(log: &LogSnapshot, path: &Path) -> io::Result<Exported> {
  let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
  let mut out = Hashing(file, Sha256::new());
  match log.write_to(&mut out).and_then(|bytes| out.0.sync_all().map(|()| bytes)) {
    Ok(bytes) => {
      let sha256 = out.1.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
      Ok(Exported { bytes, sha256 })
    }
    Err(error) => {
      let _gone = std::fs::remove_file(path);
      Err(error)
    }
  }
}

/// Runs a shell command with every byte, exactly, as its input; blocks until it has ended. The
/// terminal belongs to the command meanwhile.
///
/// # Errors
/// When the shell does not start, or bytes are no longer kept.
pub fn pipe(log: &LogSnapshot, command: &str) -> io::Result<ExitStatus> {
  fed("sh", &["-c", command], |input| log.write_to(input).map(drop))
}

/// Shows the log in `$PAGER`, else in less; blocks. A pager gets what the pane would show, because
/// pagers differ in what they let through to the terminal.
///
/// # Errors
/// When the pager does not start, or bytes are no longer kept.
pub fn page(log: &LogSnapshot) -> io::Result<ExitStatus> {
  let pager = std::env::var("PAGER").ok().filter(|pager| !pager.trim().is_empty());
  let pager = pager.unwrap_or_else(|| "less -S".to_owned());
  fed("sh", &["-c", &pager], |input| write_shown(log, input))
}

fn write_shown(log: &LogSnapshot, out: &mut impl Write) -> io::Result<()> {
  let index = log.index();
  for line in index.lines() {
    let Some(span) = index.span(line) else { break };
    let bytes = log.read(span.begin..span.end)?;
    let text = bytes.strip_suffix(b"\n").unwrap_or(&bytes);
    let mut shown = text_of(&glyphs(text.strip_suffix(b"\r").unwrap_or(text)));
    shown.push('\n');
    out.write_all(shown.as_bytes())?;
  }
  Ok(())
}

fn fed(
  program: &str,
  args: &[&str],
  write: impl FnOnce(&mut io::BufWriter<std::process::ChildStdin>) -> io::Result<()>,
) -> io::Result<ExitStatus> {
  let mut child = Command::new(program).args(args).stdin(Stdio::piped()).spawn()?;
  let input = child.stdin.take().expect("the pipe was asked for");
  let written = {
    let mut input = io::BufWriter::with_capacity(1 << 16, input);
    write(&mut input).and_then(|()| input.flush())
  };
  let status = child.wait()?;
  match written {
    // A reader that has seen enough is no error.
    Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
    _ => Ok(status),
  }
}

#[cfg(test)]
mod tests {
  use hetuflow_core::Stream;

  use super::super::store::LogStore;
  use super::*;

  fn log(bytes: &[u8]) -> LogSnapshot {
    let mut store = LogStore::new().expect("a store");
    for piece in bytes.chunks(100_000) {
      store.append(Stream::Stdout, 0, piece).expect("kept");
    }
    store.snapshot()
  }

  #[test]
  fn a_file_is_exact_and_never_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.log");
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
    let done = export(&log(&bytes), &path).expect("written");
    let expected: String = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(done, Exported { bytes: 3_000_000, sha256: expected });
    assert!(std::fs::read(&path).expect("there") == bytes);
    assert!(export(&log(b"x"), &path).is_err());
  }

  #[test]
  fn a_command_gets_the_exact_bytes_and_may_stop_reading() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out");
    let bytes = [vec![b'x'; 1 << 20], b"\x1b[2J\0\xff\n".to_vec()].concat();
    let status = pipe(&log(&bytes), &format!("cat > '{}'", path.display())).expect("run");
    assert!(status.success() && std::fs::read(&path).expect("there") == bytes);
    assert_eq!(pipe(&log(&bytes), "head -c 1 >/dev/null; exit 3").expect("run").code(), Some(3));
    let mut shown = Vec::new();
    write_shown(&log(b"a\x1b[2Jb\r\nc"), &mut shown).expect("written");
    assert_eq!(String::from_utf8(shown).expect("text"), "a␛b\nc\n");
  }
}
