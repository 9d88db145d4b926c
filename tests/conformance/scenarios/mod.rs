//! What every adapter must do.

mod access;
mod calls;
mod cancellation;
mod checks;
mod dead_letters;
mod encryption;
mod failover;
mod faults;
mod http_responses;
mod leases;
mod lifecycle;
mod limits;
mod notices;
mod observability;
mod redis;
mod retries;
mod routing;
mod tls;

use crate::fixture::Fixture;
use crate::futures::Futures;
use crate::harness::Harness;
use crate::pairs::{Coverage, Exception, Pair};

/// A behaviour that every adapter must show, over the pairs that it covers except the excluded
/// ones.
pub(crate) struct Scenario<H> {
    pub(crate) part: &'static str,
    pub(crate) name: &'static str,
    pub(crate) run: fn(&Fixture<H>),
    /// Whether it is about what an adapter does by itself, whatever the backends.
    of_adapter: bool,
    exceptions: &'static [Exception],
}

impl<H> Scenario<H> {
    /// Why it is left out of a pair, if it is.
    pub(crate) fn left_out(&self, coverage: Coverage, pair: &Pair) -> Option<&'static str> {
        let exception = self.exceptions.iter().find(|exception| (exception.holds)(pair));
        exception.map(|exception| exception.reason).or_else(|| {
            let own_server = self.exceptions.iter().any(|exception| exception.own_server);
            coverage.leaves_out(pair, self.of_adapter || own_server)
        })
    }
}

impl<H> Clone for Scenario<H> {
    fn clone(&self) -> Self {
        Scenario { ..*self }
    }
}

/// Lists scenarios by module: each a function's name and the reason it cannot run over some pairs.
macro_rules! conformance {
    (
        $(#[$docs:meta])*
        $list:ident<$bound:ident>, of the adapter itself: $of_adapter:literal,
        $($module:ident { $($scenario:ident $(except $exception:ident)*;)* })*
    ) => {
        $(#[$docs])*
        pub(crate) fn $list<H: $bound>() -> Vec<Scenario<H>> {
            vec![$($(Scenario {
                part: stringify!($module),
                name: stringify!($scenario),
                run: $module::$scenario::<H>,
                of_adapter: $of_adapter,
                exceptions: &[$($crate::pairs::$exception),*],
            }),*),*]
        }
    };
}

conformance! {
    /// The scenarios of every adapter.
    scenarios<Harness>, of the adapter itself: false,
    calls {
        a_call_returns_its_typed_result;
        each_of_many_calls_returns_its_own_result;
        a_result_of_another_type_is_an_error_of_its_own;
        a_result_that_is_too_large_is_reported;
        a_value_comes_back_or_is_refused_whatever_its_depth;
        encrypted_calls_return_their_results;
        an_encrypted_message_shows_nothing_of_its_task except PRIVATE_QUEUE;
        a_result_that_arrives_after_the_timeout_can_still_be_fetched;
        a_timeout_says_what_is_known_and_what_to_look_at;
        a_dropped_handle_forgets_the_result_and_not_the_task;
        a_send_runs_its_task;
        a_callback_gets_arguments_and_results;
        floats_keep_all_their_bits;
        the_callers_trace_context_reaches_the_handler;
        a_panic_in_a_callback_harms_no_other_result;
        a_delayed_task_is_not_run_early;
        a_call_that_is_too_large_is_not_sent;
        more_calls_than_the_outbox_has_room_for_are_all_sent;
        two_producers_get_only_their_own_results except ONE_PROCESS;
    }
    limits {
        a_call_at_a_queue_that_hangs_ends_at_its_limit except NO_HTTP;
        calls_at_a_queue_that_hangs_are_withdrawn_or_keep_their_handles except NO_HTTP;
    }
    retries {
        a_failing_task_is_retried_with_growing_delays;
        a_task_that_recovers_returns_its_result;
        heartbeats_are_not_counted_as_attempts;
        a_fatal_error_is_not_retried;
        a_postponed_task_comes_again_without_losing_an_attempt;
        a_call_may_forbid_retries;
        a_panic_is_a_failed_attempt_and_leaves_its_slot_free;
        a_panic_that_panics_again_is_reported_as_a_panic;
        a_handler_over_its_time_limit_is_stopped;
    }
    dead_letters {
        a_finally_failed_task_is_dead_lettered;
        a_requeued_task_has_all_its_attempts_again;
        arguments_of_another_version_wait_for_its_worker;
        an_invalid_message_is_dead_lettered_unchanged except PRIVATE_QUEUE;
        a_message_that_may_kill_workers_is_dead_lettered except PRIVATE_QUEUE;
        lease_renewals_do_not_count_against_a_task except COUNTS_EXACTLY;
        a_task_past_its_deadline_is_dead_lettered except PRIVATE_QUEUE;
        an_unknown_task_waits_for_a_worker_that_knows_it;
        a_message_whose_key_is_missing_is_released except PRIVATE_QUEUE;
    }
    encryption {
        tasks_results_and_errors_travel_under_each_policy;
        a_sealed_queue_shows_nothing except PRIVATE_QUEUE;
        downgrades_are_dead_lettered_and_moved_frames_are_released except PRIVATE_QUEUE;
        a_key_rotation_loses_no_result except ONE_PROCESS;
        a_message_waits_for_its_key except ONE_PROCESS;
    }
    leases {
        a_long_task_keeps_its_lease;
        no_request_delays_a_renewal except NO_HTTP;
        a_task_may_end_while_its_receipt_is_replaced except NO_HTTP;
        a_lost_lease_cancels_the_handler_and_deletes_nothing except NO_HTTP;
        a_killed_worker_costs_a_lease_and_no_task except ONE_PROCESS;
        clearing_a_queue_cancels_running_handlers;
        slots_are_never_exceeded;
    }
    faults {
        many_503_responses_lose_nothing except NO_HTTP;
        malformed_responses_lose_nothing except NO_HTTP;
        a_reset_in_the_middle_of_a_response_loses_nothing except NO_HTTP;
        lost_responses_lose_nothing except NO_HTTP;
        a_lost_response_is_an_unknown_outcome_without_retries except NO_HTTP;
        a_lost_response_is_resent_with_retries except NO_HTTP;
        a_result_that_arrives_before_the_response_is_stored except NO_HTTP;
        concurrent_calls_and_deletes_share_requests except NO_HTTP;
        a_call_to_an_unreachable_server_is_not_sent except NO_HTTP;
        refused_credentials_are_reported_immediately except NO_HTTP;
    }
    notices {
        a_message_of_a_node_producer_is_run except PRIVATE_QUEUE;
        a_node_caller_gets_its_reply_in_the_format_of_node except PRIVATE_QUEUE except PRIVATE_NOTIFIER;
        no_message_makes_a_worker_publish_to_all except PRIVATE_QUEUE;
        invalid_and_repeated_notices_are_ignored except PRIVATE_NOTIFIER;
        redis_may_be_killed_while_tasks_run except PRIVATE_NOTIFIER;
        the_first_result_after_a_restart_arrives except PRIVATE_NOTIFIER;
        without_its_notifier_a_call_is_not_sent except PRIVATE_NOTIFIER;
    }
    lifecycle {
        two_tasks_under_one_name_are_refused;
        a_task_is_registered_by_name;
        a_paused_worker_accepts_nothing_until_it_is_resumed;
        a_paused_notifier_holds_results_back_and_not_tasks;
        drain_waits_for_handlers;
        tasks_that_a_drain_releases_are_run_by_another_worker;
        a_dropped_worker_lets_its_handlers_finish;
        a_handler_can_call_another_task;
        slots_that_wait_for_each_other_are_reported_and_released;
    }
    observability {
        calls_and_tasks_are_counted;
        counts_of_an_ended_worker_remain;
        workers_that_publish_their_presence_are_heard;
        a_worker_that_drains_is_gone;
        a_worker_without_presence_is_not_heard;
    }
    checks {
        a_place_that_works_passes;
        a_queue_that_refuses_the_credentials_is_named except PRIVATE_QUEUE;
        a_queue_that_is_down_is_named except PRIVATE_QUEUE;
        a_notifier_that_is_down_is_named except PRIVATE_NOTIFIER;
        a_notifier_that_refuses_the_credentials_is_named except PRIVATE_NOTIFIER;
    }
    routing {
        the_more_urgent_task_is_run_first;
        a_priority_waits_for_a_worker_that_names_it;
        a_route_waits_for_a_worker_that_names_it;
        queues_get_their_shares_by_weight;
        queues_get_their_shares_when_slots_are_filled_together;
    }
    http_responses {
        a_truncated_response_is_never_a_success except OTHER_THAN_IRONMQ;
        a_damaged_response_affects_no_other_request except OTHER_THAN_IRONMQ;
        invalid_http_is_an_error except OTHER_THAN_IRONMQ;
        an_unusual_response_is_accepted_and_reported except OTHER_THAN_IRONMQ;
        a_response_in_pieces_is_the_same_response except OTHER_THAN_IRONMQ;
        an_endless_response_is_cancelled except OTHER_THAN_IRONMQ;
    }
    redis {
        invalid_payloads_are_counted except OTHER_THAN_REDIS;
        a_forged_notice_ends_no_task except OTHER_THAN_REDIS;
        messages_of_other_channels_are_ignored except OTHER_THAN_REDIS;
        damaged_bytes_cost_a_subscription_at_most except OTHER_THAN_REDIS;
        damaged_replies_cost_a_notice_at_most except OTHER_THAN_REDIS;
        refused_subscriptions_are_reported except OTHER_THAN_REDIS;
        refused_publications_are_reported_and_retried except OTHER_THAN_REDIS;
        a_lost_publication_is_not_repeated except OTHER_THAN_REDIS;
        a_notice_without_a_subscriber_is_counted except OTHER_THAN_REDIS;
        a_disconnected_subscriber_subscribes_again except OTHER_THAN_REDIS;
        a_subscription_may_be_confirmed_twice except OTHER_THAN_REDIS;
        names_with_a_nul_are_refused except OTHER_THAN_REDIS;
    }
    access {
        a_placeholder_user_name_is_ignored except OTHER_THAN_REDIS;
        a_missing_permission_names_the_channels_that_are_needed except OTHER_THAN_REDIS;
        a_server_without_a_free_connection_is_reported except OTHER_THAN_REDIS;
        a_program_without_node_peers_subscribes_to_its_own_channel_only except OTHER_THAN_REDIS;
    }
    failover {
        results_arrive_after_the_notifier_has_failed_over except ONE_PROCESS;
    }
    tls {
        a_queue_over_tls_works except PRIVATE_QUEUE;
        a_queue_that_cannot_be_trusted_is_refused except PRIVATE_QUEUE;
        a_notifier_over_tls_works except PRIVATE_NOTIFIER;
        a_notifier_that_cannot_be_trusted_is_refused except PRIVATE_NOTIFIER;
    }
}

conformance! {
    /// The additional scenarios of adapters whose methods are futures.
    scenarios_of_futures<Futures>, of the adapter itself: true,
    cancellation {
        a_call_may_be_dropped_at_every_await_point;
        a_wait_for_a_result_may_be_dropped_at_every_await_point;
    }
}
