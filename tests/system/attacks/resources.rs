//! Taking everything there is, while the host has to answer.

attacks! {
    a_fork_bomb_stays_in_its_session_and_the_host_answers:
        "fork bomb, process numbers", [20], scenario(scenarios::fork_bomb);
    a_program_that_takes_all_memory_stays_in_its_session_and_the_host_answers:
        "memory", [20], scenario(scenarios::memory_hog);
    a_program_that_opens_everything_is_refused_and_the_host_answers:
        "descriptors", [20], scenario(scenarios::descriptor_hog);
    a_flood_of_connections_that_never_read_stops_nobody_else:
        "connections that never read", [29], scenario(scenarios::flood);
}
