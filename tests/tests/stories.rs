//! Stories: real servers, agents and the terminal tool, each on SQLite and on PostgreSQL.
//!
//! One binary, so that a run links once. A story waits for conditions, never for a guessed time,
//! and ends with `cluster.finish()`, which fails when a process is left behind.

#[macro_use]
#[path = "stories/support.rs"]
mod support;

#[path = "stories/agent_copies.rs"]
mod agent_copies;
#[path = "stories/agent_disk.rs"]
mod agent_disk;
#[path = "stories/agent_drain.rs"]
mod agent_drain;
#[path = "stories/agent_edges.rs"]
mod agent_edges;
#[path = "stories/agent_faults.rs"]
mod agent_faults;
#[path = "stories/agent_fleet.rs"]
mod agent_fleet;
#[path = "stories/agent_link.rs"]
mod agent_link;
#[path = "stories/agent_loss.rs"]
mod agent_loss;
#[path = "stories/agent_names.rs"]
mod agent_names;
#[path = "stories/agent_network.rs"]
mod agent_network;
#[path = "stories/agent_orders.rs"]
mod agent_orders;
#[path = "stories/agent_survival.rs"]
mod agent_survival;
#[path = "stories/agent_terms.rs"]
mod agent_terms;
#[path = "stories/apply_whole.rs"]
mod apply_whole;
#[path = "stories/artifacts.rs"]
mod artifacts;
#[path = "stories/backfills.rs"]
mod backfills;
#[path = "stories/bytes.rs"]
mod bytes;
#[path = "stories/calendars.rs"]
mod calendars;
#[path = "stories/clock_faults.rs"]
mod clock_faults;
#[path = "stories/command_line.rs"]
mod command_line;
#[path = "stories/concurrency.rs"]
mod concurrency;
#[path = "stories/controls.rs"]
mod controls;
#[path = "stories/database_link.rs"]
mod database_link;
#[path = "stories/disk_faults.rs"]
mod disk_faults;
#[path = "stories/examples.rs"]
mod examples;
#[path = "stories/fail_over.rs"]
mod fail_over;
#[path = "stories/feed.rs"]
mod feed;
#[path = "stories/feed_socket.rs"]
mod feed_socket;
#[path = "stories/fleet_faults.rs"]
mod fleet_faults;
#[path = "stories/forced.rs"]
mod forced;
#[path = "stories/full_buffer.rs"]
mod full_buffer;
#[path = "stories/identity.rs"]
mod identity;
#[path = "stories/inputs.rs"]
mod inputs;
#[path = "stories/interruptions.rs"]
mod interruptions;
#[path = "stories/limits.rs"]
mod limits;
#[path = "stories/log_proof.rs"]
mod log_proof;
#[path = "stories/log_search.rs"]
mod log_search;
#[path = "stories/main_job.rs"]
mod main_job;
#[path = "stories/older.rs"]
mod older;
#[path = "stories/operate.rs"]
mod operate;
#[path = "stories/overlap.rs"]
mod overlap;
#[path = "stories/placement.rs"]
mod placement;
#[path = "stories/policies.rs"]
mod policies;
#[path = "stories/results.rs"]
mod results;
#[path = "stories/retention.rs"]
mod retention;
#[path = "stories/runtimes.rs"]
mod runtimes;
#[path = "stories/schedule_edits.rs"]
mod schedule_edits;
#[path = "stories/schedule_holds.rs"]
mod schedule_holds;
#[path = "stories/secrets.rs"]
mod secrets;
#[path = "stories/server_disk.rs"]
mod server_disk;
#[path = "stories/server_kill.rs"]
mod server_kill;
#[path = "stories/submit.rs"]
mod submit;
#[path = "stories/task_environment.rs"]
mod task_environment;
#[path = "stories/two_servers.rs"]
mod two_servers;
#[path = "stories/watches.rs"]
mod watches;
#[path = "stories/why.rs"]
mod why;
