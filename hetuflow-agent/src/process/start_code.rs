//! The pages of a program that only its start has used.

#![expect(unsafe_code, reason = "no safe crate unmaps pages of a program")]

use std::ffi::c_void;

use rustix::mm::{Advice, madvise};

/// Gives the pages of this program's code back to the system, once what is read at a start is behind us:
/// reading settings and building commands is half of the program, and two processes of it live on every
/// host. What is used again comes back with its first use, from the memory that the system keeps of the
/// file. Code with a page that is not the file's, a debugger's or a probe's, is left alone.
pub fn let_start_code_go() {
  let maps = std::fs::read_to_string("/proc/self/smaps").unwrap_or_default();
  for (start, length) in plain_code(&maps) {
    // SAFETY: the range is code of a file that is mapped private to us, and no page of it differs from
    // the file; the next use of one reads it again. A file that runs cannot be written to.
    if let Err(error) = unsafe { madvise(start as *mut c_void, length, Advice::LinuxDontNeed) } {
      tracing::debug!(%error, "code that only the start has used stays in memory");
    }
  }
}

/// Ranges of code as the file has it.
fn plain_code(maps: &str) -> Vec<(usize, usize)> {
  let (mut ranges, mut last) = (Vec::new(), None);
  for line in maps.lines() {
    match line.strip_prefix("Anonymous:") {
      Some(own) if own.trim() == "0 kB" => ranges.extend(last.take()),
      Some(_) => last = None,
      None => last = code_of_file(line).or(last),
    }
  }
  ranges
}

/// Start and length of a range, where a line of the maps tells of code that comes from a file.
fn code_of_file(line: &str) -> Option<(usize, usize)> {
  let mut words = line.split_ascii_whitespace();
  let (start, end) = words.next()?.split_once('-')?;
  let is_code = words.next() == Some("r-xp");
  let of_file = words.nth(3).is_some_and(|path| path.starts_with('/'));
  let start = usize::from_str_radix(start, 16).ok()?;
  let end = usize::from_str_radix(end, 16).ok()?;
  (is_code && of_file && end > start).then(|| (start, end - start))
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn only_code_of_files_goes() {
    let line = "7f00a000-7f00c000 r-xp 00001000 fe:00 12   /usr/lib/libc.so.6";
    assert_eq!(code_of_file(line), Some((0x7f00_a000, 0x2000)));
    for other in [
      "7f00a000-7f00c000 r--p 00001000 fe:00 12   /usr/lib/libc.so.6",
      "7f00a000-7f00c000 rw-p 00001000 fe:00 12   /usr/lib/libc.so.6",
      "7f00a000-7f00c000 rwxp 00000000 00:00 0",
      "7ffd1000-7ffd3000 r-xp 00000000 00:00 0    [vdso]",
      "",
    ] {
      assert_eq!(code_of_file(other), None, "{other}");
    }
  }

  #[test]
  fn code_that_somebody_has_changed_stays() {
    let range = |start: &str, path: &str, own: u32| {
      format!("{start}000-{start}fff r-xp 0 fe:00 12 {path}\nRss: 4 kB\nAnonymous: {own} kB\n")
    };
    let maps = [range("1", "/a", 0), range("2", "/b", 4), range("3", "[vdso]", 0)].concat();
    assert_eq!(plain_code(&maps), [(0x1000, 0xfff)]);
  }

  #[test]
  fn a_program_goes_on_without_it() {
    let sorted = |seed: u64| {
      let mut numbers: Vec<u64> = (0..1000).map(|n| (n * seed) % 997).collect();
      numbers.sort_unstable();
      numbers
    };
    let own = std::fs::read_to_string("/proc/self/smaps").expect("text");
    assert!(!plain_code(&own).is_empty());
    let before = sorted(31);
    let_start_code_go();
    assert_eq!(sorted(31), before);
  }
}
