//! Files in places that everybody may write.

attacks! {
    temporary_files_of_another_session_are_not_there:
        "/tmp: read", [9], neighbour("tmp", "tmp");
    lasting_temporary_files_of_another_session_are_not_there:
        "/var/tmp: read", [9], neighbour("var-tmp", "var-tmp");
    a_link_laid_in_tmp_does_not_catch_what_another_session_writes:
        "/tmp: link laid before", [9], neighbour("planted", "plant");
    runtime_files_of_another_session_are_not_there:
        "/run/user/UID", [9], neighbour("run-user", "run-user");
}
