//! Tests of the door as a whole, over a store in a temporary folder.

mod answers;
mod json_rows;
mod routes;
mod use_cases;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode, header};
use hetuflow_core::{ServerId, Ts};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{ApiState, router};
use crate::infra::bus::Bus;
use crate::infra::db::{Db, DbOptions, migrate};
use crate::service::{
  Actor, AgentCommandSvc, AgentSvc, ApplySvc, ArtifactLimits, ArtifactSvc, BackfillSvc,
  CalendarSvc, FeedSvc, FreezeSvc, JobCache, JobSvc, ListSvc, LogSvc, NamespaceSvc, ScheduleSvc,
  SecretSvc, SemaphoreSvc, SimulateSvc, Store, SubmitSvc, SystemSvc, TaskSvc, TokenSvc, V0Svc,
  WatchSvc,
};

/// The whole room over an empty store.
pub(super) struct House {
  pub(super) router: Router,
  pub(super) tokens: Arc<TokenSvc>,
  pub(super) stop: CancellationToken,
  _folder: tempfile::TempDir,
}

impl House {
  pub(super) async fn new() -> Self {
    let folder = tempfile::tempdir().expect("a folder");
    let url = format!("sqlite:{}", folder.path().join("test.db").display());
    let db = Db::open(&DbOptions::for_url(url)).await.expect("a store");
    migrate(&db).await.expect("migrated");
    let store = Store::new(db, Arc::new(Bus::default()));
    let tasks = TaskSvc::new(
      store.clone(),
      SubmitSvc::new(store.clone(), None),
      Arc::new(JobCache::default()),
    );
    let tasks = Arc::new(tasks);
    let tokens = Arc::new(TokenSvc::new(store.clone()));
    let stop = CancellationToken::new();
    let server_id = ServerId::generate();
    let feed = FeedSvc::new(store.clone(), "test".to_owned());
    let own = Box::new(Default::default);
    let limits = ArtifactLimits {
      file_bytes: 1 << 20,
      namespace_bytes: 0,
      kept_for: std::time::Duration::from_secs(60),
    };
    let state = ApiState {
      namespaces: NamespaceSvc::new(store.clone()),
      jobs: JobSvc::new(store.clone()),
      apply: ApplySvc::new(store.clone()),
      schedules: ScheduleSvc::new(store.clone()),
      backfills: BackfillSvc::new(store.clone(), Arc::clone(&tasks), 1000),
      freezes: FreezeSvc::new(store.clone()),
      v0: V0Svc::new(store.clone(), Arc::clone(&tasks)),
      v0_api: true,
      tasks,
      logs: Arc::new(LogSvc::new(store.clone())),
      watches: WatchSvc::new(store.clone(), Arc::clone(&feed), (server_id.clone(), own)),
      feed,
      lists: ListSvc::new(store.clone()),
      agents: AgentSvc::new(store.clone()),
      agent_commands: AgentCommandSvc::new(store.clone(), AgentSvc::new(store.clone())),
      tokens: Arc::clone(&tokens),
      artifacts: Arc::new(ArtifactSvc::new(store.clone(), limits)),
      secrets: Arc::new(SecretSvc::new(store.clone(), folder.path().join("secret.key"))),
      simulate: SimulateSvc::new(store.clone()),
      calendars: CalendarSvc::new(store.clone()),
      semaphores: SemaphoreSvc::new(store.clone()),
      system: SystemSvc::new(store, (server_id.clone(), "0.0.0"), Ts::now()),
      gateway_stats: Arc::new(|| json!({})),
      gateway_connections: Arc::new(|| json!([])),
      open: false,
      shutdown: stop.clone(),
      started_at: Ts::now(),
      server_id,
      version: "0.0.0",
    };
    Self { router: router(Arc::new(state)), tokens, stop, _folder: folder }
  }

  /// A token's secret.
  pub(super) async fn token(&self, new: Value) -> String {
    let new = serde_json::from_value(new).expect("a token");
    self.tokens.create(&Actor::system(), new).await.expect("made").secret
  }

  pub(super) async fn admin(&self) -> String {
    self.token(json!({ "name": "admin", "role": "admin" })).await
  }

  pub(super) async fn send(&self, request: Request<Body>) -> (StatusCode, Value) {
    let response = self.router.clone().oneshot(request).await.expect("infallible");
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 64 << 20).await.expect("a body");
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
  }

  /// Asks with a token, and a body where it is not null.
  pub(super) async fn ask(
    &self,
    secret: &str,
    (method, path): (Method, &str),
    body: Value,
  ) -> (StatusCode, Value) {
    let mut request = Request::builder().method(method).uri(path);
    if !secret.is_empty() {
      request = request.header(header::AUTHORIZATION, format!("Bearer {secret}"));
    }
    let request = if body.is_null() {
      request.body(Body::empty())
    } else {
      let request = request.header(header::CONTENT_TYPE, "application/json");
      request.body(Body::from(body.to_string()))
    };
    self.send(request.expect("a request")).await
  }
}
