//! Commands on a terminal: exit codes of the table in `help exit-codes`, and what they leave.

use anyhow::{Result, ensure};
use hetuflow_core::ErrorCode;
use hetuflow_tests::fake_feed::Fault;
use hetuflow_tests::terminal::Terminal;
use rustix::process::Signal;

use crate::stage::{LIMIT, Stage};

/// The exit code of a command on its terminal, which must be as it was before.
async fn code(stage: &Stage, args: &[&str]) -> Result<i32> {
  let mut terminal = Terminal::spawn(&stage.ctl(args)?)?;
  let before = terminal.settings()?;
  let status = terminal.wait_end(LIMIT).await?;
  ensure!(terminal.settings()? == before, "{args:?} leaves the terminal changed");
  status.code().ok_or_else(|| anyhow::anyhow!("{args:?} ended by a signal"))
}

#[tokio::test]
async fn every_refusal_has_its_exit_code() -> Result<()> {
  let stage = Stage::new().await?;
  assert_eq!(code(&stage, &["--version"]).await?, 0);
  assert_eq!(code(&stage, &["no-such-word"]).await?, 2);
  assert_eq!(code(&stage, &["--read-only", "job", "delete", "x", "--yes"]).await?, 5);
  for (refusal, expected) in [
    (ErrorCode::NotFound, 3),
    (ErrorCode::Unauthorized, 4),
    (ErrorCode::Forbidden, 5),
    (ErrorCode::Conflict, 6),
    (ErrorCode::BadRequest, 8),
    (ErrorCode::RateLimited, 9),
  ] {
    stage.feed.fault(Fault::Refuse(refusal));
    assert_eq!(code(&stage, &["job", "get", "x"]).await?, expected, "{refusal}");
  }
  stage.feed.fault(Fault::Down);
  assert_eq!(code(&stage, &["job", "get", "x"]).await?, 7);
  stage.feed.fault(Fault::Silent);
  assert_eq!(code(&stage, &["--timeout", "200ms", "job", "get", "x"]).await?, 124);
  Ok(())
}

#[tokio::test]
async fn signals_end_a_command_with_their_codes() -> Result<()> {
  let stage = Stage::new().await?;
  stage.feed.fault(Fault::Silent);
  for (key, signal, expected) in
    [(Some("\x03"), None, 130), (None, Some(Signal::INT), 130), (None, Some(Signal::TERM), 143)]
  {
    let asked = stage.feed.requests().len();
    let mut terminal = Terminal::spawn(&stage.ctl(&["job", "get", "x"])?)?;
    hetuflow_tests::wait::until("a request", LIMIT, || async {
      (stage.feed.requests().len() > asked).then_some(())
    })
    .await?;
    if let Some(key) = key {
      terminal.keys(key).await?;
    }
    if let Some(signal) = signal {
      terminal.signal(signal)?;
    }
    assert_eq!(terminal.wait_end(LIMIT).await?.code(), Some(expected));
  }
  Ok(())
}
