//! Where claimable work is: read once a second, so that a lost wake only makes a task late.

use hetuflow_core::Ts;

use crate::infra::db::{Conn, DbError};

// A walk over the claim index from one (class, priority) to the next: its cost grows with the
// number of classes and priorities, not with the backlog.
const MARKS: &str = "with recursive range(class_id, priority) as ( \
    select (select min(h.class_id) from sched_task_hot h \
        where h.status in ('pending', 'waiting_retry') and h.gate <= 0), \
      (select h.priority from sched_task_hot h where h.status in ('pending', 'waiting_retry') and h.gate <= 0 \
        order by h.class_id, h.priority desc limit 1) \
    union all \
    select case when (select max(h.priority) from sched_task_hot h \
          where h.status in ('pending', 'waiting_retry') and h.gate <= 0 and h.class_id = r.class_id \
            and h.priority < r.priority) is not null then r.class_id else \
        (select min(h.class_id) from sched_task_hot h \
          where h.status in ('pending', 'waiting_retry') and h.gate <= 0 and h.class_id > r.class_id) end, \
      coalesce((select max(h.priority) from sched_task_hot h \
          where h.status in ('pending', 'waiting_retry') and h.gate <= 0 and h.class_id = r.class_id \
            and h.priority < r.priority), (select h.priority from sched_task_hot h \
        where h.status in ('pending', 'waiting_retry') and h.gate <= 0 and h.class_id > r.class_id \
        order by h.class_id, h.priority desc limit 1)) \
    from range r \
    where r.class_id is not null \
  ) \
  select r.class_id, r.priority, (select min(h.eligible_at) from sched_task_hot h \
    where h.status in ('pending', 'waiting_retry') and h.gate <= 0 and h.class_id = r.class_id \
      and h.priority = r.priority) as eligible_at \
  from range r where r.class_id is not null limit 10000";

/// The soonest claimable instant of every class and priority that has any.
///
/// # Errors
/// Any [`DbError`].
pub async fn due_marks(conn: &mut Conn) -> Result<Vec<((i64, i64), Ts)>, DbError> {
  let rows: Vec<(i64, i64, Option<Ts>)> = conn.fetch_sql(MARKS, Vec::new()).await?;
  Ok(rows.into_iter().filter_map(|(class, priority, at)| Some(((class, priority), at?))).collect())
}
