//! The terminal: taken over at the start, given back however we leave, one write for each frame.

use std::cell::RefCell;
use std::io::{self, Write};
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossterm::cursor::{Hide, MoveTo, Show};
use crossterm::event::{
  DisableBracketedPaste, DisableFocusChange, DisableMouseCapture, EnableBracketedPaste,
  EnableFocusChange, EnableMouseCapture,
};
use crossterm::queue;
use crossterm::style::{Attribute, SetAttribute};
use crossterm::terminal::{
  BeginSynchronizedUpdate, Clear, ClearType, EndSynchronizedUpdate, EnterAlternateScreen,
  LeaveAlternateScreen, disable_raw_mode, enable_raw_mode, size,
};
use ratatui::backend::{Backend as _, CrosstermBackend};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

/// How the backend ends a drawing: colours, underline, attributes.
const LONG_RESET: &[u8] = b"\x1b[39m\x1b[49m\x1b[59m\x1b[0m";

/// Whether the terminal is ours now; the panic hook and the guard ask it.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Bytes of one frame, shared with the backend that fills them.
#[derive(Debug, Clone, Default)]
struct Bytes(Rc<RefCell<Vec<u8>>>);

impl Write for Bytes {
  fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
    self.0.borrow_mut().extend_from_slice(bytes);
    Ok(bytes.len())
  }

  fn flush(&mut self) -> io::Result<()> {
    Ok(())
  }
}

/// The terminal, while it is ours.
#[derive(Debug)]
pub struct Screen {
  bytes: Bytes,
  backend: CrosstermBackend<Bytes>,
  drawn: Buffer,
  clear: bool,
  cursor: Option<Position>,
  mouse: bool,
}

impl Screen {
  /// Takes the terminal over.
  ///
  /// # Errors
  /// When there is none.
  pub fn take(mouse: bool) -> io::Result<Self> {
    let bytes = Bytes::default();
    let backend = CrosstermBackend::new(bytes.clone());
    let area = Rect::default();
    let mut screen =
      Self { bytes, backend, drawn: Buffer::empty(area), clear: true, cursor: None, mouse };
    screen.enter()?;
    Ok(screen)
  }

  /// Takes it over once more, as after `fg`.
  ///
  /// # Errors
  /// When the terminal is gone.
  pub fn enter(&mut self) -> io::Result<()> {
    enable_raw_mode()?;
    TAKEN.store(true, Ordering::SeqCst);
    let out = &mut self.bytes;
    queue!(out, EnterAlternateScreen, Hide, EnableBracketedPaste, EnableFocusChange)?;
    if self.mouse {
      queue!(out, EnableMouseCapture)?;
    }
    (self.clear, self.cursor) = (true, None);
    self.send()
  }

  /// Gives it back, as for a pager.
  pub fn leave(&mut self) {
    give_back();
  }

  /// Its cells.
  pub fn size(&self) -> (u16, u16) {
    size().unwrap_or((80, 24))
  }

  /// The next frame draws every cell.
  pub fn draw_all(&mut self) {
    self.clear = true;
  }

  /// Shows a frame: what differs from the last one, in one write. How long the write took.
  ///
  /// # Errors
  /// When the terminal is gone.
  pub fn show(&mut self, frame: Buffer, cursor: Option<Position>) -> io::Result<Duration> {
    let all = self.clear || frame.area != self.drawn.area;
    if all {
      self.drawn = Buffer::empty(frame.area);
    }
    let changes = self.drawn.diff(&frame);
    if changes.is_empty() && !all && cursor == self.cursor {
      return Ok(Duration::ZERO);
    }
    queue!(self.bytes, BeginSynchronizedUpdate)?;
    if self.cursor.is_some() {
      queue!(self.bytes, Hide)?;
    }
    if all {
      queue!(self.bytes, SetAttribute(Attribute::Reset), Clear(ClearType::All))?;
    }
    self.backend.draw(changes.into_iter())?;
    self.shorten_reset();
    if let Some(position) = cursor {
      queue!(self.bytes, MoveTo(position.x, position.y), Show)?;
    }
    queue!(self.bytes, EndSynchronizedUpdate)?;
    (self.drawn, self.cursor, self.clear) = (frame, cursor, false);
    let begin = Instant::now();
    self.send()?;
    Ok(begin.elapsed())
  }

  /// The backend ends with four sequences where one says all.
  fn shorten_reset(&mut self) {
    let mut bytes = self.bytes.0.borrow_mut();
    if bytes.ends_with(LONG_RESET) {
      let end = bytes.len() - LONG_RESET.len();
      bytes.truncate(end);
      bytes.extend_from_slice(b"\x1b[0m");
    }
  }

  /// Writes bytes that are no picture, as for the clipboard.
  ///
  /// # Errors
  /// When the terminal is gone.
  pub fn say(&mut self, bytes: &[u8]) -> io::Result<()> {
    self.bytes.write_all(bytes)?;
    self.send()
  }

  fn send(&mut self) -> io::Result<()> {
    let bytes = std::mem::take(&mut *self.bytes.0.borrow_mut());
    let mut rest = bytes.as_slice();
    while !rest.is_empty() {
      match rustix::io::write(stdout_fd(), rest) {
        Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
        Ok(written) => rest = &rest[written..],
        Err(rustix::io::Errno::INTR) => {}
        Err(rustix::io::Errno::AGAIN) => std::thread::sleep(Duration::from_millis(1)),
        Err(error) => return Err(error.into()),
      }
    }
    Ok(())
  }
}

fn stdout_fd() -> BorrowedFd<'static> {
  rustix::stdio::stdout()
}

impl Drop for Screen {
  fn drop(&mut self) {
    give_back();
  }
}

/// Gives the terminal back, once.
pub fn give_back() {
  if !TAKEN.swap(false, Ordering::SeqCst) {
    return;
  }
  let mut bytes = Vec::new();
  let _ = queue!(
    bytes,
    DisableMouseCapture,
    DisableFocusChange,
    DisableBracketedPaste,
    SetAttribute(Attribute::Reset),
    LeaveAlternateScreen,
    Show,
    EndSynchronizedUpdate
  );
  let _ = rustix::io::write(stdout_fd(), &bytes);
  let _ = disable_raw_mode();
}

/// From now on a panic gives the terminal back first, and its text goes into a file.
pub fn restore_on_panic(report: Option<std::path::PathBuf>) {
  let earlier = std::panic::take_hook();
  std::panic::set_hook(Box::new(move |info| {
    if !TAKEN.load(Ordering::SeqCst) {
      return earlier(info);
    }
    give_back();
    let trace = std::backtrace::Backtrace::force_capture();
    let kept = report.as_ref().filter(|path| {
      let folder = path.parent().map(std::fs::create_dir_all);
      folder.is_some_and(|made| made.is_ok())
        && std::fs::write(path, format!("{info}\n{trace}\n")).is_ok()
    });
    let mut err = io::stderr();
    let _ = match kept {
      Some(path) => writeln!(err, "hetuflowctl tui broke: {info}; more in {}", path.display()),
      None => writeln!(err, "hetuflowctl tui broke: {info}"),
    };
  }));
}
