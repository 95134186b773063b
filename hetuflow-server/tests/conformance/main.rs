//! One suite over both engines: whatever a query promises, it promises on PostgreSQL and SQLite.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod ageing;
mod artifacts;
mod backfills;
mod calendars;
mod controls;
mod dedup;
mod engines;
mod feed;
mod fleet;
mod hand_out;
mod hot_path;
mod limits;
mod named_calendars;
mod overdue;
mod placement;
mod planner;
mod planner_faults;
mod planner_holds;
mod planner_missed;
mod planner_times;
mod plans;
mod reports;
mod secrets;
mod silence;
mod tables;
mod watches;

use engines::both_engines;

both_engines! {
  tables::namespaces_are_kept_and_unique,
  tables::jobs_change_by_mask_and_version,
  tables::deleted_names_are_free_again,
  tables::pages_hold_every_row_once,
  tables::schedules_move_only_from_where_they_were_read,
  tables::an_instant_is_decided_once,
  tables::agents_servers_and_tokens,
  artifacts::files_are_kept_for_their_time,
  artifacts::what_is_put_is_checked,
  artifacts::inputs_are_found_once_and_kept_while_the_task_lives,
  secrets::values_are_sealed_and_counted,
  secrets::a_strange_key_opens_nothing,
  tables::a_tokens_last_use_is_stored_once_a_minute,
  tables::the_journal_is_in_commit_order,
  tables::output_is_addressed_by_its_offset,
  tables::migrations_go_down_and_up_again,
  hot_path::what_is_planned_is_claimed_by_priority_and_time,
  hot_path::keys_and_fires_are_taken_once,
  hot_path::tasks_that_cannot_collide_go_in_with_their_journal,
  hot_path::a_job_that_moved_on_stops_its_guarded_tasks,
  hot_path::a_task_can_be_born_claimed,
  hot_path::many_claimers_never_take_one_task_twice,
  hot_path::fences_only_grow,
  hot_path::an_end_needs_the_fence_and_happens_once,
  hot_path::a_retry_is_a_new_attempt,
  hot_path::stops_and_cancels_depend_on_where_the_task_is,
  hot_path::marks_name_every_class_and_priority,
  hot_path::tasks_whose_answer_was_lost_are_found_again,
  hand_out::claims_that_nobody_handed_out_wait_again,
  hand_out::stopped_claims_that_nobody_handed_out_end,
  reports::processes_of_an_agent_count_for_themselves,
  placement::needs_are_never_oversubscribed,
  placement::liked_agents_come_first_for_a_while,
  silence::unreachable_attempts_are_found,
  silence::attempts_of_agents_that_are_offline_are_not_forgotten,
  silence::a_sign_of_life_beside_a_giving_up,
  silence::a_sign_of_life_beside_a_second_look,
  silence::a_late_sign_of_life_undoes_no_disconnect,
  silence::a_sign_of_life_beside_a_disconnect,
  silence::a_stopped_claim_that_did_not_arrive_ends_at_the_return,
  fleet::given_labels_and_drains_outlive_a_registration,
  fleet::a_drain_ends_once_and_stops_only_what_nobody_stops,
  fleet::a_command_is_sent_once_and_answered_by_its_agent,
  fleet::only_what_is_gone_and_idle_is_forgotten,
  controls::holds_are_wishes_until_the_agent_answers,
  controls::only_a_restart_leads_from_a_stop_to_a_new_attempt,
  ageing::long_waiters_rise,
  dedup::many_requests_at_once_are_one_task,
  dedup::a_debounced_task_is_moved_until_it_goes,
  dedup::keys_and_kinds_of_requests_meet,
  limits::held_tasks_wait_for_their_slot,
  limits::a_retry_waits_for_its_slot_anew,
  limits::all_or_nothing_over_several_limits,
  limits::rates_count_starts,
  limits::two_servers_never_let_too_many_through,
  limits::slots_that_nobody_uses_go_to_others,
  limits::the_numbers_of_now_count,
  limits::semaphores_are_kept_while_they_are_needed,
  overdue::slower_than_usual_is_told_once,
  feed::a_slow_reader_starts_anew,
  feed::a_journal_that_was_cut_is_told,
  planner::skip_leaves_out_what_overlaps,
  planner::buffer_one_keeps_one_waiting,
  planner::buffer_all_keeps_a_bounded_queue,
  planner::serial_priority_lets_the_urgent_go_first,
  planner::a_trigger_is_decided_by_the_policy,
  planner::a_trigger_takes_back_what_is_planned_ahead,
  planner::two_planners_share_ten_thousand_instants,
  planner::an_older_run_is_asked_to_stop_or_killed,
  planner_missed::catching_up_has_its_limits,
  planner_missed::catching_up_respects_overlap,
  planner_missed::a_month_of_seconds_is_one_row,
  planner_missed::what_many_have_missed_is_spread,
  planner_holds::a_pause_has_a_reason_and_an_end,
  planner_holds::a_resume_says_what_is_made_up_for,
  planner_holds::the_next_instants_can_be_left_out,
  planner_holds::a_freeze_holds_everything,
  planner_holds::a_freeze_ends_at_its_time,
  calendars::nothing_fires_in_a_blackout,
  calendars::calendars_are_checked_and_kept,
  named_calendars::a_schedule_leaves_its_calendars_out,
  named_calendars::an_outage_tells_calendars_apart,
  named_calendars::what_is_named_is_there_and_stays,
  named_calendars::a_change_is_for_what_comes,
  named_calendars::a_calendar_that_is_gone_stops_its_schedule_alone,
  named_calendars::previews_mark_what_is_left_out,
  named_calendars::a_backfill_leaves_calendars_alone,
  planner_faults::steps_of_the_clock_repeat_nothing,
  planner_faults::outages_leave_no_instant_without_a_row,
  planner_faults::poisoned_rows_stop_nobody,
  planner_faults::edits_at_the_instant_lose_and_repeat_nothing,
  planner_faults::many_schedules_at_one_instant,
  planner_faults::an_interval_waits_for_the_end,
  planner_times::broken_rows_stop_nobody,
  planner_times::clocks_and_jitter_decide,
  planner_times::changes_of_the_clocks_are_lived_through,
  backfills::a_backfill_runs_what_is_missing,
  backfills::two_servers_never_run_an_instant_twice,
  backfills::a_backfill_is_held_goes_on_and_ends,
  backfills::a_backfill_has_its_limits_and_holds_nothing_back,
  plans::hot_statements_use_their_indexes,
  watches::filters_mean_the_same,
  watches::figures_of_lists_are_read,
}
