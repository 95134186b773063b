//! Every part of the server, built once, and the loops among them.

use std::sync::Arc;
use std::time::Duration;

use hetuflow_core::ServerId;

use super::background::Background;
use super::doors::api_state;
use super::retention::retain;
use crate::broker::{
  DispatchSettings, Dispatcher, FleetRouter, IdleStart, Roster, StopRouter, Undelivered,
};
use crate::config::Config;
use crate::endpoint::ApiState;
use crate::gateway::{
  AgentDoor, AuthMode, GatewaySettings, GatewayState, GatewayStats, PendingBeats,
};
use crate::infra::bus::Bus;
use crate::infra::db::Db;
use crate::scheduler::{
  Admission, ArtifactSweep, Backfiller, Contact, DeadlineSweep, Liveness, LivenessSettings,
  Planner, RemoteWake, TokenUses, Upkeep, follow_broadcasts,
};
use crate::service::{
  AdmissionSvc, AgeingSvc, AgentCommandSvc, AgentSvc, ArtifactLimits, ArtifactSvc, BackfillSvc,
  BroadcastSvc, FeedSvc, JobCache, LiveAttempts, OverdueSvc, PlanSvc, ReportSvc, SecretSvc,
  SessionSvc, Store, SubmitSvc, TaskSvc, TokenSvc,
};

/// C: long enough that no claim that is on its way is taken for one that was never handed out.
const CLAIM_LEASE: Duration = Duration::from_secs(10);

/// Every part, built once.
pub(super) struct Parts {
  store: Store,
  roster: Arc<Roster>,
  jobs: Arc<JobCache>,
  live: Arc<LiveAttempts>,
  undelivered: Arc<Undelivered>,
  submit: Arc<SubmitSvc>,
  reports: Arc<ReportSvc>,
  sessions: Arc<SessionSvc>,
  tasks: Arc<TaskSvc>,
  pub(super) tokens: Arc<TokenSvc>,
  secrets: Arc<SecretSvc>,
  artifacts: Arc<ArtifactSvc>,
  feed: Arc<FeedSvc>,
  plan: Arc<PlanSvc>,
  backfills: Arc<BackfillSvc>,
  pub(super) gateway: Arc<GatewayState>,
  pub(super) api: Arc<ApiState>,
}

impl Parts {
  /// Builds them; nothing runs yet.
  pub(super) fn build(
    config: &Config,
    db: &Db,
    server: &ServerId,
    epoch: String,
    background: &Background,
  ) -> Self {
    let store = Store::new(db.clone(), Arc::new(Bus::default()));
    let (roster, jobs) = (Arc::new(Roster::default()), Arc::new(JobCache::default()));
    let live = Arc::new(LiveAttempts::default());
    let undelivered = Arc::new(Undelivered::default());
    let idle = IdleStart {
      bus: store.bus.clone(),
      clock: db.clock().clone(),
      roster: roster.clone(),
      jobs: jobs.clone(),
      live: live.clone(),
      server: server.clone(),
      choice: config.scheduler.agent_choice,
      undelivered: undelivered.clone(),
    };
    let submit = SubmitSvc::new(store.clone(), Some(Arc::new(idle)));
    let reports = ReportSvc::new(store.clone(), jobs.clone(), live.clone());
    let lost_after = config.agents.lost_after;
    let sessions = Arc::new(SessionSvc::new(
      store.clone(),
      jobs.clone(),
      live.clone(),
      server.clone(),
      lost_after,
    ));
    let tasks = TaskSvc::new(store.clone(), submit.clone(), jobs.clone())
      .with_prefer_hold(config.scheduler.prefer_hold);
    let tasks = Arc::new(tasks);
    let tokens = Arc::new(TokenSvc::new(store.clone()));
    let secrets = SecretSvc::new(store.clone(), config.secrets.key_file.clone());
    let secrets = Arc::new(secrets);
    let artifacts = Arc::new(ArtifactSvc::new(store.clone(), artifact_limits(config)));
    let feed = FeedSvc::new(store.clone(), epoch);
    let plan = PlanSvc::new(store.clone(), config.scheduler.plan_ahead);
    let most = config.scheduler.backfill_max;
    let backfills = BackfillSvc::new(store.clone(), tasks.clone(), most);
    let auth = match config.auth.mode.as_str() {
      "off" => AuthMode::Off,
      "strict" => AuthMode::Strict,
      _ => AuthMode::Token,
    };
    let gateway = Arc::new(GatewayState {
      store: store.clone(),
      sessions: sessions.clone(),
      reports: reports.clone(),
      roster: roster.clone(),
      live: live.clone(),
      commands: AgentCommandSvc::new(store.clone(), AgentSvc::new(store.clone())),
      artifacts: artifacts.clone(),
      tokens: tokens.clone(),
      beats: PendingBeats::default(),
      stats: Arc::new(GatewayStats::default()),
      server: server.clone(),
      settings: GatewaySettings {
        auth,
        heartbeat_interval: config.agents.heartbeat_interval,
        silence_max: config.agents.heartbeat_ttl.max(Duration::from_secs(1)) * 2,
        register_timeout: Duration::from_secs(10),
        connections_max: config.agents.max_connections,
      },
      tracker: background.tracker(),
      door: AgentDoor::new(background.soft.clone()),
      stop: background.soft.clone(),
    });
    let doors = (auth == AuthMode::Off, config.compat.v0_api);
    let api = api_state(
      (&store, server),
      doors,
      (&tasks, &tokens, &feed, &secrets),
      (&gateway, &backfills),
    );
    Self {
      store,
      roster,
      jobs,
      live,
      undelivered,
      submit,
      reports,
      sessions,
      tasks,
      tokens,
      secrets,
      artifacts,
      feed,
      plan,
      backfills,
      gateway,
      api,
    }
  }

  /// Starts what runs by itself.
  pub(super) fn spawn_loops(&self, config: &Config, server: &ServerId, background: &Background) {
    for name in ["submit-1", "submit-2"] {
      background.spawn(name, self.submit.clone().run_lane(background.drain.clone()));
    }
    for name in ["report-1", "report-2"] {
      background.spawn(name, self.reports.clone().run_lane(background.drain.clone()));
    }
    let soft = || background.soft.clone();
    let settings = DispatchSettings {
      early: config.scheduler.early_dispatch,
      poll_interval: config.scheduler.task_poll_interval,
      choice: config.scheduler.agent_choice,
      prefer_hold: config.scheduler.prefer_hold,
      claim_lease: CLAIM_LEASE,
    };
    let caches = (self.jobs.clone(), self.live.clone(), self.undelivered.clone());
    let dispatcher =
      Dispatcher::new(self.store.clone(), self.roster.clone(), caches, server.clone(), settings)
        .with_secrets(self.secrets.clone())
        .with_artifacts(self.artifacts.clone());
    background.spawn("dispatcher", dispatcher.run(soft()));
    let router = StopRouter::new(self.store.clone(), self.roster.clone());
    background.spawn("stop-router", router.run(soft()));
    let commands = self.gateway.commands.clone();
    let fleet = FleetRouter::new(self.store.clone(), self.roster.clone(), commands);
    background.spawn("fleet-router", fleet.run(soft()));
    let planner = Planner::new(self.store.clone(), self.plan.clone());
    background.spawn("planner", planner.run(soft()));
    let backfiller = Backfiller::new(self.store.clone(), self.backfills.clone());
    background.spawn("backfiller", backfiller.run(soft()));
    let admission = AdmissionSvc::new(self.store.clone(), self.jobs.clone());
    background.spawn("admission", Admission::new(self.store.clone(), admission).run(soft()));
    let ageing = AgeingSvc::new(self.store.clone(), config.scheduler.priority_ageing);
    let overdue = OverdueSvc::new(self.store.clone(), self.jobs.clone());
    background.spawn("upkeep", Upkeep::new(ageing, overdue).run(soft()));
    let sweep = DeadlineSweep::new(self.store.clone(), self.tasks.clone());
    background.spawn("deadline-sweep", sweep.run(soft()));
    let sweep = ArtifactSweep::new(self.artifacts.clone());
    background.spawn("artifact-sweep", sweep.run(soft()));
    let broadcasts = BroadcastSvc::new(self.store.clone(), self.jobs.clone());
    background.spawn("broadcasts", follow_broadcasts(broadcasts, soft()));
    background.spawn("token-uses", TokenUses::new(self.tokens.clone()).run(soft()));
    let settings = LivenessSettings {
      unreachable_after: config.agents.heartbeat_ttl,
      forgotten_after: config.agents.overdue_ttl,
      turn: (config.agents.heartbeat_ttl / 15)
        .clamp(Duration::from_millis(50), Duration::from_secs(1)),
    };
    let gateway = self.gateway.clone();
    let take_beats = Box::new(move || gateway.beats.take());
    let (store, sessions) = (self.store.clone(), self.sessions.clone());
    let mut liveness = Liveness::new(store, sessions, server.clone(), settings, take_beats);
    // Beside SQLite there is no other server that could judge these agents.
    if !self.store.db.is_sqlite() {
      let contact = self.contact(settings.unreachable_after);
      background.spawn("contact", contact.clone().run(settings.turn, soft()));
      liveness = liveness.with_contact(contact);
    }
    background.spawn("liveness", liveness.run(soft()));
    background.spawn("feed", self.feed.clone().run(soft()));
    if !self.store.db.is_sqlite() {
      let remote = RemoteWake::new(self.store.clone(), server.clone());
      background.spawn("remote-notify", remote.clone().run_notify(soft()));
      background.spawn("remote-listen", remote.run_listen(soft()));
    }
    background.spawn(
      "journal-retention",
      retain(self.store.db.clone(), config.retention.events_ttl, soft()),
    );
  }

  /// Opens and closes the door for agents by what can be stored of them.
  fn contact(&self, unreachable_after: Duration) -> Arc<Contact> {
    let gateway = self.gateway.clone();
    let keep_agents = move |keep: bool| {
      if keep { gateway.door.open() } else { gateway.door.close() }
    };
    Arc::new(Contact::new(unreachable_after, Box::new(keep_agents)))
  }
}

fn artifact_limits(config: &Config) -> ArtifactLimits {
  let limits = config.artifacts;
  ArtifactLimits {
    file_bytes: limits.file_size_max,
    namespace_bytes: limits.namespace_size_max,
    kept_for: limits.retention,
  }
}
