//! The pieces that screens are made of.

pub mod chart;
pub mod input;
pub mod list;
pub mod menu;
pub mod table;
