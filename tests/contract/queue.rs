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
    a_message_comes_as_it_was_posted,
    a_body_of_the_largest_size_is_taken,
    a_batch_is_posted_in_its_order_under_ids_of_its_own,
    one_message_that_is_refused_costs_no_other,
    messages_come_in_the_order_in_which_they_were_posted,
    a_post_creates_its_queue,
    queues_are_apart,
    a_name_may_hold_whatever_a_name_may_hold,
    the_longest_name_is_taken,
    a_delayed_message_is_not_there_before_its_time,
    a_delay_holds_nothing_else_up,
    a_reserve_brings_no_more_than_it_asks_for,
    a_reserve_of_an_empty_queue_brings_nothing,
    a_reserved_message_is_given_to_nobody_else,
    reserves_at_a_time_share_no_message,
    a_message_whose_lease_has_ended_is_given_again,
    a_deleted_message_does_not_come_again,
    many_are_deleted_at_a_time,
    of_many_one_that_is_gone_costs_no_other,
    a_receipt_whose_lease_has_ended_deletes_nothing,
    a_receipt_of_a_message_that_was_reserved_again_does_nothing,
    a_deleted_message_is_gone_for_its_receipt,
    a_touch_lengthens_the_lease,
    a_touch_may_be_repeated_by_its_new_receipt,
    a_receipt_that_was_replaced_deletes_nothing,
    a_released_message_is_given_again_at_once,
    a_message_that_is_released_with_a_delay_comes_after_it,
    a_released_message_is_gone_for_its_receipt,
    a_message_that_was_never_there_cannot_be_settled,
    the_count_of_deliveries_misses_none,
    a_lease_that_ended_is_counted_as_lost,
    a_renewal_is_not_counted_where_the_count_is_exact,
    a_reserve_that_waits_is_answered_when_a_message_is_posted,
    a_reserve_that_waits_is_answered_when_a_delay_ends,
    a_reserve_that_waits_is_answered_when_a_lease_ends,
    a_reserve_that_waits_is_answered_when_a_message_is_released,
    a_reserve_waits_no_longer_than_it_was_asked_to,
    a_reserve_that_waits_holds_no_other_operation_up,
    of_many_that_wait_one_gets_the_message,
    a_cancelled_reserve_keeps_no_message,
    a_message_that_is_looked_at_stays_where_it_is,
    a_look_changes_no_count,
    a_clear_takes_reserved_messages_along,
    the_size_counts_what_is_reserved_and_delayed_too,
    a_queue_that_does_not_exist_is_reported_as_that,
    queues_are_listed_in_their_order,
}
