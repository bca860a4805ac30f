//! What a program could gain by the way it is started.

attacks! {
    a_set_user_id_program_gains_nothing:
        "set-user-id program", [13], wall(From::User, &["{visible}/set-user-id", "elevated"]);
    no_descriptor_of_the_client_comes_with_a_program:
        "leaked descriptor", [17],
        own(From::User, &["/bin/sh", "-c", "exec 7</etc/passwd; exec \"$@\"", "sh"], &["leaked"]);
    no_variable_of_the_client_changes_what_a_program_does:
        "injected variables", [14, 18],
        own(
            From::User,
            &[
                "/usr/bin/env", "LD_BIND_NOT=1", "BASH_ENV=/injected", "ENV=/injected", "PYTHONSTARTUP=/injected",
                "XDG_SEAT=seat0", "XDG_SESSION_ID=injected", "XDG_VTNR=1", "HOME=/injected", "SHELL=/injected",
                "PATH=/injected:/usr/sbin:/usr/bin:/sbin:/bin",
            ],
            &["injected"]
        );
    a_full_session_starts_nothing_as_root:
        "privilege drop that fails", [16], scenario(scenarios::full_session_stays_the_users);
}
