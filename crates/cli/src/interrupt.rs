//! ^C as the ordinary end of a command that follows something.

use std::sync::Once;

/// What a shell makes of a program that SIGINT ended.
const INTERRUPTED: i32 = 130;

/// From now on ^C ends this program with exit code 0.
pub fn ends_quietly() {
    on_interrupt(|| std::process::exit(0));
}

/// From now on ^C ends this program and says that the host goes on with what it was told. Called again, nothing changes.
pub fn leaves_it_to_the_host(verb: String) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        on_interrupt(move || {
            crate::output::note(&format!("\nno longer waiting; the host goes on with it: `{verb}`"));
            std::process::exit(INTERRUPTED);
        });
    });
}

fn on_interrupt(end: impl FnOnce() + Send + 'static) {
    let listening = std::thread::Builder::new().name("s0-interrupt".to_owned()).spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let Ok(runtime) = runtime else { return };
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            end();
        }
    });
    // Without the thread ^C ends the program as well, only with another exit code.
    drop(listening);
}
