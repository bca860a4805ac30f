//! Keys that the kernel keeps by uid.

attacks! {
    a_key_in_the_users_keyring_is_out_of_a_sessions_reach:
        "user keyring", [22], neighbour("user-key", "user-key");
    a_key_in_the_persistent_keyring_is_out_of_a_sessions_reach:
        "persistent keyring", [22], neighbour("persistent-key", "persistent-key");
    a_key_in_a_named_session_keyring_is_out_of_a_sessions_reach:
        "session keyring by name", [22], neighbour("session-key", "session-key");
}
