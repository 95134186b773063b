//! Settings: read from a file and the environment, checked as a whole before anything is bound.

mod load;
mod sections;

pub use load::{ConfigError, LoadedConfig, load};
pub use sections::{
  AgentsConfig, AuthConfig, Config, DatabaseConfig, LogConfig, RetentionConfig, SchedulerConfig,
  SecretsConfig, ServerConfig, default_text,
};
