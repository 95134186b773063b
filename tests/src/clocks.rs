//! Clocks of single processes that a story can set: the machine's own are not the tests' to touch. A
//! small library stands before the C library's clocks and adds what a file says; it is made by the
//! linker's own compiler (`cc`), which every machine with Rust has.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::time::{ClockId, clock_gettime};

const SHIM: &str = include_str!("clocks/shim.c");
const NANOS: i64 = 1_000_000_000;

/// The clocks of the processes that were started with [`Clocks::words`]. What those start has true
/// clocks again where the environment is not handed on, as with tasks.
#[derive(Debug, Clone)]
pub struct Clocks {
  shim: PathBuf,
  file: PathBuf,
}

impl Clocks {
  /// True clocks so far; the files are made in this folder.
  ///
  /// # Errors
  /// When there is no compiler, or the files cannot be made.
  pub fn new(dir: &Path) -> Result<Self> {
    let number = std::fs::read_dir(dir)?.count();
    let source = dir.join(format!("clocks-{number}.c"));
    let clocks = Self { shim: source.with_extension("so"), file: source.with_extension("set") };
    std::fs::write(&source, SHIM)?;
    clocks.write([0; 4])?;
    let words = ["-shared", "-fPIC", "-O1", "-o"];
    let made = Command::new("cc").args(words).arg(&clocks.shim).arg(&source).output();
    let made = made.context("cc: apt-get install -y gcc libc6-dev")?;
    ensure!(made.status.success(), "cc: {}", String::from_utf8_lossy(&made.stderr));
    Ok(clocks)
  }

  /// The words in front of a program that make it run by these clocks, with the same process id.
  pub fn words(&self) -> Vec<String> {
    let shim = format!("LD_PRELOAD={}", self.shim.display());
    let file = format!("HETUFLOW_TEST_CLOCKS={}", self.file.display());
    vec!["/usr/bin/env".to_owned(), shim, file]
  }

  /// Sets the wall clock to this many seconds off the true one.
  ///
  /// # Errors
  /// When the file cannot be written.
  pub fn set_wall(&self, secs: i64) -> Result<()> {
    let [_, boot, rate, since] = self.read()?;
    self.write([secs * NANOS, boot, rate, since])
  }

  /// The host was asleep for so long: what counts since boot and the wall clock have gone on, what
  /// processes set their timers by has not.
  ///
  /// # Errors
  /// As [`Clocks::set_wall`].
  pub fn sleep(&self, time: Duration) -> Result<()> {
    let [wall, boot, rate, since] = self.read()?;
    let time = i64::try_from(time.as_nanos())?;
    self.write([wall + time, boot + time, rate, since])
  }

  /// From now on both clocks run too fast by so many parts of a million; 0 ends it, and what was
  /// gained stays.
  ///
  /// # Errors
  /// As [`Clocks::set_wall`].
  pub fn run_fast(&self, parts_per_million: i64) -> Result<()> {
    let now = clock_gettime(ClockId::Boottime);
    let now = now.tv_sec * NANOS + now.tv_nsec;
    let [wall, boot, rate, since] = self.read()?;
    let gained = i64::try_from(i128::from(now - since) * i128::from(rate) / 1_000_000)?;
    self.write([wall + gained, boot + gained, parts_per_million, now])
  }

  fn read(&self) -> Result<[i64; 4]> {
    let bytes = std::fs::read(&self.file)?;
    let number = |i: usize| bytes.get(i * 8..i * 8 + 8)?.try_into().map(i64::from_ne_bytes).ok();
    let all = [number(0), number(1), number(2), number(3)].map(|one| one.context("a short file"));
    let [wall, boot, rate, since] = all;
    Ok([wall?, boot?, rate?, since?])
  }

  /// In place: whoever has the file mapped must see it.
  fn write(&self, numbers: [i64; 4]) -> Result<()> {
    use std::os::unix::fs::FileExt;
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).open(&self.file)?;
    let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
    file.write_all_at(&bytes, 0).context("set the clocks")
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  /// What a program that is started now takes for the seconds since 1970.
  fn wall(clocks: &Clocks) -> i64 {
    let words = clocks.words();
    let told = Command::new(&words[0]).args(&words[1..]).args(["date", "+%s"]).output().unwrap();
    String::from_utf8(told.stdout).unwrap().trim().parse().unwrap()
  }

  #[test]
  fn a_program_takes_what_was_set_for_the_time() {
    let dir = tempfile::tempdir().unwrap();
    let clocks = Clocks::new(dir.path()).unwrap();
    let truth = jiff::Timestamp::now().as_second();
    assert!((wall(&clocks) - truth).abs() < 60);
    clocks.set_wall(-600).unwrap();
    assert!((wall(&clocks) - truth + 600).abs() < 60);
    clocks.sleep(Duration::from_secs(3600)).unwrap();
    assert!((wall(&clocks) - truth - 3000).abs() < 60);
    // A million per million is twice as fast.
    clocks.run_fast(1_000_000_000).unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert!(wall(&clocks) - truth > 3000 + 100);
    let other = Clocks::new(dir.path()).unwrap();
    assert_ne!(other.file, clocks.file);
  }
}
