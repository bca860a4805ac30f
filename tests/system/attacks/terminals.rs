//! Characters pushed into a terminal.

attacks! {
    a_users_program_cannot_push_a_character_into_its_terminal:
        "TIOCSTI", [7], wall(From::User, &["tiocsti", "0x5412"]);
    a_users_program_cannot_push_a_character_with_a_high_bit_set:
        "TIOCSTI, high bit", [7], wall(From::User, &["tiocsti", "0x100005412"]);
    a_users_program_cannot_push_a_character_with_the_sign_extended:
        "TIOCSTI, sign-extended", [7], wall(From::User, &["tiocsti", "0xffffffff00005412"]);
    a_service_cannot_push_a_character_with_a_high_bit_set:
        "TIOCSTI, from a service", [7], wall(From::Service, &["tiocsti", "0x100005412"]);
    a_users_program_cannot_paste_by_the_console:
        "TIOCLINUX", [7], wall(From::User, &["tiocsti", "0x541c"]);
}
