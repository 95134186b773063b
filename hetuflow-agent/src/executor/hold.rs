//! Holding on to an event until what it told is stored.

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedSender;

/// Proof that somebody keeps an event until it is stored by a server.
///
/// Dropping it stores nothing: an executor that lives on tells the event again to the next agent.
#[derive(Debug, Default)]
pub struct Hold {
  _memory: Option<OwnedSemaphorePermit>,
  receipt: Option<(u64, UnboundedSender<u64>)>,
}

impl Hold {
  /// Keeps a share of the memory for output.
  pub fn of_memory(share: OwnedSemaphorePermit) -> Self {
    Self { _memory: Some(share), receipt: None }
  }

  /// Kept by another process under this number; `receipts` goes there.
  pub fn of_receipt(number: u64, receipts: UnboundedSender<u64>) -> Self {
    Self { _memory: None, receipt: Some((number, receipts)) }
  }

  /// What it told is stored, or nobody wants it: it need not be kept any more.
  pub fn release(self) {
    if let Some((number, receipts)) = self.receipt {
      let _executor_gone = receipts.send(number);
    }
  }
}
