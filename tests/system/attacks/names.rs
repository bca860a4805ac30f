//! Names that are more than names.

attacks! {
    a_name_is_never_a_path:
        "names that are paths", [19], scenario(scenarios::names_that_are_paths);
    the_name_of_a_terminal_does_not_move_the_readers:
        "escape sequences in a name", [4], scenario(scenarios::escapes);
}
