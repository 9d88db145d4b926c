//! What every queue must do.

mod administration;
mod fixture;
mod leases;
mod posting;
mod waiting;

pub(crate) use fixture::Fixture;

use administration::*;
use leases::*;
use posting::*;
use waiting::*;

crate::cases! { Fixture:
    a_message_arrives_as_it_was_posted,
    a_body_of_the_largest_size_is_accepted,
    a_batch_is_posted_in_order_with_an_id_for_each_message,
    one_refused_message_costs_no_other,
    messages_arrive_in_the_order_in_which_they_were_posted,
    a_post_creates_its_queue,
    queues_are_independent,
    a_name_may_contain_every_allowed_character,
    the_longest_name_is_accepted,
    a_delayed_message_is_not_ready_before_its_time,
    a_delayed_message_delays_no_other,
    a_reserve_returns_no_more_than_requested,
    a_reserve_of_an_empty_queue_returns_nothing,
    a_reserved_message_is_delivered_to_no_other_worker,
    concurrent_reserves_return_distinct_messages,
    a_message_whose_lease_has_ended_is_delivered_again,
    a_deleted_message_is_not_delivered_again,
    several_messages_are_deleted_at_once,
    a_missing_message_does_not_prevent_deleting_the_others,
    a_receipt_whose_lease_has_ended_deletes_nothing,
    a_receipt_of_a_message_that_was_reserved_again_does_nothing,
    the_receipt_of_a_deleted_message_is_refused,
    a_touch_extends_the_lease,
    a_touch_may_be_repeated_with_its_new_receipt,
    a_replaced_receipt_deletes_nothing,
    a_released_message_is_delivered_again_immediately,
    a_message_released_with_a_delay_is_delivered_after_the_delay,
    the_receipt_of_a_released_message_is_refused,
    a_message_that_never_existed_cannot_be_settled,
    every_delivery_is_counted,
    a_lease_that_ended_is_counted_as_lost,
    a_renewal_is_not_counted_if_the_count_is_exact,
    a_waiting_reserve_returns_when_a_message_is_posted,
    a_waiting_reserve_returns_when_a_delay_ends,
    a_waiting_reserve_returns_when_a_lease_ends,
    a_waiting_reserve_returns_when_a_message_is_released,
    a_reserve_waits_no_longer_than_requested,
    a_waiting_reserve_delays_no_other_operation,
    one_of_many_waiting_reserves_gets_the_message,
    a_cancelled_reserve_loses_no_message,
    a_peek_leaves_the_message_in_its_queue,
    a_peek_changes_no_count,
    a_clear_deletes_reserved_messages_too,
    the_size_includes_reserved_and_delayed_messages,
    the_size_of_a_missing_queue_is_the_fault_no_queue,
    queues_with_a_prefix_are_listed_in_order_after_a_name,
}
