//! Names of objects, and the folder of a tenant.
//!
//! Names come from our own code, tenants from tokens of people. Both end up in paths of disks and buckets, where `..`,
//! a slash too many or a letter that a store folds to another would reach the objects of somebody else. So a name is
//! checked against a small alphabet, and a tenant is written in it so that no two of them share a folder.
//!
//! ```text
//! prefix (checked) / tenants / escape(tenant) / name (checked)  ->  path in the store
//! ```

use sha2::{Digest as _, Sha256};

use super::error::VaultError;
use super::hex;

/// Longest name, in bytes.
const MAX_NAME_BYTES: usize = 512;
/// Longest part of a name between slashes: file systems end at 255, and the local store adds to it while it writes.
const MAX_PART_BYTES: usize = 200;
/// A tenant that would be written longer is written shorter, with a hash.
const MAX_TENANT_BYTES: usize = 120;

/// Checks a relative path of `a-z0-9._-`, with slashes between its parts.
pub(super) fn check(name: &str) -> Result<(), VaultError> {
    let refuse = |why| Err(VaultError::BadName { why });
    if name.len() > MAX_NAME_BYTES {
        return refuse("it is too long");
    }
    for part in name.split('/') {
        if part.is_empty() || part == "." || part == ".." {
            return refuse("it has an empty part, or one of dots");
        }
        if part.len() > MAX_PART_BYTES {
            return refuse("a part of it is too long");
        }
        if !part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-')) {
            return refuse("it may hold a-z, 0-9, dot, underscore and hyphen alone");
        }
    }
    Ok(())
}

/// `first/second`; either may be empty.
pub(super) fn join(first: &str, second: &str) -> String {
    if first.is_empty() || second.is_empty() { format!("{first}{second}") } else { format!("{first}/{second}") }
}

/// The rest of a path below a folder; below an empty one all of it.
pub(super) fn below<'a>(folder: &str, path: &'a str) -> Option<&'a str> {
    if folder.is_empty() { Some(path) } else { path.strip_prefix(folder)?.strip_prefix('/') }
}

/// A tenant's name in the alphabet of object names, different for different tenants.
///
/// Small letters, digits and hyphens stand for themselves, any other byte is `_` and two hex digits; capitals too, as
/// some disks do not tell them from small ones. A very long name is cut and gets `__` and its hash, which no other
/// name is written with, for after `_` come two hex digits everywhere else.
pub(super) fn escape(tenant: &str) -> String {
    if tenant.is_empty() {
        return "_".to_owned();
    }
    let mut escaped = String::with_capacity(tenant.len());
    for byte in tenant.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' => escaped.push(char::from(byte)),
            other => {
                escaped.push('_');
                escaped.push_str(&hex(&[other]));
            }
        }
    }
    if escaped.len() > MAX_TENANT_BYTES {
        escaped.truncate(MAX_TENANT_BYTES / 3);
        escaped.push_str("__");
        escaped.push_str(&hex(&Sha256::digest(tenant)));
    }
    escaped
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_outside_of_the_alphabet_or_with_a_way_up_are_refused() {
        for good in ["a", "recordings/rec_0f/track-0000.webm", "a.b/..c", "0/1/2"] {
            assert!(check(good).is_ok(), "{good}");
        }
        let (long, long_part) = ("a/".repeat(300) + "a", "a".repeat(201));
        for bad in [
            "", "/", "/a", "a/", "a//b", ".", "a/../b", "..", "A", "a b", "a#1", "ä", "a\\b", "a%2f", &long, &long_part,
        ] {
            assert!(matches!(check(bad), Err(VaultError::BadName { .. })), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_tenants_folder_is_one_good_part_of_a_name(tenant in "\\PC{0,200}") {
            let folder = escape(&tenant);
            prop_assert!(check(&folder).is_ok() && !folder.contains('/') && !folder.contains('.'), "{}", folder);
        }

        #[test]
        fn different_tenants_have_different_folders(one in "[aA_/.é-]{0,4}|[a_]{38,130}", other in "[aA_/.é-]{0,4}|[a_]{38,130}") {
            prop_assert_eq!(one == other, escape(&one) == escape(&other));
        }
    }
}
