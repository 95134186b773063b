//! Bad input, row by row of RELIABILITY §10.1 to §10.6, against the real binaries.
//!
//! `table` says of every row whether it is done, and by what; the other files hold the inputs, one
//! file for each door, and the few rows that need a story. Answers are waited for with a generous
//! limit: how fast they are belongs to the benchmarks.

#[path = "bad_input/api.rs"]
mod api;
#[path = "bad_input/body_cases.rs"]
mod body_cases;
#[path = "bad_input/command_line.rs"]
mod command_line;
#[path = "bad_input/complete.rs"]
mod complete;
#[path = "bad_input/cron_cases.rs"]
mod cron_cases;
#[path = "bad_input/database.rs"]
mod database;
#[path = "bad_input/http_stories.rs"]
mod http_stories;
#[path = "bad_input/manifests.rs"]
mod manifests;
#[path = "bad_input/raw_http.rs"]
mod raw_http;
#[path = "bad_input/settings.rs"]
mod settings;
#[path = "bad_input/socket.rs"]
mod socket;
#[path = "bad_input/socket_cases.rs"]
mod socket_cases;
#[path = "bad_input/socket_stories.rs"]
mod socket_stories;
#[path = "bad_input/table.rs"]
mod table;
#[path = "bad_input/table_api.rs"]
mod table_api;
#[path = "bad_input/table_rest.rs"]
mod table_rest;
