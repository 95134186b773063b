//! One thing done to many tasks, each by itself, with what became of each.

use hetuflow_core::{
  BULK_MAX, CancelRequest, FieldError, NamespaceId, TaskAction, TaskActionResult, TaskActions,
  TaskActionsResponse,
};

use super::task_svc::TaskSvc;
use super::{Actor, SvcError, SvcResult};

impl TaskSvc {
  /// Does the action to each task; what fails for one does not keep the others from it.
  ///
  /// # Errors
  /// 422 for no or too many ids; the database's, which ends the whole.
  pub async fn act_on_many(
    &self,
    actor: &Actor,
    namespace: Option<&NamespaceId>,
    request: &TaskActions,
  ) -> SvcResult<TaskActionsResponse> {
    if request.ids.is_empty() || request.ids.len() > BULK_MAX {
      let message = format!("{} ids, 1 to {BULK_MAX} are allowed", request.ids.len());
      return Err(SvcError::invalid(vec![FieldError::new("bulk.size", "/ids", message)]));
    }
    let mut results = Vec::with_capacity(request.ids.len());
    for id in &request.ids {
      let outcome = self.act(actor, (namespace, id), request).await;
      results.push(match outcome {
        Ok(result) => result,
        Err(error @ SvcError::Database(_)) => return Err(error),
        Err(error) => refused(id, &error),
      });
    }
    let done = results.iter().filter(|result| result.ok).count();
    Ok(TaskActionsResponse { done, failed: results.len() - done, results })
  }

  async fn act(
    &self,
    actor: &Actor,
    (namespace, id): (Option<&NamespaceId>, &str),
    request: &TaskActions,
  ) -> SvcResult<TaskActionResult> {
    let task = match request.action {
      TaskAction::Cancel | TaskAction::Kill => {
        let how = CancelRequest {
          reason: request.reason.clone(),
          force: request.action == TaskAction::Kill,
          grace_secs: request.grace_secs,
        };
        self.cancel(actor, namespace, id, &how).await?
      }
      TaskAction::Retry => self.retry(actor, namespace, id).await?,
    };
    let (id, status) = (id.to_owned(), Some(task.status));
    Ok(TaskActionResult { id, ok: true, task_id: Some(task.id), status, ..Default::default() })
  }
}

fn refused(id: &str, error: &SvcError) -> TaskActionResult {
  let response = error.response();
  let code = response.errors.first().map(|rule| rule.code.clone());
  TaskActionResult {
    id: id.to_owned(),
    ok: false,
    code: Some(code.unwrap_or_else(|| response.code.to_string())),
    message: Some(response.err_msg),
    ..TaskActionResult::default()
  }
}
