//! Takes fields from the front of bytes, and knows how far it got.
//!
//! Called by what reads blocks. Nothing of what was announced by a number is allocated before it is
//! there.

use super::varint::{self, BadVarint};

/// Bytes, and the position in them.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// How many bytes have been taken.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// What has not been taken.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.position..]
    }

    pub(super) fn varint(&mut self) -> Result<u64, BadVarint> {
        let (number, len) = varint::read(self.rest())?;
        self.position += len;
        Ok(number)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let bytes = *self.rest().first_chunk()?;
        self.position += N;
        Some(bytes)
    }

    /// So many bytes, where there are so many.
    pub(super) fn bytes(&mut self, len: u64) -> Option<&'a [u8]> {
        let bytes = self.rest().get(..usize::try_from(len).ok()?)?;
        self.position += bytes.len();
        Some(bytes)
    }
}
