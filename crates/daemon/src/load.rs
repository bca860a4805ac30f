//! The configuration as the model takes it: what the files say, and our own services.

use session0_model::system::{Configuration, SettingsFile};

use crate::config::{self, Loaded, Settings};
use crate::core::State;
use crate::{builtin, message};

/// Reads everything again. Errors in host.toml leave the settings as they were.
pub fn again(state: &mut State) -> Configuration {
    let mut loaded = config::load(&state.place.paths);
    say(&loaded);
    if loaded.settings_problems == 0 {
        *loaded.configuration.settings = state.settings.changes(&loaded.settings);
        state.events.set_rotation(loaded.settings.events);
        state.settings = loaded.settings.clone();
        state.machine = config::Machine::load();
        state.tripwire_uids = loaded.tripwire_uids.clone();
    } else {
        message::warn("host.toml has errors and is left as it was", &[]);
        loaded.configuration.settings.file = SettingsFile::Broken;
        loaded.configuration.administrators = state.settings.administrators.clone();
        loaded.configuration.shutdown_wait = state.settings.shutdown_budget;
        loaded.configuration.sessions = state.settings.policy;
    }
    with_built_in(loaded.configuration, &state.settings, &state.logger)
}

/// Adds our own services.
pub fn with_built_in(
    mut configuration: Configuration,
    settings: &Settings,
    logger: &std::path::Path,
) -> Configuration {
    match builtin::logger(logger, settings) {
        Some(logger) => configuration.services.push(logger),
        None => message::error("the logger's path is not text", &[("program", &logger.display())]),
    }
    configuration
}

/// Every problem, as `--check` would show it.
pub fn say(loaded: &Loaded) {
    for problem in &loaded.problems {
        message::text(&problem.render());
    }
}
