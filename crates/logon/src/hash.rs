//! Passwords of built-in accounts: argon2id, as PHC strings.

use argon2::password_hash::phc::PasswordHash;
use argon2::{Algorithm, Argon2, Params, PasswordHasher, PasswordVerifier, Version};

use crate::secret::Secret;

/// 19 MiB, two passes, one lane: OWASP's minimum. 50 ms of a processor.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// A hash from elsewhere may cost more, but not so much that a logon is an attack on the machine.
const MEMORY_KIB_MAX: u32 = 256 * 1024;
const PASSES_MAX: u32 = 16;
const LANES_MAX: u32 = 16;

/// A hash of nothing anybody knows, with our parameters: what the password of an account that is not there is compared with.
const DUMMY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c2Vzc2lvbjAtZHVtbXktMQ$3yS0vhRAVc9Fnz0ywFhTDB5tUo0/tIq4m3fEN2zC1hA";

/// A password's hash, for the file.
pub fn make(password: &Secret) -> Result<String, String> {
    let argon2 = Argon2::new(
        Algorithm::Argon2id,
        Version::V0x13,
        Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| error.to_string())?,
    );
    computed();
    argon2.hash_password(password.bytes()).map(|hash| hash.to_string()).map_err(|error| error.to_string())
}

/// Whether a password is the one. `hash` has been [`validate`]d.
pub fn verify(hash: &str, password: &Secret) -> bool {
    let Ok(hash) = PasswordHash::new(hash) else { return false };
    computed();
    Argon2::default().verify_password(password.bytes(), &hash).is_ok()
}

/// As much work as [`verify`], for nothing: so that a wrong name takes as long as a wrong password.
pub fn waste(password: &Secret) {
    verify(DUMMY, password);
}

/// Whether a text is a hash that can be checked, and at a price that can be paid; else why not.
pub fn validate(text: &str) -> Result<(), String> {
    let hash = PasswordHash::new(text).map_err(|_| "this is not a password hash (PHC string)".to_owned())?;
    if hash.algorithm.as_str() != "argon2id" {
        return Err(format!("only argon2id is a password hash here, not {}", hash.algorithm));
    }
    if hash.version != Some(Version::V0x13.into()) {
        return Err("the hash must be of version v=19".into());
    }
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err("the hash has no salt or no value".into());
    }
    let params = Params::try_from(&hash).map_err(|_| "the hash's parameters cannot be used".to_owned())?;
    if params.m_cost() > MEMORY_KIB_MAX || params.t_cost() > PASSES_MAX || params.p_cost() > LANES_MAX {
        return Err(format!(
            "the hash costs too much: at most m={MEMORY_KIB_MAX},t={PASSES_MAX},p={LANES_MAX}"
        ));
    }
    Ok(())
}

/// Counts, so that tests can compare the work. Nothing in the program itself.
#[cfg(not(test))]
pub fn computed() {}
#[cfg(test)]
pub use tests::computed;

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        static COMPUTED: Cell<u32> = const { Cell::new(0) };
    }

    /// One more hash was computed.
    pub fn computed() {
        COMPUTED.set(COMPUTED.get() + 1);
    }

    /// How many hashes `act` computes.
    pub fn work<T>(act: impl FnOnce() -> T) -> (T, u32) {
        let before = COMPUTED.get();
        let result = act();
        (result, COMPUTED.get() - before)
    }

    /// SplitMix64: the same numbers for the same seed.
    pub struct Random(pub u64);

    impl Random {
        /// A number below `bound`.
        pub fn below(&mut self, bound: u64) -> u64 {
            self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = self.0;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            (z ^ (z >> 31)) % bound
        }
    }

    #[test]
    fn a_hash_fits_its_password_only() {
        let hash = make(&Secret::from("s3cret")).unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert_eq!(validate(&hash), Ok(()));
        assert!(verify(&hash, &Secret::from("s3cret")));
        assert!(!verify(&hash, &Secret::from("s3creT")));
        assert!(!verify(&hash, &Secret::from("")));
        assert_ne!(hash, make(&Secret::from("s3cret")).unwrap(), "the salt is random");
    }

    #[test]
    fn the_dummy_costs_what_a_real_one_costs_and_fits_nothing() {
        assert_eq!(validate(DUMMY), Ok(()));
        let real = make(&Secret::from("x")).unwrap();
        let price = |hash: &str| hash.split('$').nth(3).map(str::to_owned);
        assert_eq!(price(DUMMY), price(&real));
        assert_eq!(DUMMY.len(), real.len());
        assert_eq!(work(|| waste(&Secret::from("x"))).1, work(|| verify(&real, &Secret::from("y"))).1);
        assert!(!verify(DUMMY, &Secret::from("")));
    }

    #[test]
    fn a_hash_that_cannot_be_checked_is_found_when_it_is_read() {
        let tail = "$c2Vzc2lvbjAtZHVtbXktMQ$3yS0vhRAVc9Fnz0ywFhTDB5tUo0/tIq4m3fEN2zC1hA";
        for bad in [
            "",
            "!",
            "secret",
            "$6$salt$hash",
            "$argon2id$",
            "$argon2id$v=19$m=19456,t=2,p=1",
            "$argon2id$v=19$m=19456,t=2,p=1$c2Vzc2lvbjAtZHVtbXktMQ",
        ] {
            assert!(validate(bad).is_err(), "{bad}");
        }
        for bad in [
            "argon2i$v=19$m=19456,t=2,p=1",
            "argon2id$v=16$m=19456,t=2,p=1",
            "argon2id$m=19456,t=2,p=1",
            "argon2id$v=19$m=4194304,t=2,p=1",
            "argon2id$v=19$m=19456,t=2000,p=1",
            "argon2id$v=19$m=1,t=2,p=1",
        ] {
            assert!(validate(&format!("${bad}{tail}")).is_err(), "{bad}");
        }
    }
}
