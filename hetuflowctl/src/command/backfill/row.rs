//! A backfill as a row of a table.

use hetuflow_core::BackfillEntity;

use crate::output::{Cell, Column, TableRow};

impl TableRow for BackfillEntity {
  const KIND: &'static str = "backfill";
  const COLUMNS: &'static [Column] = &[
    Column::new("BACKFILL"),
    Column::new("SCHEDULE"),
    Column::new("STATE"),
    Column::new("TOTAL"),
    Column::new("MADE"),
    Column::new("OK"),
    Column::new("FAILED"),
    Column::new("CREATED"),
    Column::wide("FROM"),
    Column::wide("TO"),
    Column::wide("ONLY"),
    Column::wide("ORDER"),
    Column::wide("AT-ONCE"),
    Column::wide("REASON"),
    Column::wide("BY"),
  ];
  fn reference(&self) -> String {
    self.id.to_string()
  }
  fn cells(&self) -> Vec<Cell> {
    vec![
      Cell::Text(self.id.short()),
      Cell::text(&self.schedule_name),
      Cell::State(self.state.to_string()),
      Cell::Number(self.total),
      Cell::Number(self.made),
      Cell::Number(self.succeeded),
      Cell::Number(self.failed),
      Cell::At(self.created_at),
      Cell::At(self.from_at),
      Cell::At(self.to_at),
      Cell::text(self.only.as_str()),
      Cell::text(self.order.as_str()),
      Cell::Number(self.parallelism),
      Cell::maybe(self.reason.as_ref(), Cell::text),
      Cell::maybe(self.created_by.as_ref(), Cell::text),
    ]
  }
}

/// One for tests.
#[cfg(test)]
pub(super) fn sample() -> BackfillEntity {
  serde_json::from_value(serde_json::json!({
    "id": "019a0000-0000-7000-8000-000000000001", "namespace_id": "default",
    "schedule_id": "019a0000-0000-7000-8000-000000000002", "schedule_name": "nightly",
    "job_id": "019a0000-0000-7000-8000-000000000003",
    "from_at": "2026-01-01T00:00:00Z", "to_at": "2026-02-01T00:00:00Z", "order": "forward",
    "only": "missing", "parallelism": 4, "state": "running", "reason": null, "in_range": 31,
    "total": 30, "first_at": "2026-01-01T01:00:00Z", "last_at": "2026-01-31T01:00:00Z",
    "made": 12, "succeeded": 7, "failed": 1, "cursor_at": "2026-01-12T01:00:00Z", "rev": 9,
    "created_by": "ops", "created_at": "2026-02-01T08:00:00Z",
    "updated_at": "2026-02-01T08:01:00Z", "ended_at": null,
  }))
  .expect("a backfill")
}
