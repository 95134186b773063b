//! Writes a list that changes: repainted in place on a terminal, one change per line elsewhere.

use std::io::Write;

use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;

use super::emit::{EmitError, Form};
use super::fault::Failure;
use super::look::{Format, Look};
use super::sanitize::visible;
use super::view::{Live, LiveFrame, Screen};

/// Writes frames until there are no more.
pub async fn write_live(
  mut live: Live,
  look: &Look,
  out: &mut dyn Write,
) -> Result<Option<u8>, EmitError> {
  let paints = look.out_tty && matches!(look.format, Format::Table | Format::Wide);
  let mut painted = 0;
  while let Some(frame) = live.frames.next().await {
    let frame = frame?;
    if !paints {
      write_changes(&frame, look, out)?;
      continue;
    }
    let mut text = Vec::new();
    let Some(mut form) = Form::new(live.columns, look, &mut text)? else {
      out.write_all(&text)?;
      return Ok(None);
    };
    let look = Look { now: hetuflow_core::Ts::now(), ..look.clone() };
    let room = look.height.saturating_sub(3).max(1);
    let shown = frame.rows.len().min(room);
    form.write(&frame.rows[..shown], &look, &mut text)?;
    let mut screen = String::from_utf8_lossy(&text).into_owned();
    let hidden = frame.rows.len() - shown;
    if hidden > 0 {
      screen.push_str(&format!("… {hidden} more\n"));
    }
    if !frame.foot.is_empty() {
      screen.push_str(&format!("{}\n", frame.foot));
    }
    painted = repaint(&screen, painted, out)?;
  }
  Ok(None)
}

/// Writes lines over those that were painted before; how many they are.
fn repaint(screen: &str, painted: usize, out: &mut dyn Write) -> std::io::Result<usize> {
  let back = if painted > 0 { format!("\x1b[{painted}A") } else { String::new() };
  // Lines are cleared one by one, so that nothing flickers.
  let lines: Vec<&str> = screen.lines().collect();
  let body: String = lines.iter().map(|line| format!("{line}\x1b[K\n")).collect();
  write!(out, "{back}\r{body}\x1b[J")?;
  out.flush()?;
  Ok(lines.len())
}

/// Writes a text that changes: repainted in place on a terminal, one JSON line per state elsewhere.
pub async fn write_screens(
  mut frames: BoxStream<'static, Result<Screen, Failure>>,
  look: &Look,
  out: &mut dyn Write,
) -> Result<Option<u8>, EmitError> {
  let paints = look.out_tty && matches!(look.format, Format::Table | Format::Wide);
  let mut painted = 0;
  while let Some(frame) = frames.next().await {
    let frame = frame?;
    if paints {
      let shown = frame.text.lines().take(look.height.saturating_sub(1).max(1));
      let lines: String =
        shown.map(|line| format!("{}\n", fitted(&visible(line), look.width))).collect();
      painted = repaint(&lines, painted, out)?;
    } else if look.format != Format::None {
      writeln!(out, "{}", frame.value)?;
      out.flush()?;
    }
  }
  Ok(None)
}

/// No more than fits: a line that wraps would be two to whoever counts them.
fn fitted(line: &str, width: usize) -> String {
  line.chars().take(width.saturating_sub(1).max(1)).collect()
}

fn write_changes(frame: &LiveFrame, look: &Look, out: &mut dyn Write) -> Result<(), EmitError> {
  match look.format {
    Format::None => return Ok(()),
    Format::Name => {
      for name in frame.changes.iter().filter_map(|change| change.get("name")?.as_str()) {
        writeln!(out, "{name}")?;
      }
    }
    _ => {
      for change in &frame.changes {
        writeln!(out, "{change}")?;
      }
    }
  }
  out.flush()?;
  Ok(())
}
