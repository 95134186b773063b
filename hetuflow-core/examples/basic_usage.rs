//! A registration, a poll and a report, as an agent and a server exchange them.

use std::collections::HashMap;

use hetuflow_core::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
  let register = AgentRegisterRequest {
    agent_id: "agent-001".to_owned(),
    namespace_id: "default".to_owned(),
    capabilities: AgentCapabilities { max_concurrent_tasks: 4, ..Default::default() },
    metadata: HashMap::default(),
    version: env!("CARGO_PKG_VERSION").to_owned(),
    hostname: "web-1".to_owned(),
    os_info: "linux".to_owned(),
    ..Default::default()
  };
  register.validate()?;
  let hello = WebSocketMessage::new(MessageKind::AgentRegister, serde_json::to_value(&register)?);
  println!("agent  -> {}", hello.to_json()?);

  let report = TaskInstanceUpdate {
    exit_code: Some(0),
    attempt: 1,
    fence: 17,
    ..TaskInstanceUpdate::new(
      TaskInstanceId::generate(),
      TaskId::generate(),
      TaskInstanceStatus::Succeeded,
      Ts::now(),
    )
  };
  let batch = TaskReportBatch {
    agent_epoch: Ts::now().micros(),
    seq_from: 1,
    items: vec![ReportItem::Update(Box::new(report))],
  };
  println!("agent  -> {}", Envelope::new(MessageKind::TaskReportBatch, &batch).to_json()?);

  let legal = instance_transition(TaskInstanceStatus::Running, InstanceEvent::ExitedOk);
  println!("running + exit 0 = {}", legal.ok_or("the table has no such move")?);

  let cron = CronExpression::parse("30 2 * * *", 0)?;
  let zone = CronZone::named("Europe/Berlin")?;
  let next = cron.next_after(Ts::now().instant(), &zone).ok_or("it never fires")?;
  println!("{}: next at {}", cron.describe(), zone.local(next.at));
  Ok(())
}
