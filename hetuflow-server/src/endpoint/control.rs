//! What people do to a task that runs: `/tasks/{ref}/pause` and its relatives.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use hetuflow_core::{CancelRequest, ForceRequest, MarkRequest, TaskControlKind, TaskEntity};
use serde::Deserialize;
use utoipa::ToSchema;

use super::auth::Caller;
use super::error::ApiError;
use super::json_body::{JsonBody, MaybeJson};
use super::operation::Operation;
use super::query::{Args, Ref};
use super::state::ApiState;
use crate::service::ControlOrder;

type Api = State<Arc<ApiState>>;
type Told = Result<(StatusCode, Json<TaskEntity>), ApiError>;

/// What is to be done with a task or an attempt.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
pub struct ControlRequest {
  /// What.
  pub control_type: TaskControlKind,
  /// Why, for people.
  #[serde(default)]
  pub reason: Option<String>,
  /// Without grace.
  #[serde(default)]
  pub force: bool,
  /// The signal, by name, for `signal`.
  #[serde(default)]
  pub signal: Option<String>,
  /// Grace before the kill, in seconds.
  #[serde(default)]
  pub grace_secs: Option<f64>,
}

impl ControlRequest {
  /// The order that it means.
  pub(super) fn order(self) -> ControlOrder {
    let Self { control_type, reason, force, signal, grace_secs } = self;
    let request = CancelRequest { reason, force, grace_secs };
    ControlOrder { signal, ..order(control_type, request) }
  }
}

/// A signal for a task or an attempt.
#[derive(Debug, Clone, PartialEq, Deserialize, ToSchema)]
pub struct SignalRequest {
  /// Its name.
  pub signal: String,
  /// Why, for people.
  #[serde(default)]
  pub reason: Option<String>,
}

impl SignalRequest {
  /// The order that it means.
  pub(super) fn order(self) -> ControlOrder {
    let request = CancelRequest { reason: self.reason, ..CancelRequest::default() };
    ControlOrder { signal: Some(self.signal), ..order(TaskControlKind::Signal, request) }
  }
}

/// An order without a signal.
pub(super) fn order(kind: TaskControlKind, request: CancelRequest) -> ControlOrder {
  ControlOrder { kind, request, signal: None }
}

/// The routes of orders to tasks.
pub(super) fn operations() -> Vec<Operation> {
  let asked = |operation: Operation, summary| {
    operation.summary(summary).in_namespace().answers::<TaskEntity>().status(202)
  };
  let plain = |operation, summary| asked(operation, summary).optional_body::<CancelRequest>();
  vec![
    asked(Operation::post("/api/v1/tasks/{ref}/control", control), "Give an order to a task")
      .body::<ControlRequest>(),
    plain(Operation::post("/api/v1/tasks/{ref}/pause", pause), "Hold the process of a task"),
    plain(Operation::post("/api/v1/tasks/{ref}/resume", resume), "Let a held process go on"),
    plain(
      Operation::post("/api/v1/tasks/{ref}/restart", restart),
      "Stop the process of a task and start it anew",
    ),
    plain(Operation::post("/api/v1/tasks/{ref}/skip", skip), "End a task as skipped"),
    asked(
      Operation::post("/api/v1/tasks/{ref}/mark", mark),
      "Say how the end of a task is to count; its own state stays",
    )
    .body::<MarkRequest>()
    .status(200),
    asked(
      Operation::post("/api/v1/tasks/{ref}/force", force),
      "Start a task now, past its instant, its retry, an earlier run and its limits",
    )
    .optional_body::<ForceRequest>()
    .status(200),
    asked(Operation::post("/api/v1/tasks/{ref}/signal", signal), "Send a signal to a task")
      .body::<SignalRequest>(),
  ]
}

async fn control(
  State(api): Api,
  caller: Caller,
  (Ref(name), args): (Ref, Args),
  JsonBody(request): JsonBody<ControlRequest>,
) -> Told {
  steer(&api, &caller, (name, args), request.order()).await
}

async fn mark(
  State(api): Api,
  caller: Caller,
  (Ref(name), args): (Ref, Args),
  JsonBody(request): JsonBody<MarkRequest>,
) -> Told {
  let namespace = args.only_namespace()?;
  let task = api.tasks.mark(&caller.0, (namespace.as_ref(), &name), &request).await?;
  Ok((StatusCode::OK, Json(task)))
}

async fn force(
  State(api): Api,
  caller: Caller,
  (Ref(name), args): (Ref, Args),
  MaybeJson(request): MaybeJson<ForceRequest>,
) -> Told {
  let namespace = args.only_namespace()?;
  let task = api.tasks.force(&caller.0, (namespace.as_ref(), &name), &request).await?;
  Ok((StatusCode::OK, Json(task)))
}

async fn signal(
  State(api): Api,
  caller: Caller,
  (Ref(name), args): (Ref, Args),
  JsonBody(request): JsonBody<SignalRequest>,
) -> Told {
  steer(&api, &caller, (name, args), request.order()).await
}

macro_rules! verbs {
  ($($name:ident = $kind:ident),+) => { $(
    async fn $name(
      State(api): Api,
      caller: Caller,
      (Ref(name), args): (Ref, Args),
      MaybeJson(request): MaybeJson<CancelRequest>,
    ) -> Told {
      steer(&api, &caller, (name, args), order(TaskControlKind::$kind, request)).await
    }
  )+ };
}

verbs!(pause = Pause, resume = Resume, restart = Restart, skip = Skip);

/// 202: the agent is told; the task's state follows. 200: the task is over.
async fn steer(
  api: &ApiState,
  caller: &Caller,
  (name, args): (String, Args),
  order: ControlOrder,
) -> Told {
  let namespace = args.only_namespace()?;
  let task = api.tasks.control_task(&caller.0, namespace.as_ref(), (&name, &order)).await?;
  let over = task.status.is_final();
  Ok((if over { StatusCode::OK } else { StatusCode::ACCEPTED }, Json(task)))
}
