//! Calls that nothing in a session has business with, in a user's hands.

attacks! {
    a_users_program_cannot_have_io_uring_do_what_the_filter_denies:
        "io_uring", [25], wall(From::User, &["uring"]);
    a_service_cannot_have_io_uring_do_what_the_filter_denies:
        "io_uring, from a service", [25], wall(From::Service, &["uring"]);
    a_users_program_cannot_reach_the_hypervisor:
        "AF_VSOCK", [25], wall(From::User, &["vsock"]);
    a_users_program_cannot_use_another_numbering_of_calls:
        "x32", [25], wall(From::User, &["syscall", "x32"]);
    a_users_program_cannot_ask_for_keys:
        "keyctl", [22], wall(From::User, &["syscall", "keyctl"]);
    a_service_cannot_make_a_user_namespace:
        "user namespace, from a service", [25], wall(From::Service, &["unshare-user"]);
    a_service_cannot_load_a_program_into_the_kernel:
        "bpf", [25], wall(From::Service, &["bpf-map"]);
    a_service_cannot_load_another_kernel:
        "kexec", [25], wall(From::Service, &["syscall", "kexec_load"]);
}
