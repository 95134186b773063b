//! The hetuflow coordinator: plans schedules, hands out tasks, keeps state, logs and events.

pub mod application;
pub mod broker;
pub mod config;
pub mod endpoint;
pub mod gateway;
pub mod infra;
pub mod scheduler;
pub mod service;
