//! What two programs of a user share by name on plain Linux.

attacks! {
    a_users_program_cannot_connect_to_an_abstract_socket_of_another_session:
        "abstract socket", [8], neighbour("abstract", "abstract");
    shared_memory_files_of_another_session_are_not_there:
        "/dev/shm", [10], neighbour("dev-shm", "dev-shm");
    system_v_segments_of_another_session_are_not_there:
        "System V shared memory", [10], neighbour("sysv-shm", "sysv-shm");
    system_v_semaphores_of_another_session_are_not_there:
        "System V semaphore", [10], neighbour("sysv-sem", "sysv-sem");
    posix_message_queues_of_another_session_are_not_there:
        "POSIX message queue", [10], neighbour("queue", "queue");
}
