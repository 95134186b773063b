//! The signals that end the program or wake it up.

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The signals that the loop hears.
pub(super) struct Signals {
  /// TERM, HUP and INT.
  pub(super) end: [Signal; 3],
  /// CONT.
  pub(super) goes_on: Signal,
}

impl Signals {
  /// Listens from now on.
  pub(super) fn new() -> std::io::Result<Self> {
    Ok(Self {
      end: [
        signal(SignalKind::terminate())?,
        signal(SignalKind::hangup())?,
        signal(SignalKind::interrupt())?,
      ],
      goes_on: signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?,
    })
  }
}
