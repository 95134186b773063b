//! What a schedule does where the clocks change.

use crate::wire_enum;

wire_enum! {
  /// What becomes of a time that does not exist, because the clocks go forward.
  pub enum DstGap {
    /// As the expression says: a pattern skips it, a fixed time fires after it.
    Auto = 0 => "auto",
    /// It does not fire.
    Skip = 1 => "skip",
    /// It fires once, at the first instant after the gap; several such times become one.
    Next = 2 => "next",
    /// It fires as much later as the clocks were moved: 02:30 becomes 03:30.
    Shift = 3 => "shift",
  }
}

wire_enum! {
  /// What becomes of a time that comes twice, because the clocks go back.
  pub enum DstOverlap {
    /// As the expression says: a pattern fires both times, a fixed time the first time.
    Auto = 0 => "auto",
    /// It fires the first time.
    First = 1 => "first",
    /// It fires both times.
    Both = 2 => "both",
    /// It fires the second time.
    Last = 3 => "last",
  }
}
