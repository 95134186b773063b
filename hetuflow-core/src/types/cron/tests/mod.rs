//! Tests of the cron module: bad input, meaning, daylight saving time, words, and an independent
//! brute-force implementation that walks through time.

mod bad_input;
mod brute;
mod brute_expression;
mod count;
mod describe;
mod dst;
mod meaning;
mod oracle;
mod rules;
mod window;
mod zone;

use jiff::Timestamp;

use super::{CronExpression, CronZone};

/// Parses with a fixed seed or fails the test with the message.
fn parse(text: &str) -> CronExpression {
  CronExpression::parse(text, 42).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

/// An instant from its text.
fn ts(text: &str) -> Timestamp {
  text.parse().unwrap()
}

/// The next fires after an instant, as local times with their offset.
fn fires(text: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
  let (expression, tz) = (parse(text), CronZone::named(zone).unwrap());
  let mut after = ts(after);
  let mut found = Vec::new();
  while found.len() < count
    && let Some(fire) = expression.next_after(after, &tz)
  {
    assert!(fire.at > after, "{text}: {} is not after {after}", fire.at);
    after = fire.at;
    found.push(tz.local(after).strftime("%a %F %T %:z").to_string());
  }
  found
}
