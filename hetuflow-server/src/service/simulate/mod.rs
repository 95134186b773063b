//! A namespace in virtual time: which fires collide, which start late, how many run at once. Every
//! decision is the planner's; durations are learned from the past.

mod decider;
mod durations;
mod engine;
mod svc;
mod tally;
#[cfg(test)]
mod tests;

use hetuflow_core::Simulation;

pub use durations::Durations;
pub use engine::{Actor as SimulatedActor, RUNS_MAX, World};
pub use svc::SimulateSvc;

/// Lets a world pass. Pure: the same world gives the same answer.
pub fn simulate(world: &World) -> Simulation {
  engine::Engine::new(world).run().into_report(world)
}
