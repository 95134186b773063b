//! Watches: the parts of the picture that a terminal shows, asked again when something changed.
//!
//! A [`question::Question`] is what a watch asks, apart from who asks. Equal questions share one
//! [`hub::Shared`] answer; each reader is told what differs from what it has. Nobody reads: nobody
//! asks the database. Nothing here runs by itself.

mod agents;
mod answer;
mod attention;
mod causes;
mod events;
mod fires;
mod hub;
mod jobs;
mod overview;
mod quantiles;
mod question;
mod rates;
mod servers;
mod task_detail;
mod tasks;
mod usual;
mod words;

pub(super) use agents::agent_rows;
pub use hub::{OwnFigures, WatchReader, WatchSvc};
pub(super) use usual::{UsualTime, usual_times};
