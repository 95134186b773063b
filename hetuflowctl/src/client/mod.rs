//! Talking to a server: contexts and tokens, HTTP with retries, streams of events and output.

mod call;
mod config;
mod context;
mod error;
mod http;
mod log_stream;
mod places;
mod retry;
mod sse;
mod watch_socket;

pub use call::{Call, path_of};
pub use config::{Config, ContextEntry, write_private};
pub use context::{DEFAULT_SERVER, Origin, Place, TokenSource, check_token, read_token};
pub use error::{CtlError, Exit};
pub use http::Client;
pub use log_stream::{LogChunk, LogRequest, LogStream};
pub use places::{config_file, data_folder, state_folder, token_file};
pub use sse::{FeedItem, FeedStream};
pub use watch_socket::{WatchItem, WatchSocket};
