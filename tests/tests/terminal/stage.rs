//! A fake server, a home, and hetuflowctl on a terminal between them.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use hetuflow_tests::binaries::Binaries;
use hetuflow_tests::fake_feed::FakeFeed;
use hetuflow_tests::terminal::{Recipe, Terminal};
use tempfile::TempDir;

/// Longer than anything here takes, even on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Where a story takes place.
pub struct Stage {
  /// The server.
  pub feed: FakeFeed,
  dir: TempDir,
}

impl Stage {
  /// A server with a small world, and an empty home.
  pub async fn new() -> Result<Self> {
    Ok(Self { feed: FakeFeed::start().await?, dir: tempfile::tempdir()? })
  }

  /// The home.
  pub fn dir(&self) -> &Path {
    self.dir.path()
  }

  /// hetuflowctl with these words.
  pub fn ctl(&self, args: &[&str]) -> Result<Recipe> {
    let recipe = Recipe::new(&Binaries::find()?.ctl, args, self.dir());
    Ok(self.surroundings(recipe))
  }

  /// Adds what points a program at the server.
  pub fn surroundings(&self, recipe: Recipe) -> Recipe {
    recipe
      .environment("HETUFLOW_SERVER", self.feed.url())
      .environment("HETUFLOW_TOKEN", "hf_test")
      .environment("PAGER", "cat")
      .environment("EDITOR", "true")
  }

  /// The full screen, once it has data.
  pub async fn tui(&self, args: &[&str]) -> Result<Terminal> {
    self.tui_of_size(args, (24, 80)).await
  }

  /// The same on so many rows and columns.
  pub async fn tui_of_size(&self, args: &[&str], (rows, columns): (u16, u16)) -> Result<Terminal> {
    let words = [&["tui"], args].concat();
    let terminal = Terminal::spawn(&self.ctl(&words)?.size(rows, columns))?;
    terminal.wait_text("LIVE", LIMIT).await?;
    Ok(terminal)
  }

  /// The output of the first task on the list.
  pub async fn tui_on_log(&self, size: (u16, u16)) -> Result<Terminal> {
    let terminal = self.tui_of_size(&["tasks"], size).await?;
    terminal.wait_text("etl-job-", LIMIT).await?;
    terminal.keys("\r").await?;
    terminal.wait_text("log", LIMIT).await?;
    Ok(terminal)
  }
}
