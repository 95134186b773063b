//! The picture is honest about the link, and equals the truth when it is back.

use std::time::Duration;

use anyhow::{Result, ensure};
use hetuflow_core::ErrorCode;
use hetuflow_tests::fake_feed::Fault;
use serde_json::json;

use crate::stage::{LIMIT, Stage};

#[tokio::test]
async fn a_lost_link_is_told_and_the_rows_stay() -> Result<()> {
  let stage = Stage::new().await?;
  let terminal = stage.tui(&["tasks"]).await?;
  terminal.wait_text("etl-job-059", LIMIT).await?;
  stage.feed.fault(Fault::Down);
  terminal.wait_text("OFFLINE", LIMIT).await?;
  ensure!(terminal.screen().contains("etl-job-059"), "{}", terminal.screen());
  // Acting keys answer, and nothing is kept to be sent later.
  terminal.keys("X").await?;
  stage.feed.change(|world| world.add_task("while-you-were-away", "running"));
  stage.feed.fault(Fault::None);
  terminal
    .wait_for("the truth", LIMIT, |screen| {
      screen.contains("LIVE") && screen.contains("while-you-were-away")
    })
    .await?;
  assert_eq!(stage.feed.changes_asked(), []);
  Ok(())
}

#[tokio::test]
async fn silence_is_shown_as_lag_then_as_offline() -> Result<()> {
  let stage = Stage::new().await?;
  let terminal = stage.tui(&["tasks"]).await?;
  stage.feed.fault(Fault::Silent);
  terminal.wait_text("LAG", Duration::from_secs(10)).await?;
  terminal.wait_text("OFFLINE", LIMIT).await?;
  stage.feed.fault(Fault::None);
  terminal.wait_text("LIVE", LIMIT).await
}

#[tokio::test]
async fn a_gap_and_a_new_epoch_end_in_the_truth() -> Result<()> {
  let stage = Stage::new().await?;
  let terminal = stage.tui(&["tasks"]).await?;
  let id = stage.feed.change(|world| world.add_task("first", "running"));
  terminal.wait_text("first", LIMIT).await?;
  stage.feed.fault(Fault::Gap);
  stage.feed.change(|world| world.set_task(&id, &json!({ "job": "after-the-gap" })));
  terminal.wait_text("after-the-gap", LIMIT).await?;
  stage.feed.change(|world| {
    world.new_epoch();
    world.set_task(&id, &json!({ "job": "in-a-new-epoch" }));
  });
  terminal
    .wait_for("the new epoch", LIMIT, |screen| {
      screen.contains("in-a-new-epoch") && screen.contains("LIVE")
    })
    .await
}

#[tokio::test]
async fn a_token_that_ended_is_told_and_not_tried_for_ever() -> Result<()> {
  let stage = Stage::new().await?;
  let terminal = stage.tui(&["tasks"]).await?;
  stage.feed.fault(Fault::Refuse(ErrorCode::Unauthorized));
  terminal.wait_text("OFFLINE", LIMIT).await?;
  terminal.wait_text("token", LIMIT).await?;
  let tried = stage.feed.requests().len();
  tokio::time::sleep(Duration::from_secs(3)).await;
  let again = stage.feed.requests().len() - tried;
  ensure!(again <= 1, "tried {again} times in 3 s with a token that has ended");
  Ok(())
}
