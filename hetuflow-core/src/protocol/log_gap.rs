//! Output that was dropped, as the log itself says it: one line of the agent's own stream.

/// The line that stands where bytes were dropped.
pub fn gap_line(bytes: u64, why: &str) -> String {
  format!("{HEAD}{bytes}{MIDDLE}{why}\n")
}

/// Reads a line of the agent's own stream: how many bytes were dropped there, and why.
pub fn read_gap(line: &str) -> Option<(u64, &str)> {
  let (bytes, why) = line.trim_end().strip_prefix(HEAD)?.split_once(MIDDLE)?;
  Some((bytes.parse().ok()?, why))
}

const HEAD: &str = "hetuflow: ";
const MIDDLE: &str = " bytes dropped, ";

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn a_gap_is_read_as_it_is_written() {
    let line = gap_line(12, "max_output_size is 5");
    assert_eq!(line, "hetuflow: 12 bytes dropped, max_output_size is 5\n");
    assert_eq!(read_gap(&line), Some((12, "max_output_size is 5")));
    for other in ["", "hetuflow: bytes dropped, x", "hetuflow: the process has ended", "12 bytes"] {
      assert_eq!(read_gap(other), None, "{other}");
    }
  }
}
