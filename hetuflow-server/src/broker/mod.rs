//! Who gets which task: agents grant credits, the dispatcher claims for them in one statement and
//! answers. Knows no sockets: a connection is an [`AgentLink`].

mod agent_link;
mod dispatcher;
mod fleet_router;
mod idle_start;
mod needs;
mod reserve;
mod roster;
mod stop_router;

pub use agent_link::{AgentLink, Assignment};
pub use dispatcher::{DispatchSettings, Dispatcher};
pub use fleet_router::FleetRouter;
pub use idle_start::{IdleStart, Undelivered};
pub use reserve::{Reserved, Wish};
pub use roster::{Grant, Member, Roster};
pub use stop_router::StopRouter;
