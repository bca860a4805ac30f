//! Named pipes: somebody else's name, somebody else's identity, and holding others up.

attacks! {
    a_user_cannot_squat_on_the_name_of_a_service_that_is_not_started:
        "a service's name, before it", [11, 12], scenario(pipes::squat);
    a_user_cannot_serve_a_pipe_of_somebody_else_as_well:
        "a second instance", [11, 12], scenario(pipes::second_instance);
    a_users_server_cannot_act_as_a_mightier_client:
        "impersonation upwards", [13, 16], scenario(pipes::impersonate_upwards);
    a_server_is_not_fooled_by_a_process_number_used_again:
        "a client's number used again", [15], scenario(pipes::number_again);
    descriptors_nobody_asked_for_do_not_reach_a_server:
        "descriptors nobody asked for", [17, 20], scenario(pipes::descriptors);
    a_flood_of_clients_at_one_pipe_stops_nobody_at_another:
        "connections that wait", [20, 29], scenario(pipes::flood);
    a_user_who_hoards_names_leaves_enough_for_others:
        "names without end", [20, 29], scenario(pipes::hoard);
    half_a_message_holds_nobody_else_up:
        "half messages, half objects", [29], scenario(pipes::half_said);
    a_client_killed_in_the_middle_has_said_nothing:
        "half a message as a whole one", [29], scenario(pipes::killed_halfway);
    a_pipes_socket_cannot_be_removed_or_replaced_in_a_session:
        "a pipe's socket replaced", [9, 12, 19], scenario(pipes::replace_socket);
    root_in_session_0_cannot_remove_or_replace_a_pipes_socket:
        "a pipe's socket replaced, from a service", [9, 12, 25], boundary(pipes::replace_socket_as_root);
    a_server_that_lies_about_instances_harms_only_itself:
        "a control connection that lies", [11, 14], scenario(pipes::lying_server);
}
