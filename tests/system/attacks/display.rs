//! Sockets where a display and a session bus would be.

attacks! {
    the_x11_socket_of_another_session_is_not_there:
        "X11 socket", [1, 2], neighbour("x11", "x11");
    the_abstract_x11_socket_of_another_session_is_closed:
        "X11 abstract socket", [1, 2, 8], neighbour("x11-abstract", "x11-abstract");
    the_session_bus_of_another_session_is_not_there:
        "D-Bus socket", [11, 12], neighbour("bus", "bus");
    the_abstract_session_bus_of_another_session_is_closed:
        "D-Bus abstract socket", [8, 11, 12], neighbour("bus-abstract", "bus-abstract");
}
