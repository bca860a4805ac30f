//! Clients that are not what they say, or not where they say.

attacks! {
    a_client_that_says_it_is_an_administrator_is_not_believed:
        "a client that lies", [11, 14], scenario(scenarios::lies);
    a_client_that_becomes_root_after_it_connected_gains_nothing:
        "root after connecting", [15], scenario(scenarios::becomes_root);
    a_process_number_used_again_is_not_taken_for_who_had_it:
        "process number used again", [15], scenario(scenarios::number_again);
    a_door_carried_into_another_session_is_refused:
        "the API by another session's door", [11, 17], scenario(scenarios::carried_door);
    a_user_can_do_nothing_to_a_session_of_somebody_else:
        "others' sessions", [11], scenario(scenarios::others_sessions);
}
