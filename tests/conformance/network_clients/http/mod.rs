//! The HTTP client over the connections, tasks and time of each adapter, and servers that misbehave.

mod connections;
mod fixture;
mod responses;
mod secure;

/// Runs each case with each adapter.
macro_rules! with_each_adapter {
    ($($file:ident: $($case:ident),* $(,)?;)*) => {
        with_each_adapter!(@ tokio, ivy_tokio::Tokio, $($file: $($case),*;)*);
        with_each_adapter!(@ async_std, ivy_async_std::AsyncStd, $($file: $($case),*;)*);
        with_each_adapter!(@ threads, ivy_blocking::Runtime, $($file: $($case),*;)*);
    };
    (@ $adapter:ident, $runtime:ty, $($file:ident: $($case:ident),*;)*) => {
        mod $adapter {
            $($(
                #[test]
                fn $case() {
                    let _context = super::fixture::runtime().enter();
                    super::$file::$case::<$runtime>();
                }
            )*)*
        }
    };
}

with_each_adapter! {
    responses:
        a_complete_response_is_returned,
        a_body_of_exactly_the_limit_is_read,
        a_body_over_the_limit_is_not_read_to_its_end,
        a_large_response_is_complete,
        a_truncated_response_is_a_lost_response,
        a_truncated_chunked_response_is_an_error,
        a_response_that_is_not_http_is_a_bad_response,
        a_damaged_chunk_is_an_error,
        a_redirect_is_not_followed,
        up_to_ten_interim_responses_are_skipped,
        an_endless_response_fails_after_the_time_limit;
    connections:
        a_request_is_sent_unchanged_with_a_body_only_if_it_has_one,
        a_large_request_is_sent_while_the_server_reads_it,
        a_refused_connection_means_the_server_is_unreachable,
        a_name_that_does_not_resolve_means_the_server_is_unreachable,
        an_unresponsive_address_does_not_hide_the_others,
        a_request_that_cannot_connect_in_time_was_not_sent,
        a_cancelled_request_closes_its_own_connection_only,
        a_completed_request_can_no_longer_be_cancelled,
        a_waiting_request_does_not_delay_another,
        many_waiting_requests_delay_no_other,
        a_connection_is_used_for_one_server_only,
        a_connection_closed_by_the_server_is_not_reused;
    secure:
        a_certificate_of_an_unknown_authority_is_refused,
        a_certificate_of_an_added_authority_is_accepted_for_its_host_only,
        a_secure_connection_is_reused,
        a_server_without_tls_is_refused,
        a_server_that_ignores_the_handshake_is_unreachable;
}
