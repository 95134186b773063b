//! Semaphores: set, and seen in use.

use hetuflow_core::{Seconds, SemaphoreEntity, SemaphoreForPut, SemaphoreUsage};

use super::kind::{Kind, bare};
use crate::cli::{Name, SemaphoreSet};
use crate::client::{Call, CtlError};
use crate::command::session::Session;
use crate::output::{Holder, Outcome, View};

/// Makes one, or sets what it is.
///
/// # Errors
/// What the server says.
pub async fn set(session: &Session, args: &SemaphoreSet) -> Result<Outcome, CtlError> {
  let client = session.client()?;
  let path = Kind::Semaphore.path_of(bare(Kind::Semaphore, &args.name));
  let read = Call::get(path.clone()).query("namespace_id", &client.place.namespace);
  // What is not said stays as it is.
  let before: Option<SemaphoreEntity> = match client.fetch(read).await {
    Ok(before) => Some(before),
    Err(error) if error.is_not_found() => None,
    Err(error) => return Err(error),
  };
  let before = before.as_ref();
  let rate = before.and_then(SemaphoreEntity::rate_limit);
  let description = before.map(|before| before.description.clone());
  let put = SemaphoreForPut {
    description: args.description.clone().or(description).unwrap_or_default(),
    slots: args.slots.or(before.and_then(|before| before.slots)),
    rate: args.rate.or(rate.map(|rate| rate.rate)).filter(|_| !args.no_rate),
    per_secs: args.per.map(Seconds).or(rate.map(|rate| rate.per_secs)).filter(|_| !args.no_rate),
  };
  let call = Call::put(path).query("namespace_id", &client.place.namespace).json(&put);
  let semaphore: SemaphoreEntity = client.fetch(call).await?;
  Ok(View::thing(&semaphore).into())
}

/// Who has slots of one, the longest first.
///
/// # Errors
/// What the server says.
pub async fn usage(session: &Session, args: &Name) -> Result<Outcome, CtlError> {
  let client = session.client()?;
  let path = format!("{}/usage", Kind::Semaphore.path_of(bare(Kind::Semaphore, &args.name)));
  let call = Call::get(path).query("namespace_id", &client.place.namespace);
  let usage: SemaphoreUsage = client.fetch(call).await?;
  let holders: Vec<Holder> = usage
    .keys
    .iter()
    .flat_map(|one| one.holders.iter().map(|holder| Holder::of(one, holder)))
    .collect();
  let of = usage.semaphore.slots.map_or_else(String::new, |slots| match usage.keys.len() {
    0 | 1 => format!(" of {slots}"),
    _ => format!(", at most {slots} of each key"),
  });
  let note = format!("{} taken{of}", usage.taken);
  Ok(Outcome::from(View::things(&holders)).note(note))
}
