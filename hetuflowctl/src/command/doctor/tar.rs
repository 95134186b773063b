//! A tar archive of a few small files, as POSIX.1-1988 (ustar) has it.

/// Blocks of an archive.
const BLOCK: usize = 512;

/// The archive. Names are short, plain ASCII, and ours.
pub fn archive(files: &[(String, Vec<u8>)], at_secs: i64) -> Vec<u8> {
  let mut out = Vec::new();
  for (name, bytes) in files {
    out.extend_from_slice(&header(name, bytes.len(), at_secs));
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(BLOCK), 0);
  }
  out.resize(out.len() + 2 * BLOCK, 0);
  out
}

fn header(name: &str, size: usize, at_secs: i64) -> [u8; BLOCK] {
  let mut block = [0; BLOCK];
  let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
  put(0, &name[..name.len().min(100)]);
  put(100, "0000600\0");
  put(108, "0000000\0");
  put(116, "0000000\0");
  put(124, &format!("{size:011o}\0"));
  put(136, &format!("{:011o}\0", at_secs.max(0)));
  put(148, "        ");
  put(156, "0");
  put(257, "ustar\0");
  put(263, "00");
  let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
  block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
  block
}

#[cfg(test)]
mod tests {
  use super::*;

  /// The program that everybody has reads it back.
  #[test]
  fn tar_reads_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let files =
      [("a/one.txt".to_owned(), b"one\n".to_vec()), ("a/two.txt".to_owned(), vec![7; 700])];
    let path = folder.path().join("x.tar");
    std::fs::write(&path, archive(&files, 1_763_733_600)).expect("written");
    let done = std::process::Command::new("tar")
      .args(["-xf", "x.tar"])
      .current_dir(folder.path())
      .status()
      .expect("tar is there");
    assert!(done.success());
    for (name, bytes) in files {
      assert_eq!(std::fs::read(folder.path().join(name)).expect("there"), bytes);
    }
  }
}
