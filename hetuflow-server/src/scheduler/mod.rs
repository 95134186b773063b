//! Loops that keep time: planning, backfills, signs of life, deadlines, hints between servers.

mod admission;
mod artifact_sweep;
mod backfiller;
mod broadcast_sweep;
mod contact;
mod deadline_sweep;
mod judge;
mod liveness;
mod planner;
mod remote_wake;
mod token_uses;
mod upkeep;

pub use admission::Admission;
pub use artifact_sweep::ArtifactSweep;
pub use backfiller::Backfiller;
pub use broadcast_sweep::follow_broadcasts;
pub use contact::Contact;
pub use deadline_sweep::DeadlineSweep;
pub use liveness::{Liveness, LivenessSettings};
pub use planner::Planner;
pub use remote_wake::RemoteWake;
pub use token_uses::TokenUses;
pub use upkeep::Upkeep;
