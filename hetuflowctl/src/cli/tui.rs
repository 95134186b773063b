//! `tui`.

use std::path::PathBuf;

use clap::Args;

/// The full-screen dashboard.
#[derive(Debug, Clone, Args)]
pub struct TuiArgs {
  /// First screen: dashboard, tasks, jobs, agents, events, servers
  #[arg(value_name = "SCREEN")]
  pub screen: Option<String>,
  /// Filter of the first screen
  #[arg(short = 'F', long, value_name = "FILTER")]
  pub filter: Option<String>,
  /// Draw with ASCII only
  #[arg(long)]
  pub ascii: bool,
  /// Leave the mouse to the terminal
  #[arg(long)]
  pub no_mouse: bool,
  /// auto, dark, light, high-contrast, mono, catppuccin
  #[arg(long, value_name = "T")]
  pub theme: Option<String>,
  /// Frames a second at most when data comes; a key draws at once
  #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=60))]
  pub fps: u32,
  /// Print one frame once everything is there, and end
  #[arg(long)]
  pub snapshot: bool,
  /// Size of the snapshot
  #[arg(long, value_name = "WxH", default_value = "80x24", value_parser = read_size, requires = "snapshot")]
  pub size: (u16, u16),
  /// Colours in the snapshot
  #[arg(long, requires = "snapshot")]
  pub ansi: bool,
  /// Write what the server tells into a new file
  #[arg(long, value_name = "F")]
  pub record: Option<PathBuf>,
  /// Play such a file in place of a server
  #[arg(long, value_name = "F", conflicts_with = "record")]
  pub replay: Option<PathBuf>,
  /// Print the keys in the form of keys.toml, and end
  #[arg(long)]
  pub print_keys: bool,
}

fn read_size(text: &str) -> Result<(u16, u16), String> {
  let sides = text.split_once(['x', 'X']);
  let sides = sides.and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
  match sides {
    Some((width @ 1..=1000, height @ 1..=1000)) => Ok((width, height)),
    _ => Err("expected WIDTHxHEIGHT in cells, as 160x48; each from 1 to 1000".to_owned()),
  }
}

#[cfg(test)]
mod tests {
  use super::*;

  #[test]
  fn sizes() {
    assert_eq!(read_size("160x48"), Ok((160, 48)));
    for bad in ["", "x", "0x5", "160", "1001x5", "-1x5"] {
      assert!(read_size(bad).is_err(), "{bad}");
    }
  }
}
