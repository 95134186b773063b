//! How people name a task: its id, the eight characters they see, or `JOB@latest`.

use hetuflow_core::{
  ErrorCode, ErrorResponse, FieldError, NamespaceId, TaskEntity, TaskId, TaskStatus, parse_short_id,
};

use super::task_svc::find_job;
use super::{SvcError, SvcResult};
use crate::infra::bmc::task_bmc;
use crate::infra::db::Conn;

/// Finds the task that a text names inside a namespace.
pub(super) async fn resolve_task(
  conn: &mut Conn,
  namespace: &NamespaceId,
  reference: &str,
) -> SvcResult<TaskEntity> {
  let missing = || SvcError::not_found("task", reference);
  if let Ok(id) = reference.parse::<TaskId>() {
    return task_bmc::get(conn, id).await?.ok_or_else(missing);
  }
  if let Some((job, which)) = reference.rsplit_once('@') {
    let job = find_job(conn, namespace, job).await?;
    let (statuses, skip): (&[TaskStatus], u64) = match which {
      "latest" => (&[], 0),
      "failed" => (&[TaskStatus::Failed, TaskStatus::Lost], 0),
      "succeeded" => (&[TaskStatus::Succeeded], 0),
      "running" => (&[TaskStatus::Running], 0),
      _ => match which.strip_prefix('-').and_then(|number| number.parse::<u64>().ok()) {
        Some(back) if back >= 1 => (&[], back - 1),
        _ => return Err(bad_reference(reference)),
      },
    };
    return task_bmc::latest_of_job(conn, job.id, statuses, skip).await?.ok_or_else(missing);
  }
  let Some(bits) = parse_short_id(reference) else { return Err(missing()) };
  let ids = task_bmc::ids_with_tail(conn, namespace, bits).await?;
  match ids.as_slice() {
    [] => Err(missing()),
    [id] => task_bmc::get(conn, *id).await?.ok_or_else(missing),
    many => {
      let names: Vec<String> = many.iter().map(ToString::to_string).collect();
      let message = format!("\"{reference}\" names {} tasks", many.len());
      let mut response = ErrorResponse::new(ErrorCode::Conflict, message.clone());
      response.errors.push(FieldError::new("reference.ambiguous", "/ref", message));
      response.details = Some(serde_json::json!({ "candidates": names }));
      Err(SvcError::refused(response))
    }
  }
}

fn bad_reference(reference: &str) -> SvcError {
  let shown: String = reference.chars().take(60).flat_map(char::escape_default).collect();
  SvcError::invalid(vec![
    FieldError::new("reference.syntax", "/ref", format!("\"{shown}\" does not name a task"))
      .with_hint("write an id, a short id, or JOB@latest, JOB@failed, JOB@running, JOB@-2"),
  ])
}
