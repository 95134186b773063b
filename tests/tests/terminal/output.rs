//! Output of tasks on the screen: whole, harmless, and taken up after a break.

use anyhow::{Result, ensure};
use hetuflow_core::Stream;
use hetuflow_tests::bench::Sample;
use hetuflow_tests::fake_feed::LogScript;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::stage::{LIMIT, Stage};

/// What a terminal must never get from a task or a name.
const HOSTILE: &[&str] = &[
  "\x1b]52;c;aGFja2Vk",
  "\x1b]0;HACKED",
  "\x1b[97;97H",
  "\x1bP+q544e",
  "\x1b[?1049l\x1b[8m",
  "\u{202e}",
  "\u{9b}2J",
  "\x07",
];

fn hostile_text() -> String {
  "a\x1b]52;c;aGFja2Vk\x07b\x1b]0;HACKED\x1b\\c\x1b[97;97Hd\x1bP+q544e\x1b\\e\x1b[?1049l\x1b[8mf\u{202e}g\u{9b}2Jh\0i"
    .to_owned()
}

#[tokio::test]
async fn hostile_names_and_output_are_pictures() -> Result<()> {
  let stage = Stage::new().await?;
  let text = hostile_text();
  stage.feed.change(|world| {
    let id = world.add_task(&format!("name-{text}"), "failed");
    let fields = json!({ "why": text, "agent_id": "worker-01", "namespace_id": "default" });
    world.set_task(&id, &fields);
  });
  let mut log = LogScript::default();
  log.push(Stream::Stdout, format!("first {text}\n").as_bytes());
  log.push(Stream::Stderr, format!("second {text}\r\n\u{1b}[31mred\u{1b}[0m end\n").as_bytes());
  log.push(Stream::Stdout, &(0..=255).collect::<Vec<u8>>());
  stage.feed.set_log(log);
  let terminal = stage.tui_of_size(&["tasks"], (30, 120)).await?;
  terminal.wait_text("name-a", LIMIT).await?;
  terminal.keys("\r").await?;
  terminal.wait_text("red end", LIMIT).await?;
  ensure!(terminal.screen().contains('␛'), "{}", terminal.screen());
  for key in ["w", "t", "J", "1", "6", "2", "?"] {
    terminal.answered_keys(key, LIMIT).await?;
  }
  let bytes = String::from_utf8_lossy(&terminal.bytes_from(0)).into_owned();
  for bad in HOSTILE {
    if let Some(at) = bytes.find(bad) {
      let near: String =
        bytes[..at].chars().rev().take(40).collect::<Vec<_>>().into_iter().rev().collect();
      anyhow::bail!("{bad:?} reached the terminal after {near:?}");
    }
  }
  Ok(())
}

#[tokio::test]
async fn lines_of_a_megabyte_do_not_slow_the_keys() -> Result<()> {
  let stage = Stage::new().await?;
  let mut log = LogScript::default();
  for piece in ["x", "进", "\u{1b}[31mr\u{1b}[0m", "e\u{301}\t", "\u{0}"] {
    log.push(Stream::Stdout, (piece.repeat(1_000_000 / piece.len()) + "\n").as_bytes());
  }
  log.push(Stream::Stdout, b"the-end\n");
  stage.feed.set_log(log);
  let terminal = stage.tui_on_log((24, 80)).await?;
  terminal.wait_text("the-end", LIMIT).await?;
  let mut times = Vec::new();
  // Each of them changes the picture: wrapped, in one row, to the side, as JSON, by line and by row.
  for key in "kkkgGkwgGwkJJttvvwGk".chars() {
    times.push(terminal.answered_keys(key.to_string(), LIMIT).await?.as_secs_f64() * 1e3);
  }
  let times = Sample::new(times);
  println!("lines of 1 MB: p50 {:.1} ms, p99 {:.1} ms", times.p50(), times.p99());
  // How long is for `scripts/terminal-score`; here each key must have changed the picture.
  ensure!(times.len() == 20, "{} of 20 keys were answered", times.len());
  Ok(())
}

#[tokio::test]
async fn a_break_is_told_and_nothing_is_missing() -> Result<()> {
  let stage = Stage::new().await?;
  let line = |n: u32| format!("line {n:06} of the output\n");
  let mut log = LogScript::default();
  for n in 0..20_000 {
    log.push(Stream::Stdout, line(n).as_bytes());
  }
  log.break_after = Some(200_000);
  stage.feed.set_log(log);
  let terminal = stage.tui_on_log((24, 100)).await?;
  terminal.wait_text("20,000 lines", LIMIT).await?;
  terminal.wait_text("line 019999", LIMIT).await?;
  // More comes while the picture is held.
  terminal.keys("k").await?;
  terminal.wait_text("follow off", LIMIT).await?;
  stage
    .feed
    .extend_log(|log| (20_000..21_204).for_each(|n| log.push(Stream::Stdout, line(n).as_bytes())));
  terminal.wait_text("1,204 new", LIMIT).await?;
  ensure!(terminal.screen().contains("line 019998"), "{}", terminal.screen());
  terminal.keys("G").await?;
  terminal.wait_text("line 021203", LIMIT).await?;
  terminal.keys("/without link|nothing like it\r").await?;
  terminal.keys("e\x15whole.log\r").await?;
  let path = stage.dir().join("whole.log");
  let expected: String = (0..21_204).map(line).collect();
  hetuflow_tests::wait::until_ok("the export", LIMIT, || async {
    let bytes = std::fs::read(&path).map_err(|error| error.to_string())?;
    let same = Sha256::digest(&bytes) == Sha256::digest(expected.as_bytes());
    if same { Ok(()) } else { Err(format!("{} bytes, other than expected", bytes.len())) }
  })
  .await
}

#[tokio::test]
async fn a_line_of_a_megabyte_and_a_search() -> Result<()> {
  let stage = Stage::new().await?;
  let mut bytes = format!("begin {}\n", "0123456789".repeat(100_000)).into_bytes();
  for n in 0..100_000 {
    bytes.extend_from_slice(format!("INFO  batch {n} is done\n").as_bytes());
  }
  stage.feed.set_log(LogScript::of(&bytes));
  let terminal = stage.tui_on_log((24, 100)).await?;
  terminal.wait_text("100,001 lines", LIMIT).await?;
  terminal.keys("/batch \\d*999 \r").await?;
  terminal.wait_text("100 matching lines", LIMIT).await?;
  terminal.wait_text("searched 100,001 of 100,001", LIMIT).await?;
  terminal.keys("g").await?;
  terminal.wait_text("begin 0123", LIMIT).await?;
  terminal.keys("n").await?;
  terminal.wait_text("INFO  batch 999 is done", LIMIT).await
}
