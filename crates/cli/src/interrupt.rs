//! ^C as the ordinary end of a command that follows something.

/// From now on ^C ends this program with exit code 0.
pub fn ends_quietly() {
    let listening = std::thread::Builder::new().name("s0-interrupt".to_owned()).spawn(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let Ok(runtime) = runtime else { return };
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            std::process::exit(0);
        }
    });
    // Without the thread ^C ends the program as well, only with another exit code.
    drop(listening);
}
