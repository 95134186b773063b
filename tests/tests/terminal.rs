//! hetuflowctl on a real terminal, against a server that misbehaves on demand.
//!
//! Times are printed, not asserted: `scripts/bench terminal` measures them.

#[path = "terminal/command_line.rs"]
mod command_line;
#[path = "terminal/link.rs"]
mod link;
#[path = "terminal/load.rs"]
mod load;
#[path = "terminal/manners.rs"]
mod manners;
#[path = "terminal/output.rs"]
mod output;
#[path = "terminal/stage.rs"]
mod stage;
