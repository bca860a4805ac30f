//! uid 0 in Session 0 against the machine. Nothing is changed: files are opened, nodes are made and removed. What is read-only is a setting,
//! which xp keeps: the attack on a file of the system proves itself without session0.

attacks! {
    root_in_session_0_cannot_open_the_machines_devices:
        "devices, where they are", [25], root(&[
            "open-any", "/dev/dri/card0", "/dev/fb0", "/dev/input/event0", "/dev/snd/controlC0", "/dev/vcs",
            "/dev/tty0", "/dev/ttyS0", "/dev/uinput", "/dev/kvm", "/dev/nvidia0", "/dev/fuse",
        ]);
    root_in_session_0_cannot_make_a_device_and_open_it:
        "devices, after mknod", [25], root(&[
            "mknod-any", "c:226:0", "c:29:0", "c:13:64", "c:116:0", "c:7:0", "c:4:0", "c:4:64", "c:10:223", "c:10:232",
            "c:195:0", "c:10:229",
        ]);
    root_in_session_0_cannot_say_what_becomes_of_core_files:
        "core_pattern", [21, 25], root(&["write-any", "/proc/sys/kernel/core_pattern"]);
    root_in_session_0_cannot_change_the_kernels_settings:
        "/proc/sys", [25], root(&[
            "write-any", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/sysrq", "/proc/sys/vm/overcommit_memory",
            "/proc/sys/kernel/hostname",
        ]);
    root_in_session_0_cannot_use_the_magic_key:
        "sysrq-trigger", [25], root(&["write-any", "/proc/sysrq-trigger"]);
    root_in_session_0_cannot_change_what_the_kernel_shows_in_sys:
        "/sys", [25], root(&[
            "write-any", "/sys/kernel/uevent_helper", "/sys/kernel/mm/transparent_hugepage/enabled", "/sys/power/state",
        ]);
    root_in_session_0_cannot_name_a_release_agent:
        "release_agent", [25], root(&["write-any", "/sys/fs/cgroup/*/release_agent", "/sys/fs/cgroup/release_agent"]);
    root_in_session_0_cannot_leave_its_control_group:
        "cgroup.procs", [20, 25], root(&["leave-group"]);
    root_in_session_0_cannot_have_every_program_of_the_machine_load_a_library:
        "ld.so.preload", [25], root(&["write", "/etc/ld.so.preload"]);
    root_in_session_0_cannot_look_through_the_root_of_its_init:
        "/proc/1/root", [25], root(&["read-through", "{visible}/secret"]);
    root_in_session_0_cannot_trace_its_init_in_any_way:
        "ptrace of init", [5, 25], root(&["ptrace", "1"]);
    root_in_session_0_cannot_open_a_file_by_its_handle:
        "open_by_handle_at", [25], root(&["by-handle", "{handle}"]);
    root_in_session_0_cannot_enter_a_namespace_it_was_given:
        "setns by a descriptor", [17, 25], root(&["enter", "{visible}/namespace", "{hidden}"]);
    root_in_session_0_cannot_mount:
        "mount", [25], root(&["mount"]);
}
