//! The terminal is given back as it was, at any size nothing breaks, and no key does harm.

use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use hetuflow_tests::terminal::{Recipe, Terminal};
use hetuflow_tests::{binaries::Binaries, wait};
use rustix::process::Signal;
use serde_json::json;

use crate::stage::{LIMIT, Stage};

/// Waits until all keys so far were taken: a new size is heard of after them, and is answered with
/// a whole picture. In the end the terminal has its 24 rows of 80 columns again.
async fn taken(terminal: &Terminal) -> Result<()> {
  for rows in [25, 24] {
    let from = usize::try_from(terminal.count())?;
    terminal.resize(rows, 80).await?;
    wait::until("a whole picture", LIMIT, || async {
      let bytes = terminal.bytes_from(from);
      bytes.windows(4).any(|part| part == b"\x1b[2J").then_some(())
    })
    .await?;
  }
  Ok(())
}

#[tokio::test]
async fn the_terminal_is_given_back() -> Result<()> {
  let stage = Stage::new().await?;
  for (name, keys, signal) in [
    ("q", "q", None),
    ("^C", "\x03", None),
    ("TERM", "", Some(Signal::TERM)),
    ("HUP", "", Some(Signal::HUP)),
    ("INT", "", Some(Signal::INT)),
  ] {
    let words = ["tui"];
    let mut terminal = Terminal::spawn(&stage.ctl(&words)?)?;
    let before = terminal.settings()?;
    terminal.wait_text("LIVE", LIMIT).await?;
    ensure!(terminal.is_full_screen(), "{name}: not on its own screen");
    ensure!(terminal.settings()? != before, "{name}: keys are not its own");
    terminal.keys(keys).await?;
    if let Some(signal) = signal {
      terminal.signal(signal)?;
    }
    terminal.wait_end(LIMIT).await?;
    wait::until(&format!("{name}: the shell's screen"), LIMIT, || async {
      (!terminal.is_full_screen()).then_some(())
    })
    .await?;
    assert_eq!(terminal.settings()?, before, "{name}");
    let left = terminal.bytes_from(0);
    let tail = String::from_utf8_lossy(&left[left.len().saturating_sub(200)..]).into_owned();
    ensure!(tail.contains("\x1b[?25h"), "{name}: the cursor stays hidden: {tail:?}");
  }
  Ok(())
}

#[tokio::test]
async fn a_panic_gives_the_terminal_back_and_leaves_a_report() -> Result<()> {
  let stage = Stage::new().await?;
  let recipe = stage.ctl(&["tui"])?.environment("HETUFLOW_TUI_PANIC_AFTER_MS", "1500");
  let mut terminal = Terminal::spawn(&recipe)?;
  let before = terminal.settings()?;
  // How far it has come by then is not asked: that it has taken the terminal is seen below.
  let status = terminal.wait_end(LIMIT).await?;
  ensure!(!status.success(), "a panic is no success: {status}");
  terminal.wait_text("hetuflowctl tui broke", LIMIT).await?;
  ensure!(!terminal.is_full_screen(), "the shell has no screen");
  assert_eq!(terminal.settings()?, before);
  let bytes = String::from_utf8_lossy(&terminal.bytes_from(0)).into_owned();
  let taken = ["\x1b[?1049h", "\x1b[?2004h", "\x1b[?1004h", "\x1b[?1000h"];
  let given_back = ["\x1b[?25h", "\x1b[?1049l", "\x1b[?2004l", "\x1b[?1004l", "\x1b[?1000l"];
  for needed in taken.into_iter().chain(given_back) {
    ensure!(bytes.contains(needed), "{needed:?} is missing");
  }
  let report = stage.dir().join(".local/state/hetuflow/tui-panic.txt");
  let text = std::fs::read_to_string(&report)?;
  ensure!(text.contains("HETUFLOW_TUI_PANIC_AFTER_MS"), "{text}");
  Ok(())
}

#[tokio::test]
async fn what_is_recorded_is_played_again() -> Result<()> {
  let stage = Stage::new().await?;
  let file = stage.dir().join("session.jsonl");
  let name = file.to_string_lossy().into_owned();
  let mut terminal = stage.tui(&["tasks", "--record", &name]).await?;
  terminal.wait_text("etl-job-059", LIMIT).await?;
  let id = stage.feed.change(|world| world.add_task("late-comer", "running"));
  terminal.wait_text("late-comer", LIMIT).await?;
  stage.feed.change(|world| world.set_task(&id, &json!({ "job": "renamed" })));
  terminal.wait_text("renamed", LIMIT).await?;
  terminal.keys("q").await?;
  terminal.wait_end(LIMIT).await?;
  let asked = stage.feed.requests().len();
  let played = stage.tui(&["tasks", "--replay", &name]).await?;
  played.wait_text("renamed", LIMIT).await?;
  assert_eq!(stage.feed.requests().len(), asked);
  Ok(())
}

#[tokio::test]
async fn escape_never_quits_and_the_mouse_opens() -> Result<()> {
  let stage = Stage::new().await?;
  let terminal = stage.tui(&[]).await?;
  // What follows an Esc at once would make another key of it.
  for _ in 0..2 {
    terminal.keys("\x1b").await?;
    taken(&terminal).await?;
  }
  // The tab of the tasks, then the second row, then once more to open it.
  terminal.keys("\x1b[<0;13;2M\x1b[<0;13;2m").await?;
  terminal.wait_text("[2 Tasks]", LIMIT).await?;
  terminal.wait_text("etl-job-", LIMIT).await?;
  terminal.keys("\x1b[<65;10;6M").await?;
  terminal.keys("\x1b[<0;10;6M\x1b[<0;10;6m").await?;
  let chosen = |screen: &str| screen.lines().nth(5).is_some_and(|row| row.starts_with('▌'));
  terminal.wait_for("the row is chosen", LIMIT, chosen).await?;
  terminal.keys("\x1b[<0;10;6M\x1b[<0;10;6m").await?;
  terminal.wait_text("Task ", LIMIT).await?;
  ensure!(terminal.is_full_screen(), "left the full screen");
  Ok(())
}

#[tokio::test]
async fn stop_and_go_on_as_a_job_of_a_shell() -> Result<()> {
  let stage = Stage::new().await?;
  let shell = Recipe::new(Path::new("/bin/sh"), &["-i"], stage.dir()).environment("PS1", "ready> ");
  let terminal = Terminal::spawn(&stage.surroundings(shell))?;
  terminal.wait_text("ready>", LIMIT).await?;
  let before = terminal.settings()?;
  terminal.keys(format!("'{}' tui\n", Binaries::find()?.ctl.display())).await?;
  terminal.wait_text("LIVE", LIMIT).await?;
  terminal.keys("\x1a").await?;
  terminal.wait_text("Stopped", LIMIT).await?;
  assert_eq!(terminal.settings()?, before, "while it is stopped");
  ensure!(!terminal.is_full_screen(), "the shell has no screen");
  terminal.keys("fg\n").await?;
  terminal.wait_for("the full screen again", LIMIT, |screen| screen.contains("LIVE")).await?;
  ensure!(terminal.is_full_screen(), "not on its own screen");
  terminal.keys("q").await?;
  terminal.wait_for("the shell", LIMIT, |screen| !screen.contains("LIVE")).await?;
  wait::until_ok("the settings of before", LIMIT, || async {
    let now = terminal.settings().map_err(|error| error.to_string())?;
    if now == before { Ok(()) } else { Err(now) }
  })
  .await
}

#[tokio::test]
async fn two_hundred_sizes() -> Result<()> {
  let stage = Stage::new().await?;
  let terminal = stage.tui(&[]).await?;
  let mut state = 0x9e37_79b9_u32;
  let mut next = |max: u32| {
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    u16::try_from(1 + state % max).unwrap_or(1)
  };
  for turn in 0..200 {
    terminal.resize(next(80), next(300)).await?;
    if turn % 7 == 0 {
      terminal.keys(["1", "2", "3", "5", "6", "7"][turn / 7 % 6]).await?;
    }
    tokio::task::yield_now().await;
  }
  terminal.resize(24, 80).await?;
  terminal.keys("2").await?;
  terminal
    .wait_for("tasks at 80x24", LIMIT, |screen| {
      screen.contains("LIVE") && screen.contains("etl-job-")
    })
    .await?;
  terminal.resize(4, 20).await?;
  terminal.wait_for("something at 20x4", LIMIT, |screen| screen.trim().len() > 10).await
}

#[tokio::test]
async fn no_key_changes_anything_unasked() -> Result<()> {
  let stage = Stage::new().await?;
  let terminal = stage.tui(&[]).await?;
  // Leaving is no change, and a stopped program could not be asked any further.
  let keys: Vec<u8> = (0x20..0x7f).chain(1..0x1a).filter(|key| !matches!(key, b'q' | 3)).collect();
  for screen in [b'1', b'2', b'3', b'5', b'6', b'7'] {
    terminal.keys([screen]).await?;
    taken(&terminal).await?;
    for key in &keys {
      let before = terminal.screen();
      terminal.keys([*key]).await?;
      // A dialog that is not seen here would stay open, and the next key could be its yes.
      taken(&terminal).await?;
      if terminal.screen() == before {
        continue;
      }
      // Something has opened, or another screen has come: Esc closes the one and leaves the other.
      terminal.keys("\x1b").await?;
      taken(&terminal).await?;
      terminal.keys([screen]).await?;
      taken(&terminal).await?;
    }
  }
  // What was sent by then has arrived a moment later.
  tokio::time::sleep(Duration::from_millis(200)).await;
  let asked = stage.feed.changes_asked();
  ensure!(asked.is_empty(), "unasked changes: {asked:?}");
  Ok(())
}

#[tokio::test]
async fn each_frame_is_whole_and_nothing_is_cleared_without_need() -> Result<()> {
  let stage = Stage::new().await?;
  let terminal = stage.tui(&["tasks"]).await?;
  let id = stage.feed.change(|world| world.add_task("first", "running"));
  terminal.wait_text("first", LIMIT).await?;
  let from = terminal.bytes_from(0).len();
  for number in 0..5 {
    let name = format!("new-{number}");
    stage.feed.change(|world| world.set_task(&id, &json!({ "job": name })));
    terminal.keys("j").await?;
    terminal.wait_text(&name, LIMIT).await?;
  }
  let bytes = String::from_utf8_lossy(&terminal.bytes_from(from)).into_owned();
  ensure!(!bytes.contains("\x1b[2J") && !bytes.contains("\x1b[3J"), "the screen was cleared");
  let mut rest = bytes.as_str();
  while let Some(begin) = rest.find("\x1b[?2026h") {
    ensure!(rest[..begin].trim().is_empty(), "outside of a frame: {:?}", &rest[..begin]);
    let Some(end) = rest.find("\x1b[?2026l") else { return Ok(()) };
    rest = &rest[end + 8..];
  }
  ensure!(rest.is_empty(), "outside of a frame: {rest:?}");
  Ok(())
}

#[tokio::test]
async fn a_snapshot_needs_no_terminal() -> Result<()> {
  let stage = Stage::new().await?;
  let mut command = tokio::process::Command::new(Binaries::find()?.ctl);
  command.args(["tui", "tasks", "--snapshot", "--size", "100x30"]).env_clear();
  command.env("HETUFLOW_SERVER", stage.feed.url()).env("HOME", stage.dir());
  command.current_dir(stage.dir()).stdin(std::process::Stdio::null());
  let output = tokio::time::timeout(LIMIT, command.output()).await??;
  let text = String::from_utf8_lossy(&output.stdout);
  ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
  ensure!(text.contains("etl-job-059") && !text.contains('\x1b'), "{text}");
  Ok(())
}
