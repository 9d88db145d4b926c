//! Derives a secret from a password: Argon2id, RFC 9106.

use argon2::{Algorithm, Argon2, Params, Version};
use clap::Args;
use ivy_proto::wire::crypto::{Derivation, KeySecret};
use zeroize::Zeroizing;

use super::{Problem, SECRET};

/// The cost of a derivation, and so of trying a password. The defaults are the second recommended
/// option of RFC 9106.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Cost {
    /// The memory in KiB; at least 19456 is recommended
    #[arg(long, default_value_t = 65_536, value_name = "KIB")]
    memory: u32,
    /// The number of passes over the memory
    #[arg(long, default_value_t = 3, value_name = "NUMBER")]
    passes: u32,
    /// The degree of parallelism (lanes of Argon2)
    #[arg(long, default_value_t = 4, value_name = "NUMBER")]
    lanes: u32,
}

impl Cost {
    pub(super) fn with_salt(self, salt: [u8; 16]) -> Derivation {
        let Cost { memory, passes, lanes } = self;
        Derivation { salt, memory_kib: memory, passes, lanes }
    }
}

/// Derives the secret from a password.
pub(super) fn secret(password: &str, derivation: &Derivation) -> Result<KeySecret, Problem> {
    let Derivation { salt, memory_kib, passes, lanes } = derivation;
    let params = Params::new(*memory_kib, *passes, *lanes, Some(SECRET)).map_err(Problem::Cost)?;
    let mut bytes = Zeroizing::new(vec![0; SECRET]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(password.as_bytes(), salt, &mut bytes)
        .map_err(Problem::Cost)?;
    Ok(KeySecret::new(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_derives_the_same_secret_as_in_other_programs() {
        // From the command line of the reference implementation:
        // printf password | argon2 somesaltsomesalt -id -t 2 -k 256 -p 1 -l 32 -r
        let derivation =
            Derivation { salt: *b"somesaltsomesalt", memory_kib: 256, passes: 2, lanes: 1 };
        let one = secret("password", &derivation).unwrap();
        let other = secret("Password", &derivation).unwrap();
        let hex: String = one.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "cab746b4621993fdc91ec50787980b414a90a692f0bc68dfe19f9c25b3cba9ec");
        assert_ne!(one.expose(), other.expose());
    }

    #[test]
    fn invalid_costs_are_refused() {
        let derivation = Derivation { salt: [1; 16], memory_kib: 1, passes: 1, lanes: 1 };
        assert!(matches!(secret("password", &derivation), Err(Problem::Cost(_))));
    }
}
