//! Contexts, logins, and who we are.

pub mod change;
pub mod list;
pub mod login;
pub mod logout;
pub mod whoami;
