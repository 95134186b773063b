//! Writes a list that changes: repainted in place on a terminal, one change per line elsewhere.

use std::io::Write;

use futures_util::StreamExt as _;

use super::emit::{EmitError, Form};
use super::look::{Format, Look};
use super::view::{Live, LiveFrame};

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
    let back = if painted > 0 { format!("\x1b[{painted}A") } else { String::new() };
    // Lines are cleared one by one, so that nothing flickers.
    let lines: Vec<&str> = screen.lines().collect();
    let body: String = lines.iter().map(|line| format!("{line}\x1b[K\n")).collect();
    write!(out, "{back}\r{body}\x1b[J")?;
    out.flush()?;
    painted = lines.len();
  }
  Ok(None)
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
