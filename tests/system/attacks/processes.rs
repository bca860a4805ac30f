//! A process of the same user in another place.

attacks! {
    a_users_program_cannot_signal_another_session_of_the_same_user:
        "kill, pidfd_send_signal", [6], neighbour("nothing", "signal");
    a_users_program_cannot_trace_another_session_of_the_same_user:
        "ptrace", [5], neighbour("memory", "trace");
    a_users_program_cannot_read_the_memory_of_another_session:
        "process_vm_readv", [5], neighbour("memory", "vm-read");
    a_users_program_cannot_open_the_memory_of_another_session:
        "/proc/PID/mem", [5], neighbour("memory", "mem");
    a_users_program_cannot_read_the_environment_of_another_session:
        "/proc/PID/environ", [5], neighbour("environment", "environ");
    a_users_program_cannot_open_what_another_session_has_open:
        "/proc/PID/fd", [5], neighbour("descriptor", "fd");
    a_users_program_cannot_take_a_descriptor_of_another_session:
        "pidfd_getfd", [5, 17], neighbour("descriptor", "pidfd-getfd");
    a_users_program_cannot_look_through_the_root_of_another_session:
        "/proc/PID/root", [5, 25], neighbour("tmp", "root");
    a_users_program_cannot_make_another_session_dump_core_and_read_it:
        "core file", [21], neighbour("core", "core");
    a_user_namespace_of_its_own_opens_no_other_session:
        "nested user namespace", [5, 8, 10, 25], neighbour("tmp,dev-shm,abstract,queue,memory", "nested");
}
