//! Passwords of the machine's accounts: what libcrypt wrote into the shadow file.

use crate::hash;
use crate::secret::Secret;
use sha_crypt::{PasswordVerifier as _, ShaCrypt};
use yescrypt::Yescrypt;

/// What came of comparing a password with a shadow entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the one.
    Right,
    /// It is not.
    Wrong,
    /// Nobody can log on with it: `!`, `*`, nothing at all.
    Locked,
    /// We cannot check this one.
    Unsupported,
}

/// Compares. Each call computes exactly one hash, also where there is nothing to compare with.
pub fn verify(entry: &str, password: &Secret) -> Verdict {
    let scheme = entry.split('$').nth(1);
    let verified = match scheme {
        Some("y") if entry.starts_with('$') => Yescrypt::default().verify_password(password.bytes(), entry),
        Some("5" | "6") if entry.starts_with('$') => {
            ShaCrypt::default().verify_password(password.bytes(), entry)
        }
        _ => {
            hash::waste(password);
            let locked = entry.is_empty() || entry.starts_with(['!', '*']);
            return if locked { Verdict::Locked } else { Verdict::Unsupported };
        }
    };
    match verified {
        Ok(()) => {
            hash::computed();
            Verdict::Right
        }
        Err(sha_crypt::password_hash::Error::PasswordInvalid) => {
            hash::computed();
            Verdict::Wrong
        }
        // It has the scheme's mark and is not of its form: nothing was computed yet.
        Err(_) => {
            hash::waste(password);
            Verdict::Unsupported
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::tests::work;

    /// Made by libcrypt 4.4 of `s3cret`.
    const HASHES: [&str; 4] = [
        "$y$j9T$kqL1Qm3pWc0rT5eN7sU9x/$HmKS/rLrVpdOo85wiQ2GYIy5aB/79B97tKf.tumKbI.",
        "$5$saltstring$9QqUIsp6bPD8uX5rHa8zB21q7JTr9i41vD3jA8fwv68",
        "$6$saltstring$xwVXmdoFwkuFfkvrCnFqepsb1G.0z7.VoLCq69.god.O.zXvYSQsLM/oDMuI05ufmibO/tzUYEh4IPt9kZAc0.",
        "$6$rounds=1400$anotherlongsalt$.lpqkZBFuPDJIEXUZpdF0Ag2ktQtUd24j3lu4WJ51i9L6FsOS636GBaWHGY/r6TGi01nMdUE/3vO5cdNBaBbD.",
    ];

    #[test]
    fn what_libcrypt_wrote_is_understood() {
        for hash in HASHES {
            assert_eq!(verify(hash, &Secret::from("s3cret")), Verdict::Right, "{hash}");
            for wrong in ["s3creT", "", "s3cret\0", " s3cret"] {
                assert_eq!(verify(hash, &Secret::from(wrong)), Verdict::Wrong, "{hash} {wrong:?}");
            }
        }
    }

    #[test]
    fn nobody_gets_in_where_there_is_nothing_to_check() {
        for entry in ["", "!", "*", "!!", "*LK*", &format!("!{}", HASHES[0])] {
            assert_eq!(verify(entry, &Secret::from("")), Verdict::Locked, "{entry}");
        }
        let cut = &HASHES[2][..HASHES[2].len() - 3];
        for entry in [
            "$1$salt$qJH7.N4xYta3aEG/dfqo/0",
            "ab1cd2ef3gh4i",
            "x",
            "$y$",
            "$6$",
            "$6$salt",
            "$y$j9T$salt$",
            "$$",
            "$2b$10$abc",
        ] {
            let verdict = verify(entry, &Secret::from(""));
            assert!(matches!(verdict, Verdict::Unsupported | Verdict::Wrong), "{entry} {verdict:?}");
        }
        assert!(!matches!(verify(cut, &Secret::from("s3cret")), Verdict::Right | Verdict::Locked));
    }

    #[test]
    fn each_comparison_is_one_hash() {
        for entry in ["", "!", "$1$salt$x", HASHES[0], HASHES[2]] {
            assert_eq!(work(|| verify(entry, &Secret::from("x"))).1, 1, "{entry}");
        }
    }
}
