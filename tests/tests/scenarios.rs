//! Every scenario on its first seeds. `cargo run --release -p netloom-lab` runs many more.

use netloom_lab::scenarios;

/// What a scenario is called.
macro_rules! called {
    ($name:ident) => {
        stringify!($name)
    };
    ($name:ident $called:literal) => {
        $called
    };
}

macro_rules! on_seeds {
    ($($seeds:literal: $($name:ident $($called:literal)?)*;)*) => {
        $($(
            #[test]
            fn $name() {
                let (_, scenario) = scenarios::find(called!($name $($called)?)).expect("it is in the table");
                (0..$seeds).for_each(scenario);
            }
        )*)*

        #[test]
        fn every_scenario_is_run_here() {
            // The last needs embassy-net, and is in ethernet.rs.
            let here = [$($(called!($name $($called)?),)*)* "tcp_is_exact_through_loss"];
            for (name, _) in scenarios::ALL {
                assert!(here.contains(name), "{name} is missing");
            }
        }
    };
}

on_seeds! {
1000:
    tls_echo_is_exact_however_it_is_cut
    tls_sessions_share_few_blocks
    tls_a_connection_that_breaks_leaves_a_prefix
    tls_an_end_at_any_byte_is_no_goodbye
    tls_a_changed_byte_is_never_heard
    tls_a_record_that_stalls_is_given_up_as_a_message_is
    tls_a_record_without_a_message_is_no_message_begun;
50:
    handshake
    transfer
    longrtt
    chacha20
    multiplexing
    retry
    resumption
    zerortt
    blackhole
    keyupdate
    ecn
    amplificationlimit
    handshakeloss
    transferloss
    handshakecorruption
    transfercorruption
    ipv6
    rebind_port "rebind-port"
    rebind_addr "rebind-addr"
    connectionmigration
    downloadmigration
    quic_packets_shrink_with_the_path
    quic_packets_fit_the_path
    quic_early_data_that_is_not_taken_is_never_heard
    quic_codes_arrive
    quic_a_stream_that_is_not_read_stops_only_its_writer
    quic_who_is_stopped_while_it_waits_is_told
    quic_datagrams_are_whole_or_lost
    quic_what_is_more_urgent_arrives_first
    quic_a_window_that_is_changed_holds
    quic_who_takes_nobody_in_any_more_goes_on_with_those_it_has;
300:
    a_board_serves_more_clients_than_it_has_sessions
    a_client_too_many_gets_a_goodbye_and_no_reset
    who_waits_longest_is_served_first
    a_peer_that_vanishes_gives_its_session_back
    a_board_that_cannot_connect_is_told_why
    echo_is_exact_however_it_is_cut
    queued_output_leaves_in_one_write
    nothing_is_lost_when_receive_is_dropped
    nothing_is_lost_when_anything_is_dropped
    a_connection_that_breaks_leaves_a_prefix
    half_a_message_and_the_end_is_no_message
    peers_that_write_before_they_read_go_on
    peers_that_write_a_large_message_before_they_read_go_on
    a_peer_that_does_not_read_stops_only_its_own_sender
    a_write_stall_counts_from_the_last_progress
    a_stall_that_ends_in_time_is_no_error
    large_messages_bypass_the_queue
    a_large_message_dropped_half_way_is_cut
    what_is_tried_or_fits_the_queue_is_never_torn
    a_large_message_that_fits_the_queue_is_sent_whole_or_not_at_all
    large_messages_at_hand_are_read_and_answered_several_at_once
    a_byte_a_minute_is_too_slow
    an_idle_session_ends_in_order
    idle_sessions_end_when_the_host_stops
    a_message_under_way_is_finished_when_the_host_stops
    a_goodbye_survives_a_peer_that_still_sends
    a_session_closed_in_its_handler_still_answers
    an_end_takes_no_longer_than_the_closing_time
    an_ending_session_holds_no_block_while_it_waits
    a_head_stays_while_its_body_streams
    a_body_under_way_is_finished_when_the_host_stops
    a_head_that_fills_its_block_leaves_room_for_its_body
    half_a_body_and_the_end_is_an_error
    a_body_until_the_end_ends_with_the_stream
    chunks_gather_behind_a_held_head
    http_answers_every_request_once_on_arrays
    http_answers_every_request_once_on_blocks
    http_becomes_another_protocol
    http_requests_under_way_are_answered_when_the_host_stops
    http_slowness_is_ended_by_408
    http_an_unwanted_body_that_drips_ends_the_connection
    http_a_slow_handler_is_not_its_clients_fault
    http_a_dialogue_may_be_slow
    http_a_client_that_never_reads_is_let_go
    http_long_bodies_are_drained_or_refused
    http_requests_wait_for_blocks
    http_silent_events_are_kept_alive
    http_a_small_client_is_answered_whole
    websocket_messages_are_exact_both_ways
    websocket_a_message_too_long_for_its_client_ends_by_1009
    replies_and_keep_alives_leave_while_the_handler_waits
    automatic_replies_wait_for_room
    silence_is_answered
    websocket_echoes_messages_however_they_are_cut
    websocket_takes_messages_longer_than_its_queue_piece_by_piece
    websocket_answers_what_is_wrong_as_foretold
    websocket_frames_at_random_end_in_order
    websocket_loses_nothing_when_anything_is_dropped
    websocket_faults_are_named_before_more_comes
    websocket_a_close_is_answered_whoever_says_it_first
    websocket_a_peer_that_never_closes_is_waited_for_no_longer_than_the_closing_time
    websocket_a_peer_that_vanishes_is_told_from_one_that_closes
    websocket_the_end_of_the_host_is_1001
    websocket_an_error_of_the_application_is_said
    websocket_pings_measure_the_way_and_find_the_dead
    websocket_a_message_that_drips_is_too_slow_and_a_stream_is_not
    websocket_a_message_longer_than_its_queue_is_1009
    websocket_a_flood_of_pings_takes_no_memory
    websocket_a_close_does_not_wait_for_what_cannot_be_answered
    websocket_a_close_that_cannot_be_said_is_refused_at_once
    websocket_a_goodbye_without_room_reaches_a_peer_that_still_writes
    readers_wait_for_blocks_and_go_on
    a_message_waits_for_a_block_of_its_size
    a_reply_waits_for_a_block_of_its_size
    blocks_that_never_come_back_end_the_session
    a_message_too_large_is_refused_on_its_header;
}
