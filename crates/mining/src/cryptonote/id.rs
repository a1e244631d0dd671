//! Ids of blocks and transactions, between the two orders of bytes.
//!
//! This family prints a hash in the order of its bytes, while [`pow::Hash`] prints Bitcoin's way, the
//! last byte first. Wherever blocks of all families are kept, asked for and shown, an id is the
//! [`pow::Hash`] that *prints* the text that the family's daemons and explorers print. So its bytes are
//! the id's in reverse, and this is the only place that turns them.

use pow::Hash;

/// The id with these bytes, as the family hashes and writes them.
pub fn of_bytes(mut bytes: [u8; 32]) -> Hash {
    bytes.reverse();
    Hash(bytes)
}

/// The bytes of an id, as the family hashes and writes them.
pub fn to_bytes(id: Hash) -> [u8; 32] {
    id.to_display_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_prints_as_the_daemons_print_it() {
        let text = "418015bb9ae982a1975da7d79277c2705727a56894ba0fb246adaabb1f4632e3";
        let bytes: [u8; 32] = hex::decode(text).unwrap().try_into().unwrap();
        let id = of_bytes(bytes);
        assert_eq!(id.to_string(), text);
        assert_eq!(text.parse(), Ok(id));
        assert_eq!(to_bytes(id), bytes);
    }
}
